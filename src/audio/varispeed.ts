import { VsndError } from '../errors.ts';
import { type SampleCodec, sampleCodec } from '../pcm/samples.ts';
import type { FrameFormat } from './audio-source.ts';
import { Resampler } from './resampler.ts';

/** s */
const CROSS_FADE = 0.01;

/** Frames that the resampler hears before it is heard, and those that it holds back are fewer. */
const HISTORY_FRAMES = 512;

/**
 * Plays frames a little faster or slower, by a ratio that may change at every call. At a ratio of 1 they pass untouched, bit
 * for bit. On the way there and back it cross-fades between the same sound at the same place: the resampler has heard what
 * passed untouched, and when the ratio is 1 again it fades to the frames nearest to where it stands. That is exact where
 * `phase` is 0.
 */
export class Varispeed {
  readonly #resampler: Resampler;
  readonly #codec: SampleCodec;
  readonly #fadeFrames: number;
  /** What came in last, numbered as the resampler counts. */
  readonly #recent: RecentFrames;
  #state: 'untouched' | 'leaving' | 'resampling' | 'returning' = 'untouched';
  /** Frames of the cross-fade that are over. */
  #faded = 0;
  /** Frames that come out of the resampler, and passed untouched before. */
  #heard = 0;

  /** Loads libsamplerate. Rejects with ERR_VSND_NOT_SUPPORTED where the format has no samples, or memory is short. */
  static async create({ format, rate, channels }: FrameFormat): Promise<Varispeed> {
    const codec = sampleCodec(format);
    if (codec === undefined) throw new VsndError('ERR_VSND_NOT_SUPPORTED', `${format} cannot be resampled`);
    return new Varispeed(await Resampler.create({ channels, quality: 'medium' }), codec, rate);
  }

  private constructor(resampler: Resampler, codec: SampleCodec, rate: number) {
    this.#resampler = resampler;
    this.#codec = codec;
    this.#fadeFrames = Math.round(CROSS_FADE * rate);
    this.#recent = new RecentFrames(codec.sampleBytes * resampler.channels);
  }

  /** Frames that came in and are still to come out. */
  get pendingFrames(): number {
    return this.#state === 'untouched' ? 0 : this.#recent.end - this.#resampler.position - this.#heard;
  }

  /** Frames by which what comes out next stands behind the nearest frame that came in: -0.5 to 0.5. */
  get phase(): number {
    const { position } = this.#resampler;
    return this.#state === 'untouched' ? 0 : position - Math.round(position);
  }

  /** Takes whole frames, and gives those that are ready. `ratio`: frames out for one that comes in. */
  process(octets: Uint8Array, ratio: number): Uint8Array {
    if (this.#state === 'untouched' && ratio !== 1) this.#leave();
    if (this.#state === 'resampling' && ratio === 1) this.#return();
    this.#recent.add(octets);
    switch (this.#state) {
      case 'untouched':
        return octets;
      case 'leaving':
        return this.#fadeOut(octets);
      case 'resampling':
        return this.#encode(this.#resampler.process(this.#decode(octets), ratio));
      case 'returning':
        return this.#fadeIn(octets);
    }
  }

  /** What is still to come out. What goes in next is another sound. */
  end(): Uint8Array {
    const rest =
      this.#state === 'untouched'
        ? new Uint8Array(0)
        : this.#encode(this.#resampler.end().subarray(this.#heard * this.#resampler.channels));
    this.#state = 'untouched';
    this.#heard = 0;
    this.#recent.clear();
    return rest;
  }

  /** Gives its memory back. Idempotent. */
  close(): void {
    this.#resampler.close();
  }

  #leave(): void {
    this.#state = 'leaving';
    this.#faded = 0;
    this.#recent.renumber();
    this.#resampler.reset();
    this.#resampler.process(this.#decode(this.#recent.from(0)), 1);
    this.#heard = this.#recent.end - this.#resampler.position;
  }

  #return(): void {
    this.#state = 'returning';
    this.#faded = 0;
  }

  #fadeOut(octets: Uint8Array): Uint8Array {
    const at = this.#resampler.position + this.#heard;
    const resampled = this.#resampler.process(this.#decode(octets), 1);
    const skipped = Math.min(this.#heard, resampled.length / this.#resampler.channels);
    this.#heard -= skipped;
    const played = resampled.subarray(skipped * this.#resampler.channels);
    this.#fade(this.#decode(this.#recent.from(at)), played, played);
    if (this.#faded === this.#fadeFrames) this.#state = 'resampling';
    return this.#encode(played);
  }

  #fadeIn(octets: Uint8Array): Uint8Array {
    const at = Math.round(this.#resampler.position);
    const resampled = this.#resampler.process(this.#decode(octets), 1);
    const untouched = this.#decode(this.#recent.from(at)).subarray(0, resampled.length);
    const faded = this.#fade(resampled, untouched, resampled);
    if (this.#faded < this.#fadeFrames) return this.#encode(resampled);
    this.#state = 'untouched';
    const fade = resampled.subarray(0, faded * this.#resampler.channels);
    return concat(this.#encode(fade), this.#recent.from(at + faded));
  }

  /** Goes on with the cross-fade, as far as it and the frames go; says how many those are. */
  #fade(out: Float32Array, into: Float32Array, mixed: Float32Array): number {
    const { channels } = this.#resampler;
    const frames = Math.min(into.length / channels, this.#fadeFrames - this.#faded);
    for (let i = 0; i < frames * channels; i++) {
      const weight = (this.#faded + Math.floor(i / channels)) / this.#fadeFrames;
      mixed[i] = (out[i] ?? 0) * (1 - weight) + (into[i] ?? 0) * weight;
    }
    this.#faded += frames;
    return frames;
  }

  #decode(octets: Uint8Array): Float32Array {
    const { sampleBytes, read } = this.#codec;
    const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
    const samples = new Float32Array(octets.length / sampleBytes);
    for (let i = 0; i < samples.length; i++) samples[i] = read(view, i * sampleBytes);
    return samples;
  }

  #encode(samples: Float32Array): Uint8Array {
    const { sampleBytes, write } = this.#codec;
    const octets = new Uint8Array(samples.length * sampleBytes);
    const view = new DataView(octets.buffer);
    samples.forEach((sample, i) => {
      write(view, i * sampleBytes, sample);
    });
    return octets;
  }
}

/** The newest frames of a stream, by their number. */
class RecentFrames {
  readonly #frameBytes: number;
  #octets: Uint8Array = new Uint8Array(0);
  /** The number of the first. */
  #begin = 0;

  constructor(frameBytes: number) {
    this.#frameBytes = frameBytes;
  }

  /** The number of the frame that comes next. */
  get end(): number {
    return this.#begin + this.#octets.length / this.#frameBytes;
  }

  add(octets: Uint8Array): void {
    const begin = Math.max(this.#begin, this.end - HISTORY_FRAMES);
    this.#octets = concat(this.from(begin), octets);
    this.#begin = begin;
  }

  /** Those from this number on. */
  from(frame: number): Uint8Array {
    return this.#octets.subarray((frame - this.#begin) * this.#frameBytes);
  }

  /** The oldest one that is still there is number 0. */
  renumber(): void {
    this.#begin = 0;
  }

  clear(): void {
    this.#octets = new Uint8Array(0);
  }
}

function concat(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
