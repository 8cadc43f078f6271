import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { FRAME, TEN_PERIODS } from '../sound.ts';
import {
  collect,
  follow,
  reads,
  report,
  SOURCE,
  startCapturing,
  startIdle,
  testUnstaged,
} from './capture.ts';
import { closing, startCard, withRawCard } from './setup.ts';

describe('an overrun', () => {
  test('a position one frame beyond the buffer: STOP, START, no READ; what was not read is lost', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const overruns = follow(input, 'overrun');
      await report(raw, 100);
      await report(raw, 1101);
      expect(overruns).toEqual([['overrun', { lost: 1001, frames: 1101, count: 1 }]]);
      expect(raw.backend.operations.slice(-3)).toEqual(['read', 'trigger stop', 'trigger start']);
      expect([input.position, input.latency, input.overruns]).toEqual([1101, 0, 1]);
      expect(input.state).toBe('running');
    }));

  testUnstaged('a position that falls', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const overruns = follow(input, 'overrun');
      await report(raw, 100);
      await report(raw, 500);
      await report(raw, 0);
      expect(overruns).toEqual([['overrun', { lost: 400, frames: 500, count: 1 }]]);
      expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'trigger start']);
    }),
  );

  test('capture goes on with what comes next, from the start of the buffer, and the position with it', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startIdle(raw);
      await report(raw, 100);
      await report(raw, 1200);
      raw.backend.toCapture = Buffer.from(SOURCE.subarray(1200 * FRAME));
      input.resume();
      await report(raw, 50);
      await report(raw, 150);
      expect(reads(raw.backend)).toEqual(['100 at 0', '50 at 0', '100 at 50']);
      expect(Buffer.concat(chunks)).toEqual(
        Buffer.concat([SOURCE.subarray(0, 400), SOURCE.subarray(1200 * FRAME, 1350 * FRAME)]),
      );
      expect(input.position).toBe(1350);
    }));

  test('each is counted, and tells what it lost', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const overruns = follow(input, 'overrun');
      await report(raw, 100);
      for (const frames of [1200, 1001, 1150]) await report(raw, frames);
      expect(overruns).toEqual([
        ['overrun', { lost: 1100, frames: 1200, count: 1 }],
        ['overrun', { lost: 1001, frames: 2201, count: 2 }],
        ['overrun', { lost: 1150, frames: 3351, count: 3 }],
      ]);
      expect([input.overruns, input.position]).toEqual([3, 3351]);
    }));

  test('positions from before START, whenever they are found, do not count', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      const letGo = raw.backend.holdRequests();
      await report(raw, 1200);
      await report(raw, 1300); // STOP has not been answered
      raw.backend.putPosition(1400 * FRAME); // nor START, and nobody is notified
      const { positionReports } = input;
      letGo();
      await raw.machine.settle();
      expect([input.position, input.latency, input.overruns]).toEqual([1200, 0, 1]);
      await report(raw, 70);
      expect([input.position, input.overruns, reads(raw.backend)]).toEqual([1270, 1, ['70 at 0']]);
      expect(input.positionReports).toBe(positionReports + 1);
    }));

  test('with a READ under way: its frames are delivered, and none twice', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw);
      const overruns = follow(input, 'overrun');
      const letGo = raw.backend.holdRequests();
      await report(raw, 100);
      await report(raw, 1101);
      expect(overruns).toEqual([['overrun', { lost: 1001, frames: 1101, count: 1 }]]);
      letGo();
      await raw.machine.settle();
      await report(raw, 30);
      expect(reads(raw.backend)).toEqual(['100 at 0', '30 at 0']);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 130 * FRAME));
      expect(input.position).toBe(1131);
    }));

  test('a START that the backend refuses then ends the stream with its status', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startIdle(raw);
      raw.backend.answer = (request) => (request?.op === 'trigger' ? { status: -5 } : {});
      const closed = closing(input);
      await report(raw, 1200);
      expect(await closed).toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EIO' });
    }));

  test('while paused: no READ; STOP and START follow when it goes on', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const overruns = follow(input, 'overrun');
      await input.trigger('pause');
      await report(raw, 1001);
      expect([reads(raw.backend), overruns]).toEqual([[], []]);
      await input.trigger('resume');
      await raw.machine.settle();
      expect(overruns).toEqual([['overrun', { lost: 1001, frames: 1001, count: 1 }]]);
      expect(raw.backend.operations.slice(-3)).toEqual(['trigger resume', 'trigger stop', 'trigger start']);
    }));

  testUnstaged(
    'the time before a pause counts after it: nothing is asked for that may have run over meanwhile',
    () =>
      withRawCard('c', async (raw) => {
        const { input } = await startIdle(raw);
        await report(raw, 300);
        await raw.clock.advance(850);
        await input.trigger('pause');
        const before = reads(raw.backend).length;
        input.resume();
        await raw.clock.advance(10);
        await input.trigger('resume');
        await raw.machine.settle();
        expect(reads(raw.backend)).toHaveLength(before);
        await report(raw, 1200);
        expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'trigger start']);
      }),
  );

  test('does not keep a paused stream from ending', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await input.trigger('pause');
      await report(raw, 1001);
      input.finish();
      await once(input, 'close');
      expect(reads(raw.backend)).toEqual([]);
    }));

  testUnstaged('on a card that keeps time: the gap is where and as long as the event says', async () => {
    const { guest, card } = await startCard({ capture: true });
    guest.device.say(SOURCE);
    const input = card.createCaptureStream({ ...TEN_PERIODS, highWaterMark: 300 * FRAME });
    const overruns = follow(input, 'overrun');
    const chunks = collect(input);
    await guest.machine.settle();
    input.pause();
    await guest.clock.advance(1450);
    input.resume();
    await guest.clock.advance(600);
    expect(overruns).toEqual([['overrun', { lost: 1100, frames: 1400, count: 1 }]]);
    expect(Buffer.concat(chunks)).toEqual(
      Buffer.concat([SOURCE.subarray(0, 300 * FRAME), SOURCE.subarray(1400 * FRAME, 2000 * FRAME)]),
    );
    expect(input.position).toBe(2000);
    await card.close();
  });
});
