import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import type { StreamWarning } from '../../src/frontend/stream-events.ts';
import { openCard } from '../../src/open-card.ts';
import {
  Backend,
  createSoundCard,
  type EmulatedDomain,
  EmulatedMachine,
  ManualClock,
  memoryDevice,
} from '../../src/testing.ts';
import type { SndifRequest } from '../../src/wire/sndif.ts';
import { restoreDomain } from '../../src/xen/emulated/toolstack.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { FRAME, noise, STEREO } from '../sound.ts';
import { RawBackend } from './raw-backend.ts';
import { closing, IS_CARRIED, type RawCard, staged, withRawCard } from './setup.ts';

const BUFFER = 1000;
const PERIOD = 100;
const FORMAT = {
  ...STEREO,
  bufferFrames: BUFFER,
  periodFrames: PERIOD,
} as const;
const LASTING = { ...FORMAT, reconnect: true } as const;
/** Where little waits beside the buffer. */
const TIGHT = { ...LASTING, highWaterMark: 100 * FRAME } as const;
const SOURCE = noise(5000 * FRAME);

const frames = (from: number, to: number) => SOURCE.subarray(from * FRAME, to * FRAME);

/** Ends the backend as one that is stopped does, and waits until that is known. */
async function stop({ backend, machine }: RawCard): Promise<void> {
  await backend.say(5);
  await backend.say(6);
  await backend.close();
  await machine.settle();
}

/** Starts the next backend. */
async function startNext(raw: RawCard): Promise<RawBackend> {
  raw.backend = await RawBackend.start(raw.machine, raw.guest.domid);
  await raw.machine.settle();
  return raw.backend;
}

async function restart(raw: RawCard): Promise<RawBackend> {
  await stop(raw);
  return await startNext(raw);
}

async function report({ backend, machine }: RawCard, played: number): Promise<void> {
  backend.sendPosition(played * FRAME);
  await machine.settle();
}

/** What happens to the stream, in order. */
function follow(out: PlaybackStream): unknown[] {
  const events: unknown[] = [];
  out.on('open', () => events.push('open'));
  out.on('disconnect', ({ error, frames }) =>
    events.push(['disconnect', (error as { code?: string }).code, frames]),
  );
  out.on('reconnect', ({ frames, gap }) => events.push(['reconnect', frames, gap]));
  out.on('warning', ({ code }: StreamWarning) => events.push(code));
  out.on('underrun', () => events.push('underrun'));
  out.on('finish', () => events.push('finish'));
  out.on('error', (error) => events.push(error));
  out.on('close', () => events.push('close'));
  return events;
}

/** A stream that outlives its backends, plays, and has its buffer full. */
async function startPlaying({ card, machine }: RawCard): Promise<PlaybackStream> {
  const out = card.createPlaybackStream(LASTING);
  out.write(SOURCE);
  await machine.settle();
  expect([out.state, out.latency]).toEqual(['running', BUFFER + staged(4000)]);
  return out;
}

const written = (backend: RawBackend) => Buffer.concat(backend.written);

describe('a stream with reconnect', () => {
  test('plays on from the first frame that was not reported as played, and tells of the gap', () =>
    withRawCard('p', async (raw) => {
      const { backend: first, card, clock } = raw;
      const out = await startPlaying(raw);
      const events = follow(out);
      await report(raw, 300);
      await stop(raw);
      expect([out.state, out.position, out.latency, card.connected]).toEqual(['closed', 300, 0, false]);
      expect(events).toEqual([['disconnect', 'ERR_VSND_BACKEND_GONE', 300]]);
      await clock.advanceTime(1.5e9);
      const second = await startNext(raw);
      expect(events.slice(1)).toEqual([['reconnect', 300, 1500]]);
      expect([out.state, out.position, out.latency, card.connected]).toEqual([
        'running',
        300,
        BUFFER + staged(3700),
        true,
      ]);
      expect(written(first).equals(frames(0, 300 + BUFFER))).toBe(true);
      expect(written(second).equals(frames(300, 300 + BUFFER))).toBe(true);
      expect(second.operations).toEqual(['hwParamQuery', 'hwParamQuery', 'open', 'write', 'trigger start']);
      await report(raw, 200);
      expect([out.position, out.latency]).toEqual([500, BUFFER + staged(3500)]);
      expect(written(second).equals(frames(300, 500 + BUFFER))).toBe(true);
    }));

  test('the gap begins with the last sound, not when the loss was noticed', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const events = follow(out);
      await report(raw, 300);
      await raw.clock.advanceTime(0.7e9); // killed: nobody says so
      await stop(raw);
      await raw.clock.advanceTime(1.5e9);
      await startNext(raw);
      expect(events.at(-1)).toEqual(['reconnect', 300, 2200]);
    }));

  test('a stream that was paused has no sound to miss: its gap begins with the loss', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const events = follow(out);
      await report(raw, 300);
      await out.trigger('pause');
      await raw.clock.advanceTime(0.7e9);
      await stop(raw);
      await raw.clock.advanceTime(1.5e9);
      await startNext(raw);
      expect(events.at(-1)).toEqual(['reconnect', 300, 1500]);
    }));

  test('one that was never reported to have played begins again at its first frame', () =>
    withRawCard('p', async (raw) => {
      await startPlaying(raw);
      expect(written(await restart(raw)).equals(frames(0, BUFFER))).toBe(true);
    }));

  test('a position inside a frame: that frame is played again', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      raw.backend.sendPosition(300 * FRAME + 3);
      await raw.machine.settle();
      expect(written(await restart(raw)).equals(frames(300, 300 + BUFFER))).toBe(true);
      expect(out.position).toBe(300);
    }));

  test('WRITEs that were not answered are written again', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      raw.backend.holdRequests();
      await report(raw, 700);
      expect(out.position).toBe(700);
      await stop(raw);
      expect(written(await startNext(raw)).equals(frames(700, 700 + BUFFER))).toBe(true);
    }));

  test('the write that was under way calls back once, when its last frame is in the new buffer, or staged for it', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(TIGHT);
      let calls = 0;
      out.write(frames(0, 1500), () => calls++);
      await raw.machine.settle();
      await restart(raw);
      expect(calls).toBe(0);
      await report(raw, 500);
      expect(calls).toBe(1);
      await restart(raw);
      await report(raw, 500);
      expect(calls).toBe(1);
    }));

  test('a write that is in the buffer has been carried out, and what was played is not played again', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      await raw.machine.settle();
      raw.backend.holdRequests();
      let calls = 0;
      out.write(frames(0, 950), () => calls++);
      await report(raw, 950);
      expect([out.position, calls]).toEqual([950, 1]);
      await stop(raw);
      expect(calls).toBe(1);
      out.write(frames(950, 1900));
      expect(written(await startNext(raw)).equals(frames(950, 1900))).toBe(true);
    }));

  test('whether its backend waits again itself, or another one has come before anybody noticed', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      const out = await startPlaying(raw);
      await report(raw, 100);
      backend.written.length = 0;
      await backend.say(2);
      await machine.settle();
      expect(written(backend).equals(frames(100, 100 + BUFFER))).toBe(true);
      await report(raw, 100);
      await raw.clock.advanceTime(1e9);
      await backend.close();
      expect(written(await startNext(raw)).equals(frames(200, 200 + BUFFER))).toBe(true);
      expect(out.position).toBe(200);
    }));

  test('a backend that was killed: our state is 1 as soon as its silence is known, and the next one goes on', () =>
    withRawCard('p', async (raw) => {
      const { backend, clock, card } = raw;
      const out = await startPlaying(raw);
      const events = follow(out);
      await report(raw, 300);
      await backend.close(); // XenStore does not change, nothing is answered
      await clock.advanceTime(3.9e9);
      expect([events, card.connected]).toEqual([[], true]);
      await clock.advanceTime(0.2e9);
      expect(events).toEqual([['disconnect', 'ERR_VSND_BACKEND_GONE', 300]]);
      const second = await startNext(raw);
      expect(await second.frontendState()).toBe('4');
      expect(written(second).equals(frames(300, 300 + BUFFER))).toBe(true);
      expect(out.state).toBe('running');
    }));

  test('a backend that was killed with a request unanswered: three seconds', () =>
    withRawCard('p', async (raw) => {
      const { backend, clock } = raw;
      const out = await startPlaying(raw);
      const events = follow(out);
      backend.holdRequests();
      await report(raw, 300);
      await backend.close();
      await clock.advanceTime(2.9e9);
      expect(events).toEqual([]);
      await clock.advanceTime(0.1e9);
      expect(events).toEqual([['disconnect', 'ERR_VSND_BACKEND_GONE', 300]]);
      const dom0 = await XenStoreClient.open(raw.machine.dom0);
      expect(await dom0.read('/local/domain/1/device/vsnd/0/state')).toBe('1');
      await dom0.close();
      expect(written(await startNext(raw)).equals(frames(300, 300 + BUFFER))).toBe(true);
    }));

  test('several losses in a row, each at another frame', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const events = follow(out);
      let position = 0;
      for (const played of [100, 0, 350, 999, 1]) {
        await report(raw, played);
        position += played;
        await stop(raw);
        await raw.clock.advanceTime(1e9); // one try a second
        await startNext(raw);
        expect(written(raw.backend).equals(frames(position, position + BUFFER))).toBe(true);
        expect(out.position).toBe(position);
      }
      expect(events.filter((event) => Array.isArray(event))).toHaveLength(10);
    }));

  test.each<[string, (request: SndifRequest | undefined) => boolean]>([
    ['HW_PARAM_QUERY', (request) => request?.op === 'hwParamQuery'],
    ['OPEN', (request) => request?.op === 'open'],
    ['SET_VOLUME', (request) => request?.op === 'setVolume'],
    ['MUTE', (request) => request?.op === 'mute'],
    ['WRITE', (request) => request?.op === 'write'],
    ['TRIGGER', (request) => request?.op === 'trigger'],
  ])('lost again while it waits for the answer to %s', (_, isIt) =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const events = follow(out);
      await out.setVolume(-3);
      await out.mute([0]);
      await report(raw, 300);
      await stop(raw);
      const second = await RawBackend.start(raw.machine, raw.guest.domid);
      raw.backend = second;
      second.answer = (request) => (isIt(request) ? undefined : {});
      await raw.machine.settle();
      expect(second.requests.some(({ request }) => isIt(request))).toBe(true);
      await stop(raw);
      await raw.clock.advanceTime(1e9);
      await startNext(raw);
      expect(written(raw.backend).equals(frames(300, 300 + BUFFER))).toBe(true);
      expect([out.state, out.position]).toEqual(['running', 300]);
      expect(events.at(-1)).toEqual(['reconnect', 300, expect.any(Number)]);
      await report(raw, 100);
      expect(out.position).toBe(400);
    }),
  );

  test.each(['hwParamQuery', 'open'])('lost while it opens for the first time, in %s', (op) =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      const events = follow(out);
      raw.backend.answer = (request) => (request?.op === op ? undefined : {});
      out.write(SOURCE);
      await raw.machine.settle();
      expect(raw.backend.operations.at(-1)).toBe(op);
      await restart(raw);
      expect(events).toEqual(['open']);
      expect(out.state).toBe('running');
      expect(written(raw.backend).equals(frames(0, BUFFER))).toBe(true);
    }),
  );

  test('in an underrun: what is written meanwhile is played next', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      out.write(frames(0, 950));
      await raw.machine.settle();
      await report(raw, 950);
      expect(out.state).toBe('underrun');
      await stop(raw);
      out.write(frames(950, 1900));
      const second = await startNext(raw);
      expect(written(second).equals(frames(950, 1900))).toBe(true);
      expect([out.state, out.position, out.underruns]).toEqual(['running', 950, 1]);
    }));

  test('before START: what was in the buffer counts for the threshold of the next one', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      out.write(frames(0, 500));
      await raw.machine.settle();
      await restart(raw);
      expect([out.state, out.latency]).toEqual(['prepared', 500]);
      out.write(frames(500, 900));
      await raw.machine.settle();
      expect(out.state).toBe('running');
      expect(written(raw.backend).equals(frames(0, 900))).toBe(true);
    }));

  test('an incomplete frame that was carried is completed by the next chunk', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      out.write(SOURCE.subarray(0, 900 * FRAME + 3));
      await raw.machine.settle();
      await stop(raw);
      out.write(SOURCE.subarray(900 * FRAME + 3, 1000 * FRAME));
      expect(written(await startNext(raw)).equals(frames(0, 1000))).toBe(true);
    }));

  test('the time without a backend is no time: writing waits, as for a full buffer', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(TIGHT);
      out.write(SOURCE);
      await raw.machine.settle();
      await stop(raw);
      let isIn = false;
      expect(out.write(frames(0, 1), () => (isIn = true))).toBe(false);
      await raw.clock.advanceTime(3600e9);
      expect([isIn, out.destroyed, out.position]).toEqual([false, false, 0]);
      await startNext(raw);
      expect(out.state).toBe('running');
    }));

  test('scales nothing twice with a software volume', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream({ ...LASTING, softwareVolume: true });
      await out.setVolume(-20);
      out.write(Buffer.from(new Int16Array(2 * 1500).fill(1000).buffer));
      await raw.machine.settle();
      await report(raw, 300);
      const second = await restart(raw);
      const again = written(second);
      expect(again).toHaveLength(BUFFER * FRAME);
      for (let at = 0; at < again.length; at += 2) expect(again.readInt16LE(at)).toBe(100);
    }));

  test('tells the next backend its volume, before anything is heard', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      await out.setVolume([-3, -4]);
      await out.mute([1]);
      const told: string[] = [];
      await stop(raw);
      const asked = out.setVolume([-5, -6]); // waits for it
      raw.backend = await RawBackend.start(raw.machine, raw.guest.domid);
      const { backend } = raw;
      backend.answer = (request) => {
        if (request?.op === 'setVolume' || request?.op === 'mute')
          told.push(backend.readBuffer(request.offset, request.length).toString('hex'));
        return {};
      };
      await asked;
      await raw.machine.settle();
      const volumes = (...all: number[]) => Buffer.from(Int32Array.from(all).buffer).toString('hex');
      expect(told).toEqual([volumes(-3000, -4000), '0001', volumes(-5000, -6000)]);
      const order = backend.operations.filter((name) => name !== 'hwParamQuery');
      expect(order.slice(0, 4)).toEqual(['open', 'setVolume', 'mute', 'write']);
    }));

  test('a backend that comes back without a volume is a warning', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const events = follow(out);
      await out.setVolume(-3);
      await stop(raw);
      raw.backend = await RawBackend.start(raw.machine, raw.guest.domid);
      raw.backend.answer = (request) => (request?.op === 'setVolume' ? { status: -22 } : {});
      await raw.machine.settle();
      expect(events.map((event) => (Array.isArray(event) ? event[0] : event))).toEqual([
        'disconnect',
        'VSND_VOLUME_LOST',
        'reconnect',
      ]);
      expect(out.state).toBe('running');
    }));

  test('a position that did not move at the last backend may move at the next', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const events = follow(out);
      raw.backend.holdRequests();
      for (let periods = 0; periods < 13; periods++) raw.backend.sendPosition(0);
      await raw.machine.settle();
      expect(events).toEqual(['VSND_POSITION_STUCK']);
      expect(out.position).toBe(BUFFER);
      await stop(raw);
      const { position } = out;
      await startNext(raw);
      await report(raw, 100);
      expect([out.position, out.latency]).toEqual([position + 100, BUFFER + staged(3900 - position)]);
    }));
});

describe('what was known of the last backend does not count for the next', () => {
  test('how often its position stood at 0', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const events = follow(out);
      for (let periods = 0; periods < 10; periods++) await report(raw, 0);
      await restart(raw);
      for (let periods = 0; periods < 10; periods++) await report(raw, 0);
      expect(events).not.toContain('VSND_POSITION_STUCK');
    }));

  test('where it ran dry', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      out.write(frames(0, 950));
      await raw.machine.settle();
      await report(raw, 950);
      expect(out.state).toBe('underrun');
      await stop(raw);
      out.write(frames(950, 5000));
      await startNext(raw);
      await report(raw, 950);
      await report(raw, 920); // late, and no new beginning
      expect(out.position).toBe(1900);
    }));
});

describe('while there is no backend', () => {
  test('end() is kept until all has been played', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const events = follow(out);
      await report(raw, 300);
      await stop(raw);
      out.end(frames(0, 10));
      await raw.clock.advanceTime(60e9);
      expect(out.writableFinished).toBe(false);
      await startNext(raw);
      for (let played = 0; played < 4710; played += PERIOD) {
        await report(raw, played);
        await raw.clock.advance(PERIOD);
      }
      expect(out.writableFinished).toBe(false);
      expect(written(raw.backend).equals(Buffer.concat([frames(300, 5000), frames(0, 10)]))).toBe(true);
      await report(raw, 4710);
      await raw.machine.settle();
      expect(events.slice(-2)).toEqual(['finish', 'close']);
      expect(out.position).toBe(5010);
    }));

  test('end() of a stream that has played all it was given ends it', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      out.write(frames(0, 950));
      await raw.machine.settle();
      await report(raw, 950);
      await stop(raw);
      const closed = closing(out);
      out.end();
      expect(await closed).toBeUndefined();
      expect([out.writableFinished, out.position]).toEqual([true, 950]);
    }));

  test('destroy() ends it at once, and fails its writes', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      await stop(raw);
      let failure: unknown;
      out.write(frames(0, 1), (error) => {
        failure = error;
      });
      const closed = closing(out);
      out.destroy();
      expect(await closed).toBeUndefined();
      expect(failure).toBeInstanceOf(Error);
      expect(raw.card.streams).toEqual([]);
    }));

  test('destroy() of one that was never open, and never can be', () =>
    withRawCard('p', async (raw) => {
      await stop(raw);
      const out = raw.card.createPlaybackStream(LASTING);
      out.write(frames(0, 1));
      await raw.clock.advanceTime(5e9);
      const closed = closing(out);
      out.destroy();
      expect(await closed).toBeUndefined();
    }));

  test('an aborted signal ends it with an AbortError', () =>
    withRawCard('p', async (raw) => {
      const abort = new AbortController();
      const out = raw.card.createPlaybackStream({ ...LASTING, signal: abort.signal });
      out.write(SOURCE);
      await raw.machine.settle();
      await stop(raw);
      const closed = closing(out);
      abort.abort();
      expect(await closed).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    }));

  test('paused: the next connection waits for RESUME', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      await report(raw, 300);
      await stop(raw);
      await out.trigger('pause');
      expect(out.state).toBe('paused');
      const second = await startNext(raw);
      expect([out.state, out.latency]).toEqual(['paused', BUFFER + staged(3700)]);
      expect(second.operations).not.toContain('trigger start');
      await out.trigger('resume');
      await raw.machine.settle();
      expect([out.state, second.operations.at(-1)]).toEqual(['running', 'trigger start']);
      expect(written(second).equals(frames(300, 300 + BUFFER))).toBe(true);
    }));

  test('paused before, resumed meanwhile', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      await out.trigger('pause');
      await stop(raw);
      expect(out.state).toBe('paused');
      await out.trigger('resume');
      await startNext(raw);
      expect(out.state).toBe('running');
    }));

  test('paused while draining: it stays paused, and finishes after RESUME', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      const closed = closing(out);
      out.end(frames(0, 900));
      await raw.machine.settle();
      await report(raw, 300);
      await out.trigger('pause');
      await restart(raw);
      expect(out.state).toBe('paused');
      expect(written(raw.backend).equals(frames(300, 900))).toBe(true);
      await out.trigger('resume');
      await raw.machine.settle();
      expect(out.state).toBe('draining');
      await report(raw, 600);
      expect(await closed).toBeUndefined();
      expect(out.writableFinished).toBe(true);
    }));

  test.each(['pause', 'resume', 'start'] as const)(
    '%s that was on its way when it was lost has been carried out',
    (name) =>
      withRawCard('p', async (raw) => {
        const out = raw.card.createPlaybackStream(LASTING);
        out.write(name === 'start' ? frames(0, 10) : SOURCE);
        await raw.machine.settle();
        if (name === 'resume') await out.trigger('pause');
        raw.backend.holdRequests();
        const triggered = out.trigger(name);
        await raw.machine.settle();
        await restart(raw);
        await triggered;
        expect(out.state).toBe(name === 'pause' ? 'paused' : 'running');
      }),
  );

  test('start: the next connection does not wait for the threshold', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      out.write(frames(0, 10));
      await raw.machine.settle();
      await stop(raw);
      await out.trigger('start');
      await startNext(raw);
      expect(out.state).toBe('running');
    }));

  test('stop throws away what is left; what is written next is played', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      let isIn = false;
      out.write(frames(0, 1), () => {
        isIn = true;
      });
      await report(raw, 300);
      await stop(raw);
      await out.drop();
      out.write(frames(2000, 2900));
      await startNext(raw);
      expect(isIn).toBe(true);
      expect(written(raw.backend).equals(frames(2000, 2900))).toBe(true);
      expect([out.state, out.position]).toEqual(['running', 300]);
    }));

  test('stop after end(): there is nothing to wait for', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      out.end(frames(0, 900));
      await raw.machine.settle();
      await stop(raw);
      const closed = closing(out);
      await out.drop();
      expect(await closed).toBeUndefined();
      expect(out.writableFinished).toBe(true);
    }));

  test('stop that was on its way when it was lost', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      raw.backend.holdRequests();
      const dropped = out.drop();
      await raw.machine.settle();
      await stop(raw);
      await dropped;
      await startNext(raw);
      expect([out.state, out.latency]).toEqual(['prepared', 0]);
    }));
});

describe('lost while it drains', () => {
  test('the rest is played by the next backend, and then comes the end', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      const events = follow(out);
      out.end(frames(0, 900));
      await raw.machine.settle();
      await report(raw, 300);
      expect(out.state).toBe('draining');
      await restart(raw);
      expect([out.state, out.writableFinished]).toEqual(['draining', false]);
      expect(written(raw.backend).equals(frames(300, 900))).toBe(true);
      await report(raw, 600);
      await raw.machine.settle();
      expect(out.position).toBe(900);
      expect(events).toEqual([
        'open',
        ['disconnect', 'ERR_VSND_BACKEND_GONE', 300],
        ['reconnect', 300, 0],
        'finish',
        'close',
      ]);
    }));

  test('a backend that was killed is not taken for one that has stopped reporting', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      const events = follow(out);
      out.end(frames(0, 900));
      await raw.machine.settle();
      await report(raw, 300);
      await raw.backend.close();
      await raw.clock.advanceTime(10e9);
      expect(events).toEqual(['open', ['disconnect', 'ERR_VSND_BACKEND_GONE', 300]]);
      await startNext(raw);
      expect(written(raw.backend).equals(frames(300, 900))).toBe(true);
      await report(raw, 600);
      await raw.machine.settle();
      expect(events.slice(-2)).toEqual(['finish', 'close']);
    }));

  test('lost when all has been played, before CLOSE was answered: that is the end', () =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(LASTING);
      const closed = closing(out);
      out.end(frames(0, 900));
      await raw.machine.settle();
      raw.backend.holdRequests();
      await report(raw, 900);
      await stop(raw);
      expect(await closed).toBeUndefined();
      expect(out.writableFinished).toBe(true);
    }));
});

describe('with real backends, one after the other', () => {
  /** A guest with a card, and a host of its own for each backend, so that it can be killed. */
  async function startWorld() {
    const clock = new ManualClock();
    const machine = new EmulatedMachine({ clock });
    const guest = machine.createDomain();
    createSoundCard(machine, {
      frontendDomid: guest.domid,
      pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
    });
    const device = memoryDevice(machine.clock);
    let host: EmulatedDomain | undefined;
    let backend: Backend | undefined;
    const start = async () => {
      host = machine.startProcess(0);
      backend = await Backend.start(host, { deviceFor: () => device });
      await machine.settle();
    };
    const stop = async () => {
      await backend?.close();
      host?.exit();
    };
    const kill = () => host?.exit();
    await start();
    return { clock, machine, guest, device, start, stop, kill };
  }

  /** Where each connection's part of the sound begins and ends, in frames. */
  function followParts(out: PlaybackStream): { from: number; to: number }[] {
    const parts = [{ from: 0, to: Number.POSITIVE_INFINITY }];
    out.on('disconnect', ({ frames }) => {
      for (const part of parts.slice(-1)) part.to = frames;
    });
    out.on('reconnect', ({ frames }) => parts.push({ from: frames, to: Number.POSITIVE_INFINITY }));
    return parts;
  }

  const loss = fc.record({
    /** Frames of playing before it. */
    after: fc.integer({ min: 0, max: 3000 }),
    isKilled: fc.boolean(),
    /** ns until the next backend starts. */
    away: fc.constantFrom(0, 1e6, 0.5e9, 2e9, 6e9),
  });

  test('A, cut at the last frame that was reported, and B, cut so, and C are the source', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(loss, { minLength: 1, maxLength: 4 }), async (losses) => {
        const { clock, machine, guest, device, start, stop, kill } = await startWorld();
        const card = await openCard({ hypervisor: guest, reconnect: true });
        const out = card.createPlaybackStream(FORMAT);
        const parts = followParts(out);
        const closed = closing(out);
        const source = noise(10_000 * FRAME);
        out.end(source);
        for (const { after, isKilled, away } of losses) {
          await clock.advance(after);
          if (isKilled) kill();
          else await stop();
          await clock.advanceTime(away);
          await start();
          await clock.advanceTime(1e9);
        }
        await clock.advanceTime(20e9);
        expect(await closed).toBeUndefined();
        expect([out.writableFinished, out.position]).toEqual([true, 10_000]);
        const heard = parts.map(({ from, to }, take) => device.heard(take).slice(0, (to - from) * FRAME));
        expect(Buffer.concat(heard).equals(source)).toBe(true);
        await card.close();
        await stop();
        await machine.settle();
        machine.assertCleanedUp();
      }),
      { numRuns: 30 },
    );
  });

  test.each(Array.from({ length: 24 }, (_, turns) => turns))(
    'lost %i turns after a stream was created',
    async (turns) => {
      const { clock, machine, guest, device, start, stop } = await startWorld();
      const card = await openCard({ hypervisor: guest, reconnect: true });
      const out = card.createPlaybackStream(FORMAT);
      const closed = closing(out);
      out.end(frames(0, 900));
      for (let turn = 0; turn < turns; turn++) await machine.step();
      await stop();
      await start();
      await clock.advanceTime(1e9);
      expect(await closed).toBeUndefined();
      expect(Buffer.from(device.heard()).equals(frames(0, 900))).toBe(true);
      await card.close();
      await stop();
      await machine.settle();
      machine.assertCleanedUp();
    },
  );

  test('destroyed and lost at any time while it opens: nothing is left behind', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(15), fc.nat(15), async (stopped, destroyed) => {
        const { clock, machine, guest, stop } = await startWorld();
        const card = await openCard({ hypervisor: guest, reconnect: true });
        const out = card.createPlaybackStream(FORMAT);
        const closed = closing(out);
        const stopping: Promise<void>[] = [];
        for (let turn = 0; turn <= 15; turn++) {
          if (turn === stopped) stopping.push(stop());
          if (turn === destroyed) out.destroy();
          await machine.step();
        }
        await Promise.all(stopping);
        expect(await closed).toBeUndefined();
        const closing_ = card.close();
        await clock.advanceTime(4e9);
        await closing_;
        await machine.settle();
        machine.assertCleanedUp();
      }),
      { numRuns: 60 },
    );
  });

  // Not over stand-in devices: of a restored domain they do not have the grants.
  test.skipIf(IS_CARRIED)(
    'a guest that is saved and restored while it plays goes on, ten times',
    async () => {
      const { clock, machine, guest, device, stop } = await startWorld();
      const card = await openCard({ hypervisor: guest, reconnect: true });
      const out = card.createPlaybackStream(FORMAT);
      const parts = followParts(out);
      const closed = closing(out);
      const source = noise(30_000 * FRAME);
      out.end(source);
      for (let round = 0; round < 10; round++) {
        await clock.advance(777);
        restoreDomain(machine, guest.domid);
        await machine.settle();
        expect(card.info.path).toBe(`/local/domain/${guest.domid}/device/vsnd/0`);
        expect(out.state).toBe('running');
      }
      await clock.advanceTime(10e9);
      expect(await closed).toBeUndefined();
      expect(parts).toHaveLength(11);
      const heard = parts.map(({ from, to }, take) => device.heard(take).slice(0, (to - from) * FRAME));
      expect(Buffer.concat(heard).equals(source)).toBe(true);
      await card.close();
      await stop();
      await machine.settle();
      machine.assertCleanedUp();
    },
  );

  test.skipIf(IS_CARRIED)(
    'restored: without reconnect the stream ends, and the card is there again for the next one',
    async () => {
      const { clock, machine, guest, stop } = await startWorld();
      const card = await openCard({ hypervisor: guest });
      const out = card.createPlaybackStream(FORMAT);
      const closed = closing(out);
      out.write(SOURCE);
      await clock.advance(500);
      restoreDomain(machine, guest.domid);
      expect(await closed).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
      await machine.settle();
      expect(card.connected).toBe(true);
      const next = card.createPlaybackStream(FORMAT);
      next.write(SOURCE);
      await clock.advance(500);
      expect(next.position).toBe(500);
      await card.close();
      await stop();
      await machine.settle();
      machine.assertCleanedUp();
    },
  );
});
