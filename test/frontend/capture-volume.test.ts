import { describe, expect, test } from 'vitest';
import { FRAME, TEN_PERIODS } from '../sound.ts';
import { collect, follow, OPENED, others, report, SOURCE, startCapturing } from './capture.ts';
import { startCard, withRawCard } from './setup.ts';

describe('volume', () => {
  test('of the backend: what it was told is what it does, and says', async () => {
    const { guest, card } = await startCard({ capture: true });
    guest.device.say(SOURCE);
    const input = card.createCaptureStream(TEN_PERIODS);
    await input.setVolume([-6.5, 3.25]);
    expect(await input.getVolume()).toEqual([-6.5, 3.25]);
    await input.setVolume(0);
    await input.mute([1]);
    expect(input.muted).toEqual([false, true]);
    const chunks = collect(input);
    await guest.machine.settle();
    await guest.clock.advance(200);
    expect(Buffer.concat(chunks)).toEqual(withoutRight(SOURCE.subarray(0, 800)));
    await input.unmute();
    expect(input.muted).toEqual([false, false]);
    await card.close();
  });

  test('a backend without: ERR_VSND_NOT_SUPPORTED, and capture goes on', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      raw.backend.answer = (request) => (/volume|mute/i.test(request?.op ?? '') ? { status: -22 } : {});
      for (const attempt of [input.getVolume(), input.setVolume(-3), input.mute()]) {
        await expect(attempt).rejects.toMatchObject({
          code: 'ERR_VSND_NOT_SUPPORTED',
          message: expect.stringContaining('softwareVolume: true'),
        });
      }
      await report(raw, 100);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 400));
    }));

  test('in the stream: no word of it to the backend', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream({ ...TEN_PERIODS, softwareVolume: true });
      raw.backend.toCapture = Buffer.from(SOURCE);
      await input.setVolume([0, -12]);
      expect(await input.getVolume()).toEqual([0, -12]);
      await input.mute([1]);
      const chunks = collect(input);
      await raw.machine.settle();
      await report(raw, 100);
      expect(Buffer.concat(chunks)).toEqual(withoutRight(SOURCE.subarray(0, 400)));
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start']);
    }));

  test('is told again to a backend that opens the stream anew', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await input.setVolume(-7);
      await input.mute([0]);
      await input.trigger('stop');
      await raw.machine.settle();
      expect(others(raw.backend).slice(-6)).toEqual([...OPENED, 'setVolume', 'mute', 'trigger start']);
    }));

  test('one that then does not take it is a warning', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const warnings = follow(input, 'warning');
      await input.setVolume(-7);
      raw.backend.answer = (request) => (request?.op === 'setVolume' ? { status: -22 } : {});
      await input.trigger('stop');
      await raw.machine.settle();
      expect(warnings).toMatchObject([['warning', { code: 'VSND_VOLUME_LOST' }]]);
      expect(input.state).toBe('running');
    }));

  test('misuse throws at once', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const misuse = expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG' });
      expect(() => input.setVolume([1, 2, 3])).toThrow(misuse);
      expect(() => input.setVolume(Number.NaN)).toThrow(misuse);
      expect(() => input.mute([2])).toThrow(misuse);
      expect(() => input.unmute([-1])).toThrow(misuse);
    }));

  /** The right channel of s16 stereo is silent. */
  function withoutRight(frames: Buffer): Buffer {
    return Buffer.from(frames.map((byte, index) => (index % FRAME < 2 ? byte : 0)));
  }
});
