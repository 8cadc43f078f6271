import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { TEN_PERIODS } from '../sound.ts';
import { startCard } from './setup.ts';

describe('createCaptureStream()', () => {
  test.each([
    [{ rate: 12_345 }, 'rate is 12345; allowed: 44100, 48000 (Hz)'],
    [{ channels: 3 }, 'channels is 3; allowed: 1 to 2'],
    [{ format: 's32_le' as const }, 'format is "s32_le"; allowed: s16_le, u8'],
    [{ bufferFrames: 100_000 }, 'bufferFrames is 100000; allowed: 48 to 16320'],
    [{ periodFrames: 10 }, 'periodFrames is 10; allowed: 48 (1 ms) to 1000'],
    [{ device: 4 }, 'device is 4; allowed: 0'],
    [{ stream: 0 }, 'stream is 0; allowed: 1'],
    [{ reconnect: 'yes' as unknown as boolean }, 'reconnect is "yes"; allowed: true, false'],
    [{ softwareVolume: 1 as unknown as boolean }, 'softwareVolume is 1; allowed: true, false'],
    [{ signal: {} as AbortSignal }, 'signal is an object; allowed: an AbortSignal'],
    [{ signal: null as unknown as AbortSignal }, 'signal is null; allowed: an AbortSignal'],
  ])('%o is refused at once, with what is allowed', async (options, message) => {
    const fields = { 'sample-rates': '44100,48000', 'sample-formats': 's16_le,u8', 'channels-max': '2' };
    const { card } = await startCard({ capture: true, fields });
    expect(() => card.createCaptureStream({ ...TEN_PERIODS, ...options })).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG', message }),
    );
    expect(card.streams).toEqual([]);
    await card.close();
  });

  test('a highWaterMark that is none, and a software volume of a format without samples, leave nothing either', async () => {
    const { guest, card } = await startCard({ capture: true });
    expect(() => card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: -1 })).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG', option: 'highWaterMark' }),
    );
    expect(() =>
      card.createCaptureStream({ ...TEN_PERIODS, format: 'iec958_subframe_le', softwareVolume: true }),
    ).toThrow(expect.objectContaining({ code: 'ERR_VSND_NOT_SUPPORTED' }));
    await guest.machine.settle();
    expect(card.streams).toEqual([]);
    await card.close();
  });

  test('one stream at a time; its place is free when the backend has let go', async () => {
    const { card } = await startCard({ capture: true });
    const first = card.createCaptureStream(TEN_PERIODS);
    expect(() => card.createCaptureStream(TEN_PERIODS)).toThrow(
      expect.objectContaining({
        code: 'ERR_VSND_NO_STREAM',
        message: 'every capture stream of the card that fits is in use',
      }),
    );
    first.destroy();
    await once(first, 'close');
    expect(card.createCaptureStream(TEN_PERIODS).type).toBe('capture');
    await card.close();
  });

  test('a card without capture streams says so', async () => {
    const { card } = await startCard();
    expect(() => card.createCaptureStream(TEN_PERIODS)).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_NO_STREAM', message: 'card 0 has no capture stream' }),
    );
    await card.close();
  });
});
