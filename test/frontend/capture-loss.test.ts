import { describe, expect, test } from 'vitest';
import type { CaptureStreamOptions } from '../../src/frontend/capture-stream.ts';
import { Backend } from '../../src/testing.ts';
import { FRAME, TEN_PERIODS } from '../sound.ts';
import { collect, follow, report, SOURCE, startCapturing } from './capture.ts';
import { RawBackend } from './raw-backend.ts';
import { closing, startCard, withRawCard } from './setup.ts';

describe('the backend is gone', () => {
  test.each([
    [6, 'Closed'],
    [2, 'InitWait'],
    ['nonsense', 'Unknown'],
  ])('its state is %s: the stream ends with that, once', (state, name) =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      const events = follow(input, 'end', 'close', 'disconnect');
      const closed = closing(input);
      await report(raw, 100);
      await raw.backend.say(state);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_BACKEND_GONE',
        message: expect.stringContaining(name),
      });
      await raw.machine.settle();
      expect(events).toEqual(['close']);
      expect(raw.card.streams).toEqual([]);
    }),
  );

  test('it does not answer a READ for 3 s', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.answer = (request) => (request?.op === 'read' ? undefined : {});
      const closed = closing(input);
      await report(raw, 100);
      await raw.clock.advanceTime(2.9e9);
      expect(input.destroyed).toBe(false);
      await raw.clock.advanceTime(0.2e9);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_BACKEND_GONE',
        message: 'the backend has not answered READ for 3 s',
      });
    }));

  test('it falls silent without a READ under way: found within seconds', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      await report(raw, 100);
      raw.backend.answer = () => undefined;
      const closed = closing(input);
      await raw.clock.advanceTime(6e9);
      expect(await closed).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
    }));

  test('a READ that it refuses ends the stream with its status, and it is left in order', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw);
      raw.backend.answer = (request) => (request?.op === 'read' ? { status: -5 } : {});
      const closed = closing(input);
      await report(raw, 100);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_STATUS',
        errno: 'EIO',
        message: 'the backend refused READ of 400 bytes at 0: status -5 (EIO)',
      });
      expect(raw.backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    }));
});

describe('with `reconnect`', () => {
  /** A stream that has heard 300 frames of SOURCE, on a card whose backend the test can take away, and give back. */
  async function startReconnecting(options: Partial<CaptureStreamOptions> = {}) {
    const { guest, card } = await startCard({ capture: true });
    guest.device.say(SOURCE);
    const input = card.createCaptureStream({ ...TEN_PERIODS, reconnect: true, ...options });
    const chunks = collect(input);
    await guest.machine.settle();
    await guest.clock.advance(350);
    let backend = guest.backend;
    return {
      guest,
      input,
      chunks,
      lose: async () => {
        await backend.close();
        await guest.machine.settle();
      },
      giveBack: async () => {
        backend = await Backend.start(guest.machine.dom0, { deviceFor: () => guest.device });
        await guest.machine.settle();
      },
      end: async () => {
        const leaving = card.close();
        await guest.clock.advanceTime(3e9); // where there is no backend, one may still come
        await leaving;
        await backend.close();
      },
    };
  }

  test('capture goes on with the next backend, by itself; events tell of the gap', async () => {
    const { guest, input, chunks, lose, giveBack, end } = await startReconnecting();
    const events = follow(input, 'disconnect', 'reconnect', 'end', 'close', 'error');
    await lose();
    expect(events).toEqual([
      ['disconnect', { error: expect.objectContaining({ code: 'ERR_VSND_BACKEND_GONE' }), frames: 300 }],
    ]);
    expect([input.state, input.position]).toEqual(['closed', 300]);
    await guest.clock.advanceTime(0.5e9);
    await giveBack();
    await guest.clock.advanceTime(1.5e9);
    await input.trigger('stop'); // opened anew, but by the same backend
    await guest.clock.advance(1000);
    expect(events.slice(1)).toMatchObject([['reconnect', { frames: 300 }]]);
    const [, detail] = events.at(-1) as [string, { gap: number }];
    expect(detail.gap).toBeGreaterThanOrEqual(500);
    expect(detail.gap).toBeLessThanOrEqual(2000);
    const heard = Buffer.concat(chunks);
    const frames = heard.length / FRAME;
    expect(input.state).toBe('running');
    expect(frames).toBeGreaterThan(1300);
    // 350 frames had been captured by the first backend, 50 of them unreported.
    expect(heard.subarray(0, 9000 * FRAME)).toEqual(
      Buffer.concat([SOURCE.subarray(0, 1200), SOURCE.subarray(1200, heard.length)]).subarray(
        0,
        9000 * FRAME,
      ),
    );
    await end();
  });

  test('a stream that was paused stays so', async () => {
    const { guest, input, lose, giveBack, end } = await startReconnecting();
    await input.trigger('pause');
    await lose();
    await giveBack();
    await guest.clock.advanceTime(2e9);
    expect(input.state).toBe('paused');
    const { position } = input;
    await input.trigger('resume');
    await guest.clock.advance(250);
    expect([input.state, input.position]).toEqual(['running', position + 200]);
    await end();
  });

  test('one that nobody reads at the moment captures on', async () => {
    const { guest, input, lose, giveBack, end } = await startReconnecting({ highWaterMark: 400 });
    input.pause();
    await guest.clock.advance(250);
    await lose();
    await giveBack();
    await guest.clock.advanceTime(1e9);
    expect(input.state).toBe('running');
    await end();
  });

  test('finish() while there is no backend ends it well', async () => {
    const { guest, input, chunks, lose, end } = await startReconnecting();
    const events = follow(input, 'end', 'close', 'error');
    await lose();
    input.finish();
    await guest.machine.settle();
    expect(events).toEqual(['end', 'close']);
    expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(0, 300 * FRAME));
    await end();
  });

  test('destroy() while there is no backend ends it at once', async () => {
    const { guest, input, lose, end } = await startReconnecting();
    const events = follow(input, 'end', 'close', 'error');
    await lose();
    input.destroy();
    await guest.machine.settle();
    expect(events).toEqual(['close']);
    await end();
  });

  test('a stream that is finishing as the backend goes does not wait for another one', () =>
    withRawCard('c', async (raw) => {
      const { input } = await startCapturing(raw, { reconnect: true });
      const events = follow(input, 'disconnect', 'end', 'close', 'error');
      raw.backend.answer = (request) => (request?.op === 'read' ? undefined : {});
      await report(raw, 100);
      input.finish();
      await raw.backend.say(6);
      await raw.machine.settle();
      expect(events).toMatchObject([['disconnect', { frames: 100 }], 'end', 'close']);
    }));

  test('a READ under way as the backend goes is forgotten', () =>
    withRawCard('c', async (raw) => {
      const { input, chunks } = await startCapturing(raw, { reconnect: true });
      raw.backend.answer = (request) => (request?.op === 'read' ? undefined : {});
      await report(raw, 100);
      await raw.backend.close();
      raw.backend = await RawBackend.start(raw.machine, raw.guest.domid);
      raw.backend.toCapture = Buffer.from(SOURCE.subarray(100 * FRAME));
      await raw.machine.settle();
      expect([input.state, input.position]).toEqual(['running', 100]);
      await report(raw, 60);
      expect(Buffer.concat(chunks)).toEqual(SOURCE.subarray(100 * FRAME, 160 * FRAME));
      expect(input.position).toBe(160);
    }));

  test('it waits for a first backend too', async () => {
    const { guest, card } = await startCard({ capture: true });
    await guest.backend.close();
    await guest.machine.settle();
    expect(() => card.createCaptureStream(TEN_PERIODS)).toThrow(
      expect.objectContaining({ code: 'ERR_VSND_BACKEND_GONE' }),
    );
    const input = card.createCaptureStream({ ...TEN_PERIODS, reconnect: true });
    input.resume();
    const backend = await Backend.start(guest.machine.dom0, { deviceFor: () => guest.device });
    await guest.clock.advanceTime(2e9);
    expect(input.state).toBe('running');
    await card.close();
    await backend.close();
  });
});
