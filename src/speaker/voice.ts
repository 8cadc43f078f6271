import type { FrameFormat } from '../audio/audio-source.ts';
import { createFrameConverter, type FrameConverter } from '../audio/frame-converter.ts';
import type { PlaybackStream } from '../frontend/playback-stream.ts';
import type { FrameCutter } from './frames.ts';

/** Bytes that are converted at a time: no more than some ms without a turn of the event loop. */
const PIECE_BYTES = 65_536;

/** The way of bytes to a stream of the card: cut at frames, and converted where the stream takes them only otherwise. */
export class Voice {
  readonly #stream: PlaybackStream;
  readonly #cutter: FrameCutter;
  readonly #converter: FrameConverter;

  /** `cutter` makes frames of `source`. Rejects as createFrameConverter() does. */
  static async create(stream: PlaybackStream, source: FrameFormat, cutter: FrameCutter): Promise<Voice> {
    const { format, rate, channels } = stream;
    return new Voice(stream, cutter, await createFrameConverter(source, { format, rate, channels }));
  }

  private constructor(stream: PlaybackStream, cutter: FrameCutter, converter: FrameConverter) {
    this.#stream = stream;
    this.#cutter = cutter;
    this.#converter = converter;
  }

  /** Bytes of a frame that is not complete yet. */
  get rest(): number {
    return this.#cutter.rest;
  }

  /** Resolves when the card has taken it. */
  async play(chunk: Buffer): Promise<void> {
    let at = 0;
    do {
      const frames = this.#cutter.cut(chunk.subarray(at, at + PIECE_BYTES));
      await this.#write(this.#converter.convert(frames));
      at += PIECE_BYTES;
    } while (at < chunk.length);
  }

  /** Resolves when all has been played, or the stream has ended otherwise. */
  async playOut(): Promise<void> {
    this.#stream.end(this.#converter.end());
    await whenClosed(this.#stream);
  }

  close(): void {
    this.#converter.close();
  }

  #write(frames: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(frames, (error) => (error ? reject(error) : resolve()));
    });
  }
}

export async function whenClosed(stream: PlaybackStream): Promise<void> {
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
}
