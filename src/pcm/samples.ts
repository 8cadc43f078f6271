import type { PcmFormatName } from '../wire/pcm-format.ts';

/**
 * Samples of one format as numbers of full scale: -1 to just below 1; float formats may exceed that, both ways.
 * Offsets are bytes, aligned or not. Writing what was read gives the same sample; bytes that carry nothing (the
 * fourth of 24 bits) are ignored when read, and extend the sign when written, as ALSA has them.
 */
export interface SampleCodec {
  /** Bytes of one sample. */
  readonly sampleBytes: number;
  readonly read: (view: DataView, offset: number) => number;
  /** Rounds to the nearest sample and saturates: nothing wraps. NaN becomes silence. */
  readonly write: (view: DataView, offset: number, value: number) => void;
}

/** Where the integers of a format lie in memory. What is loaded has a sign or not: only its low bits count. */
interface Words {
  readonly bytes: number;
  readonly load: (view: DataView, offset: number) => number;
  readonly store: (view: DataView, offset: number, word: number) => void;
}

const WORDS_8: Words = {
  bytes: 1,
  load: (view, offset) => view.getUint8(offset),
  store: (view, offset, word) => view.setUint8(offset, word),
};

const words16 = (littleEndian: boolean): Words => ({
  bytes: 2,
  load: (view, offset) => view.getUint16(offset, littleEndian),
  store: (view, offset, word) => view.setUint16(offset, word, littleEndian),
});

const words32 = (littleEndian: boolean): Words => ({
  bytes: 4,
  load: (view, offset) => view.getUint32(offset, littleEndian),
  store: (view, offset, word) => view.setUint32(offset, word, littleEndian),
});

/** Integers in the low `bits` of their words, with silence at `middle`. */
function linear(bits: 8 | 16 | 24 | 32, middle: number, { bytes, load, store }: Words): SampleCodec {
  const fullScale = 2 ** (bits - 1);
  const unused = 32 - bits;
  return {
    sampleBytes: bytes,
    read: (view, offset) => (((load(view, offset) - middle) << unused) >> unused) / fullScale,
    write: (view, offset, value) => {
      const rounded = Math.round(value * fullScale);
      const sample = rounded >= fullScale ? fullScale - 1 : rounded < -fullScale ? -fullScale : rounded;
      store(view, offset, (sample | 0) + middle); // NaN | 0 is 0
    },
  };
}

const signed = (bits: 8 | 16 | 24 | 32, words: Words): SampleCodec => linear(bits, 0, words);
const unsigned = (bits: 8 | 16 | 24 | 32, words: Words): SampleCodec => linear(bits, 2 ** (bits - 1), words);

const float32 = (littleEndian: boolean): SampleCodec => ({
  sampleBytes: 4,
  read: (view, offset) => view.getFloat32(offset, littleEndian),
  write: (view, offset, value) => view.setFloat32(offset, Number.isNaN(value) ? 0 : value, littleEndian),
});

const float64 = (littleEndian: boolean): SampleCodec => ({
  sampleBytes: 8,
  read: (view, offset) => view.getFloat64(offset, littleEndian),
  write: (view, offset, value) => view.setFloat64(offset, Number.isNaN(value) ? 0 : value, littleEndian),
});

/**
 * ITU-T G.711, on a scale of 16 bits: sign, segment (3 bits) and interval (4 bits), some of them `inverted` on the line.
 * The decision values of its tables are whole numbers on that scale, so that a magnitude may be cut to an integer.
 */
function companded(
  inverted: number,
  expand: (segment: number, interval: number) => number,
  compress: (magnitude: number) => number,
): SampleCodec {
  return {
    sampleBytes: 1,
    read: (view, offset) => {
      const code = view.getUint8(offset) ^ inverted;
      const magnitude = expand((code >> 4) & 7, code & 15) / 0x8000;
      return code & 0x80 ? -magnitude : magnitude;
    },
    write: (view, offset, value) => {
      const code = compress(Math.min(Math.abs(value) * 0x8000, 0x7fff) | 0);
      const isNegative = value < 0 || Object.is(value, -0); // mu-law has both zeros
      view.setUint8(offset, (isNegative ? code | 0x80 : code) ^ inverted);
    },
  };
}

/** Tables 2a and 2b: with 33 added (0x84 here), each segment begins at twice where the last one did. */
const MU_LAW = companded(
  0xff,
  (segment, interval) => (((interval << 3) + 0x84) << segment) - 0x84,
  (magnitude) => {
    const biased = Math.min(magnitude + 0x84, 0x7fff);
    const segment = 24 - Math.clz32(biased);
    return (segment << 4) | ((biased >> (segment + 3)) & 15);
  },
);

/** Tables 1a and 1b: as above, without the 33; segment 0 goes on down to 0 with the intervals of segment 1. */
const A_LAW = companded(
  0xd5,
  (segment, interval) => (segment === 0 ? (interval << 4) + 8 : ((interval << 4) + 0x108) << (segment - 1)),
  (magnitude) => {
    const segment = Math.max(0, 24 - Math.clz32(magnitude));
    return (segment << 4) | ((magnitude >> (Math.max(segment, 1) + 3)) & 15);
  },
);

const LITTLE_ENDIAN = true;
const BIG_ENDIAN = false;

const CODECS: Partial<Record<PcmFormatName, SampleCodec>> = {
  s8: signed(8, WORDS_8),
  u8: unsigned(8, WORDS_8),
  s16_le: signed(16, words16(LITTLE_ENDIAN)),
  s16_be: signed(16, words16(BIG_ENDIAN)),
  u16_le: unsigned(16, words16(LITTLE_ENDIAN)),
  u16_be: unsigned(16, words16(BIG_ENDIAN)),
  s24_le: signed(24, words32(LITTLE_ENDIAN)),
  s24_be: signed(24, words32(BIG_ENDIAN)),
  u24_le: unsigned(24, words32(LITTLE_ENDIAN)),
  u24_be: unsigned(24, words32(BIG_ENDIAN)),
  s32_le: signed(32, words32(LITTLE_ENDIAN)),
  s32_be: signed(32, words32(BIG_ENDIAN)),
  u32_le: unsigned(32, words32(LITTLE_ENDIAN)),
  u32_be: unsigned(32, words32(BIG_ENDIAN)),
  float_le: float32(LITTLE_ENDIAN),
  float_be: float32(BIG_ENDIAN),
  float64_le: float64(LITTLE_ENDIAN),
  float64_be: float64(BIG_ENDIAN),
  mu_law: MU_LAW,
  a_law: A_LAW,
};

/**
 * The codec of a format; undefined for ima_adpcm, mpeg and gsm, which are compressed, and for iec958_subframe_*,
 * whose subframes carry status and parity, and often a compressed stream instead of samples.
 */
export function sampleCodec(format: PcmFormatName): SampleCodec | undefined {
  return CODECS[format];
}
