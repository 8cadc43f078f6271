import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import type { SndifTriggerName } from '../../src/wire/sndif.ts';
import { FRAME, noise, STEREO } from '../sound.ts';
import type { RawBackend } from './raw-backend.ts';
import { closing, playUntil, type RawCard, staged, startCard, withRawCard } from './setup.ts';

const BUFFER = 1000;
const PERIOD = 100;
const FORMAT = {
  ...STEREO,
  bufferFrames: BUFFER,
  periodFrames: PERIOD,
} as const;
/** Where little waits beside the buffer. */
const TIGHT = { ...FORMAT, highWaterMark: 100 * FRAME } as const;
const SOURCE = noise(5000 * FRAME);

const frames = (from: number, to: number) => SOURCE.subarray(from * FRAME, to * FRAME);

/** The triggers that went over the wire, in order. */
function triggers({ operations }: RawBackend): string[] {
  return operations.filter((name) => name.startsWith('trigger ')).map((name) => name.slice(8));
}

/** Refuses one trigger with a status. */
function refuse(backend: RawBackend, trigger: SndifTriggerName, status: number): void {
  backend.answer = (request) => (request?.op === 'trigger' && request.trigger === trigger ? { status } : {});
}

/** A stream that plays, with its buffer full and more to come. */
async function startPlaying({ card, machine }: RawCard): Promise<PlaybackStream> {
  const out = card.createPlaybackStream(FORMAT);
  out.write(SOURCE);
  await machine.settle();
  expect([out.state, out.latency]).toEqual(['running', BUFFER + staged(4000)]);
  return out;
}

/** Reports the position of a device that has played so much. */
async function report({ backend, machine }: RawCard, played: number): Promise<void> {
  backend.sendPosition(played * FRAME);
  await machine.settle();
}

describe("'start'", () => {
  test('plays what is there, below the threshold, and resolves when the backend has answered', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(frames(0, 10));
      await machine.settle();
      expect(out.state).toBe('prepared');
      const letGo = backend.holdRequests();
      let isAnswered = false;
      const started = out.trigger('start').then(() => {
        isAnswered = true;
      });
      await machine.settle();
      expect([out.state, isAnswered, triggers(backend)]).toEqual(['running', false, ['start']]);
      letGo();
      await started;
    }));

  test('before there is anything to play: the first frame starts it', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      await out.trigger('start');
      await machine.settle();
      expect([out.state, triggers(backend)]).toEqual(['prepared', []]);
      out.write(frames(0, 1));
      await machine.settle();
      expect([out.state, triggers(backend)]).toEqual(['running', ['start']]);
    }));

  test('before the stream is open', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(frames(0, 10));
      await out.trigger('start');
      expect(backend.operations).toEqual([]);
      await machine.settle();
      expect([out.state, triggers(backend)]).toEqual(['running', ['start']]);
    }));

  test('of a paused stream: it plays with RESUME, below the threshold', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(frames(0, 10));
      await machine.settle();
      await out.trigger('pause');
      await out.trigger('start');
      expect([out.state, triggers(backend)]).toEqual(['paused', []]);
      await out.trigger('resume');
      expect(out.state).toBe('running');
      await machine.settle();
      expect(triggers(backend)).toEqual(['start']);
    }));

  test('while it plays, or twice: nothing goes over the wire', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      await Promise.all([out.trigger('start'), out.trigger('start')]);
      await raw.machine.settle();
      expect(triggers(raw.backend)).toEqual(['start']);
    }));

  test('refused: the trigger rejects, and the stream ends with the same', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      refuse(backend, 'start', -32);
      const out = card.createPlaybackStream(FORMAT);
      const closed = closing(out);
      out.write(frames(0, 10));
      await machine.settle();
      const failure = { code: 'ERR_VSND_STATUS', errno: 'EPIPE', message: expect.stringContaining('START') };
      await expect(out.trigger('start')).rejects.toMatchObject(failure);
      expect(await closed).toMatchObject(failure);
    }));
});

describe("'pause' and 'resume'", () => {
  test('of what plays: PAUSE, and the buffer is filled up; RESUME, and it goes on', () =>
    withRawCard('p', async (raw) => {
      const { backend } = raw;
      const out = await startPlaying(raw);
      const letGo = backend.holdRequests();
      const paused = out.trigger('pause');
      expect(out.state).toBe('paused');
      await report(raw, 300); // on its way before PAUSE
      letGo();
      await paused;
      await raw.machine.settle();
      expect([out.state, out.position, out.latency]).toEqual(['paused', 300, BUFFER + staged(3700)]);
      await raw.clock.advanceTime(60e9); // no time is too long
      await out.trigger('resume');
      await report(raw, 400);
      expect([out.state, out.position, out.latency]).toEqual(['running', 400, BUFFER + staged(3600)]);
      expect(triggers(backend)).toEqual(['start', 'pause', 'resume']);
      expect(Buffer.concat(backend.written).equals(frames(0, 400 + BUFFER))).toBe(true);
    }));

  test('are idempotent', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      await out.trigger('resume');
      await Promise.all([out.trigger('pause'), out.trigger('pause')]);
      await out.trigger('pause');
      await Promise.all([out.trigger('resume'), out.trigger('resume')]);
      await out.trigger('resume');
      expect(triggers(raw.backend)).toEqual(['start', 'pause', 'resume']);
      expect(out.state).toBe('running');
    }));

  test('in one breath: both go over the wire, in order', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      await Promise.all([out.trigger('pause'), out.trigger('resume'), out.trigger('pause')]);
      expect(triggers(raw.backend)).toEqual(['start', 'pause', 'resume', 'pause']);
      expect(out.state).toBe('paused');
    }));

  test('before the stream is open: it opens, fills its buffer, and starts with RESUME', () =>
    withRawCard('p', async (raw) => {
      const { backend, card, machine } = raw;
      const out = card.createPlaybackStream(FORMAT);
      await out.trigger('pause');
      expect(out.state).toBe('paused');
      out.write(SOURCE);
      await machine.settle();
      expect([out.state, out.latency, triggers(backend)]).toEqual(['paused', BUFFER + staged(4000), []]);
      await out.trigger('resume');
      await machine.settle();
      expect([out.state, triggers(backend)]).toEqual(['running', ['start']]);
      await report(raw, 100);
      expect(Buffer.concat(backend.written).equals(frames(0, 100 + BUFFER))).toBe(true);
    }));

  test('before and after it is open: nothing has happened', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      await out.trigger('pause');
      await out.trigger('resume');
      expect(out.state).toBe('closed');
      await once(out, 'open');
      await machine.settle();
      await out.trigger('pause');
      await out.trigger('resume');
      expect([out.state, triggers(backend)]).toEqual(['prepared', []]);
    }));

  test('below the threshold: START only after RESUME', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(frames(0, 10));
      await machine.settle();
      await out.trigger('pause');
      out.write(frames(10, 2000));
      await machine.settle();
      expect([out.state, out.latency, triggers(backend)]).toEqual(['paused', BUFFER + staged(1000), []]);
      await out.trigger('resume');
      await machine.settle();
      expect([out.state, triggers(backend)]).toEqual(['running', ['start']]);
    }));

  test('in an underrun: nothing goes over the wire, what is written waits for RESUME', () =>
    withRawCard('p', async (raw) => {
      const { backend, card, machine } = raw;
      const out = card.createPlaybackStream(FORMAT);
      out.write(frames(0, 950));
      await machine.settle();
      await report(raw, 950);
      expect(out.state).toBe('underrun');
      await out.trigger('pause');
      out.write(frames(950, 1200));
      await machine.settle();
      expect([out.state, out.latency, triggers(backend)]).toEqual(['paused', staged(250), ['start']]);
      await out.trigger('resume');
      await machine.settle();
      expect([out.state, out.latency, triggers(backend)]).toEqual(['running', 250, ['start']]);
      await report(raw, 1200);
      expect(out.underruns).toBe(2);
    }));

  test('refused with EBADFD, as a device that has run dry does: paused all the same', () =>
    withRawCard('p', async (raw) => {
      const { backend, card, machine } = raw;
      refuse(backend, 'pause', -77);
      const out = card.createPlaybackStream(FORMAT);
      out.write(frames(0, 950));
      await machine.settle();
      await out.trigger('pause');
      expect(out.state).toBe('paused');
      out.write(frames(950, 1000));
      await machine.settle();
      expect(backend.written).toHaveLength(1);
      await out.trigger('resume');
      await machine.settle();
      expect([out.state, triggers(backend)]).toEqual(['running', ['start', 'pause']]);
      await report(raw, 1000);
      expect(out.position).toBe(1000);
      const closed = closing(out);
      out.end();
      expect(await closed).toBeUndefined();
    }));

  test('refused with EBADFD, and RESUME likewise, in one breath', () =>
    withRawCard('p', async (raw) => {
      const { backend } = raw;
      const out = await startPlaying(raw);
      const isDry = (trigger: string) => trigger === 'pause' || trigger === 'resume';
      backend.answer = (request) =>
        request?.op === 'trigger' && isDry(request.trigger) ? { status: -77 } : {};
      await Promise.all([out.trigger('pause'), out.trigger('resume')]);
      expect(out.state).toBe('running');
    }));

  test.each([
    [-5, 'EIO'],
    [-22, 'EINVAL'],
    [-9999, undefined],
  ])('PAUSE refused with %i rejects with that, and the stream plays on', (status, errno) =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      refuse(raw.backend, 'pause', status);
      const refused = out.trigger('pause');
      await expect(refused).rejects.toMatchObject({
        code: 'ERR_VSND_STATUS',
        status,
        ...(errno && { errno }),
      });
      expect(out.state).toBe('running');
      await report(raw, 100);
      expect([out.position, out.latency]).toEqual([100, BUFFER + staged(3900)]);
    }),
  );

  test('PAUSE refused while draining: it drains on', () =>
    withRawCard('p', async (raw) => {
      const { backend, card, machine } = raw;
      refuse(backend, 'pause', -5);
      const out = card.createPlaybackStream(FORMAT);
      const closed = closing(out);
      out.end(frames(0, 950));
      await machine.settle();
      await expect(out.trigger('pause')).rejects.toMatchObject({ errno: 'EIO' });
      expect(out.state).toBe('draining');
      await report(raw, 950);
      expect(await closed).toBeUndefined();
      expect(out.writableFinished).toBe(true);
    }));

  test('RESUME refused rejects with that, and the stream is as alive as its backend', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      refuse(raw.backend, 'resume', -5);
      await out.trigger('pause');
      await expect(out.trigger('resume')).rejects.toMatchObject({ errno: 'EIO' });
      expect(out.destroyed).toBe(false);
    }));

  test('while a write is blocked: its callback waits for the sound', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(TIGHT);
    let isIn = false;
    out.write(frames(0, 1500), () => {
      isIn = true;
    });
    await guest.machine.settle();
    await out.trigger('pause');
    await guest.clock.advance(100_000);
    expect([isIn, out.position, out.latency, out.state]).toEqual([false, 0, BUFFER + staged(100), 'paused']);
    await out.trigger('resume');
    await guest.clock.advance(500);
    expect([isIn, out.position]).toEqual([true, 500]);
    out.end();
    await playUntil(guest, once(out, 'close'));
    expect(Buffer.from(guest.device.heard()).equals(frames(0, 1500))).toBe(true);
    expect(out.underruns).toBe(0);
    await card.close();
  });

  test('while it drains: the rest is played after RESUME, and then comes the end', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(FORMAT);
    const closed = closing(out);
    out.end(frames(0, 900));
    await guest.machine.settle();
    await guest.clock.advance(300);
    expect(out.state).toBe('draining');
    await out.trigger('pause');
    await guest.clock.advance(100_000);
    expect([out.state, out.position, out.writableFinished]).toEqual(['paused', 300, false]);
    await out.trigger('resume');
    expect(out.state).toBe('draining');
    await guest.clock.advance(599);
    expect(out.writableFinished).toBe(false);
    await guest.clock.advance(1);
    expect(await closed).toBeUndefined();
    expect(Buffer.from(guest.device.heard()).equals(frames(0, 900))).toBe(true);
    await card.close();
  });

  test('end() of a paused stream waits for RESUME', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(FORMAT);
    const closed = closing(out);
    out.write(frames(0, 950));
    await guest.machine.settle();
    await out.trigger('pause');
    out.end(frames(950, 1400));
    await guest.clock.advance(100_000);
    expect([out.state, out.writableFinished]).toEqual(['paused', false]);
    await out.trigger('resume');
    expect(await playUntil(guest, closed)).toBeUndefined();
    expect(Buffer.from(guest.device.heard()).equals(frames(0, 1400))).toBe(true);
    await card.close();
  });

  test('end() of a paused stream that has no data ends it', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(FORMAT);
    await once(out, 'open');
    await out.trigger('pause');
    const closed = closing(out);
    out.end();
    expect(await closed).toBeUndefined();
    await guest.machine.settle();
    await card.close();
  });

  test('destroy() of a paused stream: STOP, CLOSE', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      await out.trigger('pause');
      out.destroy();
      await once(out, 'close');
      expect(raw.backend.operations.slice(-3)).toEqual(['trigger pause', 'trigger stop', 'close']);
    }));

  test('do not clash with Node’s own: a paused stream is written to as ever', async () => {
    const { card } = await startCard();
    const out = card.createPlaybackStream(FORMAT);
    await out.trigger('pause');
    expect([out.writable, out.writableCorked]).toEqual([true, 0]);
    await card.close();
  });
});

describe("'stop'", () => {
  test('throws away what was written, and plays what is written next from a new OPEN', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      const out = await startPlaying(raw);
      await report(raw, 300);
      await out.trigger('stop');
      expect(triggers(backend)).toEqual(['start', 'stop']);
      expect(backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
      for (const late of [400, 500, 1300]) await report(raw, late); // some come after STOP
      expect([out.state, out.position, out.latency]).toEqual(['prepared', 300, 0]);
      backend.written.length = 0;
      out.end(frames(2000, 2950));
      await machine.settle();
      expect(backend.operations.slice(-6)).toEqual([
        'close',
        'hwParamQuery',
        'hwParamQuery',
        'open',
        'write',
        'trigger start',
      ]);
      const closed = closing(out);
      await report(raw, 950); // it counts from 0 again
      expect(await closed).toBeUndefined();
      expect([out.position, out.writableFinished]).toEqual([1250, true]);
      expect(Buffer.concat(backend.written).equals(frames(2000, 2950))).toBe(true);
    }));

  test('positions of the last OPEN that are still in the event page count for nothing', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      const out = await startPlaying(raw);
      backend.answer = (request) => {
        if (request?.op === 'close')
          for (let played = 400; played < 1000; played += 100) backend.putPosition(played * FRAME);
        return {};
      };
      await out.drop();
      out.write(frames(0, 1200));
      await machine.settle();
      expect([out.state, out.position, out.latency]).toEqual(['running', 0, BUFFER + staged(200)]);
    }));

  test('calls the callbacks of what was thrown away, in order, without an error', () =>
    withRawCard('p', async (raw) => {
      const { card, machine, backend } = raw;
      const out = card.createPlaybackStream(TIGHT);
      await once(out, 'open');
      const called: unknown[] = [];
      for (const [n, length] of [5000, 10, 20].entries()) {
        out.write(noise(length * FRAME), (error) => called.push([n, error ?? 'no error']));
      }
      await machine.settle();
      expect([called, out.writableNeedDrain]).toEqual([[], true]);
      const drained = once(out, 'drain');
      await out.drop();
      await drained;
      expect(called).toEqual([0, 1, 2].map((n) => [n, 'no error']));
      expect([out.writableLength, out.writableNeedDrain]).toEqual([0, false]);
      backend.written.length = 0;
      out.write(frames(0, 900));
      await machine.settle();
      expect(Buffer.concat(backend.written).equals(frames(0, 900))).toBe(true);
    }));

  test.each([
    ['before the stream is open', 0],
    ['while its first data are on the way', 1],
  ])('%s: only what is written next is played', (_, turns) =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(noise(700 * FRAME, 2));
      out.write(noise(900 * FRAME, 3));
      if (turns > 0) await once(out, 'open');
      backend.written.length = 0;
      const dropped = out.drop();
      out.write(frames(0, 500));
      out.write(frames(500, 900));
      await dropped;
      await machine.settle();
      expect(out.state).toBe('running');
      const all = Buffer.concat(backend.written);
      expect(all.subarray(-900 * FRAME).equals(frames(0, 900))).toBe(true);
      expect(out.latency).toBe(900);
    }),
  );

  test('what a listener of ‘drain’ writes is written next', () =>
    withRawCard('p', async (raw) => {
      const { card, machine, backend } = raw;
      const out = card.createPlaybackStream(TIGHT);
      await once(out, 'open');
      out.write(noise(5000 * FRAME, 2));
      out.write(noise(30 * FRAME, 3));
      await machine.settle();
      backend.written.length = 0;
      out.once('drain', () => out.write(frames(0, 900)));
      await out.drop();
      await machine.settle();
      expect(Buffer.concat(backend.written).equals(frames(0, 900))).toBe(true);
    }));

  test('a part of a frame that was written before is thrown away as well', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(noise(10 * FRAME + 3));
      await machine.settle();
      await out.drop();
      backend.written.length = 0;
      out.write(frames(0, 900));
      await machine.settle();
      expect(Buffer.concat(backend.written).equals(frames(0, 900))).toBe(true);
    }));

  test('below the threshold: the threshold counts anew', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(frames(0, 10));
      await machine.settle();
      await out.trigger('start');
      await out.drop();
      out.write(frames(0, 10));
      await machine.settle();
      expect([out.state, out.latency]).toEqual(['prepared', 10]);
      await out.drop();
      expect(backend.operations.slice(-3)).toEqual(['write', 'trigger stop', 'close']);
      await machine.settle();
    }));

  test('of a paused stream: it stays paused, and plays what is written next after RESUME', () =>
    withRawCard('p', async (raw) => {
      const { backend, machine } = raw;
      const out = await startPlaying(raw);
      await out.trigger('pause');
      await out.trigger('stop');
      out.write(frames(0, 900));
      await machine.settle();
      expect([out.state, out.latency, triggers(backend)]).toEqual([
        'paused',
        900,
        ['start', 'pause', 'stop'],
      ]);
      await out.trigger('resume');
      await machine.settle();
      expect([out.state, triggers(backend).at(-1)]).toEqual(['running', 'start']);
    }));

  test('several in one breath: one CLOSE, one OPEN', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      await Promise.all([out.drop(), out.drop(), out.trigger('stop')]);
      await raw.machine.settle();
      const count = (op: string) => raw.backend.operations.filter((name) => name === op).length;
      expect([count('close'), count('open'), out.state]).toEqual([1, 2, 'prepared']);
    }));

  test('while it drains: ‘finish’ comes, without the rest', () =>
    withRawCard('p', async (raw) => {
      const { backend, card, machine } = raw;
      const out = card.createPlaybackStream(FORMAT);
      const closed = closing(out);
      out.end(frames(0, 950));
      await machine.settle();
      await report(raw, 300);
      await out.drop();
      expect(await closed).toBeUndefined();
      expect([out.writableFinished, out.position]).toEqual([true, 300]);
      expect(backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    }));

  test('after end(), with the rest of the data still waiting: ‘finish’ comes', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const closed = closing(out);
      out.end();
      await out.drop();
      expect(await closed).toBeUndefined();
      expect(out.writableFinished).toBe(true);
    }));

  test.each(['running', 'draining'])(
    'of a stream that was paused when %s, after end(): ‘finish’ comes',
    (state) =>
      withRawCard('p', async (raw) => {
        const out = raw.card.createPlaybackStream(FORMAT);
        const closed = closing(out);
        out.write(SOURCE.subarray(0, state === 'running' ? 2000 * FRAME : 950 * FRAME));
        out.end();
        await raw.machine.settle();
        expect(out.state).toBe(state);
        await out.trigger('pause');
        await out.drop();
        expect(await closed).toBeUndefined();
        expect(out.writableFinished).toBe(true);
      }),
  );

  test('CLOSE refused: the trigger rejects, the stream opens again', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      raw.backend.answer = (request) => (request?.op === 'close' ? { status: -5 } : {});
      await expect(out.drop()).rejects.toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EIO' });
      await raw.machine.settle();
      expect(out.state).toBe('prepared');
      raw.backend.answer = () => ({});
    }));

  test('OPEN refused: the stream ends with that', () =>
    withRawCard('p', async (raw) => {
      const out = await startPlaying(raw);
      const closed = closing(out);
      raw.backend.answer = (request) => (request?.op === 'open' ? { status: -16 } : {});
      await out.drop();
      expect(await closed).toMatchObject({ code: 'ERR_VSND_STATUS', errno: 'EBUSY' });
    }));

  test('is heard as a cut', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(FORMAT);
    out.write(frames(0, 3000));
    await guest.machine.settle();
    await guest.clock.advance(500);
    await out.drop();
    out.end(frames(4000, 5000));
    await playUntil(guest, once(out, 'close'));
    expect(Buffer.from(guest.device.heard(0)).equals(frames(0, 500))).toBe(true);
    expect(Buffer.from(guest.device.heard(1)).equals(frames(4000, 5000))).toBe(true);
    expect(out.position).toBe(1500);
    await card.close();
  });
});

describe('misuse', () => {
  test.each(['flush', 'START', '', 7, undefined, null, {}, 'constructor'])(
    '%o is no trigger',
    async (name) => {
      const { card } = await startCard();
      const out = card.createPlaybackStream(FORMAT);
      const trigger = () => out.trigger(name as 'start');
      expect(trigger).toThrow(
        expect.objectContaining({
          code: 'ERR_VSND_INVALID_ARG',
          option: 'trigger',
          message: expect.stringMatching(/^trigger is .*; allowed: start, pause, resume, stop$/),
        }),
      );
      await card.close();
    },
  );

  test.each(['start', 'pause', 'resume', 'stop'] as const)('%s after the end rejects', async (name) => {
    const { card } = await startCard();
    const out = card.createPlaybackStream(FORMAT);
    out.end();
    await once(out, 'close');
    await expect(out.trigger(name)).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_STATE',
      message: 'the stream has ended',
    });
    await card.close();
  });
});
