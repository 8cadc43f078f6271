import { type SampleCodec, sampleCodec } from '../pcm/samples.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';

/** Samples of a format as numbers of full scale, -1 to just below 1, many at a time. */
export interface SampleValues {
  read(bytes: Uint8Array): Float64Array;
  /** Rounds to the nearest and saturates; NaN becomes silence. */
  write(values: Float64Array): Uint8Array;
}

type NativeArray = Int16Array | Int32Array | Float32Array | Float64Array;

/** A format that a typed array of this machine can hold. */
interface NativeLayout {
  readonly Words: new (buffer: ArrayBufferLike, byteOffset: number, length: number) => NativeArray;
  readonly wordBytes: number;
  /** Of an integer; 0 for floats. */
  readonly bits: number;
}

const NATIVE: Partial<Record<PcmFormatName, NativeLayout>> = {
  s16_le: { Words: Int16Array, wordBytes: 2, bits: 16 },
  s24_le: { Words: Int32Array, wordBytes: 4, bits: 24 },
  s32_le: { Words: Int32Array, wordBytes: 4, bits: 32 },
  float_le: { Words: Float32Array, wordBytes: 4, bits: 0 },
  float64_le: { Words: Float64Array, wordBytes: 8, bits: 0 },
};

const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Undefined for a format without samples. Common formats go several times as fast as one sample after the other. */
export function sampleValues(format: PcmFormatName): SampleValues | undefined {
  const native = IS_LITTLE_ENDIAN ? NATIVE[format] : undefined;
  if (native) return native.bits === 0 ? nativeFloats(native) : nativeIntegers(native);
  const codec = sampleCodec(format);
  return codec && oneByOne(codec);
}

function words({ Words, wordBytes }: NativeLayout, bytes: Uint8Array): NativeArray {
  const isAligned = bytes.byteOffset % wordBytes === 0;
  // A Buffer's slice() is no copy.
  const { buffer, byteOffset, byteLength } = isAligned ? bytes : new Uint8Array(bytes);
  return new Words(buffer, byteOffset, byteLength / wordBytes);
}

function nativeIntegers(layout: NativeLayout): SampleValues {
  const fullScale = 2 ** (layout.bits - 1);
  const unused = layout.bits === 24 ? 8 : 0;
  return {
    read: (bytes) => {
      const integers = words(layout, bytes);
      const values = new Float64Array(integers.length);
      for (let n = 0; n < values.length; n++)
        values[n] = (((integers[n] as number) << unused) >> unused) / fullScale;
      return values;
    },
    write: (values) => {
      const bytes = new Uint8Array(values.length * layout.wordBytes);
      const integers = words(layout, bytes);
      for (let n = 0; n < values.length; n++) {
        const rounded = Math.round((values[n] as number) * fullScale);
        integers[n] = rounded >= fullScale ? fullScale - 1 : rounded < -fullScale ? -fullScale : rounded;
      }
      return bytes;
    },
  };
}

function nativeFloats(layout: NativeLayout): SampleValues {
  return {
    read: (bytes) => new Float64Array(words(layout, bytes)),
    write: (values) => {
      const bytes = new Uint8Array(values.length * layout.wordBytes);
      const floats = words(layout, bytes);
      for (let n = 0; n < values.length; n++) {
        const value = values[n] as number;
        floats[n] = Number.isNaN(value) ? 0 : value;
      }
      return bytes;
    },
  };
}

function oneByOne({ sampleBytes, read, write }: SampleCodec): SampleValues {
  return {
    read: (bytes) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const values = new Float64Array(bytes.length / sampleBytes);
      for (let n = 0; n < values.length; n++) values[n] = read(view, n * sampleBytes);
      return values;
    },
    write: (values) => {
      const bytes = new Uint8Array(values.length * sampleBytes);
      const view = new DataView(bytes.buffer);
      for (let n = 0; n < values.length; n++) write(view, n * sampleBytes, values[n] as number);
      return bytes;
    },
  };
}
