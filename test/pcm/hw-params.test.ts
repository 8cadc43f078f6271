import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BufferWishes,
  bufferLayout,
  checkBufferWishes,
  checkSpec,
  chooseSizes,
  defaultStartThreshold,
  formatNames,
  type HwParams,
  intersectRanges,
  maxBufferFrames,
  type PcmSpec,
  queryRanges,
  rangesOf,
  type StreamLimits,
} from '../../src/pcm/hw-params.ts';
import { PCM_FORMATS, type PcmFormatName } from '../../src/wire/pcm-format.ts';
import type { HwParamRanges, Interval } from '../../src/wire/sndif.ts';
import { thrownBy, u32, u64 } from '../wire/support.ts';

const RATES = [5512, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000];
const PLAYABLE = PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined);

const CD: PcmSpec = { rate: 44100, channels: 2, format: 's16_le', frameBytes: 4 };

const LIMITS: StreamLimits = {
  rates: [8000, 44100, 48000],
  formats: ['s16_le', 'float_le'],
  channels: { min: 1, max: 2 },
  bufferBytes: 65_536,
};

/** The mask with the bits of these formats' codes. */
const bits = (...names: PcmFormatName[]): bigint =>
  names.reduce((mask, name) => mask + 2n ** BigInt(PCM_FORMATS.findIndex((f) => f.name === name)), 0n);

const isIn = (value: number, { min, max }: Interval): boolean => value >= min && value <= max;

const spec: fc.Arbitrary<PcmSpec> = fc
  .tuple(fc.constantFrom(...RATES), fc.integer({ min: 1, max: 255 }), fc.constantFrom(...PLAYABLE))
  .map(([rate, channels, { name, sampleBytes = 0 }]) => ({
    rate,
    channels,
    format: name,
    frameBytes: sampleBytes * channels,
  }));

const interval = (min: number, max: number): fc.Arbitrary<Interval> =>
  fc
    .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
    .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));

describe('the layout of the shared buffer', () => {
  it('is the audio area, and then a period with 4 bytes for each channel', () => {
    const layout = (bufferFrames: number, periodFrames: number, frameBytes: number, channels: number) =>
      bufferLayout({ bufferFrames, periodFrames, frameBytes, channels });
    expect(layout(1024, 256, 4, 2)).toEqual({ audioBytes: 4096, controlOffset: 4096, totalBytes: 5120 });
    expect(layout(9600, 1200, 4, 2)).toEqual({
      audioBytes: 38_400,
      controlOffset: 38_400,
      totalBytes: 43_200,
    });
    expect(layout(33, 11, 1, 1)).toEqual({ audioBytes: 33, controlOffset: 36, totalBytes: 44 });
  });

  it('takes more periods where they are tiny', () => {
    const layout = bufferLayout({ bufferFrames: 12, periodFrames: 6, frameBytes: 1, channels: 1 });
    expect(layout).toEqual({ audioBytes: 12, controlOffset: 12, totalBytes: 24 });
  });

  it('is whole periods, keeps the areas apart, and gives the control area one period of any usual size', () => {
    const sizes = fc.tuple(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 20_000 }));
    fc.assert(
      fc.property(spec, sizes, (params, [periods, periodFrames]) => {
        const bufferFrames = periods * periodFrames;
        const layout = bufferLayout({ ...params, bufferFrames, periodFrames });
        const periodBytes = periodFrames * params.frameBytes;
        expect(layout.audioBytes).toBe(bufferFrames * params.frameBytes);
        expect(layout.controlOffset % 4).toBe(0);
        expect(isIn(layout.controlOffset - layout.audioBytes, { min: 0, max: 3 })).toBe(true);
        expect(layout.controlOffset + 4 * params.channels).toBeLessThanOrEqual(layout.totalBytes);
        expect(layout.totalBytes % periodBytes).toBe(0);
        if (periodBytes >= 4 * params.channels + 3) {
          expect(layout.totalBytes).toBe(layout.audioBytes + periodBytes);
        }
      }),
    );
  });
});

describe('the largest audio area', () => {
  it('fits with its control area in the shortest periods, and one more of them does not', () => {
    const sizes = fc.oneof(u32, fc.integer({ min: 0, max: 5000 }));
    fc.assert(
      fc.property(spec, sizes, (params, bufferBytes) => {
        const most = maxBufferFrames(params, bufferBytes);
        const periodFrames = Math.ceil(params.rate / 1000);
        const total = (bufferFrames: number) =>
          bufferLayout({ ...params, bufferFrames, periodFrames }).totalBytes;
        expect(Number.isInteger(most) && most >= 0 && most % periodFrames === 0).toBe(true);
        if (most > 0) expect(total(most)).toBeLessThanOrEqual(bufferBytes);
        expect(total(most + periodFrames)).toBeGreaterThan(bufferBytes);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [65_536, 16_335],
    [360, 45],
    [359, 0],
    [1, 0],
    [0, 0],
  ])('of %i bytes has %i frames of 4 bytes', (bufferBytes, frames) => {
    expect(maxBufferFrames(CD, bufferBytes)).toBe(frames);
  });
});

describe('a spec', () => {
  it("is taken within the stream's limits, by sndif.h's name for the format or libxl's", () => {
    expect(checkSpec({ rate: 44100, channels: 2, format: 's16_le' }, LIMITS)).toEqual(CD);
    expect(checkSpec({ rate: 8000, channels: 1, format: 'f32_le' }, LIMITS)).toEqual({
      rate: 8000,
      channels: 1,
      format: 'float_le',
      frameBytes: 4,
    });
  });

  it.each([
    [{ rate: 22050 }, 'rate is 22050; allowed: 8000, 44100, 48000 (Hz)'],
    [{ rate: Number.NaN }, 'rate is NaN; allowed: 8000, 44100, 48000 (Hz)'],
    [{ channels: 3 }, 'channels is 3; allowed: 1 to 2'],
    [{ channels: 0 }, 'channels is 0; allowed: 1 to 2'],
    [{ channels: 1.5 }, 'channels is 1.5; allowed: 1 to 2'],
    [{ channels: Number.NaN }, 'channels is NaN; allowed: 1 to 2'],
    [{ format: 's32_le' }, 'format is "s32_le"; allowed: s16_le, float_le'],
    [
      { format: 'gsm' },
      'format is "gsm"; it has no frames of a fixed size, which positions and buffers count in; allowed: s16_le, float_le',
    ],
    [{ format: 'S16_LE' }, 'format is "S16_LE"; allowed: s16_le, float_le'],
    [{ format: '__proto__' }, 'format is "__proto__"; allowed: s16_le, float_le'],
    [{ format: '' }, 'format is ""; allowed: s16_le, float_le'],
  ])('with %j is refused in words', (wrong, message) => {
    expect(thrownBy(() => checkSpec({ ...CD, ...wrong }, LIMITS))).toMatchObject({
      code: 'ERR_VSND_INVALID_ARG',
      message,
    });
  });

  it('is refused in words where the caller is not typed', () => {
    const untyped = (wrong: object) => ({ ...CD, ...wrong }) as unknown as PcmSpec;
    const message = (wrong: object) => thrownBy(() => checkSpec(untyped(wrong), LIMITS));
    expect(message({ rate: '48000' })).toHaveProperty(
      'message',
      'rate is "48000"; allowed: 8000, 44100, 48000 (Hz)',
    );
    expect(message({ channels: undefined })).toHaveProperty(
      'message',
      'channels is undefined; allowed: 1 to 2',
    );
    expect(message({ format: undefined })).toHaveProperty(
      'message',
      'format is undefined; allowed: s16_le, float_le',
    );
  });

  it('names a single number of channels by itself', () => {
    const stereo = { ...LIMITS, channels: { min: 2, max: 2 } };
    expect(thrownBy(() => checkSpec({ ...CD, channels: 1 }, stereo))).toHaveProperty(
      'message',
      'channels is 1; allowed: 2',
    );
  });

  it('offers only formats whose samples have a size, and says so where there is none', () => {
    const refused = (format: PcmFormatName, formats: readonly PcmFormatName[]) =>
      thrownBy(() => checkSpec({ ...CD, format }, { ...LIMITS, formats }));
    expect(refused('s16_le', ['gsm', 'mpeg'])).toHaveProperty('message', 'format is "s16_le"; allowed: none');
    expect(refused('s16_le', ['gsm', 'mu_law'])).toHaveProperty(
      'message',
      'format is "s16_le"; allowed: mu_law',
    );
  });

  it.each(PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes === undefined))(
    'is refused with the reason for $name, which has no frames, even if the card offers it',
    ({ name }) => {
      const limits: StreamLimits = { ...LIMITS, formats: [name, 'mu_law'] };
      expect(thrownBy(() => checkSpec({ ...CD, format: name }, limits))).toMatchObject({
        code: 'ERR_VSND_INVALID_ARG',
        option: 'format',
        message: `format is "${name}"; it has no frames of a fixed size, which positions and buffers count in; allowed: mu_law`,
      });
    },
  );
});

describe('wishes for the buffer', () => {
  it.each<[BufferWishes, string]>([
    [{ bufferFrames: 16_336 }, 'bufferFrames is 16336; allowed: 45 to 16335'],
    [{ bufferFrames: 44 }, 'bufferFrames is 44; allowed: 45 to 16335'],
    [{ bufferFrames: 1000.5 }, 'bufferFrames is 1000.5; allowed: 45 to 16335'],
    [{ bufferFrames: Number.NaN }, 'bufferFrames is NaN; allowed: 45 to 16335'],
    [{ bufferFrames: 0 }, 'bufferFrames is 0; allowed: 45 to 16335'],
    [{ periodFrames: 44 }, 'periodFrames is 44; allowed: 45 (1 ms) to 8192'],
    [{ periodFrames: 8193 }, 'periodFrames is 8193; allowed: 45 (1 ms) to 8192'],
    [{ periodFrames: 0.5 }, 'periodFrames is 0.5; allowed: 45 (1 ms) to 8192'],
    [{ bufferFrames: 1000, periodFrames: 1001 }, 'periodFrames is 1001; allowed: 45 (1 ms) to 1000'],
  ])('%j are refused in words', (wishes, message) => {
    expect(thrownBy(() => checkBufferWishes(wishes, CD, LIMITS))).toMatchObject({
      code: 'ERR_VSND_INVALID_ARG',
      message,
    });
  });

  it.each<BufferWishes>([
    {},
    { bufferFrames: 45 },
    { bufferFrames: 16_335 },
    { periodFrames: 45 },
    { periodFrames: 8192 },
    { bufferFrames: 1000, periodFrames: 1000 },
    { bufferFrames: undefined, periodFrames: undefined },
  ])('%j are taken', (wishes) => {
    expect(() => checkBufferWishes(wishes, CD, LIMITS)).not.toThrow();
  });

  it("cannot help where the card's buffer does not hold a period, and another one for volumes", () => {
    const dat = { ...CD, rate: 48000 };
    expect(maxBufferFrames(dat, 384)).toBe(48);
    expect(() => checkBufferWishes({}, dat, { ...LIMITS, bufferBytes: 384 })).not.toThrow();
    expect(() => checkBufferWishes({}, dat, { ...LIMITS, bufferBytes: 383 })).toThrow();
    const error = thrownBy(() => checkBufferWishes({}, CD, { ...LIMITS, bufferBytes: 192 }));
    expect(error).toMatchObject({
      code: 'ERR_VSND_CONFIG',
      message:
        "the card's buffer-size of 192 bytes holds 48 frames of 4 bytes; a period needs 45, and as many more are for volumes",
    });
  });
});

describe('the ranges', () => {
  it('of a stream are all that its limits allow', () => {
    expect(rangesOf(LIMITS)).toEqual({
      formats: bits('s16_le', 'float_le'),
      rates: { min: 8000, max: 48000 },
      channels: { min: 1, max: 2 },
      bufferFrames: { min: 1, max: 32_768 },
      periodFrames: { min: 1, max: 32_768 },
    });
  });

  it('of a stream count in the smallest frames, and do not depend on the order of the rates', () => {
    const limits: StreamLimits = {
      rates: [48000, 8000, 44100],
      formats: ['float64_be', 'gsm'],
      channels: { min: 3, max: 8 },
      bufferBytes: 1000,
    };
    expect(rangesOf(limits)).toMatchObject({
      formats: bits('float64_be', 'gsm'),
      rates: { min: 8000, max: 48000 },
      bufferFrames: { min: 1, max: 333 },
    });
  });

  it('that are asked for are one spec, and the wishes', () => {
    const fixed = {
      formats: bits('s16_le'),
      rates: { min: 44100, max: 44100 },
      channels: { min: 2, max: 2 },
    };
    expect(queryRanges(CD, {}, LIMITS)).toEqual({
      ...fixed,
      bufferFrames: { min: 90, max: 16_384 },
      periodFrames: { min: 45, max: 8192 },
    });
    expect(queryRanges(CD, { bufferFrames: 4096, periodFrames: 512 }, LIMITS)).toEqual({
      ...fixed,
      bufferFrames: { min: 90, max: 4608 },
      periodFrames: { min: 45, max: 512 },
    });
    const buffer = queryRanges(CD, { bufferFrames: 4096 }, LIMITS);
    expect(buffer.bufferFrames).toEqual({ min: 90, max: 8192 });
    expect(buffer.periodFrames).toEqual({ min: 45, max: 4096 });
    expect(queryRanges(CD, { periodFrames: 512 }, LIMITS).bufferFrames).toEqual({ min: 90, max: 16_384 });
  });

  it('name the formats of a mask, and pass over bits that no format has', () => {
    expect(formatNames(bits('gsm', 's8', 'float_le'))).toEqual(['s8', 'float_le', 'gsm']);
    expect(formatNames(0n)).toEqual([]);
    expect(formatNames(2n ** 64n - 2n ** 25n)).toEqual([]);
    expect(formatNames(2n ** 64n - 1n)).toEqual(PCM_FORMATS.map(({ name }) => name));
  });
});

const ranges: fc.Arbitrary<HwParamRanges> = fc.record({
  formats: fc.oneof(fc.bigInt({ min: 1n, max: 2n ** 25n - 1n }), u64),
  rates: interval(1, 200_000),
  channels: interval(1, 255),
  bufferFrames: interval(1, 2 ** 20),
  periodFrames: interval(1, 2 ** 20),
});

const PARAMETERS = ['rates', 'channels', 'bufferFrames', 'periodFrames'] as const;

describe('an intersection', () => {
  it('is what both allow, or an error that names the first parameter for which that is nothing', () => {
    fc.assert(
      fc.property(ranges, ranges, (a, b) => {
        const empty =
          (a.formats & b.formats) === 0n
            ? 'format'
            : PARAMETERS.find((name) => a[name].min > b[name].max || b[name].min > a[name].max);
        if (empty === undefined) {
          const both = intersectRanges(a, b);
          expect(both.formats).toBe(a.formats & b.formats);
          for (const name of PARAMETERS) {
            const numbers = [
              a[name].min,
              a[name].max,
              b[name].min,
              b[name].max,
              both[name].min,
              both[name].max,
            ];
            for (const value of numbers.flatMap((number) => [number - 1, number, number + 1])) {
              expect(isIn(value, both[name])).toBe(isIn(value, a[name]) && isIn(value, b[name]));
            }
          }
        } else {
          expect(thrownBy(() => intersectRanges(a, b))).toMatchObject({
            code: 'ERR_VSND_NOT_SUPPORTED',
            message: expect.stringContaining(`cannot meet ${empty}: asked for`),
          });
        }
      }),
      { numRuns: 500 },
    );
  });

  const asked = queryRanges(CD, { bufferFrames: 4096, periodFrames: 512 }, LIMITS);

  it.each<[Partial<HwParamRanges>, string]>([
    [{ formats: bits('s8', 'gsm') }, 'format: asked for s16_le, it offers s8, gsm'],
    [{ formats: 0n }, 'format: asked for s16_le, it offers none'],
    [{ formats: 2n ** 40n }, 'format: asked for s16_le, it offers none'],
    [{ rates: { min: 48000, max: 48000 } }, 'rates: asked for 44100, it offers 48000'],
    [{ channels: { min: 3, max: 8 } }, 'channels: asked for 2, it offers 3 to 8'],
    [
      { bufferFrames: { min: 4609, max: 9000 } },
      'bufferFrames: asked for 90 to 4608, it offers 4609 to 9000',
    ],
    [{ bufferFrames: { min: 9000, max: 100 } }, 'bufferFrames: asked for 90 to 4608, it offers 9000 to 100'],
    [{ periodFrames: { min: 1, max: 44 } }, 'periodFrames: asked for 45 to 512, it offers 1 to 44'],
  ])('with %o says what is missing', (offered, message) => {
    expect(thrownBy(() => intersectRanges(asked, { ...asked, ...offered }))).toMatchObject({
      code: 'ERR_VSND_NOT_SUPPORTED',
      message: `the backend cannot meet ${message}`,
    });
  });

  it('cannot be widened by a backend that offers more than it was asked', () => {
    const generous = {
      formats: 2n ** 64n - 1n,
      rates: { min: 0, max: 2 ** 32 - 1 },
      channels: { min: 0, max: 255 },
      bufferFrames: { min: 0, max: 2 ** 32 - 1 },
      periodFrames: { min: 0, max: 2 ** 32 - 1 },
    };
    expect(intersectRanges(asked, generous)).toEqual(asked);
  });
});

describe('the parameters chosen', () => {
  const offer: HwParamRanges = queryRanges({ ...CD, rate: 48000 }, {}, { ...LIMITS, bufferBytes: 2 ** 20 });
  const choose = (wishes: BufferWishes, offered: Partial<HwParamRanges> = {}, rate = 48000) => {
    const { bufferFrames, periodFrames } = chooseSizes({ ...CD, rate }, wishes, { ...offer, ...offered });
    return [bufferFrames, periodFrames];
  };

  it('are 200 ms in four periods where nothing is wished', () => {
    expect(choose({})).toEqual([9600, 2400]);
    expect(choose({}, {}, 44100)).toEqual([8820, 2205]);
  });

  it('are 200 ms also where only the period is wished: 256 frames made 42 ms of it once', () => {
    expect(choose({ periodFrames: 256 })).toEqual([9728, 256]);
    expect(choose({ periodFrames: 480 })).toEqual([9600, 480]);
    expect(choose({ periodFrames: 441 }, {}, 44100)).toEqual([8820, 441]);
    expect(choose({ periodFrames: 1024 })).toEqual([10_240, 1024]);
    expect(choose({ periodFrames: 9600 })).toEqual([19_200, 9600]);
  });

  it('are what is wished, as far as that is whole periods, and a quarter of the buffer is a period', () => {
    expect(choose({ bufferFrames: 4800, periodFrames: 480 })).toEqual([4800, 480]);
    expect(choose({ bufferFrames: 1000, periodFrames: 300 })).toEqual([900, 300]);
    expect(choose({ bufferFrames: 1000, periodFrames: 1000 })).toEqual([1000, 1000]);
    expect(choose({ bufferFrames: 4801 })).toEqual([4800, 1200]);
    expect(choose({ bufferFrames: 100 })).toEqual([96, 48]);
  });

  it('are the nearest that the backend offers, a period for volumes included', () => {
    expect(choose({}, { bufferFrames: { min: 96, max: 4096 } })).toEqual([3276, 819]);
    expect(choose({}, { bufferFrames: { min: 20_000, max: 30_000 } })).toEqual([19_200, 2400]);
    expect(choose({}, { bufferFrames: { min: 4096, max: 4096 } })).toEqual([3072, 1024]);
    expect(choose({}, { periodFrames: { min: 48, max: 1024 } })).toEqual([10_240, 1024]);
    expect(choose({ periodFrames: 100 }, { periodFrames: { min: 256, max: 512 } })).toEqual([9728, 256]);
    expect(choose({ bufferFrames: 500 }, { bufferFrames: { min: 96, max: 200 } })).toEqual([144, 48]);
    expect(choose({}, { periodFrames: { min: 10_000, max: 60_000 } })).toEqual([20_000, 10_000]);
  });

  it('are another period where no multiple of the one wished is on offer', () => {
    const fixed = { bufferFrames: { min: 4096, max: 4096 } };
    expect(choose({ periodFrames: 100 }, fixed)).toEqual([3968, 128]);
    expect(choose({ periodFrames: 100 }, { ...fixed, periodFrames: { min: 90, max: 110 } })).toEqual([
      3900, 100,
    ]);
  });

  it('are refused where two periods are more than a buffer may be', () => {
    const offered = { bufferFrames: { min: 1024, max: 2000 }, periodFrames: { min: 1024, max: 2000 } };
    expect(() => choose({}, offered)).toThrow(/cannot meet bufferFrames: .*2048, it offers 2000/);
  });

  it('lie inside the offers, whatever is wished and offered, and the whole buffer is a multiple of the period', () => {
    const limits: fc.Arbitrary<StreamLimits> = fc
      .integer({ min: 2 ** 20, max: 2 ** 24 })
      .map((bufferBytes) => ({
        rates: RATES,
        formats: PLAYABLE.map(({ name }) => name),
        channels: { min: 1, max: 255 },
        bufferBytes,
      }));
    const sizes = fc.record({
      buffer: interval(1, 2 ** 20),
      period: interval(1, 2 ** 14),
      wishes: fc.record({
        bufferFrames: fc.option(fc.nat(), { nil: undefined }),
        periodFrames: fc.option(fc.nat(), { nil: undefined }),
      }),
    });
    let chosenOnes = 0;
    fc.assert(
      fc.property(spec, limits, sizes, (params, streamLimits, { buffer, period, wishes: raw }) => {
        const least = Math.ceil(params.rate / 1000);
        const most = maxBufferFrames(params, streamLimits.bufferBytes);
        const control = params.frameBytes === 1 ? 2 : 1; // periods of six bytes do not hold it
        const longest = Math.floor(streamLimits.bufferBytes / params.frameBytes / (1 + control));
        const within = (value: number | undefined, max: number) =>
          value === undefined ? undefined : least + (value % (max - least + 1));
        const bufferFrames = within(raw.bufferFrames, most);
        const wishes = {
          bufferFrames,
          periodFrames: within(raw.periodFrames, Math.min(bufferFrames ?? most, longest)),
        };
        checkBufferWishes(wishes, params, streamLimits);
        const asked = queryRanges(params, wishes, streamLimits);
        for (const name of ['bufferFrames', 'periodFrames'] as const) {
          const offered = { bufferFrames: buffer, periodFrames: period }[name];
          fc.pre(offered.min <= asked[name].max && offered.max >= asked[name].min);
        }
        const offered = intersectRanges(asked, { ...asked, bufferFrames: buffer, periodFrames: period });
        fc.pre(2 * offered.periodFrames.min <= offered.bufferFrames.max);
        const chosen: HwParams = { ...params, ...chooseSizes(params, wishes, offered) };
        const { totalBytes } = bufferLayout(chosen);
        const totalFrames = totalBytes / params.frameBytes;
        chosenOnes++;
        expect(isIn(chosen.periodFrames, offered.periodFrames)).toBe(true);
        expect(chosen.bufferFrames % chosen.periodFrames).toBe(0);
        expect(chosen.bufferFrames).toBeGreaterThanOrEqual(chosen.periodFrames);
        expect(totalFrames % chosen.periodFrames).toBe(0);
        expect(totalFrames).toBeLessThanOrEqual(offered.bufferFrames.max);
        expect(totalBytes).toBeLessThanOrEqual(streamLimits.bufferBytes);
        const isWishMet =
          chosen.periodFrames === wishes.periodFrames && offered.bufferFrames.min <= totalFrames;
        if (isWishMet && wishes.bufferFrames !== undefined && chosen.bufferFrames > wishes.bufferFrames) {
          expect(totalFrames - chosen.periodFrames).toBeLessThan(offered.bufferFrames.min); // the backend has no smaller one
        }
        const threshold = defaultStartThreshold(chosen);
        expect(isIn(threshold, { min: 1, max: chosen.bufferFrames })).toBe(true);
      }),
      { numRuns: 1000 },
    );
    expect(chosenOnes).toBeGreaterThan(100);
  });
});

describe('the default start threshold', () => {
  it('is the buffer less a period, and at least a frame', () => {
    expect(defaultStartThreshold({ ...CD, bufferFrames: 9600, periodFrames: 1200 })).toBe(8400);
    expect(defaultStartThreshold({ ...CD, bufferFrames: 1000, periodFrames: 999 })).toBe(1);
    expect(defaultStartThreshold({ ...CD, bufferFrames: 1000, periodFrames: 1000 })).toBe(1);
  });
});
