import { Transform, type TransformCallback } from 'node:stream';
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

/** Passes whole frames on, and remembers how loud they are until they have been played. */
export class LevelMeter extends Transform {
  readonly #magnitude: (view: DataView, offset: number) => number;
  readonly #sampleBytes: number;
  readonly #frameBytes: number;
  readonly #channels: number;
  readonly #blockFrames: number;
  readonly #blocks: Block[] = [];
  #end = 0;
  #levels: number[];

  constructor({ format, rate, channels }: { format: PcmFormatName; rate: number; channels: number }) {
    super();
    this.#magnitude = MAGNITUDES[format] ?? (() => 0);
    this.#sampleBytes = pcmFormat(format).sampleBytes ?? 1;
    this.#frameBytes = this.#sampleBytes * channels;
    this.#channels = Math.min(channels, MAX_CHANNELS);
    this.#blockFrames = Math.ceil(rate / BLOCKS_PER_SECOND);
    this.#levels = new Array<number>(this.#channels).fill(-Infinity);
  }

  /**
   * How loud the first channels have been, dBFS (peak), from the position of the last call up to `position`,
   * in frames; the last levels again where nothing has been played since.
   */
  levelsUpTo(position: number): number[] {
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
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const frames = chunk.length / this.#frameBytes;
    for (let first = 0; first < frames; first += this.#blockFrames) {
      const last = Math.min(first + this.#blockFrames, frames);
      const peaks = this.#levels.map((_, channel) => this.#peak(view, first, last, channel));
      this.#blocks.push({ end: this.#end + last, peaks });
    }
    this.#end += frames;
    callback(null, chunk);
  }

  #peak(view: DataView, first: number, last: number, channel: number): number {
    let peak = 0;
    for (let frame = first; frame < last; frame++) {
      const magnitude = this.#magnitude(view, frame * this.#frameBytes + channel * this.#sampleBytes);
      if (magnitude > peak) peak = magnitude;
    }
    return peak;
  }
}

function decibels(peak: number): number {
  return peak > 0 ? 20 * Math.log10(peak) : -Infinity;
}

/** The magnitude of one sample, of full scale, for the formats that WAV files hold. */
const MAGNITUDES: Partial<Record<PcmFormatName, (view: DataView, offset: number) => number>> = {
  u8: (view, offset) => Math.abs(view.getUint8(offset) - 0x80) / 0x80,
  s16_le: (view, offset) => Math.abs(view.getInt16(offset, true)) / 0x8000,
  s24_le: (view, offset) => Math.abs(view.getInt32(offset, true) << 8) / 0x8000_0000,
  s32_le: (view, offset) => Math.abs(view.getInt32(offset, true)) / 0x8000_0000,
  float_le: (view, offset) => Math.abs(view.getFloat32(offset, true)),
  float64_le: (view, offset) => Math.abs(view.getFloat64(offset, true)),
  a_law: (view, offset) => aLawMagnitude(view.getUint8(offset)) / 0x8000,
  mu_law: (view, offset) => muLawMagnitude(view.getUint8(offset)) / 0x8000,
};

/** ITU-T G.711, on a scale of 16 bits. */
function aLawMagnitude(octet: number): number {
  const code = octet ^ 0x55;
  const segment = (code >> 4) & 7;
  const step = ((code & 15) << 4) + 8;
  return segment === 0 ? step : (step + 0x100) << (segment - 1);
}

/** ITU-T G.711, on a scale of 16 bits. */
function muLawMagnitude(octet: number): number {
  const code = ~octet;
  return ((((code & 15) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84;
}
