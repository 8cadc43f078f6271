import type { PcmFormatName } from '../wire/pcm-format.ts';

/** What npm `speaker` says of a sample. */
export interface SampleKind {
  readonly bitDepth?: number | null | undefined;
  readonly signed?: boolean | null | undefined;
  readonly float?: boolean | null | undefined;
}

/** A way to write a sample down: its number in mpg123.h, which `speaker` uses, and its name in vsnd. */
export interface Encoding {
  readonly code: number;
  readonly format: PcmFormatName;
  /** Bytes of one sample as `speaker` takes it: its 24 bits are packed. */
  readonly sampleBytes: number;
}

/** In the byte order of every Xen machine. */
const ENCODINGS = {
  float32: { code: 0x200, format: 'float_le', sampleBytes: 4 }, // MPG123_ENC_FLOAT_32
  float64: { code: 0x400, format: 'float64_le', sampleBytes: 8 }, // MPG123_ENC_FLOAT_64
  s8: { code: 0x82, format: 's8', sampleBytes: 1 }, // MPG123_ENC_SIGNED_8
  u8: { code: 0x01, format: 'u8', sampleBytes: 1 }, // MPG123_ENC_UNSIGNED_8
  s16: { code: 0xd0, format: 's16_le', sampleBytes: 2 }, // MPG123_ENC_SIGNED_16
  u16: { code: 0x60, format: 'u16_le', sampleBytes: 2 }, // MPG123_ENC_UNSIGNED_16
  s24: { code: 0x5080, format: 's24_le', sampleBytes: 3 }, // MPG123_ENC_SIGNED_24
  u24: { code: 0x6000, format: 'u24_le', sampleBytes: 3 }, // MPG123_ENC_UNSIGNED_24
  s32: { code: 0x1180, format: 's32_le', sampleBytes: 4 }, // MPG123_ENC_SIGNED_32
  u32: { code: 0x2100, format: 'u32_le', sampleBytes: 4 }, // MPG123_ENC_UNSIGNED_32
} satisfies Record<string, Encoding>;

/** The encoding of a kind of sample; undefined for one that `speaker` does not know. As there, float counts only where signed. */
export function encodingOf({ bitDepth, signed, float }: SampleKind): Encoding | undefined {
  const bits = Number(bitDepth);
  if (float && signed && bits === 32) return ENCODINGS.float32;
  if (float && signed && bits === 64) return ENCODINGS.float64;
  const name = `${signed ? 's' : 'u'}${bits}`;
  return Object.hasOwn(ENCODINGS, name) ? ENCODINGS[name as keyof typeof ENCODINGS] : undefined;
}

/** Whether `code` is made of bits that some encoding has: what `speaker` asks, its formats being a mask. */
export function isEncoding(code: number): boolean {
  const all = Object.values(ENCODINGS).reduce((mask, encoding) => mask | encoding.code, 0);
  return (all & code) === code;
}
