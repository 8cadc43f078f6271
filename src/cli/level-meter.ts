import { Transform, type TransformCallback } from 'node:stream';
import { type SampleCodec, sampleCodec } from '../pcm/samples.ts';
import { type PcmFormatName, pcmFormat } from '../wire/pcm-format.ts';

/** Blocks a second: each gives one peak a channel. */
const BLOCKS_PER_SECOND = 50;
/** Channels that a meter shows. */
const MAX_CHANNELS = 2;

interface Block {
  /** The frame after its last. */
  end: number;
  /** Of full scale, 0 to 1, one a channel. */
  peaks: number[];
}

/**
 * Passes whole frames on, and remembers how loud they are until they have been played. A format without samples is silent.
 */
export class LevelMeter extends Transform {
  readonly #codec: SampleCodec | undefined;
  readonly #sampleBytes: number;
  readonly #frameBytes: number;
  readonly #channels: number;
  readonly #blockFrames: number;
  readonly #blocks: Block[] = [];
  #end: number;
  #levels: number[];

  /** `first`: the position of the first frame that will pass. */
  constructor(
    { format, rate, channels }: { format: PcmFormatName; rate: number; channels: number },
    first = 0,
  ) {
    super();
    this.#end = first;
    this.#codec = sampleCodec(format);
    this.#sampleBytes = pcmFormat(format).sampleBytes ?? 1;
    this.#frameBytes = this.#sampleBytes * channels;
    this.#channels = Math.min(channels, MAX_CHANNELS);
    this.#blockFrames = Math.ceil(rate / BLOCKS_PER_SECOND);
    this.#levels = new Array<number>(this.#channels).fill(-Infinity);
  }

  /**
   * How loud the first channels have been, dBFS (peak), from the position of the last call up to `position`,
   * in frames, or up to all that has passed; the last levels again where nothing has been played since.
   */
  levelsUpTo(position = Number.POSITIVE_INFINITY): number[] {
    const next = this.#blocks.findIndex(({ end }) => end > position);
    const played = this.#blocks.splice(0, next === -1 ? this.#blocks.length : next);
    if (played.length > 0) {
      this.#levels = this.#levels.map((_, channel) =>
        decibels(Math.max(...played.map((block) => block.peaks[channel] ?? 0))),
      );
    }
    return this.#levels;
  }

  override _transform(chunk: Buffer, _: BufferEncoding, callback: TransformCallback): void {
    this.note(chunk);
    callback(null, chunk);
  }

  /** Remembers how loud whole frames are that pass by elsewhere. */
  note({ buffer, byteOffset, byteLength }: Uint8Array): void {
    const view = new DataView(buffer, byteOffset, byteLength);
    const frames = byteLength / this.#frameBytes;
    for (let first = 0; first < frames; first += this.#blockFrames) {
      const last = Math.min(first + this.#blockFrames, frames);
      const peaks = this.#levels.map((_, channel) => this.#peak(view, first, last, channel));
      this.#blocks.push({ end: this.#end + last, peaks });
    }
    this.#end += frames;
  }

  #peak(view: DataView, first: number, last: number, channel: number): number {
    let peak = 0;
    for (let frame = first; frame < last; frame++) {
      const sample = this.#codec?.read(view, frame * this.#frameBytes + channel * this.#sampleBytes) ?? 0;
      const magnitude = Math.abs(sample);
      if (magnitude > peak) peak = magnitude; // false for NaN
    }
    return peak;
  }
}

function decibels(peak: number): number {
  return peak > 0 ? 20 * Math.log10(peak) : -Infinity;
}
