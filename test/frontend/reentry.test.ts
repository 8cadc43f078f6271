import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { SndifRequest } from '../../src/wire/sndif.ts';
import { FRAME, noise, TEN_PERIODS } from '../sound.ts';
import { closing, type RawCard, withRawCard } from './setup.ts';

const frames = (count: number): Buffer => noise(count * FRAME);

const refuseClose = (request: SndifRequest | undefined) => (request?.op === 'close' ? { status: -5 } : {});

describe('answers that are found on the way of another request', () => {
  test("are acted upon after it: 'finish' waits for CLOSE, and its error is told", () =>
    withRawCard('p', async ({ machine, card, backend }) => {
      const out = card.createPlaybackStream({ ...TEN_PERIODS, startThresholdFrames: 100 });
      const told: string[] = [];
      for (const event of ['finish', 'close'] as const) out.on(event, () => told.push(event));
      out.on('error', ({ message }) => told.push(message));
      out.write(frames(300));
      await machine.settle();
      out.end(frames(100));
      await machine.settle();
      backend.answer = refuseClose;
      const letGo = backend.holdRequests();
      out.drop().catch(() => {});
      await machine.settle();
      told.push('CLOSE is answered');
      letGo();
      await machine.settle();
      expect(told).toEqual(['CLOSE is answered', 'the backend refused CLOSE: status -5 (EIO)', 'close']);
    }));
});

describe('what a user throws', () => {
  const uncaught: unknown[] = [];
  const note = (error: unknown) => uncaught.push(error);

  /** vitest takes an uncaught exception for its own. */
  function catchUncaught(): void {
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', note);
    restore = () => {
      process.off('uncaughtException', note);
      for (const other of others) process.on('uncaughtException', other);
    };
  }
  let restore = (): void => {};

  afterEach(() => {
    restore();
    uncaught.length = 0;
  });

  async function playOn({ backend, clock, machine }: RawCard): Promise<void> {
    for (let period = 1; period < 60; period++) {
      await clock.advance(100);
      backend.sendPosition(period * 100 * FRAME);
      await machine.settle();
    }
  }

  test.each(['drain', 'callback'])('%s: is his, and the stream and its place are as they were', (where) =>
    withRawCard('p', async (raw) => {
      const { card, machine } = raw;
      const out = card.createPlaybackStream({ ...TEN_PERIODS, highWaterMark: 100 * FRAME });
      const errors: unknown[] = [];
      out.on('error', (error) => errors.push(error));
      await once(out, 'open');
      catchUncaught();
      const fail = () => {
        throw new Error('mine');
      };
      if (where === 'drain') out.once('drain', fail);
      out.write(frames(5000), where === 'callback' ? fail : undefined);
      await machine.settle();
      await playOn(raw);
      expect(uncaught).toEqual([expect.objectContaining({ message: 'mine' })]);
      expect(errors).toEqual([]);
      out.destroy();
      await once(out, 'close');
      const next = card.createPlaybackStream(TEN_PERIODS);
      await once(next, 'open');
      next.destroy();
      await once(next, 'close');
    }),
  );

  test("'data': is his, too", () =>
    withRawCard('c', async ({ card, machine, backend }) => {
      backend.toCapture = Buffer.from(frames(1000));
      const input = card.createCaptureStream(TEN_PERIODS);
      input.on('error', (error) => uncaught.push('as an error', error));
      await once(input, 'open');
      catchUncaught();
      input.once('data', () => {
        throw new Error('mine');
      });
      await machine.settle();
      backend.sendPosition(300 * FRAME);
      await machine.settle();
      expect(uncaught).toEqual([expect.objectContaining({ message: 'mine' })]);
      input.destroy();
      await once(input, 'close');
      expect(await closing(card.createCaptureStream(TEN_PERIODS).destroy())).toBeUndefined();
    }));
});

describe('small pieces', () => {
  test('are merged while WRITEs are under way, and STOP does not wait behind them', () =>
    withRawCard('p', async ({ machine, card, backend }) => {
      const out = card.createPlaybackStream({ ...TEN_PERIODS, bufferFrames: 12_000, periodFrames: 1000 });
      await once(out, 'open');
      const letGo = backend.holdRequests();
      for (let piece = 0; piece < 12_000; piece++) out.write(frames(1));
      await machine.settle();
      const before = backend.requests.length;
      out.destroy();
      letGo();
      await once(out, 'close');
      const writes = backend.operations.filter((operation) => operation === 'write');
      expect(writes.length).toBeLessThanOrEqual(10);
      expect(backend.operations.indexOf('trigger stop') - before).toBeLessThanOrEqual(10);
    }));

  test('are heard as they were written', () =>
    withRawCard('p', async ({ machine, card, backend }) => {
      const out = card.createPlaybackStream(TEN_PERIODS);
      await once(out, 'open');
      const sound = frames(900);
      for (let at = 0; at < sound.length; at += 12) out.write(sound.subarray(at, at + 12));
      await machine.settle();
      expect(Buffer.concat(backend.written).equals(sound)).toBe(true);
      out.destroy();
      await once(out, 'close');
    }));
});

test('a WRITE that is refused before START is told at once', () =>
  withRawCard('p', async ({ card, backend, clock }) => {
    const out = card.createPlaybackStream(TEN_PERIODS);
    await once(out, 'open');
    backend.answer = (request) => (request?.op === 'write' ? { status: -5 } : {});
    const closed = closing(out);
    out.write(frames(100));
    expect(await closed).toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EIO' });
    expect(clock.now()).toBe(0);
  }));
