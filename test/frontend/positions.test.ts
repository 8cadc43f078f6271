import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import type { StreamWarning } from '../../src/frontend/stream-events.ts';
import { FRAME, noise, TEN_PERIODS } from '../sound.ts';
import { closing, type RawCard, staged, startCard, withRawCard } from './setup.ts';

/** A stream that is running, with its buffer full and 4000 frames still to come. */
async function startPlaying({ machine, card }: RawCard): Promise<PlaybackStream> {
  const out = card.createPlaybackStream(TEN_PERIODS);
  out.write(noise(5000 * FRAME));
  await machine.settle();
  expect(out.latency).toBe(1000 + staged(4000));
  return out;
}

describe('positions, however they arrive: nothing is skipped, nothing overwritten', () => {
  const report = async (setup: RawCard, out: PlaybackStream, frames: number, expected: number) => {
    setup.backend.sendPosition(frames * FRAME);
    await setup.machine.settle();
    expect(out.position).toBe(expected);
    expect(out.latency).toBe(1000 + staged(4000 - expected));
    const written = Buffer.concat(setup.backend.written);
    expect(written.length).toBe((expected + 1000) * FRAME);
    expect(written.equals(noise(5000 * FRAME).subarray(0, written.length))).toBe(true);
  };

  test('doubled', () =>
    withRawCard('p', async (setup) => {
      const out = await startPlaying(setup);
      await report(setup, out, 100, 100);
      await report(setup, out, 100, 100);
      await report(setup, out, 200, 200);
    }));

  test('late: lower than one before', () =>
    withRawCard('p', async (setup) => {
      const out = await startPlaying(setup);
      await report(setup, out, 300, 300);
      await report(setup, out, 200, 300);
      await report(setup, out, 400, 400);
    }));

  test('merged: several periods at once, and between periods', () =>
    withRawCard('p', async (setup) => {
      const out = await startPlaying(setup);
      await report(setup, out, 350, 350);
      await report(setup, out, 999, 999);
    }));

  test('ahead of all answers: the rest goes in as soon as these come', () =>
    withRawCard('p', async (setup) => {
      const out = setup.card.createPlaybackStream({ ...TEN_PERIODS, startThresholdFrames: 1 });
      out.write(noise(10 * FRAME));
      await setup.machine.settle();
      const letGo = setup.backend.holdRequests();
      out.write(noise(1490 * FRAME));
      await setup.machine.settle();
      setup.backend.sendPosition(1000 * FRAME);
      await setup.machine.settle();
      expect([out.position, out.latency, out.state]).toEqual([1000, staged(500), 'underrun']);
      letGo();
      await setup.machine.settle();
      expect([out.position, out.latency, out.state]).toEqual([1000, 500, 'running']);
    }));

  test('after lost events, whose ids are used up', () =>
    withRawCard('p', async (setup) => {
      const out = await startPlaying(setup);
      setup.backend.sendPosition(100 * FRAME);
      setup.backend.sendPosition(400 * FRAME, 17);
      await setup.machine.settle();
      expect(out.position).toBe(400);
      await report(setup, out, 500, 500);
    }));

  test('inside a frame: only whole frames go in', () =>
    withRawCard('p', async (setup) => {
      const out = await startPlaying(setup);
      setup.backend.sendPosition(100 * FRAME + 3);
      await setup.machine.settle();
      expect(out.position).toBe(100);
      expect(Buffer.concat(setup.backend.written).length).toBe(1100 * FRAME);
      await report(setup, out, 200, 200);
    }));

  test.each([2n ** 64n - 1n, 2n ** 53n, 5000n * 4n])('beyond what was written: %d bytes', (bytes) =>
    withRawCard('p', async (setup) => {
      const out = await startPlaying(setup);
      setup.backend.sendPosition(0);
      setup.backend.sendPosition(bytes);
      await setup.machine.settle();
      expect(out.position).toBe(1000);
      expect(out.latency).toBe(1000 + staged(3000));
      expect(out.underruns).toBe(1);
    }),
  );

  test('before START: none moves anything', () =>
    withRawCard('p', async ({ machine, backend, card }) => {
      const out = card.createPlaybackStream({ ...TEN_PERIODS, startThresholdFrames: 1000 });
      out.write(noise(500 * FRAME));
      await machine.settle();
      backend.sendPosition(400 * FRAME);
      await machine.settle();
      expect([out.position, out.latency, out.state]).toEqual([0, 500, 'prepared']);
    }));

  test('of the stream before, still in the event page when the next one opens', () =>
    withRawCard('p', async (setup) => {
      const first = await startPlaying(setup);
      first.destroy();
      await once(first, 'close');
      setup.backend.putPosition(700 * FRAME);
      setup.backend.written.length = 0;
      const out = await startPlaying(setup);
      expect(out.position).toBe(0);
      await report(setup, out, 100, 100);
    }));

  test('an event whose entry never lands is passed over', () =>
    withRawCard('p', async (setup) => {
      const out = await startPlaying(setup);
      setup.backend.announceEvents(1);
      await setup.machine.settle();
      expect(out.position).toBe(0);
      expect(out.destroyed).toBe(false);
    }));

  test('a real backend whose notifications are lost or held back', async () => {
    const { guest, card } = await startCard({ queueMode: 'direct' });
    const out = card.createPlaybackStream(TEN_PERIODS);
    const source = noise(20_000 * FRAME);
    out.end(source);
    await guest.machine.settle();
    for (let round = 0; !out.writableFinished; round++) {
      expect(round).toBeLessThan(500);
      const letGo = guest.machine.faults.holdNotifications({ domid: 1 });
      await guest.clock.advance(100 + ((round * 37) % 300));
      letGo();
      await guest.machine.settle();
      await guest.clock.advance(50);
    }
    expect(Buffer.from(guest.device.heard()).equals(source)).toBe(true);
    expect(out.underruns).toBe(0);
    await card.close();
  });
});

describe('the requests of a stream', () => {
  test('from the question to the end, in this order', () =>
    withRawCard('p', async ({ machine, backend, card }) => {
      const out = card.createPlaybackStream(TEN_PERIODS);
      out.end(noise(950 * FRAME));
      await machine.settle();
      backend.sendPosition(950 * FRAME);
      await once(out, 'close');
      expect(backend.operations).toEqual([
        'hwParamQuery',
        'hwParamQuery',
        'open',
        'write',
        'trigger start',
        'trigger stop',
        'close',
      ]);
    }));

  test('OPEN counts bytes, and its buffer is whole periods, the last of them for volumes', () =>
    withRawCard('p', async ({ machine, backend, card }) => {
      const out = card.createPlaybackStream(TEN_PERIODS);
      await machine.settle();
      const [query, refined, open] = backend.requests.map(({ request }) => request);
      expect(query).toMatchObject({ op: 'hwParamQuery', ranges: { bufferFrames: { min: 96, max: 1100 } } });
      expect(refined).toMatchObject({
        op: 'hwParamQuery',
        ranges: { bufferFrames: { min: 1100, max: 1100 } },
      });
      expect(open).toMatchObject({
        op: 'open',
        rate: 48_000,
        channels: 2,
        format: 2,
        bufferBytes: 4000 + 400,
        periodBytes: 400,
      });
      expect(out.bufferFrames).toBe(1000);
    }));

  test('the rest of the last period is silence in the buffer, and no WRITE announces it', () =>
    withRawCard('p', async ({ machine, backend, card }) => {
      const out = card.createPlaybackStream({ ...TEN_PERIODS, channels: 1, format: 'u8' });
      out.write(Buffer.alloc(1000, 7));
      await machine.settle();
      backend.sendPosition(1000);
      await machine.settle();
      out.end(Buffer.alloc(150, 8));
      await machine.settle();
      const buffer = [Buffer.alloc(150, 8), Buffer.alloc(50, 0x80), Buffer.alloc(800, 7)];
      expect(backend.readBuffer(0, 1000).equals(Buffer.concat(buffer))).toBe(true);
      expect(Buffer.concat(backend.written)).toHaveLength(1150);
      backend.sendPosition(1150);
      await once(out, 'close');
    }));

  test('destroy() of a playing stream: STOP, CLOSE', () =>
    withRawCard('p', async (setup) => {
      const out = await startPlaying(setup);
      out.destroy();
      await once(out, 'close');
      expect(setup.backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    }));

  test('a refused OPEN is followed by CLOSE, and its error says what was refused', () =>
    withRawCard('p', async ({ backend, card }) => {
      backend.answer = (request) => (request?.op === 'open' ? { status: -16 } : {});
      const out = card.createPlaybackStream(TEN_PERIODS);
      out.write(noise(FRAME));
      expect(await closing(out)).toMatchObject({
        code: 'ERR_VSND_STATUS',
        status: -16,
        errno: 'EBUSY',
        message: expect.stringContaining('status -16 (EBUSY)'),
      });
      expect(backend.operations).toEqual(['hwParamQuery', 'hwParamQuery', 'open', 'close']);
    }));

  test('a query that no OPEN follows is followed by CLOSE', () =>
    withRawCard('p', async ({ backend, card }) => {
      backend.answer = (request) => {
        if (request?.op === 'hwParamQuery') setImmediate(() => out.destroy());
        return {};
      };
      const out = card.createPlaybackStream(TEN_PERIODS);
      out.on('error', () => {});
      await once(out, 'close');
      expect(backend.operations.at(-1)).toBe('close');
    }));

  test('a backend that does not know the question is taken at XenStore’s word', () =>
    withRawCard('p', async ({ machine, backend, card }) => {
      backend.answer = (request) => (request?.op === 'hwParamQuery' ? { status: -22 } : {});
      const out = card.createPlaybackStream(TEN_PERIODS);
      await machine.settle();
      expect(out.bufferFrames).toBe(1000);
    }));

  test('an offer of less is taken; one beyond the question is cut', () =>
    withRawCard('p', async ({ machine, backend, card }) => {
      backend.answer = (request) =>
        request?.op === 'hwParamQuery'
          ? {
              ranges: {
                ...request.ranges,
                rates: { min: 8000, max: 192_000 },
                bufferFrames: { min: 1, max: 512 },
              },
            }
          : {};
      const out = card.createPlaybackStream(TEN_PERIODS);
      out.write(noise(5000 * FRAME));
      await machine.settle();
      expect([out.bufferFrames, out.periodFrames, out.latency]).toEqual([400, 100, 400 + staged(4600)]);
    }));

  test('an offer of nothing names the parameter', () =>
    withRawCard('p', async ({ backend, card }) => {
      backend.answer = (request) =>
        request?.op === 'hwParamQuery'
          ? { ranges: { ...request.ranges, rates: { min: 8000, max: 8000 } } }
          : {};
      expect(await closing(card.createPlaybackStream(TEN_PERIODS))).toMatchObject({
        code: 'ERR_VSND_NOT_SUPPORTED',
        message: 'the backend cannot meet rates: asked for 48000, it offers 8000',
      });
    }));

  test.each(['write', 'trigger'])('a refused %s destroys the stream', (op) =>
    withRawCard('p', async ({ backend, card }) => {
      backend.answer = (request) => (request?.op === op ? { status: -5 } : {});
      const out = card.createPlaybackStream(TEN_PERIODS);
      out.write(noise(1000 * FRAME));
      expect(await closing(out)).toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EIO' });
      expect(backend.operations.at(-1)).toBe('close');
    }),
  );

  test('a CLOSE refused after all was played is the stream’s error: its device failed on the way out', () =>
    withRawCard('p', async ({ machine, backend, card }) => {
      backend.answer = (request) => (request?.op === 'close' ? { status: -28 } : {});
      const out = card.createPlaybackStream(TEN_PERIODS);
      const closed = closing(out);
      out.end(noise(10 * FRAME));
      await machine.settle();
      backend.sendPosition(10 * FRAME);
      expect(await closed).toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'ENOSPC' });
    }));
});

describe('a backend that stops telling its position', () => {
  test('while the rest is played: CLOSE without STOP after the time that remains and two periods', () =>
    withRawCard('p', async ({ machine, clock, backend, card }) => {
      const out = card.createPlaybackStream(TEN_PERIODS);
      const warnings: StreamWarning[] = [];
      out.on('warning', (warning: StreamWarning) => warnings.push(warning));
      out.end(noise(900 * FRAME));
      await machine.settle();
      backend.sendPosition(400 * FRAME);
      await machine.settle();
      const finished = once(out, 'finish');
      await clock.advance(500 + 199);
      expect(backend.operations.at(-1)).toBe('trigger start');
      await clock.advance(1);
      await finished;
      expect(backend.operations.slice(-3)).toEqual(['trigger start', 'getVolume', 'close']);
      expect(warnings).toMatchObject([{ code: 'VSND_DRAIN_STALLED' }]);
    }));
});

describe('a backend that breaks the protocol, or falls silent', () => {
  const failure = async (setup: RawCard, damage: () => void) => {
    const out = await startPlaying(setup);
    const closed = closing(out);
    damage();
    await setup.clock.advanceTime(0.1e9); // a thread may rest for a little
    return await closed;
  };

  test('an answer with another id', () =>
    withRawCard('p', async (setup) => {
      setup.backend.answer = (request) => (request?.op === 'trigger' ? { id: 4711 } : {});
      const out = setup.card.createPlaybackStream(TEN_PERIODS);
      out.write(noise(1000 * FRAME));
      expect(await closing(out)).toMatchObject({
        code: 'ERR_VSND_PROTOCOL',
        message: expect.stringContaining('4711'),
      });
    }));

  test('an answer to another operation', () =>
    withRawCard('p', async (setup) => {
      setup.backend.answer = (request) => (request?.op === 'write' ? { operation: 2 } : {});
      const out = setup.card.createPlaybackStream(TEN_PERIODS);
      out.write(noise(1000 * FRAME));
      expect(await closing(out)).toMatchObject({ code: 'ERR_VSND_PROTOCOL' });
    }));

  test('responses that nobody asked for', () =>
    withRawCard('p', async (setup) => {
      expect(await failure(setup, () => setup.backend.scribbleRing(8, 1000))).toMatchObject({
        code: 'ERR_VSND_PROTOCOL',
        message: expect.stringContaining('rsp_prod'),
      });
    }));

  test('more events than the page holds', () =>
    withRawCard('p', async (setup) => {
      expect(await failure(setup, () => setup.backend.announceEvents(1000))).toMatchObject({
        code: 'ERR_VSND_PROTOCOL',
        message: expect.stringContaining('in_prod'),
      });
    }));

  test('an event of an unknown type', () =>
    withRawCard('p', async (setup) => {
      const damage = () => {
        setup.backend.putPosition(100);
        setup.backend.scribbleEvents(64 + 2, Uint8Array.of(9));
        setup.backend.sendPosition(200);
      };
      expect(await failure(setup, damage)).toMatchObject({ code: 'ERR_VSND_PROTOCOL' });
    }));

  test('no answer for 3 s: the backend is gone, for the stream and for the card', () =>
    withRawCard('p', async (setup) => {
      setup.backend.answer = (request) =>
        request?.op === 'write' || request?.op === 'trigger' ? undefined : {};
      const out = setup.card.createPlaybackStream(TEN_PERIODS);
      const closed = closing(out);
      out.write(noise(1000 * FRAME));
      await setup.machine.settle();
      await setup.clock.advanceTime(2.9e9);
      expect(out.destroyed).toBe(false);
      await setup.clock.advanceTime(0.2e9);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_BACKEND_GONE',
        message: 'the backend has not answered WRITE for 3 s',
      });
      expect(() => setup.card.createPlaybackStream(TEN_PERIODS)).toThrow('has not answered');
      expect(await setup.backend.frontendState()).toBe('1');
    }));

  test.each([
    [5, 'Closing'],
    [6, 'Closed'],
    [2, 'InitWait'],
    [1, 'Initialising'],
    ['nonsense', 'Unknown'],
  ])('a state of %s while playing', (state, name) =>
    withRawCard('p', async (setup) => {
      const out = await startPlaying(setup);
      const closed = closing(out);
      await setup.backend.say(state);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_BACKEND_GONE',
        message: expect.stringContaining(name),
        path: expect.stringContaining('/backend/vsnd/'),
      });
      await setup.machine.settle();
      // With a backend that waits the card is connected again, by itself.
      expect(await setup.backend.frontendState()).toBe(state === 2 ? '4' : '1');
    }),
  );
});
