import { once } from 'node:events';
import { describe, expect, test, vi } from 'vitest';
import type { HwParamsQuery } from '../../src/frontend/query-hw-params.ts';
import { memoryDevice } from '../../src/testing.ts';
import type { HwParamRanges } from '../../src/wire/sndif.ts';
import type { RawBackend } from './raw-backend.ts';
import { closing, type RawCard, startCard, withRawCard } from './setup.ts';

const FIELDS = {
  'sample-rates': '8000,44100,48000',
  'sample-formats': 'u8,s16_le,s32_le',
  'channels-max': '2',
  'buffer-size': '16384',
};

/** A card with one playback stream that FIELDS describe. */
const withCard = (body: (raw: RawCard) => Promise<void>) => withRawCard('p', body, { fields: FIELDS });

/** The last question that the backend was asked. */
function question({ requests }: RawBackend): HwParamRanges | undefined {
  const { request } = requests.findLast((received) => received.request?.op === 'hwParamQuery') ?? {};
  return request?.op === 'hwParamQuery' ? request.ranges : undefined;
}

/** Lets the backend answer with these ranges in place of those it was asked for. */
function offer(backend: RawBackend, ranges: Partial<HwParamRanges>): void {
  backend.answer = (request) =>
    request?.op === 'hwParamQuery' ? { ranges: { ...request.ranges, ...ranges } } : {};
}

const bits = (...codes: number[]) => codes.reduce((mask, code) => mask | (1n << BigInt(code)), 0n);

describe('queryHwParams()', () => {
  test('asks for all that XenStore allows, and says what the backend can', () =>
    withCard(async ({ backend, card }) => {
      expect(await card.queryHwParams()).toEqual({
        formats: ['u8', 's16_le', 's32_le'],
        rates: [8000, 44_100, 48_000],
        channels: { min: 1, max: 2 },
        bufferFrames: { min: 1, max: 16_384 },
        periodFrames: { min: 1, max: 16_384 },
      });
      expect(question(backend)).toEqual({
        formats: bits(1, 2, 10),
        rates: { min: 8000, max: 48_000 },
        channels: { min: 1, max: 2 },
        bufferFrames: { min: 1, max: 16_384 },
        periodFrames: { min: 1, max: 16_384 },
      });
    }));

  test.each<[HwParamsQuery, Partial<HwParamRanges>]>([
    [{ rate: 44_100 }, { rates: { min: 44_100, max: 44_100 } }],
    [{ rate: { min: 9000 } }, { rates: { min: 44_100, max: 48_000 } }],
    [{ rate: { max: 47_999 } }, { rates: { min: 8000, max: 44_100 } }],
    [{ channels: 2 }, { channels: { min: 2, max: 2 }, bufferFrames: { min: 1, max: 8192 } }],
    [{ formats: ['s16_le'] }, { formats: bits(2), bufferFrames: { min: 1, max: 8192 } }],
    [{ formats: ['s32_le', 's16_le'], channels: 2 }, { bufferFrames: { min: 1, max: 4096 } }],
    [{ bufferFrames: 1000 }, { bufferFrames: { min: 1000, max: 1000 } }],
    [{ bufferFrames: { min: 100, max: 200 } }, { bufferFrames: { min: 100, max: 200 } }],
    [{ periodFrames: { max: 500 } }, { periodFrames: { min: 1, max: 500 } }],
    [{ rate: undefined, channels: {}, formats: undefined }, { channels: { min: 1, max: 2 } }],
  ])('%j narrows the question', (query, expected) =>
    withCard(async ({ backend, card }) => {
      await card.queryHwParams(query);
      expect(question(backend)).toMatchObject(expected);
    }),
  );

  test('tells what is left of the others', () =>
    withCard(async ({ backend, card }) => {
      offer(backend, {
        formats: bits(2),
        rates: { min: 44_100, max: 46_000 },
        bufferFrames: { min: 64, max: 2048 },
        periodFrames: { min: 32, max: 1024 },
      });
      expect(await card.queryHwParams({ channels: 2 })).toEqual({
        formats: ['s16_le'],
        rates: [44_100],
        channels: { min: 2, max: 2 },
        bufferFrames: { min: 64, max: 2048 },
        periodFrames: { min: 32, max: 1024 },
      });
    }));

  test('what a backend answers beyond the question does not count', () =>
    withCard(async ({ backend, card }) => {
      const query = {
        formats: ['s16_le'],
        rate: 44_100,
        channels: 1,
        bufferFrames: { min: 50, max: 100 },
      } as const;
      offer(backend, {
        formats: bits(0, 1, 2, 63),
        rates: { min: 0, max: 0xffff_ffff },
        channels: { min: 0, max: 255 },
        bufferFrames: { min: 1, max: 0xffff_ffff },
      });
      expect(await card.queryHwParams(query)).toMatchObject({
        formats: ['s16_le'],
        rates: [44_100],
        channels: { min: 1, max: 1 },
        bufferFrames: { min: 50, max: 100 },
      });
    }));

  test.each<[Partial<HwParamRanges>, string]>([
    [{ formats: bits(14) }, 'format: asked for u8, s16_le, s32_le, it offers float_le'],
    [{ formats: 0n }, 'format: asked for u8, s16_le, s32_le, it offers none'],
    [{ rates: { min: 96_000, max: 96_000 } }, 'rates: asked for 8000 to 48000, it offers 96000'],
    [{ rates: { min: 9000, max: 44_000 } }, 'rates: asked for 8000, 44100, 48000, it offers 9000 to 44000'],
    [{ channels: { min: 6, max: 8 } }, 'channels: asked for 1 to 2, it offers 6 to 8'],
    [{ bufferFrames: { min: 2, max: 1 } }, 'bufferFrames: asked for 1 to 16384, it offers 2 to 1'],
    [{ periodFrames: { min: 20_000, max: 20_000 } }, 'periodFrames: asked for 1 to 16384, it offers 20000'],
  ])('an answer in which nothing is left names the parameter: %s', (ranges, what) =>
    withCard(async ({ backend, card }) => {
      offer(backend, ranges);
      await expect(card.queryHwParams()).rejects.toMatchObject({
        code: 'ERR_VSND_NOT_SUPPORTED',
        message: `the backend cannot meet ${what}`,
      });
      expect(backend.operations).toEqual(['hwParamQuery', 'close']);
    }),
  );

  test('rates that are left out in between are named as well, those that were asked for', () =>
    withCard(async ({ backend, card }) => {
      offer(backend, { rates: { min: 9000, max: 44_000 } });
      await expect(card.queryHwParams({ rate: { max: 44_100 } })).rejects.toMatchObject({
        message: 'the backend cannot meet rates: asked for 8000, 44100, it offers 9000 to 44000',
      });
    }));

  test('CLOSE follows, whatever the answer: the question opens the host’s device', () =>
    withCard(async ({ backend, card }) => {
      await card.queryHwParams();
      backend.answer = () => ({ status: -22 });
      await expect(card.queryHwParams()).rejects.toMatchObject({
        code: 'ERR_VSND_STATUS',
        errno: 'EINVAL',
        message: 'the backend refused HW_PARAM_QUERY: status -22 (EINVAL)',
      });
      expect(backend.operations).toEqual(['hwParamQuery', 'close', 'hwParamQuery', 'close']);
    }));

  test('a CLOSE that is refused does not matter', () =>
    withCard(async ({ backend, card }) => {
      backend.answer = (request) => (request?.op === 'close' ? { status: -5 } : {});
      expect(await card.queryHwParams()).toMatchObject({ channels: { min: 1, max: 2 } });
    }));

  test.each([
    [{ rate: 12_345 }, 'rate is 12345; allowed: 8000, 44100, 48000 (Hz)'],
    [{ rate: { min: 9000, max: 10_000 } }, 'rate is "9000 to 10000"; allowed: 8000, 44100, 48000 (Hz)'],
    [{ rate: 96_000 }, 'rate is 96000; allowed: 8000, 44100, 48000 (Hz)'],
    [{ rate: '48000' }, 'rate is "48000"; allowed: 8000, 44100, 48000 (Hz)'],
    [{ rate: null }, 'rate is null; allowed: 8000, 44100, 48000 (Hz)'],
    [{ channels: 0 }, 'channels is 0; allowed: 1 to 2'],
    [{ channels: 1.5 }, 'channels is 1.5; allowed: 1 to 2'],
    [{ channels: { min: 1, max: 3 } }, 'channels is "1 to 3"; allowed: 1 to 2'],
    [{ bufferFrames: Number.NaN }, 'bufferFrames is NaN; allowed: 1 to 16384'],
    [{ bufferFrames: { min: 200, max: 100 } }, 'bufferFrames is "200 to 100"; allowed: 1 to 16384'],
    [{ bufferFrames: 8193, channels: 2 }, 'bufferFrames is 8193; allowed: 1 to 8192'],
    [{ periodFrames: { min: '5' } }, 'periodFrames is "5 to 16384"; allowed: 1 to 16384'],
    [{ formats: ['s8'] }, 'formats is "s8"; allowed: one or more of u8, s16_le, s32_le'],
    [{ formats: [] }, 'formats is an array; allowed: one or more of u8, s16_le, s32_le'],
    [{ formats: 's16_le' }, 'formats is "s16_le"; allowed: one or more of u8, s16_le, s32_le'],
    [{ type: 'record' }, 'type is "record"; allowed: playback, capture'],
    [{ device: 3 }, 'device is 3; allowed: 0'],
    [{ stream: 1 }, 'stream is 1; allowed: 0'],
  ])('%j is refused at once, with what is allowed', (query, message) =>
    withCard(async ({ backend, card }) => {
      expect(() => card.queryHwParams(query as HwParamsQuery)).toThrow(
        expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG', message }),
      );
      expect(backend.requests).toEqual([]);
      await card.queryHwParams(); // the stream is free
    }),
  );

  test('counts frames, as sndif.h has it, where OPEN counts bytes', async () => {
    const { card } = await startCard({ fields: FIELDS });
    const format = { rate: 48_000, channels: 2, format: 's16_le' } as const;
    const { bufferFrames } = await card.queryHwParams({ formats: ['s16_le'], rate: 48_000, channels: 2 });
    expect(bufferFrames.max).toBe(16_384 / 4);
    const periodFrames = 256;
    const out = card.createPlaybackStream({ ...format, periodFrames });
    await once(out, 'open');
    expect(out.bufferFrames).toBe(bufferFrames.max - periodFrames); // one is for volumes
    await card.close();
  });

  test('says what the device behind the backend can, beyond XenStore', async () => {
    const { card } = await startCard({
      device: (clock) => ({
        ...memoryDevice(clock),
        formats: ['s16_le'],
        rates: [44_100],
        channels: { min: 2, max: 2 },
      }),
    });
    expect(await card.queryHwParams()).toMatchObject({
      formats: ['s16_le'],
      rates: expect.arrayContaining([44_100]),
      channels: { min: 2, max: 2 },
    });
    await card.close();
  });

  test('of a capture stream, or of the stream that is named', async () => {
    const { card } = await startCard({
      pcmDevices: [
        {
          streams: [
            { fields: { type: 'p', 'channels-max': '1' } },
            { fields: { type: 'c', 'channels-max': '3' } },
          ],
        },
        {
          streams: [
            { fields: { type: 'p', 'channels-max': '5' } },
            { fields: { type: 'p', 'channels-max': '6' } },
          ],
        },
      ],
    });
    const most = async (query: HwParamsQuery) => (await card.queryHwParams(query)).channels.max;
    expect(await most({})).toBe(1);
    expect(await most({ type: 'capture' })).toBe(3);
    expect(await most({ device: 1 })).toBe(5);
    expect(await most({ device: 1, stream: 1 })).toBe(6);
    await card.close();
  });
});

describe('a stream that is being asked', () => {
  const FORMAT = { rate: 48_000, channels: 2, format: 's16_le' } as const;

  test('is in use: nobody else asks it or opens it, and then it is free', () =>
    withCard(async ({ card }) => {
      const inUse = expect.objectContaining({ code: 'ERR_VSND_NO_STREAM' });
      const asked = card.queryHwParams();
      expect(() => card.queryHwParams()).toThrow(inUse);
      expect(() => card.createPlaybackStream(FORMAT)).toThrow(inUse);
      expect(card.streams).toEqual([]);
      await asked;
      const out = card.createPlaybackStream(FORMAT);
      expect(() => card.queryHwParams()).toThrow(inUse);
      out.destroy();
      await once(out, 'close');
      await card.queryHwParams();
    }));

  test('holds the process for as long as it is asked', () =>
    withCard(async ({ guest, card }) => {
      const ref = vi.spyOn(guest, 'ref');
      const unref = vi.spyOn(guest, 'unref');
      const asked = card.queryHwParams();
      expect([ref.mock.calls.length, unref.mock.calls.length]).toEqual([1, 0]);
      await asked;
      expect([ref.mock.calls.length, unref.mock.calls.length]).toEqual([1, 1]);
    }));

  test('while the card is closed: that is the error', () =>
    withCard(async ({ machine, clock, backend, card }) => {
      backend.answer = () => undefined;
      const asked = expect(card.queryHwParams()).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
      await machine.settle();
      const closed = card.close();
      await clock.advanceTime(10e9);
      await closed;
      await asked;
      expect(() => card.queryHwParams()).toThrow('the card has been closed');
    }));

  test('of a backend that does not answer, or is gone', () =>
    withCard(async ({ clock, backend, card }) => {
      backend.answer = () => undefined;
      const gone = { code: 'ERR_VSND_BACKEND_GONE' };
      const asked = expect(card.queryHwParams()).rejects.toMatchObject(gone);
      await clock.advanceTime(4e9);
      await asked;
      await expect(card.queryHwParams()).rejects.toMatchObject(gone);
      await expect(card.queryHwParams()).rejects.toMatchObject(gone); // not: in use
    }));
});

describe('what a stream is opened with is refined step by step', () => {
  const FORMAT = { rate: 48_000, channels: 1, format: 'u8' } as const;

  /** A device whose buffer is 256 to 2048 frames, and two to four periods long. */
  function twoToFourPeriods({ bufferFrames: buffer, periodFrames: period }: HwParamRanges) {
    const min = Math.max(buffer.min, 256, 2 * period.min);
    const max = Math.min(buffer.max, 2048, 4 * period.max);
    const periods = { min: Math.ceil(min / 4), max: Math.floor(max / 2) };
    return { bufferFrames: { min, max }, periodFrames: periods };
  }

  const withDevice = (body: (raw: RawCard) => Promise<void>) =>
    withRawCard(
      'c',
      (raw) => {
        raw.backend.answer = (request) =>
          request?.op === 'hwParamQuery'
            ? { ranges: { ...request.ranges, ...twoToFourPeriods(request.ranges) } }
            : {};
        return body(raw);
      },
      { fields: FIELDS },
    );

  test.each([
    [{}, [1364, 682], 3], // 200 ms would be more than it can, and a quarter of it less: it is asked again, about two periods
    [{ bufferFrames: 1000 }, [1000, 500], 3], // four periods of it would have come to one
    [{ bufferFrames: 1000, periodFrames: 300 }, [900, 300], 2],
    [{ bufferFrames: 1000, periodFrames: 200 }, [600, 200], 2],
    [{ periodFrames: 64 }, [192, 64], 2],
    [{ periodFrames: 1000 }, [1000, 1000], 2],
  ])(
    '%j of a device whose periods depend on its buffer: %j, after %i questions',
    (wishes, sizes, questions) =>
      withDevice(async ({ machine, backend, card }) => {
        const input = card.createCaptureStream({ ...FORMAT, ...wishes });
        await machine.settle();
        expect([input.bufferFrames, input.periodFrames]).toEqual(sizes);
        expect(backend.operations).toEqual([...new Array(questions).fill('hwParamQuery'), 'open']);
        const [bufferFrames = 0, periodFrames = 0] = sizes;
        const bufferBytes = bufferFrames + periodFrames; // of u8, one channel; a period is for volumes
        expect(question(backend)?.bufferFrames).toEqual({ min: bufferBytes, max: bufferBytes });
        const open = { op: 'open', bufferBytes, periodBytes: periodFrames };
        expect(backend.requests.at(-1)?.request).toMatchObject(open);
      }),
  );

  test('a buffer that it cannot do is named', () =>
    withDevice(async ({ backend, card }) => {
      const input = card.createCaptureStream({ ...FORMAT, bufferFrames: 100 });
      expect(await closing(input)).toMatchObject({
        code: 'ERR_VSND_NOT_SUPPORTED',
        message: 'the backend cannot meet bufferFrames: asked for 96 to 200, it offers 256 to 200',
      });
      expect(backend.operations).toEqual(['hwParamQuery', 'close']);
    }));

  test('a period that turns out to be none for the buffer is named', () =>
    withRawCard('p', async ({ backend, card }) => {
      backend.answer = (request) => {
        if (request?.op !== 'hwParamQuery') return {};
        const { min, max } = request.ranges.bufferFrames;
        return { ranges: { ...request.ranges, periodFrames: { min: min === max ? 250 : 1, max: 500 } } };
      };
      const out = card.createPlaybackStream({ ...FORMAT, bufferFrames: 1000, periodFrames: 200 });
      expect(await closing(out)).toMatchObject({
        code: 'ERR_VSND_NOT_SUPPORTED',
        message: 'the backend cannot meet periodFrames: asked for 48 to 200, it offers 250 to 500',
      });
      expect(backend.operations).toEqual(['hwParamQuery', 'hwParamQuery', 'close']);
    }));
});
