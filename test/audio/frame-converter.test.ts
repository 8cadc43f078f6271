import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { FrameFormat } from '../../src/audio/audio-source.ts';
import { mixMatrix } from '../../src/audio/channel-mix.ts';
import { createFrameConverter, type FrameConverter } from '../../src/audio/frame-converter.ts';
import { neededPrecision, precision } from '../../src/audio/target-format.ts';
import { sampleCodec } from '../../src/pcm/samples.ts';
import { PCM_FORMATS, type PcmFormatName } from '../../src/wire/pcm-format.ts';
import { compareToSine, sine } from './signals.ts';

const SAMPLED = PCM_FORMATS.map(({ name }) => name).filter((name) => sampleCodec(name) !== undefined);

const open: FrameConverter[] = [];

afterEach(() => {
  for (const converter of open.splice(0)) converter.close();
});

async function create(from: FrameFormat, to: Partial<FrameFormat>, seed?: number): Promise<FrameConverter> {
  const converter = await createFrameConverter(from, { ...from, ...to }, { seed });
  open.push(converter);
  return converter;
}

const frames = (format: PcmFormatName, channels = 1, rate = 48_000): FrameFormat => ({
  format,
  rate,
  channels,
});

/** Values of full scale as bytes, and back, one sample after the other. */
function encode(format: PcmFormatName, values: Iterable<number>): Uint8Array {
  const { sampleBytes, write } = sampleCodec(format) ?? expect.unreachable();
  const all = [...values];
  const bytes = new Uint8Array(all.length * sampleBytes);
  all.forEach((value, n) => {
    write(new DataView(bytes.buffer), n * sampleBytes, value);
  });
  return bytes;
}

function decode(format: PcmFormatName, { buffer, byteOffset, length }: Uint8Array): number[] {
  const { sampleBytes, read } = sampleCodec(format) ?? expect.unreachable();
  const view = new DataView(buffer, byteOffset, length);
  return Array.from({ length: length / sampleBytes }, (_, n) => read(view, n * sampleBytes));
}

const anyFormat = fc.constantFrom(...SAMPLED);
const anyValues = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { maxLength: 50 });

describe('the format alone', () => {
  it('nothing to do: the very same bytes, of any format', async () => {
    for (const { name } of PCM_FORMATS) {
      const bytes = Uint8Array.of(1, 2, 3, 4);
      expect((await create(frames(name, 2), {})).convert(bytes)).toBe(bytes);
    }
  });

  it('a format that keeps all bits keeps every sample', async () => {
    await fc.assert(
      fc.asyncProperty(anyFormat, anyFormat, anyValues, async (from, to, values) => {
        fc.pre(precision(to) >= neededPrecision(from));
        fc.pre(to.startsWith('float') || !from.startsWith('float')); // floats go on below the last step of integers
        const bytes = encode(from, values);
        const converted = (await create(frames(from), { format: to })).convert(bytes);
        const numbers = (format: PcmFormatName, of: Uint8Array) =>
          decode(format, of).map((value) => value + 0); // -0 is 0
        expect(numbers(to, converted)).toEqual(numbers(from, bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it('all pairs of formats: as one sample after the other would be, but for dither of less than a step', async () => {
    await fc.assert(
      fc.asyncProperty(anyFormat, anyFormat, anyValues, fc.nat(3), async (from, to, values, offset) => {
        fc.pre(!to.endsWith('_law'));
        const aligned = encode(from, values);
        const bytes = new Uint8Array(offset + aligned.length).subarray(offset); // at an odd place too
        bytes.set(aligned);
        const converted = decode(to, (await create(frames(from), { format: to })).convert(bytes));
        const plain = decode(to, encode(to, decode(from, bytes)));
        const step = 2 ** (1 - Math.min(24, precision(to)));
        converted.forEach((value, n) => {
          expect(Math.abs(value - (plain[n] ?? 9))).toBeLessThanOrEqual(2 * step);
        });
        expect(converted.length).toBe(plain.length);
      }),
      { numRuns: 500 },
    );
  });

  it('what is too loud saturates, and NaN is silent', async () => {
    const bytes = encode('float_le', [2, -2, 1, -1, Number.NaN]);
    const s16 = decode('s32_le', (await create(frames('float_le'), { format: 's32_le' })).convert(bytes));
    expect(s16).toEqual([1 - 2 ** -31, -1, 1 - 2 ** -31, -1, 0]);
    const s8 = decode(
      's8',
      (await create(frames('float_le'), { format: 's8' })).convert(encode('float_le', [9, -9])),
    );
    expect(s8).toEqual([127 / 128, -1]);
  });

  it.each(['mpeg', 'iec958_subframe_le'] as const)('%s has no samples', async (format) => {
    const error = { code: 'ERR_VSND_NOT_SUPPORTED', message: `${format} cannot be converted` };
    await expect(create(frames(format), { format: 's16_le' })).rejects.toMatchObject(error);
    await expect(create(frames('s16_le'), { format })).rejects.toMatchObject(error);
  });
});

describe('dither', () => {
  /** A sine a third of a step of 16 bits high: rounding would leave nothing of it. */
  const faint = encode(
    's32_le',
    sine(1000, 48_000, 48_000).map((value) => (value * 2) / 3 / 32_768),
  );

  it('keeps what is below a step', async () => {
    const s16 = (await create(frames('s32_le'), { format: 's16_le' })).convert(faint);
    const heard = Float32Array.from(decode('s16_le', s16), (value) => value * 32_768 * 1.5);
    const { gain, phase } = compareToSine(heard, { frequency: 1000, rate: 48_000 });
    expect(gain).toBeCloseTo(0, 0);
    expect(phase).toBeCloseTo(0, 1);
  });

  it('is noise of two steps, of no colour, whose power does not depend on the sound', async () => {
    for (const level of [0, 0.1, 0.25, 0.5]) {
      const bytes = encode('float_le', new Array<number>(48_000).fill(level / 32_768));
      const out = decode('s16_le', (await create(frames('float_le'), { format: 's16_le' })).convert(bytes));
      const errors = out.map((value) => value * 32_768 - level);
      expect(Math.max(...errors.map(Math.abs))).toBeLessThanOrEqual(1.5);
      const mean = errors.reduce((sum, error) => sum + error) / errors.length;
      const power = errors.reduce((sum, error) => sum + error ** 2) / errors.length;
      const next = errors.reduce((sum, error, n) => sum + error * (errors[n + 1] ?? 0), 0) / errors.length;
      expect(mean).toBeCloseTo(0, 1);
      expect(power).toBeCloseTo(3 / 12, 1); // dither of 2/12, rounding of 1/12
      expect(next).toBeCloseTo(0, 1);
    }
  });

  it('the same seed gives the same bytes, another one others', async () => {
    const convert = async (seed?: number) =>
      (await create(frames('s32_le'), { format: 's16_le' }, seed)).convert(faint);
    expect(await convert()).toEqual(await convert(1));
    expect(await convert(2)).not.toEqual(await convert(1));
  });

  it('is left out where no bits are lost: silence stays silent', async () => {
    const silence = new Uint8Array(9600);
    for (const to of [{ format: 's24_le' }, { channels: 2 }, { format: 'float_le' }] as const) {
      expect((await create(frames('s16_le'), to)).convert(silence).every((byte) => byte === 0)).toBe(true);
    }
  });
});

describe('channels', () => {
  it.each<[from: number, to: number, matrix: number[][]]>([
    [1, 2, [[1], [1]]],
    [2, 1, [[0.5, 0.5]]],
    [1, 4, [[1], [1], [0], [0]]],
    [
      2,
      6,
      [
        [1, 0],
        [0, 1],
        [0, 0],
        [0, 0],
        [0, 0],
        [0, 0],
      ],
    ],
    [
      6,
      2,
      [
        [0.414, 0, 0.293, 0, 0.293, 0],
        [0, 0.414, 0.293, 0, 0, 0.293],
      ],
    ],
    [
      8,
      2,
      [
        [0.32, 0, 0.227, 0, 0.227, 0, 0.227, 0],
        [0, 0.32, 0.227, 0, 0, 0.227, 0, 0.227],
      ],
    ],
    [6, 1, [[0.207, 0.207, 0.293, 0, 0.146, 0.146]]],
    [
      9,
      2,
      [
        [1, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0, 0, 0],
      ],
    ],
  ])('%i to %i', (from, to, matrix) => {
    const rounded = mixMatrix(from, to).map((row) => row.map((part) => Math.round(part * 1000) / 1000));
    expect(rounded).toEqual(matrix);
  });

  it('no mix can clip; no channel but the low frequencies is lost', () => {
    const counts = fc.integer({ min: 1, max: 8 });
    const property = fc.property(counts, counts, (from, to) => {
      const matrix = mixMatrix(from, to);
      for (const row of matrix)
        expect(row.reduce((sum, part) => sum + part, 0)).toBeLessThanOrEqual(1 + 1e-12);
      const isHeard = (channel: number) => matrix.some((row) => (row[channel] ?? 0) > 0);
      const lost = [...Array(from).keys()].filter((channel) => !isHeard(channel));
      expect(lost).toEqual(from >= 6 && to < 6 ? [3] : []);
      if (from === to) expect(matrix).toEqual(matrix.map((row, out) => row.map((_, n) => Number(n === out))));
    });
    fc.assert(property);
  });

  it('mono is in both channels of stereo, exactly; the full sound of 5.1 stays full', async () => {
    const mono = encode('s16_le', [0.5, -1, 0.25]);
    const stereo = decode('s16_le', (await create(frames('s16_le'), { channels: 2 })).convert(mono));
    expect(stereo).toEqual([0.5, 0.5, -1, -1, 0.25, 0.25]);
    const loud = encode('float_le', [1, 1, 1, 1, 1, 1]);
    const mixed = decode('float_le', (await create(frames('float_le', 6), { channels: 2 })).convert(loud));
    expect(mixed).toEqual([1, 1]);
  });
});

describe('the rate', () => {
  it('any piece sizes: the same bytes, round(frames * ratio) of them', async () => {
    const from = frames('s16_le', 2, 44_100);
    const count = 10_007;
    const bytes = encode(
      's16_le',
      Float32Array.from({ length: count * 2 }, (_, n) => 0.5 * Math.sin(n * n)),
    );
    const convertAll = async (pieceFrames: number) => {
      const converter = await create(from, { rate: 48_000, format: 's32_le', channels: 1 });
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += pieceFrames * 4) {
        pieces.push(converter.convert(bytes.subarray(at, at + pieceFrames * 4)));
      }
      return Buffer.concat([...pieces, converter.end()]);
    };
    const whole = decode('s32_le', await convertAll(count));
    expect(whole).toHaveLength(Math.round((count * 48_000) / 44_100));
    const cut = decode('s32_le', await convertAll(313));
    cut.forEach((value, n) => {
      expect(Math.abs(value - (whole[n] ?? 9))).toBeLessThan(1e-6);
    });
  });

  it('with 16 bits, a mix and dither: a sine is a sine, at the level of 16 bits', async () => {
    const converter = await create(frames('s16_le', 1, 44_100), { rate: 48_000, channels: 2 });
    const bytes = encode('s16_le', sine(997, 44_100, 44_100));
    const stereo = decode('s16_le', Buffer.concat([converter.convert(bytes), converter.end()]));
    for (const side of [0, 1]) {
      const heard = Float32Array.from(stereo.filter((_, n) => n % 2 === side));
      const { snr, gain } = compareToSine(heard.subarray(500, -500), {
        frequency: 997,
        rate: 48_000,
        first: 500,
      });
      expect(heard).toHaveLength(48_000);
      expect(snr).toBeGreaterThan(84); // 92 for half scale, less the dither and the rounding of the source
      expect(gain).toBeCloseTo(0, 3);
    }
  });

  it('reset() forgets what is still to come', async () => {
    const converter = await create(frames('s16_le', 1, 44_100), { rate: 48_000 });
    converter.convert(new Uint8Array(2000));
    converter.reset();
    expect(converter.end()).toHaveLength(0);
  });

  it('too far from each other', async () => {
    const created = create(frames('s16_le', 1, 100), { rate: 48_000 });
    await expect(created).rejects.toMatchObject({
      code: 'ERR_VSND_NOT_SUPPORTED',
      message: '100 Hz cannot be converted to 48000 Hz: more than a factor of 256',
    });
  });
});
