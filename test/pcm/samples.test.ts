import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SampleCodec, sampleCodec } from '../../src/pcm/samples.ts';
import { PCM_FORMATS, type PcmFormatName, pcmFormat } from '../../src/wire/pcm-format.ts';
import { bytes } from '../wire/support.ts';

/** An odd place among other bytes, which are none of the codec's business. */
const OFFSET = 3;

function codecOf(format: PcmFormatName): SampleCodec {
  return sampleCodec(format) ?? expect.unreachable(`${format} has no codec`);
}

/** What the bytes of one sample read as. */
function read(format: PcmFormatName, sample: Iterable<number>): number {
  const memory = Uint8Array.of(1, 2, 3, ...sample, 4, 5, 6);
  return codecOf(format).read(new DataView(memory.buffer), OFFSET);
}

/** The bytes of one sample that a value is written as; those around it stay what they are. */
function write(format: PcmFormatName, value: number): number[] {
  const { sampleBytes, write } = codecOf(format);
  const memory = new Uint8Array(OFFSET + sampleBytes + OFFSET).fill(0xa5);
  write(new DataView(memory.buffer), OFFSET, value);
  expect(new Set([...memory.subarray(0, OFFSET), ...memory.subarray(OFFSET + sampleBytes)])).toEqual(
    new Set([0xa5]),
  );
  return [...memory.subarray(OFFSET, OFFSET + sampleBytes)];
}

/** An integer format by its name alone. */
function integerFormat(format: PcmFormatName) {
  const [, sign = '', digits = '', order] = /^([su])(\d+)(?:_(..))?$/.exec(format) ?? [];
  const bits = Number(digits);
  const size = bits === 24 ? 4 : bits / 8;
  const fullScale = 2 ** (bits - 1);
  /** The bytes of an integer, with silence at 0. */
  const bytesOf = (integer: number): number[] => {
    const word = BigInt.asUintN(8 * size, BigInt(integer + (sign === 'u' ? fullScale : 0)));
    const little = Array.from({ length: size }, (_, index) => Number((word >> BigInt(8 * index)) & 0xffn));
    return order === 'be' ? little.reverse() : little;
  };
  /** Where the byte lies that does not count. */
  const unused = bits === 24 ? (order === 'be' ? 0 : 3) : undefined;
  return { bits, fullScale, bytesOf, unused };
}

const named = (pattern: RegExp): PcmFormatName[] =>
  PCM_FORMATS.map(({ name }) => name).filter((name) => pattern.test(name));

const INTEGERS = named(/^[su]\d/);
const FLOATS = named(/^float/);
const LAWS = named(/_law$/);

describe('a codec', () => {
  it.each([...INTEGERS, ...FLOATS, ...LAWS])('of %s takes the bytes of a sample', (format) => {
    expect(codecOf(format).sampleBytes).toBe(pcmFormat(format).sampleBytes);
  });

  it('is there for 20 formats; the others have no samples that can be told apart', () => {
    const without = PCM_FORMATS.filter(({ name }) => sampleCodec(name) === undefined);
    expect(without.map(({ name }) => name)).toEqual([
      'iec958_subframe_le',
      'iec958_subframe_be',
      'ima_adpcm',
      'mpeg',
      'gsm',
    ]);
  });

  it.each([...INTEGERS, ...FLOATS, ...LAWS])('of %s writes silence for 0 and for NaN', (format) => {
    expect(write(format, 0)).toEqual(pcmFormat(format).silence);
    expect(write(format, Number.NaN)).toEqual(pcmFormat(format).silence);
  });
});

describe('integers', () => {
  it.each(named(/^[su](8|16)/))('of %s come back as they were, all of them', (format) => {
    const { fullScale, bytesOf } = integerFormat(format);
    for (let integer = -fullScale; integer < fullScale; integer++) {
      const sample = bytesOf(integer);
      const value = read(format, sample);
      const again = write(format, value);
      if (value !== integer / fullScale || again.some((byte, index) => byte !== sample[index])) {
        expect({ integer: value * fullScale, again }).toEqual({ integer, again: sample });
      }
    }
  });

  it.each(named(/^[su](24|32)/))('of %s come back as they were', (format) => {
    const { fullScale, bytesOf } = integerFormat(format);
    const integers = fc.oneof(
      fc.constantFrom(-fullScale, 1 - fullScale, -1, 0, 1, fullScale - 2, fullScale - 1),
      fc.integer({ min: -fullScale, max: fullScale - 1 }),
    );
    fc.assert(
      fc.property(integers, (integer) => {
        expect(read(format, bytesOf(integer))).toBe(integer / fullScale);
        expect(write(format, integer / fullScale)).toEqual(bytesOf(integer));
      }),
    );
  });

  it.each(named(/^[su]24/))('of %s are read without the byte that carries nothing', (format) => {
    const { bytesOf, unused = expect.unreachable() } = integerFormat(format);
    for (const integer of [-0x80_0000, -2, 0, 3, 0x7f_ffff]) {
      for (const junk of [0, 0x7f, 0x80, 0xff]) {
        const sample = bytesOf(integer).with(unused, junk);
        expect(read(format, sample)).toBe(integer / 0x80_0000);
      }
    }
  });

  it('of 24 bits are written with the sign in the fourth byte, where there is one', () => {
    expect(write('s24_le', -1 / 0x80_0000)).toEqual([0xff, 0xff, 0xff, 0xff]);
    expect(write('s24_be', -1)).toEqual([0xff, 0x80, 0, 0]);
    expect(write('s24_le', 0.5)).toEqual([0, 0, 0x40, 0]);
    expect(write('u24_le', -1)).toEqual([0, 0, 0, 0]);
    expect(write('u24_be', 1)).toEqual([0, 0xff, 0xff, 0xff]);
  });

  it.each(INTEGERS)('of %s are the nearest, and saturate', (format) => {
    const { fullScale, bytesOf } = integerFormat(format);
    const values = fc.oneof(
      fc.constantFrom(1, -1, 1 - 0.5 / fullScale, 2, -2, 2 ** 32 + 0.5, Infinity, -Infinity),
      fc.double({ noNaN: true }),
      fc.double({ min: -1.5, max: 1.5, noNaN: true }),
    );
    fc.assert(
      fc.property(values, (value) => {
        const nearest = Math.round(value * fullScale);
        const integer = Math.min(Math.max(nearest, -fullScale), fullScale - 1);
        expect(write(format, value)).toEqual(bytesOf(integer));
      }),
    );
  });
});

describe('floating point', () => {
  it.each(FLOATS)('of %s comes back to the bit, whatever its size; only NaN is silence', (format) => {
    const { sampleBytes } = codecOf(format);
    fc.assert(
      fc.property(bytes(sampleBytes), (sample) => {
        const value = read(format, sample);
        expect(write(format, value)).toEqual(
          Number.isNaN(value) ? [...new Uint8Array(sampleBytes)] : [...sample],
        );
      }),
    );
  });

  it.each<[PcmFormatName, number, ...number[]]>([
    ['float_le', 0.5, 0, 0, 0, 0x3f],
    ['float_be', 0.5, 0x3f, 0, 0, 0],
    ['float_be', -0, 0x80, 0, 0, 0],
    ['float_le', -8, 0, 0, 0, 0xc1],
    ['float_be', Infinity, 0x7f, 0x80, 0, 0],
    ['float64_le', 0.5, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f],
    ['float64_le', -0, 0, 0, 0, 0, 0, 0, 0, 0x80],
    ['float64_be', -2, 0xc0, 0, 0, 0, 0, 0, 0, 0],
  ])('%s: %d is itself', (format, value, ...sample) => {
    expect(read(format, sample)).toBe(value);
    expect(write(format, value)).toEqual(sample);
  });
});

/** An interval between two decision values of a table of G.711, on the table's own scale. */
type Interval = readonly [low: number, high: number];

/** The intervals of the positive half of a table, from 0 outwards: so many of them, so wide. */
function table(widths: readonly (readonly [count: number, width: number])[]): Interval[] {
  let high = 0;
  return widths.flatMap(([count, width]) =>
    Array.from({ length: count }, (): Interval => {
      const low = high;
      high += width;
      return [low, high];
    }),
  );
}

const segments = (...widths: number[]): [number, number][] => widths.map((width) => [16, width]);

/** Table 1a: 4096 is full scale; a value lies in the middle of its interval. */
const A_LAW_TABLE = table([[32, 2], ...segments(4, 8, 16, 32, 64, 128)]);
/** Table 2a: 8192 is full scale (8159 the last decision value); the first interval is 1 wide, and its value 0. */
const MU_LAW_TABLE = table([[1, 1], [15, 2], ...segments(4, 8, 16, 32, 64, 128, 256)]);

describe.each([
  // Positive character signals: table 1a counts from 10000000 up, and then inverts the even bits ...
  { format: 'a_law', fullScale: 4096, intervals: A_LAW_TABLE, signal: (n: number) => (0x80 + n) ^ 0x55 },
  // ... table 2a counts from 11111111 down.
  { format: 'mu_law', fullScale: 8192, intervals: MU_LAW_TABLE, signal: (n: number) => 0xff - n },
] as const)('G.711 $format', ({ format, fullScale, intervals, signal }) => {
  const decoded = ([low, high]: Interval): number => (high - low === 1 ? 0 : (low + high) / 2) / fullScale;

  it('has 128 values each side, up to the last decision value', () => {
    expect(intervals).toHaveLength(128);
    expect(intervals.at(-1)?.[1]).toBe(format === 'a_law' ? 4096 : 8159);
  });

  it('decodes as the table says, and encodes that again, all 256 codes', () => {
    for (const [n, interval] of intervals.entries()) {
      const positive = [signal(n)];
      const negative = [signal(n) ^ 0x80];
      expect(read(format, positive)).toBe(decoded(interval));
      expect(read(format, negative)).toBe(-decoded(interval));
      expect(write(format, read(format, positive))).toEqual(positive);
      expect(write(format, read(format, negative))).toEqual(negative);
    }
  });

  it('encodes what lies between two decision values as the table says', () => {
    for (const [n, [low, high]] of intervals.entries()) {
      for (const value of [low, low + 0.25, (low + high) / 2, high - 0.25]) {
        expect(write(format, value / fullScale)).toEqual([signal(n)]);
        if (value > 0) expect(write(format, -value / fullScale)).toEqual([signal(n) ^ 0x80]);
      }
    }
  });

  it('saturates', () => {
    for (const value of [8159 / 8192, 1, 1.001, 2, 1e300, Infinity]) {
      expect(write(format, value)).toEqual([signal(127)]);
      expect(write(format, -value)).toEqual([signal(127) ^ 0x80]);
    }
  });
});
