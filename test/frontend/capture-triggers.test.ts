import { describe, expect, test } from 'vitest';
import { FRAME, TEN_PERIODS } from '../sound.ts';
import {
  collect,
  follow,
  OPENED,
  others,
  reads,
  report,
  SOURCE,
  startCapturing,
  startIdle,
  testUnstaged,
} from './capture.ts';
import { withRawCard } from './setup.ts';

describe('trigger()', () => {
  testUnstaged("'start' captures before anybody reads", () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      await input.trigger('start');
      await raw.machine.settle();
      expect([input.state, raw.backend.operations.at(-1)]).toEqual(['running', 'trigger start']);
      await report(raw, 300);
      expect([input.latency, reads(raw.backend)]).toEqual([300, []]);
      await input.trigger('start');
      expect(others(raw.backend).filter((operation) => operation === 'trigger start')).toHaveLength(1);
    }),
  );

  test("'start' before the stream is open, and while it is held, counts when it can", () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await input.trigger('pause');
      await input.trigger('start');
      await raw.machine.settle();
      expect([input.state, others(raw.backend)]).toEqual(['paused', OPENED]);
      await input.trigger('resume');
      await raw.machine.settle();
      expect([input.state, others(raw.backend)]).toEqual(['running', [...OPENED, 'trigger start']]);
    }));

  test("'pause' and 'resume': what was captured before is still delivered, then the rest", () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      await report(raw, 100);
      await input.trigger('pause');
      expect([input.state, input.readableFlowing]).toEqual(['paused', true]);
      await report(raw, 130); // on its way when PAUSE came
      await input.trigger('resume');
      expect(input.state).toBe('running');
      await report(raw, 250);
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start', 'trigger pause', 'trigger resume']);
      expect(reads(raw.backend)).toEqual(['100 at 0', '30 at 100', '120 at 130']);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 250 * FRAME));
    }));

  test("'pause' before the stream is open keeps a reader from starting it", () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      input.resume();
      await input.trigger('pause');
      await raw.machine.settle();
      expect([input.state, others(raw.backend)]).toEqual(['paused', OPENED]);
      await input.trigger('resume');
      await raw.machine.settle();
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start']);
    }));

  test("a 'pause' that the backend refuses rejects, and it runs on", () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.answer = (request) => (request?.op === 'trigger' ? { status: -5 } : {});
      await expect(input.trigger('pause')).rejects.toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EIO' });
      expect(input.state).toBe('running');
    }));

  test("'stop' throws away what was captured and not read; the next read begins anew", () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      const opens = follow(input, 'open');
      await report(raw, 100);
      await report(raw, 500);
      await input.trigger('stop');
      await raw.machine.settle();
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start', 'trigger stop', 'close', ...OPENED]);
      expect([input.state, input.position, input.latency]).toEqual(['prepared', 500, 0]);
      raw.backend.toCapture = Buffer.from(SOURCE.subarray(500 * FRAME));
      input.resume();
      await raw.machine.settle();
      expect(input.state).toBe('running');
      await report(raw, 80);
      expect(Buffer.concat(chunks)).toEqual(
        Buffer.concat([SOURCE.subarray(0, 400), SOURCE.subarray(500 * FRAME, 580 * FRAME)]),
      );
      expect([input.position, input.overruns]).toEqual([580, 0]);
      expect(opens).toEqual([]); // it has been opened before
    }));

  test("'stop' with a READ under way: a reader that waits gets what comes next", () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      const stopped = input.trigger('stop');
      letGo();
      await stopped;
      await raw.machine.settle();
      expect(input.state).toBe('running');
      await report(raw, 50);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(400, 600)); // the READ's own 100 frames were thrown away
      expect([input.position, input.latency]).toEqual([150, 0]);
    }));

  test("'stop' before START has been answered", () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      const letGo = raw.backend.holdRequests();
      const chunks = collect(input);
      await raw.machine.settle();
      const stopped = input.trigger('stop');
      letGo();
      await stopped;
      await raw.machine.settle();
      await report(raw, 10);
      expect(chunks).toHaveLength(1);
    }));

  test('any other is refused at once, and after the end all are', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      // @ts-expect-error: no trigger
      expect(() => input.trigger('go')).toThrow(
        expect.objectContaining({
          code: 'ERR_VSND_INVALID_ARG',
          message: 'trigger is "go"; allowed: start, pause, resume, stop',
        }),
      );
      input.destroy();
      for (const trigger of ['start', 'pause', 'resume', 'stop'] as const) {
        await expect(input.trigger(trigger)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
      }
    }));
});
