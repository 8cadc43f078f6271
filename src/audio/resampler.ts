import type { EventEmitter } from 'node:events';
import nodeProcess from 'node:process';
import { invalidArgError, VsndError } from '../errors.ts';

/**
 * Which of libsamplerate's filters. Measured, 44100 <-> 48000 Hz, half scale: 'best' keeps sines up to 20 kHz within 0.01 dB
 * and 139 dB above all else, aliases below -150 dB, and takes 16 ms of CPU for a second of one channel; 'medium' is flat to
 * 18.5 kHz (20 kHz: -3.3 dB), 116 dB, -118 dB, and takes 5 ms.
 */
export type ResamplerQuality = 'best' | 'medium';

export interface ResamplerOptions {
  channels: number;
  /** By default 'best'. */
  quality?: ResamplerQuality | undefined;
}

/** What is used of the package; its own types take the constructor's argument for a number. */
interface Samplerate {
  /** May use less than it is given: it makes room for ceil(data.length * ratio) and no more. Then it has filled that room. */
  process(block: { data: Float32Array; ratio: number }): { data: Float32Array; used: number };
  reset(): void;
  close(): void;
}

interface SamplerateClass {
  new (options: { type: number }): Samplerate;
  readonly initialized: Promise<void>;
}

/** SRC_SINC_BEST_QUALITY, SRC_SINC_MEDIUM_QUALITY */
const FILTERS: Readonly<Record<ResamplerQuality, number>> = { best: 0, medium: 1 };

/** SRC_MAX_RATIO; its inverse is the lowest ratio. */
export const MAX_RATIO = 256;

/** libsamplerate's memory, 16 MB for a thread, does not grow; a filter of 'best' takes 450 KB of it. */
const MAX_CHANNELS = 8;

/** Frames in, and out, in one call of libsamplerate, for the same reason. */
const BLOCK_FRAMES = 16_384;

/** Ratios that are as near are the same to libsamplerate. */
const LEAST_CHANGE = 1e-10;

const NOTHING = new Float32Array(0);

/** Frames of silence that push the end out of the filter, at a time. */
const TAIL_FRAMES = 512;

/**
 * Changes the rate of interleaved frames as they come, by libsamplerate. The first frame that comes out stands where the first
 * one went in: there is no delay in the sound, only in when it comes, by half the length of the filter.
 */
export class Resampler {
  readonly channels: number;
  /** One a channel, in step: the package has no others. */
  readonly #filters: Samplerate[];
  #ratio: number | undefined;
  /** Frames that went in at the present ratio, and frames due for all that went in before. */
  #framesIn = 0;
  #dueBefore = 0;
  #framesOut = 0;
  /** Where in what went in the next frame that comes out stands. */
  #position = 0;
  /** The ratio that libsamplerate has reached. */
  #reached: number | undefined;

  /** Loads libsamplerate, when it is first needed. Rejects with ERR_VSND_INVALID_ARG, ERR_VSND_NOT_SUPPORTED. */
  static async create({ channels, quality = 'best' }: ResamplerOptions): Promise<Resampler> {
    if (!Number.isInteger(channels) || channels < 1 || channels > MAX_CHANNELS) {
      throw invalidArgError('channels', channels, `1 to ${MAX_CHANNELS}`);
    }
    if (!Object.hasOwn(FILTERS, quality))
      throw invalidArgError('quality', quality, Object.keys(FILTERS).join(', '));
    const Filter = await loadLibsamplerate();
    await Filter.initialized;
    return new Resampler(createFilters(Filter, channels, FILTERS[quality]));
  }

  private constructor(filters: Samplerate[]) {
    this.channels = filters.length;
    this.#filters = filters;
  }

  /** Frames that are still to come out for those that went in; to a frame or two where the ratio has changed. */
  get pendingFrames(): number {
    return Math.max(0, Math.round(this.#due) - this.#framesOut);
  }

  /** Frames that went in before the place at which the next one that comes out stands; with a fraction. */
  get position(): number {
    return this.#position;
  }

  /**
   * Takes whole frames and gives those that are ready. `ratio`: of the new rate to the old one; where it is another than at the
   * last call, it moves there evenly within this one. Throws ERR_VSND_INVALID_ARG.
   */
  process(frames: Float32Array, ratio: number): Float32Array {
    if (!(ratio >= 1 / MAX_RATIO && ratio <= MAX_RATIO)) {
      throw invalidArgError('ratio', ratio, `1/${MAX_RATIO} to ${MAX_RATIO}`);
    }
    if (frames.length % this.channels !== 0) {
      throw invalidArgError('frames', frames.length, `multiples of ${this.channels} samples`);
    }
    const count = frames.length / this.channels;
    if (this.#ratio === undefined || this.#ratio === ratio) {
      this.#framesIn += count;
    } else {
      this.#dueBefore = this.#due + (count * (this.#ratio + ratio)) / 2;
      this.#framesIn = 0;
    }
    this.#ratio = ratio;
    const resampled = this.#resample(frames, ratio);
    this.#framesOut += resampled.length / this.channels;
    return resampled;
  }

  /** The frames that are still to come: at one ratio, round(frames * ratio) in all. What goes in next is another sound. */
  end(): Float32Array {
    const tail = new Float32Array(this.pendingFrames * this.channels);
    const silence = new Float32Array(TAIL_FRAMES * this.channels);
    for (let length = 0; length < tail.length; ) {
      const more = this.#resample(silence, this.#ratio ?? 1);
      tail.set(more.subarray(0, tail.length - length), length);
      length += more.length;
    }
    this.reset();
    return tail;
  }

  /** Forgets what went in. */
  reset(): void {
    for (const filter of this.#filters) filter.reset();
    this.#ratio = undefined;
    this.#framesIn = this.#dueBefore = this.#framesOut = this.#position = 0;
    this.#reached = undefined;
  }

  /** Gives its memory back; after that it cannot be used. Idempotent. */
  close(): void {
    for (const filter of this.#filters.splice(0)) filter.close();
  }

  get #due(): number {
    return this.#dueBefore + this.#framesIn * (this.#ratio ?? 1);
  }

  #resample(frames: Float32Array, ratio: number): Float32Array {
    const blockLength = Math.floor(BLOCK_FRAMES / Math.max(1, ratio)) * this.channels;
    const pieces: Float32Array[] = [];
    for (let start = 0; start < frames.length; ) {
      const block = frames.subarray(start, start + blockLength);
      const results = this.#filters.map((filter, channel) =>
        filter.process({ data: channelOf(block, channel, this.channels), ratio }),
      );
      const { used = 0, data = NOTHING } = results[0] ?? {};
      this.#move(data.length, Math.ceil((block.length / this.channels) * ratio), ratio);
      start += used * this.channels;
      pieces.push(interleave(results.map((result) => result.data)));
    }
    return concat(pieces);
  }

  /** As libsamplerate does: from the ratio that it has reached evenly to the wanted one, over the room that it was given. */
  #move(frames: number, room: number, ratio: number): void {
    const from = this.#reached ?? ratio;
    const step = Math.abs(from - ratio) > LEAST_CHANGE ? (ratio - from) / room : 0;
    for (let i = 0; i < frames; i++) this.#position += 1 / (from + i * step);
    this.#reached = from + Math.max(0, frames - 1) * step;
  }
}

/** The last thing that the package's handlers do. */
const THROWS_ANEW = /\bthrow \w+;?\s*\}\s*\}?\s*$/;

/** The package. It would handle the uncaught errors of the whole process: not in a library. */
async function loadLibsamplerate(): Promise<SamplerateClass> {
  const process: EventEmitter = nodeProcess;
  const events = ['uncaughtException', 'unhandledRejection'];
  const before = new Set(events.flatMap((event) => process.listeners(event)));
  const { default: libsamplerate } = await import('@toots/libsamplerate.js');
  for (const event of events) {
    for (const listener of process.listeners(event)) {
      if (!before.has(listener) && THROWS_ANEW.test(`${listener}`))
        process.off(event, listener as () => void);
    }
  }
  return (libsamplerate as unknown as { Samplerate: SamplerateClass }).Samplerate;
}

function createFilters(Filter: SamplerateClass, channels: number, type: number): Samplerate[] {
  const filters: Samplerate[] = [];
  try {
    while (filters.length < channels) filters.push(new Filter({ type }));
    return filters;
  } catch (cause) {
    for (const filter of filters) filter.close();
    throw new VsndError(
      'ERR_VSND_NOT_SUPPORTED',
      'too many resamplers are in use: no memory is left for another',
      { cause },
    );
  }
}

function channelOf(frames: Float32Array, channel: number, channels: number): Float32Array {
  if (channels === 1) return frames;
  const samples = new Float32Array(frames.length / channels);
  for (let from = channel, to = 0; to < samples.length; from += channels, to++)
    samples[to] = frames[from] ?? 0;
  return samples;
}

function interleave(channels: readonly Float32Array[]): Float32Array {
  const [first = NOTHING] = channels;
  if (channels.length === 1) return first;
  const frames = new Float32Array(first.length * channels.length);
  channels.forEach((samples, channel) => {
    for (let from = 0, to = channel; from < samples.length; from++, to += channels.length)
      frames[to] = samples[from] ?? 0;
  });
  return frames;
}

function concat(pieces: readonly Float32Array[]): Float32Array {
  const [first = NOTHING] = pieces;
  if (pieces.length < 2) return first;
  const whole = new Float32Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let length = 0;
  for (const piece of pieces) {
    whole.set(piece, length);
    length += piece.length;
  }
  return whole;
}
