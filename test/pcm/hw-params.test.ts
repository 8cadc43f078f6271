import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BufferWishes,
  bufferLayout,
  checkBufferWishes,
  checkSpec,
  chooseBufferFrames,
  choosePeriodFrames,
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
  it('is the audio area, then, on a multiple of 64 octets, 4 octets for each channel', () => {
    const layout = (bufferFrames: number, frameBytes: number, channels: number) =>
      bufferLayout({ bufferFrames, frameBytes, channels });
    expect(layout(1024, 4, 2)).toEqual({ audioBytes: 4096, controlOffset: 4096, totalBytes: 4160 });
    expect(layout(1025, 4, 2)).toEqual({ audioBytes: 4100, controlOffset: 4160, totalBytes: 4224 });
    expect(layout(1, 16, 16)).toEqual({ audioBytes: 16, controlOffset: 64, totalBytes: 128 });
    expect(layout(1, 17, 17)).toEqual({ audioBytes: 17, controlOffset: 64, totalBytes: 192 });
  });

  it('keeps the areas apart, and wastes less than an alignment on each', () => {
    fc.assert(
      fc.property(spec, fc.integer({ min: 0, max: 2 ** 22 }), (params, bufferFrames) => {
        const { audioBytes, controlOffset, totalBytes } = bufferLayout({ ...params, bufferFrames });
        expect(audioBytes).toBe(bufferFrames * params.frameBytes);
        expect(controlOffset % 64).toBe(0);
        expect(isIn(controlOffset - audioBytes, { min: 0, max: 63 })).toBe(true);
        expect(totalBytes % 64).toBe(0);
        expect(isIn(totalBytes - controlOffset - 4 * params.channels, { min: 0, max: 63 })).toBe(true);
      }),
    );
  });
});

describe('the largest audio area', () => {
  it('fits with its control area, and one more frame does not', () => {
    const sizes = fc.oneof(u32, fc.integer({ min: 0, max: 5000 }));
    fc.assert(
      fc.property(spec, sizes, (params, bufferBytes) => {
        const most = maxBufferFrames(params, bufferBytes);
        const total = (bufferFrames: number) => bufferLayout({ ...params, bufferFrames }).totalBytes;
        expect(Number.isInteger(most) && most >= 0).toBe(true);
        if (most > 0) expect(total(most)).toBeLessThanOrEqual(bufferBytes);
        expect(total(most + 1)).toBeGreaterThan(bufferBytes);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    [65_536, 16_368],
    [65_535, 16_352],
    [131, 16],
    [128, 16],
    [127, 0],
    [64, 0],
    [1, 0],
    [0, 0],
  ])('of %i octets has %i frames of 4 octets', (bufferBytes, frames) => {
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
    [{ bufferFrames: 16_369 }, 'bufferFrames is 16369; allowed: 45 to 16368'],
    [{ bufferFrames: 44 }, 'bufferFrames is 44; allowed: 45 to 16368'],
    [{ bufferFrames: 1000.5 }, 'bufferFrames is 1000.5; allowed: 45 to 16368'],
    [{ bufferFrames: Number.NaN }, 'bufferFrames is NaN; allowed: 45 to 16368'],
    [{ bufferFrames: 0 }, 'bufferFrames is 0; allowed: 45 to 16368'],
    [{ periodFrames: 44 }, 'periodFrames is 44; allowed: 45 (1 ms) to 16368'],
    [{ periodFrames: 16_369 }, 'periodFrames is 16369; allowed: 45 (1 ms) to 16368'],
    [{ periodFrames: 0.5 }, 'periodFrames is 0.5; allowed: 45 (1 ms) to 16368'],
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
    { bufferFrames: 16_368 },
    { periodFrames: 45 },
    { periodFrames: 16_368 },
    { bufferFrames: 1000, periodFrames: 1000 },
    { bufferFrames: undefined, periodFrames: undefined },
  ])('%j are taken', (wishes) => {
    expect(() => checkBufferWishes(wishes, CD, LIMITS)).not.toThrow();
  });

  it("cannot help where the card's buffer does not hold one period", () => {
    const dat = { ...CD, rate: 48000 };
    expect(maxBufferFrames(dat, 256)).toBe(48);
    expect(() => checkBufferWishes({}, dat, { ...LIMITS, bufferBytes: 256 })).not.toThrow();
    expect(() => checkBufferWishes({}, dat, { ...LIMITS, bufferBytes: 255 })).toThrow();
    const error = thrownBy(() => checkBufferWishes({}, CD, { ...LIMITS, bufferBytes: 192 }));
    expect(error).toMatchObject({
      code: 'ERR_VSND_CONFIG',
      message: "the card's buffer-size of 192 octets holds 32 frames of 4 octets; one period needs 45",
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
      bufferFrames: { min: 45, max: 16_368 },
      periodFrames: { min: 45, max: 16_368 },
    });
    expect(queryRanges(CD, { bufferFrames: 4096, periodFrames: 512 }, LIMITS)).toEqual({
      ...fixed,
      bufferFrames: { min: 45, max: 4096 },
      periodFrames: { min: 45, max: 512 },
    });
    expect(queryRanges(CD, { bufferFrames: 4096 }, LIMITS).periodFrames).toEqual({ min: 45, max: 4096 });
    expect(queryRanges(CD, { periodFrames: 512 }, LIMITS).bufferFrames).toEqual({ min: 45, max: 16_368 });
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
      { bufferFrames: { min: 4097, max: 9000 } },
      'bufferFrames: asked for 45 to 4096, it offers 4097 to 9000',
    ],
    [{ bufferFrames: { min: 9000, max: 100 } }, 'bufferFrames: asked for 45 to 4096, it offers 9000 to 100'],
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
    const offers = { ...offer, ...offered };
    const bufferFrames = chooseBufferFrames({ ...CD, rate }, wishes, offers);
    return [bufferFrames, choosePeriodFrames(bufferFrames, wishes, offers)];
  };

  it('are 200 ms in eight periods where nothing is wished', () => {
    expect(choose({})).toEqual([9600, 1200]);
    expect(choose({}, {}, 44100)).toEqual([8824, 1103]);
  });

  it('are what is wished, and eight periods make a buffer', () => {
    expect(choose({ bufferFrames: 4800, periodFrames: 480 })).toEqual([4800, 480]);
    expect(choose({ periodFrames: 480 })).toEqual([3840, 480]);
    expect(choose({ bufferFrames: 4801 })).toEqual([4801, 600]);
  });

  it('are the nearest that the backend offers', () => {
    expect(choose({}, { bufferFrames: { min: 1, max: 4000 } })).toEqual([4000, 500]);
    expect(choose({}, { bufferFrames: { min: 20_000, max: 30_000 } })).toEqual([20_000, 2500]);
    expect(choose({}, { periodFrames: { min: 1, max: 1024 } })).toEqual([9600, 1024]);
    expect(choose({ periodFrames: 100 }, { periodFrames: { min: 256, max: 512 } })).toEqual([2048, 256]);
    expect(choose({ bufferFrames: 500 }, { bufferFrames: { min: 1, max: 200 } })).toEqual([200, 48]);
  });

  it('grow with the shortest period offered, so that the buffer holds several of them', () => {
    expect(choose({}, { periodFrames: { min: 10_000, max: 60_000 } })).toEqual([80_000, 10_000]);
  });

  it('are a period for the buffer that was chosen, as the second answer offers it', () => {
    expect(choosePeriodFrames(8192, {}, { ...offer, periodFrames: { min: 256, max: 512 } })).toBe(512);
    expect(choosePeriodFrames(8192, {}, { ...offer, periodFrames: { min: 2048, max: 4096 } })).toBe(2048);
    expect(choosePeriodFrames(8192, { periodFrames: 600 }, offer)).toBe(600);
    expect(choosePeriodFrames(100, { periodFrames: 600 }, offer)).toBe(100);
    expect(choosePeriodFrames(7, {}, { ...offer, periodFrames: { min: 1, max: 7 } })).toBe(1);
  });

  it('lie inside the offers, and a period is no longer than the buffer', () => {
    const limits: fc.Arbitrary<StreamLimits> = fc
      .integer({ min: 2 ** 19, max: 2 ** 24 })
      .map((bufferBytes) => ({
        rates: RATES,
        formats: PLAYABLE.map(({ name }) => name),
        channels: { min: 1, max: 255 },
        bufferBytes,
      }));
    const sizes = fc.record({
      buffer: interval(1, 2 ** 20),
      period: interval(1, 2 ** 14),
      /** The longest period that the backend has for a buffer: a share of it. */
      periods: fc.integer({ min: 1, max: 16 }),
      wishes: fc.record({
        bufferFrames: fc.option(fc.nat(), { nil: undefined }),
        periodFrames: fc.option(fc.nat(), { nil: undefined }),
      }),
    });
    fc.assert(
      fc.property(spec, limits, sizes, (params, streamLimits, { buffer, period, periods, wishes: raw }) => {
        const least = Math.ceil(params.rate / 1000);
        const most = maxBufferFrames(params, streamLimits.bufferBytes);
        const within = (value: number | undefined, max: number) =>
          value === undefined ? undefined : least + (value % (max - least + 1));
        const bufferFrames = within(raw.bufferFrames, most);
        const wishes = { bufferFrames, periodFrames: within(raw.periodFrames, bufferFrames ?? most) };
        checkBufferWishes(wishes, params, streamLimits);
        const asked = queryRanges(params, wishes, streamLimits);
        for (const name of ['bufferFrames', 'periodFrames'] as const) {
          const offered = { bufferFrames: buffer, periodFrames: period }[name];
          fc.pre(offered.min <= asked[name].max && offered.max >= asked[name].min);
        }
        const offered = intersectRanges(asked, { ...asked, bufferFrames: buffer, periodFrames: period });
        const bufferChosen = chooseBufferFrames(params, wishes, offered);
        const longest = Math.max(offered.periodFrames.min, Math.floor(bufferChosen / periods));
        const rest = intersectRanges(offered, { ...offered, periodFrames: { min: 1, max: longest } });
        const periodFrames = choosePeriodFrames(bufferChosen, wishes, rest);
        const chosen: HwParams = { ...params, bufferFrames: bufferChosen, periodFrames };
        expect(isIn(chosen.bufferFrames, offered.bufferFrames)).toBe(true);
        expect(chosen.periodFrames).toBeLessThanOrEqual(chosen.bufferFrames);
        expect(chosen.periodFrames).toBeLessThanOrEqual(rest.periodFrames.max);
        if (rest.periodFrames.min <= chosen.bufferFrames) {
          expect(isIn(chosen.periodFrames, rest.periodFrames)).toBe(true);
        } else {
          expect(offered.bufferFrames.max).toBeLessThan(offered.periodFrames.min); // it contradicts itself
        }
        expect(bufferLayout(chosen).totalBytes).toBeLessThanOrEqual(streamLimits.bufferBytes);
        expect(Number.isInteger(chosen.bufferFrames) && Number.isInteger(chosen.periodFrames)).toBe(true);
        const threshold = defaultStartThreshold(chosen);
        expect(isIn(threshold, { min: 1, max: chosen.bufferFrames })).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the default start threshold', () => {
  it('is the buffer less a period, and at least a frame', () => {
    expect(defaultStartThreshold({ ...CD, bufferFrames: 9600, periodFrames: 1200 })).toBe(8400);
    expect(defaultStartThreshold({ ...CD, bufferFrames: 1000, periodFrames: 999 })).toBe(1);
    expect(defaultStartThreshold({ ...CD, bufferFrames: 1000, periodFrames: 1000 })).toBe(1);
  });
});
