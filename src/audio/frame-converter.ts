import { VsndError } from '../errors.ts';
import { checkOptionNames } from '../option-names.ts';
import type { FrameFormat } from './audio-source.ts';
import { isExact, type MixMatrix, mix, mixMatrix } from './channel-mix.ts';
import { Dither } from './dither.ts';
import { MAX_RATIO, Resampler, type ResamplerQuality } from './resampler.ts';
import { type SampleValues, sampleValues } from './sample-values.ts';
import { neededPrecision, precision } from './target-format.ts';

/** How {@link createFrameConverter} resamples and dithers. */
export interface FrameConverterOptions {
  /** By default 'best'. */
  readonly quality?: ResamplerQuality | undefined;
  /** Of the dither, 32 bits. By default 1: the same file sounds the same, to the bit. */
  readonly seed?: number | undefined;
}

/** Makes frames of one format frames of another. */
export interface FrameConverter {
  /** What {@link convert} takes. */
  readonly from: FrameFormat;
  /** What {@link convert} and {@link end} give. */
  readonly to: FrameFormat;
  /** Whole frames in; those out that are ready. */
  convert(frames: Uint8Array): Uint8Array;
  /** The frames that are still to come: round(frames * to.rate / from.rate) in all. What goes in next is another sound. */
  end(): Uint8Array;
  /** Forgets what is still to come. */
  reset(): void;
  /** Gives memory back; after that it cannot be used. Idempotent. */
  close(): void;
}

/** Steps of more bits are below what anybody hears, and below the noise of any device. */
const MAX_DITHERED_BITS = 24;

const NOTHING = new Uint8Array(0);

/**
 * Converts rate, channels and format. Where nothing changes the bytes are passed on as they are; where only the format does,
 * and the new one keeps all bits, samples stay exact; where bits are lost, dither takes the place of what rounding would do.
 * What is too loud for an integer format saturates. Rejects with ERR_VSND_NOT_SUPPORTED for formats without samples and
 * rates too far from each other, with ERR_VSND_INVALID_ARG for more channels than can be resampled.
 */
export async function createFrameConverter(
  from: FrameFormat,
  to: FrameFormat,
  options: FrameConverterOptions = {},
): Promise<FrameConverter> {
  checkOptionNames<FrameConverterOptions>('createFrameConverter()', options, { quality: true, seed: true });
  const { quality, seed = 1 } = options;
  if (from.format === to.format && from.rate === to.rate && from.channels === to.channels) {
    return { from, to, convert: (frames) => frames, end: () => NOTHING, reset: () => {}, close: () => {} };
  }
  if (Math.max(from.rate / to.rate, to.rate / from.rate) > MAX_RATIO) {
    const message = `${from.rate} Hz cannot be converted to ${to.rate} Hz: more than a factor of ${MAX_RATIO}`;
    throw new VsndError('ERR_VSND_NOT_SUPPORTED', message);
  }
  const channels = Math.min(from.channels, to.channels);
  const resampler = from.rate === to.rate ? undefined : await Resampler.create({ channels, quality });
  return new Pipeline(from, to, resampler, seed);
}

/** Read, mix down, resample, mix up, dither, write. */
class Pipeline implements FrameConverter {
  readonly from: FrameFormat;
  readonly to: FrameFormat;
  readonly #input: SampleValues;
  readonly #output: SampleValues;
  readonly #mixDown: MixMatrix | undefined;
  readonly #mixUp: MixMatrix | undefined;
  readonly #resampler: Resampler | undefined;
  readonly #dither: Dither | undefined;

  constructor(from: FrameFormat, to: FrameFormat, resampler: Resampler | undefined, seed: number) {
    this.from = from;
    this.to = to;
    this.#input = valuesOf(from);
    this.#output = valuesOf(to);
    this.#resampler = resampler;
    const matrix = mixMatrix(from.channels, to.channels);
    if (from.channels > to.channels) this.#mixDown = matrix;
    if (from.channels < to.channels) this.#mixUp = matrix;
    const isExactUpToHere = resampler === undefined && isExact(matrix);
    const losesBits = !isExactUpToHere || neededPrecision(from.format) > precision(to.format);
    if (losesBits && takesDither(to)) this.#dither = new Dither(precision(to.format), seed);
  }

  convert(frames: Uint8Array): Uint8Array {
    const read = this.#input.read(frames);
    const mixed = this.#mixDown ? mix(read, this.#mixDown) : read;
    return this.#write(this.#resampler ? this.#resample(mixed, this.#resampler) : mixed);
  }

  end(): Uint8Array {
    return this.#resampler ? this.#write(new Float64Array(this.#resampler.end())) : NOTHING;
  }

  reset(): void {
    this.#resampler?.reset();
  }

  close(): void {
    this.#resampler?.close();
  }

  #resample(values: Float64Array, resampler: Resampler): Float64Array {
    return new Float64Array(resampler.process(new Float32Array(values), this.to.rate / this.from.rate));
  }

  #write(values: Float64Array): Uint8Array {
    const mixed = this.#mixUp ? mix(values, this.#mixUp) : values;
    this.#dither?.addTo(mixed);
    return this.#output.write(mixed);
  }
}

/** Integers do: how long a step is in G.711 and in floats depends on the sample. */
function takesDither({ format }: FrameFormat): boolean {
  return /^[su]\d/.test(format) && precision(format) <= MAX_DITHERED_BITS;
}

function valuesOf({ format }: FrameFormat): SampleValues {
  const values = sampleValues(format);
  if (values === undefined) throw new VsndError('ERR_VSND_NOT_SUPPORTED', `${format} cannot be converted`);
  return values;
}
