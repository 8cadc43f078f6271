import { describe, expect, test } from 'vitest';
import type { CaptureStreamOptions } from '../../src/frontend/capture-stream.ts';
import type { StreamWarning } from '../../src/frontend/stream-events.ts';
import { FRAME, TEN_PERIODS } from '../sound.ts';
import { follow, reads, report, SOURCE, startCapturing, startIdle } from './capture.ts';
import { closing, type RawCard, startCard, withRawCard } from './setup.ts';

describe('position, latency and clock', () => {
  test('before the stream is open all are 0', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream(TEN_PERIODS);
    expect([input.bufferFrames, input.periodFrames, input.position, input.latency]).toEqual([0, 0, 0, 0]);
    expect(input.clock.frames).toBe(0);
    await guest.machine.settle();
    expect([input.bufferFrames, input.periodFrames]).toEqual([1000, 100]);
    await card.close();
  });

  test('are what the backend reported: frames captured, and those of them that nobody has asked for', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: 100 * FRAME });
    const positions = follow(input, 'position');
    input.on('readable', () => {});
    await guest.machine.settle();
    await guest.clock.advance(350);
    expect([input.position, input.latency, input.positionReports]).toEqual([300, 200, 3]);
    expect(positions).toEqual([100, 200, 300].map((frames) => ['position', { frames }]));
    await card.close();
  });

  test('between reports the clock knows more than the position', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream(TEN_PERIODS);
    input.resume();
    await guest.machine.settle();
    for (let captured = 37; captured < 20_000; captured += 37) {
      await guest.clock.advance(37);
      const { frames, errorFrames } = input.clock;
      expect(Math.abs(frames - captured)).toBeLessThanOrEqual(errorFrames);
      if (captured > 4000) expect(errorFrames).toBeLessThan(100);
    }
    expect(input.overruns).toBe(0);
    await card.close();
  });

  test('the clock never runs backwards, over overruns and pauses, and stands in a pause', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: 100 * FRAME });
    input.on('readable', () => {});
    await guest.machine.settle();
    let last = 0;
    for (let captured = 37; captured < 5000; captured += 37) {
      await guest.clock.advance(37);
      expect(input.clock.frames).toBeGreaterThanOrEqual(last);
      last = input.clock.frames;
    }
    expect(input.overruns).toBeGreaterThan(2);
    await input.trigger('pause');
    const { frames } = input.clock;
    expect(frames).toBeGreaterThanOrEqual(last);
    await guest.clock.advance(5000);
    expect(input.clock.frames).toBe(frames);
    await card.close();
  });
});

describe('a backend whose position does not move', () => {
  const PACED = 'VSND_POSITION_STUCK';
  /** Room for 250 frames in the stream itself: a backend that answers at once is asked no more. */
  const startStuck = async (raw: RawCard, options: Partial<CaptureStreamOptions> = {}) => {
    raw.backend.toCapture = Buffer.from(SOURCE);
    const input = raw.card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: 250 * FRAME, ...options });
    const warnings: StreamWarning[] = [];
    input.on('warning', (warning: StreamWarning) => warnings.push(warning));
    input.on('readable', () => {});
    await raw.machine.settle();
    return { input, warnings };
  };

  test('is asked for a period at a time, with one warning, and what it answers is the position', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      for (let period = 1; period <= 12; period++) await report(raw, 0);
      expect([warnings, reads(raw.backend)]).toEqual([[], []]);
      const letGo = raw.backend.holdRequests();
      await report(raw, 0);
      expect(warnings).toMatchObject([{ code: PACED }]);
      expect(reads(raw.backend)).toEqual(['100 at 0']); // the next one only when this is answered
      expect(input.position).toBe(0);
      letGo();
      await raw.machine.settle();
      expect(reads(raw.backend)).toEqual(['100 at 0', '100 at 100', '100 at 200']);
      expect([input.position, input.latency, input.readableLength]).toEqual([300, 0, 300 * FRAME]);
      for (let period = 1; period <= 20; period++) await report(raw, 0);
      expect(warnings).toHaveLength(1);
      expect(input.read()).toEqual(SOURCE.subarray(0, 300 * FRAME));
      await raw.machine.settle();
      expect(reads(raw.backend)).toHaveLength(6);
      expect([input.position, input.overruns]).toEqual([600, 0]);
    }));

  test('a reader that does not read asks for nothing', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startStuck(raw);
      for (let period = 1; period <= 13; period++) await report(raw, 0);
      await raw.clock.advance(100_000);
      expect(reads(raw.backend)).toHaveLength(3);
      expect(input.readableLength).toBe(300 * FRAME);
    }));

  test('without any report: asked after a second whether it lives, it says so', () =>
    withRawCard('c', async (raw) => {
      const { warnings } = await startStuck(raw);
      await raw.clock.advanceTime(0.99e9);
      expect(warnings).toEqual([]);
      await raw.clock.advanceTime(0.02e9);
      expect(warnings).toMatchObject([{ code: PACED }]);
      expect(raw.backend.operations).toContain('getVolume');
      expect(reads(raw.backend)).toEqual(['100 at 0', '100 at 100', '100 at 200']);
    }));

  test('that moved and then stands is not asked: it may have nothing', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      await report(raw, 1);
      for (let period = 1; period <= 40; period++) await report(raw, 1);
      await raw.clock.advanceTime(3e9);
      expect([warnings, input.position]).toEqual([[], 1]);
    }));

  test('is warned of once, also where nobody reads', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const warnings = follow(input, 'warning');
      await input.trigger('start');
      await raw.clock.advanceTime(5e9);
      expect([warnings.length, input.state]).toEqual([1, 'running']);
    }));

  test('is not asked while the stream is paused', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      await input.trigger('pause');
      for (let period = 1; period <= 40; period++) await report(raw, 0);
      expect([warnings, reads(raw.backend)]).toEqual([[], []]);
    }));

  test('is not warned of when the stream begins again after an overrun', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      for (let period = 1; period <= 10; period++) await report(raw, 0);
      await report(raw, 1100);
      for (let period = 1; period <= 10; period++) await report(raw, 0);
      expect([warnings, input.overruns]).toEqual([[], 1]);
    }));

  test('what it reports later does not count, until the stream is opened anew', () =>
    withRawCard('c', async (raw) => {
      const { input, warnings } = await startStuck(raw);
      for (let period = 1; period <= 13; period++) await report(raw, 0);
      await report(raw, 900);
      expect([warnings.length, input.position, input.latency]).toEqual([1, 300, 0]);
      expect(input.read()).toHaveLength(300 * FRAME);
      await raw.machine.settle();
      await input.trigger('stop');
      expect(input.read()).toHaveLength(300 * FRAME);
      await raw.machine.settle();
      expect([input.state, input.position]).toEqual(['running', 600]);
      await report(raw, 70);
      expect([reads(raw.backend).at(-1), input.position]).toEqual(['70 at 0', 670]);
    }));

  test('finish() waits for the READ under way, and asks for no more', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startStuck(raw);
      const letGo = raw.backend.holdRequests();
      for (let period = 1; period <= 13; period++) await report(raw, 0);
      input.finish();
      letGo();
      await raw.machine.settle();
      expect(reads(raw.backend)).toEqual(['100 at 0']);
      const closed = closing(input);
      expect(input.read()).toEqual(SOURCE.subarray(0, 400));
      expect(await closed).toBeUndefined();
      expect(input.readableEnded).toBe(true);
    }));

  test('a period longer than a second is asked for in seconds: an answer must come within three', () =>
    withRawCard('c', async (raw) => {
      const options = { rate: 8000, channels: 1, format: 'u8', bufferFrames: 40_000, periodFrames: 20_000 };
      const { input } = await startStuck(raw, {
        ...(options as CaptureStreamOptions),
        highWaterMark: 20_000,
      });
      for (let period = 1; period <= 5; period++) await report(raw, 0);
      const asked = raw.backend.requests.flatMap(({ request }) =>
        request?.op === 'read' ? [request.length] : [],
      );
      expect([input.periodFrames, ...asked]).toEqual([20_000, 8000, 8000, 8000]);
    }));
});

describe('a counter that is not the stream’s own', () => {
  const FOREIGN = 1e6;

  test('counts from one period before its first position', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      await report(raw, FOREIGN);
      expect([input.position, reads(raw.backend)]).toEqual([100, ['100 at 0']]);
      await report(raw, FOREIGN + 120);
      expect([input.position, reads(raw.backend)]).toEqual([220, ['100 at 0', '120 at 100']]);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 220 * FRAME));
      expect(input.overruns).toBe(0);
    }));

  test('again after an overrun, and after a stop', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      await report(raw, FOREIGN);
      await report(raw, FOREIGN + 1001);
      expect([input.position, input.overruns]).toEqual([1101, 1]);
      await report(raw, FOREIGN + 1101);
      expect([input.position, input.latency, input.overruns]).toEqual([1201, 100, 1]);
      await input.trigger('stop');
      input.resume();
      await raw.machine.settle();
      await report(raw, FOREIGN + 5000);
      expect([input.position, input.latency, input.overruns]).toEqual([1301, 0, 1]);
    }));

  test.each([2n ** 53n, 2n ** 64n - 1n])('however large: %d bytes', (bytes) =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.sendPosition(bytes);
      await raw.machine.settle();
      expect([input.position, reads(raw.backend)]).toEqual([100, ['100 at 0']]);
    }),
  );

  test('a leap of any size later on is an overrun', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await report(raw, 100);
      raw.backend.sendPosition(2n ** 64n - 1n);
      await raw.machine.settle();
      expect([input.overruns, input.state, reads(raw.backend)]).toEqual([1, 'running', ['100 at 0']]);
      expect(input.position).toBe(100 + 60 * TEN_PERIODS.rate); // no more than a minute is believed
      await report(raw, 50);
      expect(reads(raw.backend)).toEqual(['100 at 0', '50 at 0']);
    }));
});
