import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import type { StreamWarning } from '../../src/frontend/stream-events.ts';
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
/** Frames: more than three buffers, and no whole number of periods. */
const TOTAL = 3330;
const SOURCE = noise(TOTAL * FRAME);
/** A reading that is nothing of ours. */
const FOREIGN = 2 ** 32 + 12_345;

/** What a backend sends at the end of a period; `played`: the frames its device had played by the last ones, and by now. */
type Report = (backend: RawBackend, played: readonly number[]) => void;

const now = (played: readonly number[]) => played.at(-1) ?? 0;
const before = (played: readonly number[]) => played.at(-2) ?? 0;
const send = (backend: RawBackend, frames: number) => backend.sendPosition(Math.max(0, frames) * FRAME);

function framesWritten(backend: RawBackend): number {
  return backend.written.reduce((sum, { length }) => sum + length, 0) / FRAME;
}

function collectWarnings(out: PlaybackStream): string[] {
  const codes: string[] = [];
  out.on('warning', ({ code }: StreamWarning) => codes.push(code));
  return codes;
}

/** A device plays what has been written, period after period, until the stream has ended; gives the most that was ahead of it. */
async function play({ backend, clock }: RawCard, out: PlaybackStream, report: Report): Promise<number> {
  const played: number[] = [];
  const closed = closing(out);
  let ahead = 0;
  for (let periods = 0; !out.closed; periods++) {
    expect(periods, 'the stream is frozen').toBeLessThan(1000);
    const written = framesWritten(backend);
    ahead = Math.max(ahead, written - now(played));
    played.push(Math.min(now(played) + PERIOD, written));
    report(backend, played);
    await clock.advance(PERIOD);
  }
  expect(await closed).toBeUndefined();
  return ahead;
}

/** Plays the source with a backend that reports like this: all of it is written, once and in order, and 'finish' comes. */
async function playSource(raw: RawCard, report: Report, listener?: () => void) {
  const out = raw.card.createPlaybackStream(FORMAT);
  if (listener !== undefined) out.on('position', listener);
  const warnings = collectWarnings(out);
  out.end(SOURCE);
  await raw.machine.settle();
  const ahead = await play(raw, out, report);
  expect(out.writableFinished).toBe(true);
  expect(Buffer.concat(raw.backend.written).equals(SOURCE)).toBe(true);
  const end = raw.backend.operations.includes('trigger stop') ? 'STOP, CLOSE' : 'CLOSE';
  return { position: out.position, underruns: out.underruns, warnings, ahead, end };
}

describe('whatever a backend makes of its position, every frame is played once', () => {
  const played: [string, Report][] = [
    ['the truth', (backend, played) => send(backend, now(played))],
    ['a first position that is not 0', (backend, played) => played.length > 4 && send(backend, now(played))],
    ['0 at first', (backend, played) => send(backend, played.length > 4 ? now(played) : 0)],
    ['a counter that others share', (backend, played) => send(backend, FOREIGN + now(played))],
    ['everything twice', (backend, played) => [1, 2].map(() => send(backend, now(played)))],
    ['late by a period', (backend, played) => send(backend, before(played))],
    [
      'the new one, then the old one',
      (backend, played) => [now, before].map((of) => send(backend, of(played))),
    ],
    [
      'steps that are not its periods',
      (backend, played) => send(backend, now(played) === TOTAL ? TOTAL : now(played) - (now(played) % 192)),
    ],
    [
      'every second one lost, its id used up',
      (backend, played) => {
        if (played.length % 2 === 0) backend.sendPosition(now(played) * FRAME, played.length);
      },
    ],
    [
      'a step too much at the end',
      (backend, played) => send(backend, now(played) + (now(played) === TOTAL ? 192 : 0)),
    ],
  ];
  test.each(played)('%s', (_, report) =>
    withRawCard('p', async (raw) => {
      expect(await playSource(raw, report)).toEqual({
        position: TOTAL,
        underruns: 0,
        warnings: [],
        ahead: BUFFER,
        end: 'STOP, CLOSE',
      });
    }),
  );

  const nearly: [string, Report][] = [
    ['a frame too low, always', (backend, played) => send(backend, now(played) - 1)],
    ['a byte too low, always', (backend, played) => backend.sendPosition(now(played) * FRAME - 1)],
  ];
  test.each(nearly)('%s: CLOSE, without STOP, plays the last one', (_, report) =>
    withRawCard('p', async (raw) => {
      expect(await playSource(raw, report)).toEqual({
        position: TOTAL - 1,
        underruns: 0,
        warnings: [],
        ahead: BUFFER,
        end: 'CLOSE',
      });
    }),
  );

  test('what it has not taken yet is not overwritten, whatever it says', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(SOURCE.subarray(0, BUFFER * FRAME));
      await machine.settle();
      const letGo = backend.holdRequests();
      out.write(SOURCE.subarray(BUFFER * FRAME));
      send(backend, 400);
      await machine.settle();
      send(backend, BUFFER);
      send(backend, 2 * BUFFER);
      await machine.settle();
      letGo();
      await machine.settle();
      expect(Buffer.concat(backend.written).equals(SOURCE.subarray(0, framesWritten(backend) * FRAME))).toBe(
        true,
      );
      expect(framesWritten(backend)).toBeGreaterThanOrEqual(2 * BUFFER);
    }));

  const jumps: [string, Report][] = [
    [
      'far beyond what was written',
      (backend, played) => send(backend, played.length === 5 ? FOREIGN : now(played)),
    ],
    [
      'to the end of all numbers',
      (backend, played) =>
        backend.sendPosition(played.length === 5 ? 2n ** 64n - 1n : BigInt(now(played) * FRAME)),
    ],
  ];
  test.each(jumps)(
    'one jump %s counts as all that was written, and one that comes back is waited for',
    (_, report) =>
      withRawCard('p', async (raw) => {
        const atOnce = () => {}; // who listens finds each position at once
        expect(await playSource(raw, report, atOnce)).toEqual({
          position: TOTAL,
          underruns: 1,
          warnings: [],
          ahead: 2 * BUFFER - PERIOD,
          end: 'STOP, CLOSE',
        });
      }),
  );

  test('half a second of them lost: an underrun at the backend, and it goes on with the first that arrives', () =>
    withRawCard('p', async (raw) => {
      const isLost = (period: number) => period > 5 && period < 245;
      const report: Report = (backend, played) => {
        if (!isLost(played.length)) backend.sendPosition(now(played) * FRAME, played.length);
      };
      expect(await playSource(raw, report)).toMatchObject({ position: TOTAL, underruns: 1, warnings: [] });
    }));

  test('any mixture of them', async () => {
    const lie = fc.record({
      /** Periods by which it is late. */
      late: fc.constantFrom(0, 0, 0, 1, 2),
      times: fc.constantFrom(0, 1, 1, 1, 2, 3),
      bytes: fc.constantFrom(0, 0, 1, 3, 4),
    });
    const lies = fc
      .array(lie, { minLength: 1, maxLength: 20 })
      .filter((all) => all.some(({ times }) => times > 0));
    const bases = fc.constantFrom(0n, 0n, BigInt(FOREIGN), 2n ** 53n - 10_000n, 2n ** 63n);
    await fc.assert(
      fc.asyncProperty(lies, bases, (all, base) =>
        withRawCard('p', async (raw) => {
          const report: Report = (backend, played) => {
            const truth = { late: 0, times: 1, bytes: 0 }; // the first one says where a shared counter stood
            const { late, times, bytes } = (played.length > 1 && all[played.length % all.length]) || truth;
            const position = BigInt(Math.max(0, (played.at(-1 - late) ?? 0) * FRAME - bytes));
            for (let n = 0; n < times; n++) backend.sendPosition(base + position);
          };
          const { ahead } = await playSource(raw, report);
          expect(ahead).toBe(BUFFER);
        }),
      ),
      { numRuns: 60 },
    );
  });
});

describe('where the backend ran dry', () => {
  /** Two parts, the second one written when the device stands; `report` is told the frames of each part that were played. */
  async function playParts(
    raw: RawCard,
    report: (backend: RawBackend, first: number, second: number) => void,
  ) {
    const out = raw.card.createPlaybackStream(FORMAT);
    const half = 950;
    const parts = [SOURCE.subarray(0, half * FRAME), SOURCE.subarray(half * FRAME)];
    const closed = closing(out);
    out.write(parts[0]);
    for (let first = 0; first < half; ) {
      first = Math.min(half, first + PERIOD);
      await raw.clock.advance(PERIOD);
      report(raw.backend, first, 0);
    }
    await raw.clock.advance(3 * PERIOD);
    out.end(parts[1]);
    await raw.machine.settle();
    for (let second = 0; !out.closed; ) {
      expect(raw.clock.now(), 'the stream is frozen').toBeLessThan(10e9);
      const written = framesWritten(raw.backend) - half;
      expect(written - second).toBeLessThanOrEqual(BUFFER);
      second = Math.min(written, second + PERIOD);
      await raw.clock.advance(PERIOD);
      report(raw.backend, half, second);
    }
    expect(await closed).toBeUndefined();
    expect(Buffer.concat(raw.backend.written).equals(SOURCE)).toBe(true);
    return { position: out.position, underruns: out.underruns };
  }

  test('its counter goes on from there', () =>
    withRawCard('p', async (raw) => {
      const report = (backend: RawBackend, first: number, second: number) => send(backend, first + second);
      expect(await playParts(raw, report)).toEqual({ position: TOTAL, underruns: 1 });
    }));

  test('its counter begins at 0 again', () =>
    withRawCard('p', async (raw) => {
      const report = (backend: RawBackend, first: number, second: number) => send(backend, second || first);
      expect(await playParts(raw, report)).toEqual({ position: TOTAL, underruns: 1 });
    }));

  test('its counter begins at 0 again, after it has told of an end one frame too low', () =>
    withRawCard('p', async (raw) => {
      const report = (backend: RawBackend, first: number, second: number) =>
        send(backend, second || first - 1);
      expect(await playParts(raw, report)).toEqual({ position: TOTAL - 1, underruns: 0 });
    }));

  test('it went on counting past what was written, and then skips what comes too late', () =>
    withRawCard('p', async ({ backend, card, clock, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      const finished = closing(out);
      out.write(SOURCE.subarray(0, 950 * FRAME));
      await machine.settle();
      let counter = 0;
      const count = async (until: number) => {
        for (; counter < until && !out.closed; counter += PERIOD) {
          send(backend, counter + PERIOD);
          await clock.advance(PERIOD);
        }
      };
      await count(1500);
      expect([out.position, out.state, out.underruns]).toEqual([950, 'underrun', 1]);
      out.end(SOURCE.subarray(950 * FRAME));
      await count(2 * TOTAL);
      expect(await finished).toBeUndefined();
      expect(Buffer.concat(backend.written).equals(SOURCE)).toBe(true);
    }));
});

describe('a position that never moves', () => {
  /** Lets the backend take one WRITE, and what goes before it, each time that the function returned is called. */
  function throttle(backend: RawBackend): () => void {
    let letGo = () => {};
    backend.answer = (request) => {
      if (request?.op === 'write') letGo = backend.holdRequests();
      return {};
    };
    return () => letGo();
  }

  async function playPaced(raw: RawCard, report: (backend: RawBackend) => void) {
    const { backend, card, clock } = raw;
    const out = card.createPlaybackStream(FORMAT);
    const warnings = collectWarnings(out);
    const takeOne = throttle(backend);
    const closed = closing(out);
    out.end(SOURCE);
    for (let periods = 0; !out.closed; periods++) {
      expect(periods, 'the stream is frozen').toBeLessThan(1000);
      report(backend);
      await clock.advance(PERIOD);
      takeOne();
    }
    expect(await closed).toBeUndefined();
    expect(Buffer.concat(backend.written).equals(SOURCE)).toBe(true);
    expect(Math.max(...backend.written.slice(1).map(({ length }) => length))).toBe(PERIOD * FRAME);
    expect([out.position, out.underruns]).toEqual([TOTAL, 0]);
    expect(backend.operations.at(-1)).toBe('close');
    expect(backend.operations).not.toContain('trigger stop');
    return warnings;
  }

  test('0 for ever: answered WRITEs set the pace, a period at a time, with one warning; CLOSE plays out', () =>
    withRawCard('p', async (raw) => {
      expect(await playPaced(raw, (backend) => send(backend, 0))).toEqual(['VSND_POSITION_STUCK']);
    }));

  test('no events at all: the same, after a second in which nothing came', () =>
    withRawCard('p', async (raw) => {
      expect(await playPaced(raw, () => {})).toEqual(['VSND_POSITION_STUCK']);
      expect(raw.backend.operations.filter((name) => name === 'getVolume')).toHaveLength(1);
      expect(raw.clock.now()).toBeGreaterThan(1e9);
    }));

  test('a buffer and two periods of zeros are not yet for ever, and one more is', () =>
    withRawCard('p', async ({ backend, card, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      const warnings = collectWarnings(out);
      out.write(SOURCE);
      await machine.settle();
      for (let periods = 0; periods < 12; periods++) send(backend, 0);
      await machine.settle();
      expect([out.position, warnings]).toEqual([0, []]);
      send(backend, 0);
      await machine.settle();
      expect(warnings).toEqual(['VSND_POSITION_STUCK']);
      const { position } = out;
      send(backend, 17); // whatever it says later: what was taken counts
      await machine.settle();
      expect(out.position).toBe(position);
    }));

  test('one WRITE at a time: a device that is full may take its time for each', () =>
    withRawCard('p', async ({ backend, card, clock, machine }) => {
      const out = card.createPlaybackStream({ rate: 8000, channels: 1, format: 'u8', bufferFrames: 40_000 });
      const bytes = noise(100_000);
      out.write(bytes);
      await machine.settle();
      const before = backend.written.length;
      for (let periods = 0; periods < 11; periods++) send(backend, 0);
      const takeOne = throttle(backend);
      let unanswered = 0;
      const count = (by: number) => (message: unknown) => {
        if ((message as { request: { op: string } }).request.op === 'write') unanswered += by;
      };
      const [asked, answered] = [count(1), count(-1)];
      subscribe('vsnd:request', asked);
      subscribe('vsnd:response', answered);
      for (let taken = 1; taken < 6; taken++) {
        takeOne();
        await clock.advanceTime(2.9e9);
        expect([backend.written.length, unanswered]).toEqual([before + taken, 1]);
      }
      unsubscribe('vsnd:request', asked);
      unsubscribe('vsnd:response', answered);
      expect(out.destroyed).toBe(false);
      const written = Buffer.concat(backend.written);
      expect(written.equals(bytes.subarray(0, written.length))).toBe(true);
    }));

  test.each([
    ['0 for ever', (backend: RawBackend) => send(backend, 0)],
    ['no events', () => {}],
  ])('a source shorter than the buffer, %s: CLOSE when it must have been played', (_, report) =>
    withRawCard('p', async (raw) => {
      const out = raw.card.createPlaybackStream(FORMAT);
      const warnings = collectWarnings(out);
      const closed = closing(out);
      out.end(SOURCE.subarray(0, 800 * FRAME));
      await raw.machine.settle();
      for (let periods = 0; periods < 9; periods++) {
        report(raw.backend);
        await raw.clock.advance(PERIOD);
      }
      expect(raw.backend.operations.at(-1)).toBe('trigger start');
      await raw.clock.advance(PERIOD);
      expect(await closed).toBeUndefined();
      expect(out.writableFinished).toBe(true);
      expect(raw.backend.operations.slice(-2)).toEqual(['getVolume', 'close']);
      expect(warnings).toEqual(['VSND_DRAIN_STALLED']);
    }),
  );
});

test('a stream that ran, and stands still before its end: CLOSE when that must have been played', () =>
  withRawCard('p', async (raw) => {
    const out = raw.card.createPlaybackStream(FORMAT);
    const warnings = collectWarnings(out);
    const closed = closing(out);
    out.write(SOURCE.subarray(0, 950 * FRAME));
    await raw.clock.advance(300);
    send(raw.backend, 300);
    await raw.machine.settle();
    expect(out.state).toBe('running');
    out.end();
    await raw.clock.advance(650 + 2 * PERIOD - 1);
    expect([out.state, raw.backend.operations.at(-1)]).toEqual(['draining', 'trigger start']);
    await raw.clock.advance(1);
    expect(await closed).toBeUndefined();
    expect(warnings).toEqual(['VSND_DRAIN_STALLED']);
  }));

test('a frame too low only once: the last one is waited for', () =>
  withRawCard('p', async (raw) => {
    const out = raw.card.createPlaybackStream(FORMAT);
    const closed = closing(out);
    out.end(SOURCE.subarray(0, 950 * FRAME));
    await raw.machine.settle();
    send(raw.backend, 949);
    await raw.machine.settle();
    expect(out.state).toBe('draining');
    send(raw.backend, 950);
    expect(await closed).toBeUndefined();
    expect([out.position, raw.backend.operations.at(-2)]).toEqual([950, 'trigger stop']);
  }));

describe('a notification that is lost', () => {
  test('of a position: it is found when nothing has moved for a second', () =>
    withRawCard('p', async ({ backend, card, clock, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(SOURCE);
      await machine.settle();
      backend.putPosition(100 * FRAME);
      await clock.advanceTime(0.99e9);
      expect(out.positionReports).toBe(0); // whoever asked for the position would find it
      await clock.advanceTime(0.02e9);
      expect([out.positionReports, out.position]).toEqual([1, 100]);
      expect(backend.operations.at(-1)).toBe('write');
      backend.putPosition(200 * FRAME);
      await clock.advanceTime(1e9);
      expect(out.position).toBe(200);
    }));

  test('of the last position: it is found when all must have been played', () =>
    withRawCard('p', async ({ backend, card, clock, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      const warnings = collectWarnings(out);
      const closed = closing(out);
      out.end(SOURCE.subarray(0, 800 * FRAME));
      await machine.settle();
      backend.putPosition(800 * FRAME);
      await clock.advance(1000);
      expect(await closed).toBeUndefined();
      expect(warnings).toEqual([]);
      expect(backend.operations.slice(-2)).toEqual(['trigger stop', 'close']);
    }));

  test('any one of them, of requests and positions alike', async () => {
    const lost = fc.record({ after: fc.nat(40), count: fc.integer({ min: 1, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(lost, async (occasions) => {
        const { guest, card } = await startCard();
        guest.machine.faults.loseNotifications({ domid: 1, ...occasions });
        const out = card.createPlaybackStream(FORMAT);
        const closed = closing(out);
        out.end(SOURCE);
        expect(await playUntil(guest, closed)).toBeUndefined();
        expect(Buffer.from(guest.device.heard()).equals(SOURCE)).toBe(true);
        await card.close();
      }),
      { numRuns: 40 },
    );
  });
});

describe('a backend that is silent', () => {
  test('dead while the buffer is full and nothing is asked: gone after a second, and three for the answer', () =>
    withRawCard('p', async ({ backend, card, clock, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      const closed = closing(out);
      out.write(SOURCE);
      await machine.settle();
      await clock.advanceTime(0.3e9);
      send(backend, 100);
      await machine.settle();
      backend.holdRequests();
      await clock.advanceTime(0.999e9);
      expect(backend.requests.at(-1)?.request?.op).toBe('write');
      await clock.advanceTime(0.002e9);
      expect(backend.requests.at(-1)?.request?.op).toBe('getVolume');
      await clock.advanceTime(2.997e9);
      expect(out.destroyed).toBe(false);
      await clock.advanceTime(0.003e9);
      expect(await closed).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE', errno: 'ETIMEDOUT' });
    }));

  test('one that takes its time to answer is asked once', () =>
    withRawCard('p', async ({ backend, card, clock, machine }) => {
      const out = card.createPlaybackStream(FORMAT);
      out.write(SOURCE);
      await machine.settle();
      send(backend, 100);
      await machine.settle();
      const letGo = backend.holdRequests();
      await clock.advanceTime(3.5e9);
      letGo();
      await machine.settle();
      expect(backend.operations.filter((name) => name === 'getVolume')).toHaveLength(1);
    }));

  test('one with a long buffer is given its time', () =>
    withRawCard('p', async ({ backend, card, clock, machine }) => {
      const sizes = { bufferFrames: 40_000, periodFrames: 10_000 }; // 5 s, 1.25 s
      const out = card.createPlaybackStream({ rate: 8000, channels: 1, format: 'u8', ...sizes });
      out.write(noise(100_000));
      await machine.settle();
      await clock.advanceTime(7.4e9);
      expect(backend.operations.at(-1)).toBe('trigger start');
      await clock.advanceTime(0.2e9);
      expect(backend.operations).toContain('getVolume');
    }));

  test('one that answers all but WRITE is as good as dead', () =>
    withRawCard('p', async ({ backend, card, clock, machine }) => {
      backend.answer = (request) => (request?.op === 'write' ? undefined : {});
      const out = card.createPlaybackStream(FORMAT);
      const closed = closing(out);
      out.write(SOURCE);
      await machine.settle();
      await clock.advanceTime(2.9e9);
      await out.setVolume(-3); // is answered: that changes nothing
      expect(out.destroyed).toBe(false);
      await clock.advanceTime(0.1e9);
      expect(await closed).toMatchObject({
        code: 'ERR_VSND_BACKEND_GONE',
        message: 'the backend has not answered WRITE for 3 s',
      });
    }));

  test('one whose device stands still, and which answers, is waited for: asked once a second', () =>
    withRawCard('p', async (raw) => {
      const { backend, card, clock, machine } = raw;
      const out = card.createPlaybackStream(FORMAT);
      const warnings = collectWarnings(out);
      out.end(SOURCE);
      await machine.settle();
      for (const position of [100, 101, 102]) {
        send(backend, position);
        await clock.advanceTime(4.9e9);
        const latency = BUFFER - (position - 100) + staged(TOTAL - BUFFER - 100); // a frame or two are not worth a WRITE
        expect([out.position, out.latency, out.state, warnings]).toEqual([position, latency, 'running', []]);
      }
      expect(backend.operations.filter((name) => name === 'getVolume')).toHaveLength(12);
      await play(raw, out, (_, played) => send(backend, now(played)));
      expect(Buffer.concat(backend.written).equals(SOURCE)).toBe(true);
      expect(warnings).toEqual([]);
    }));

  test('but not for ever: a count that has gone wrong must not freeze the stream', () =>
    withRawCard('p', async (raw) => {
      const { backend, card, clock, machine } = raw;
      const out = card.createPlaybackStream(FORMAT);
      const warnings = collectWarnings(out);
      out.end(SOURCE);
      const finished = once(out, 'finish');
      await machine.settle();
      send(backend, 100);
      await clock.advanceTime(5.1e9);
      expect(warnings).toEqual(['VSND_POSITION_STUCK']);
      await finished;
      expect(Buffer.concat(backend.written).equals(SOURCE)).toBe(true);
    }));

  test('as long as positions come nothing else is asked', () =>
    withRawCard('p', async (raw) => {
      const { operations } = raw.backend;
      await playSource(raw, (backend, played) => send(backend, now(played)));
      expect(operations).not.toContain('getVolume');
    }));
});

describe('the position against the clock', () => {
  test('goes on between reports, stands while paused, and never passes what was written', async () => {
    const { guest, card } = await startCard();
    const out = card.createPlaybackStream(FORMAT);
    expect(out.clock.frames).toBe(0);
    out.write(noise(1000 * FRAME));
    await guest.clock.advance(400);
    const { frames } = out.clock;
    expect(frames).toBeGreaterThan(0);
    await guest.clock.advance(50);
    expect(out.position).toBe(400);
    expect(out.clock.frames - frames).toBeCloseTo(50, 0);
    await out.trigger('pause');
    const standing = out.clock.frames;
    await guest.clock.advance(10_000);
    expect(out.clock.frames - standing).toBeLessThan(PERIOD);
    const held = out.clock.frames;
    await guest.clock.advance(10_000);
    expect(out.clock.frames).toBe(held);
    await out.trigger('resume');
    for (let rounds = 0; rounds < 30; rounds++) {
      await guest.clock.advance(77);
      expect(out.clock.frames).toBeLessThanOrEqual(1000);
      expect(Math.abs(out.clock.frames - out.position)).toBeLessThanOrEqual(PERIOD + out.clock.errorFrames);
    }
    expect(out.clock.frames).toBe(1000);
    await card.close();
  });
});
