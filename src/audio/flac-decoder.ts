import { attempt, ready } from './decoders.ts';
import { type FlacHeader, type FlacInfo, selfContained } from './flac-format.ts';

/** Takes whole FLAC frames and gives the very samples that were compressed. */
export class FlacDecoder {
  readonly #info: FlacInfo;
  /** The frame of sound that should come next. */
  #next = 0;
  #decoder: Awaited<ReturnType<typeof create>> | undefined;

  constructor(info: FlacInfo) {
    this.#info = info;
  }

  /** The sound in a FLAC frame, laid out as FLAC_FORMATS says; undefined where it is damaged. */
  async decode(flacFrame: Uint8Array, header: FlacHeader): Promise<Uint8Array | undefined> {
    const { first, frames } = header;
    if (first !== this.#next) this.free(); // it would make up for frames that are missing, if it knew of them
    this.#next = first + frames;
    this.#decoder ??= await create();
    const decoder = this.#decoder;
    const frame = selfContained(flacFrame, header, this.#info);
    const decoded = await attempt(() => decoder.decodeFrames([frame]))?.catch(() => undefined);
    const { channels, bits } = this.#info;
    const isWhole = decoded?.samplesDecoded === frames && decoded.channelData.length === channels;
    if (!isWhole || decoded.errors.length > 0) {
      this.free(); // what it thinks of its state after a failure is not known
      return undefined;
    }
    return integers(decoded.channelData, frames, bits);
  }

  /** Its memory; the next call of {@link decode} begins anew. */
  free(): void {
    const decoder = this.#decoder;
    this.#decoder = undefined;
    attempt(() => decoder?.free());
  }
}

async function create() {
  const { FLACDecoder } = await import('@wasm-audio-decoders/flac');
  return ready(new FLACDecoder());
}

/** The integers that libFLAC found: the decoder has divided them by the largest one into floats, whose 24 bits hold them all. */
function integers(channels: readonly Float32Array[], frames: number, bits: number): Uint8Array {
  const largest = 2 ** (bits - 1) - 1;
  const count = frames * channels.length;
  const samples =
    bits === 8 ? new Uint8Array(count) : bits === 16 ? new Int16Array(count) : new Int32Array(count);
  const half = (bits === 8 ? 0x80 : 0) + 0.5; // what rounds, where a negative number cannot be: beyond the lowest one
  const lift = 2 ** (bits - 1);
  const [left, right] = channels;
  if (left && right && channels.length === 2) {
    for (let frame = 0, at = 0; frame < frames; frame++) {
      // twice as fast as what follows
      samples[at++] = (((left[frame] as number) * largest + lift + half) | 0) - lift;
      samples[at++] = (((right[frame] as number) * largest + lift + half) | 0) - lift;
    }
    return new Uint8Array(samples.buffer);
  }
  channels.forEach((channel, index) => {
    for (let frame = 0, at = index; frame < frames; frame++, at += channels.length) {
      samples[at] = (((channel[frame] as number) * largest + lift + half) | 0) - lift;
    }
  });
  return new Uint8Array(samples.buffer);
}
