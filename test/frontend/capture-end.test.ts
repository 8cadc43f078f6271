import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { CaptureStream } from '../../src/frontend/capture-stream.ts';
import { FRAME, TEN_PERIODS } from '../sound.ts';
import {
  follow,
  OPENED,
  others,
  report,
  SOURCE,
  startCapturing,
  startIdle,
  testUnstaged,
} from './capture.ts';
import { closing, type RawCard, startCard, withRawCard } from './setup.ts';

describe('finish()', () => {
  test("what was captured is still delivered, to whoever reads late; then 'end' and 'close', once each", () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      const events = follow(input, 'end', 'close', 'error', 'overrun');
      await report(raw, 750);
      input.finish();
      await raw.machine.settle();
      expect(others(raw.backend)).toEqual([...OPENED, 'trigger start', 'trigger stop', 'close']);
      expect(raw.backend.operations.lastIndexOf('read')).toBeLessThan(
        raw.backend.operations.indexOf('trigger stop'),
      );
      expect([events, input.state]).toEqual([[], 'finished']);
      input.resume();
      await raw.machine.settle();
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 750 * FRAME));
      expect(events).toEqual(['end', 'close']);
      expect(raw.card.streams).toEqual([]);
    }));

  test('with a READ under way, and more captured', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      await report(raw, 300);
      input.finish();
      letGo();
      await once(input, 'close');
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 300 * FRAME));
    }));

  test('positions that come later do not count', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      input.finish();
      await report(raw, 300);
      letGo();
      await once(input, 'close');
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 100 * FRAME));
      expect(input.position).toBe(100);
    }));

  test('before the stream is open', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const events = follow(input, 'end', 'close', 'error');
      input.finish();
      input.resume();
      await raw.machine.settle();
      expect(events).toEqual(['end', 'close']);
      expect(raw.backend.operations).not.toContain('trigger start');
      expect(raw.card.streams).toEqual([]);
    }));

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('after %i turns of the event loop', (turns) =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const events = follow(input, 'end', 'close', 'error');
      input.resume();
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      input.finish();
      await raw.machine.settle();
      expect(events).toEqual(['end', 'close']);
      expect(raw.card.streams).toEqual([]);
    }),
  );

  test('before anybody has read: CLOSE without STOP', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      input.finish();
      input.resume();
      await once(input, 'close');
      expect(raw.backend.operations).toEqual([...OPENED, 'close']);
    }));

  test('while paused', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      await report(raw, 500);
      await input.trigger('pause');
      input.finish();
      input.resume();
      await once(input, 'close');
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 500 * FRAME));
      expect(others(raw.backend).slice(-3)).toEqual(['trigger pause', 'trigger stop', 'close']);
    }));

  testUnstaged('while READs are so slow that the rest runs over: what is lost is told', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      const overruns = follow(input, 'overrun');
      await report(raw, 400);
      const letGo = raw.backend.holdRequests();
      input.finish();
      input.resume();
      await raw.clock.advance(900);
      letGo();
      await once(input, 'close');
      const read = Buffer.concat(chunks).length / FRAME;
      expect(read).toBeLessThan(400);
      expect(overruns).toEqual([['overrun', { lost: 400 - read, frames: 400, count: 1 }]]);
    }),
  );

  test('while an overrun is being left', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      await report(raw, 100);
      const letGo = raw.backend.holdRequests();
      await report(raw, 1200);
      input.finish();
      letGo();
      input.resume();
      await once(input, 'close');
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 100 * FRAME));
    }));

  test('after which the stream is stopped: nothing more is delivered, and the end comes without another OPEN', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      input.finish();
      const stopped = input.trigger('stop');
      letGo();
      await stopped;
      await once(input, 'close');
      expect(chunks).toEqual([]);
      expect(raw.backend.operations.filter((operation) => operation === 'open')).toHaveLength(1);
    }));

  test("twice, and after 'close': nothing more happens", () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const events = follow(input, 'end', 'close', 'error');
      input.finish();
      input.finish();
      await raw.machine.settle();
      input.finish();
      await raw.machine.settle();
      expect(events).toEqual(['end', 'close']);
      expect(others(raw.backend).filter((operation) => operation === 'close')).toHaveLength(1);
    }));

  test('a CLOSE that the backend refuses is the stream’s error', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.answer = (request) => (request?.op === 'close' ? { status: -5 } : {});
      const closed = closing(input);
      input.finish();
      expect(await closed).toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EIO' });
    }));

  test('a backend that goes before it has answered CLOSE: all is there, and the end comes', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const events = follow(input, 'end', 'close', 'error');
      await report(raw, 100);
      raw.backend.answer = (request) => (request?.op === 'close' ? undefined : {});
      input.finish();
      await raw.machine.settle();
      await raw.backend.say(6);
      await raw.machine.settle();
      expect(events).toEqual(['end', 'close']);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 100 * FRAME));
    }));
});

describe('destroy()', () => {
  /** Closes once, without an error; returns what the backend was asked meanwhile. */
  const destroyed = async ({ machine, backend, card }: RawCard, input: CaptureStream) => {
    const events = follow(input, 'end', 'close', 'error');
    const before = backend.operations.length;
    input.destroy();
    input.destroy();
    await machine.settle();
    expect(events).toEqual(['close']);
    expect([input.state, card.streams]).toEqual(['finished', []]);
    return backend.operations.slice(before);
  };

  test('before it is open', () =>
    withRawCard('c', async (raw) => {
      expect(await destroyed(raw, raw.card.createCaptureStream(TEN_PERIODS))).toEqual([]);
    }));

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('after %i turns of the event loop', (turns) =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      input.resume();
      for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
      const asked = await destroyed(raw, input);
      if (asked.length > 0) expect(asked.at(-1)).toBe('close');
    }),
  );

  test('before anybody has read: CLOSE', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      await raw.machine.settle();
      expect(await destroyed(raw, input)).toEqual(['close']);
    }));

  test('while it runs: STOP, CLOSE', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await report(raw, 100);
      expect(await destroyed(raw, input)).toEqual(['trigger stop', 'close']);
    }));

  test('with a READ under way, which nobody gets', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      setImmediate(letGo);
      expect(await destroyed(raw, input)).toEqual(['trigger stop', 'close']);
      expect(chunks).toEqual([]);
    }));

  test('while paused', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await input.trigger('pause');
      expect(await destroyed(raw, input)).toEqual(['trigger stop', 'close']);
    }));

  test('while an overrun is being left', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 1200);
      setImmediate(letGo);
      const asked = await destroyed(raw, input);
      expect(asked.slice(-2)).toEqual(['trigger stop', 'close']);
    }));

  testUnstaged('while it is finishing', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      await report(raw, 100);
      await report(raw, 200);
      input.finish();
      expect(await destroyed(raw, input)).toEqual(['read', 'trigger stop', 'close']);
    }),
  );

  test('while CLOSE is under way', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const letGo = raw.backend.holdRequests();
      input.finish();
      await raw.machine.settle();
      setImmediate(letGo);
      await destroyed(raw, input);
      expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    }));

  test('after which finish() does nothing', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream(TEN_PERIODS);
      const events = follow(input, 'end', 'close', 'error');
      input.resume();
      input.destroy();
      input.finish();
      await raw.machine.settle();
      expect(events).toEqual(['close']);
    }));

  test('in a listener of its data', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw, { highWaterMark: 100 * FRAME });
      input.on('data', () => input.destroy());
      await report(raw, 500);
      expect(chunks).toHaveLength(1);
      expect(raw.backend.operations.slice(-3)).toEqual(['read', 'trigger stop', 'close']);
    }));

  test('with an error, which is emitted', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const closed = closing(input);
      input.destroy(new Error('enough'));
      expect(await closed).toMatchObject({ message: 'enough' });
    }));

  test('by a signal', () =>
    withRawCard('c', async (raw) => {
      const abort = new AbortController();
      const { input } = await startCapturing(raw, { signal: abort.signal });
      const closed = closing(input);
      abort.abort();
      expect(await closed).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    }));

  test('by a signal that was aborted before', () =>
    withRawCard('c', async (raw) => {
      const input = raw.card.createCaptureStream({ ...TEN_PERIODS, signal: AbortSignal.abort() });
      expect(await closing(input)).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
      expect(raw.backend.operations).toEqual([]);
      expect(raw.card.streams).toEqual([]);
    }));

  test('card.close() destroys what still captures', async () => {
    const { guest, card } = await startCard({ capture: true });
    const input = card.createCaptureStream(TEN_PERIODS);
    input.resume();
    await guest.clock.advance(250);
    await card.close();
    expect(input.closed).toBe(true);
    expect(() => card.createCaptureStream(TEN_PERIODS)).toThrow('the card has been closed');
  });
});
