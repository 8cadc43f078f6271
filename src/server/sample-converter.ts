import { type MixMatrix, mix } from '../audio/channel-mix.ts';
import { Resampler } from '../audio/resampler.ts';
import { type SampleValues, sampleValues } from '../audio/sample-values.ts';
import { PulseError } from '../pulse/command.ts';
import type { StreamFormat } from '../pulse/format-info.ts';
import { PULSE_FORMATS } from '../pulse/sample-spec.ts';
import { packS24, widenS24 } from '../wav/repack.ts';
import { isSameMap, mapMatrix } from './speakers.ts';
import type { StreamGain } from './stream-gain.ts';

const NOTHING = new Float64Array(0);

/** Whether frames of one format are frames of the other as they are. */
export function isSameFormat(from: StreamFormat, to: StreamFormat): boolean {
  const { format, rate } = from.spec;
  return format === to.spec.format && rate === to.spec.rate && isSameMap(from.map, to.map);
}

/** The samples of a format as numbers, and back; 24 bits in 3 bytes as well. */
export function valuesOf(format: number): SampleValues {
  const { pcm = 's16_le', isPacked = false, name = '' } = PULSE_FORMATS[format] ?? {};
  const values = sampleValues(pcm) as SampleValues; // each of PulseAudio's formats has samples
  if (!isPacked) return values;
  const isBigEndian = name.endsWith('be');
  return {
    read: (bytes) => values.read(isBigEndian ? swap(widenS24(swap(bytes, 3)), 4) : widenS24(bytes)),
    write: (samples) => {
      const wide = values.write(samples);
      return isBigEndian ? swap(packS24(swap(wide, 4)), 3) : packS24(wide);
    },
  };
}

/** Each group of so many bytes the other way round. */
function swap(bytes: Uint8Array, size: number): Uint8Array {
  const swapped = new Uint8Array(bytes.length);
  for (let at = 0; at < bytes.length; at += size) {
    for (let part = 0; part < size; part++) swapped[at + part] = bytes[at + size - 1 - part] ?? 0;
  }
  return swapped;
}

/** Frames of one format as samples of another's channels, at its rate, as they come; turned up or down on the way. */
export class SampleConverter {
  /** Frames that come out for one that goes in. */
  readonly ratio: number;
  readonly #channels: number;
  readonly #values: SampleValues;
  readonly #gain: StreamGain;
  readonly #matrix: MixMatrix | undefined;
  readonly #resampler: Resampler | undefined;
  /** What has been converted and not been taken. */
  #ready: Float64Array = NOTHING;

  /** Loads libsamplerate where the rates differ. Rejects with {@link PulseError} where there are too many streams of that kind. */
  static async create(from: StreamFormat, to: StreamFormat, gain: StreamGain): Promise<SampleConverter> {
    if (from.spec.rate === to.spec.rate) return new SampleConverter(from, to, gain, undefined);
    const channels = Math.min(from.spec.channels, to.spec.channels);
    const resampler = await Resampler.create({ channels, quality: 'medium' }).catch(() => {
      throw new PulseError('tooLarge');
    });
    return new SampleConverter(from, to, gain, resampler);
  }

  private constructor(
    from: StreamFormat,
    to: StreamFormat,
    gain: StreamGain,
    resampler: Resampler | undefined,
  ) {
    this.#gain = gain;
    this.ratio = to.spec.rate / from.spec.rate;
    this.#channels = to.spec.channels;
    this.#values = valuesOf(from.spec.format);
    this.#matrix = isSameMap(from.map, to.map) ? undefined : mapMatrix(from.map, to.map);
    this.#resampler = resampler;
  }

  get resamples(): boolean {
    return this.#resampler !== undefined;
  }

  /** Frames that are ready. */
  get readyFrames(): number {
    return this.#ready.length / this.#channels;
  }

  /** Frames that went in and are not ready. */
  get pendingFrames(): number {
    return this.#resampler?.pendingFrames ?? 0;
  }

  /** Takes whole frames. */
  push(bytes: Uint8Array): void {
    const values = this.#values.read(bytes);
    this.#gain.apply(values);
    this.#add(this.#resampler ? this.#resample(values, this.#resampler) : this.#mixed(values));
  }

  /** Makes all ready that went in. */
  flush(): void {
    if (this.#resampler === undefined || this.#resampler.pendingFrames === 0) return;
    const rest = new Float64Array(this.#resampler.end());
    this.#add(this.#mixesFirst ? rest : this.#mixed(rest));
  }

  /** The next frames, of which so many are ready. */
  take(frames: number): Float64Array {
    const taken = this.#ready.subarray(0, frames * this.#channels);
    this.#ready = this.#ready.subarray(taken.length);
    return taken;
  }

  /** Forgets what went in. */
  reset(): void {
    this.#ready = NOTHING;
    this.#resampler?.reset();
  }

  /** Gives its memory back. Idempotent. */
  close(): void {
    this.#resampler?.close();
  }

  /** Fewer channels are resampled in less time. */
  get #mixesFirst(): boolean {
    return this.#matrix !== undefined && this.#matrix.length <= (this.#matrix[0]?.length ?? 0);
  }

  #resample(values: Float64Array, resampler: Resampler): Float64Array {
    const input = this.#mixesFirst ? this.#mixed(values) : values;
    const output = new Float64Array(resampler.process(new Float32Array(input), this.ratio));
    return this.#mixesFirst ? output : this.#mixed(output);
  }

  #mixed(values: Float64Array): Float64Array {
    return this.#matrix ? mix(values, this.#matrix) : values;
  }

  #add(values: Float64Array): void {
    if (this.#ready.length === 0) {
      this.#ready = values;
      return;
    }
    const both = new Float64Array(this.#ready.length + values.length);
    both.set(this.#ready);
    both.set(values, this.#ready.length);
    this.#ready = both;
  }
}
