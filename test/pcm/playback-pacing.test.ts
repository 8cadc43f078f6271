import { describe, expect, it } from 'vitest';
import { PlaybackPacing, type PlaybackSizes, type ReportOutcome } from '../../src/pcm/playback-pacing.ts';
import { knowsEvent, type SubstreamEvent, type SubstreamState } from '../../src/pcm/substream.ts';
import { FRAME } from '../sound.ts';
import { thrownBy } from '../wire/support.ts';

const STATES: readonly SubstreamState[] = [
  'closed',
  'closedHeld',
  'prepared',
  'preparedHeld',
  'running',
  'paused',
  'underrun',
  'underrunHeld',
  'draining',
  'finished',
];

const RATE = 48000;
/** 64 frames. An eighth of it are 32 bytes. */
const PERIOD = 256;
const BUFFER = 4 * PERIOD;
const SIZES = { bufferFrames: 256, periodFrames: 64, startThresholdFrames: 192 };

/** Just opened, or with `queued` bytes put in and taken by the backend. */
function opened(queued = 0, sizes: Partial<PlaybackSizes> = {}): PlaybackPacing {
  const pacing = new PlaybackPacing(FRAME, RATE);
  pacing.open({ ...SIZES, ...sizes });
  put(pacing, queued);
  return pacing;
}

/** Puts `length` bytes in, which the backend takes at once. */
function put(pacing: PlaybackPacing, length: number): void {
  putUntaken(pacing, length);
  pacing.answer(length);
}

function putUntaken(pacing: PlaybackPacing, length: number): void {
  const untilWrap = Math.min(length, pacing.untilWrap);
  pacing.enqueue(untilWrap);
  pacing.enqueue(length - untilWrap);
}

/** A running one that has played `played` of `queued` bytes. */
function running(queued: number, played: number): PlaybackPacing {
  const pacing = opened(queued);
  if (played > 0) expect(report(pacing, played)).toBe('moved');
  return pacing;
}

function report(
  pacing: PlaybackPacing,
  position: number | bigint,
  state: SubstreamState = 'running',
): ReportOutcome {
  return pacing.report(BigInt(position), state);
}

/** What is due in each state, where anything is. */
function dues(pacing: PlaybackPacing): Partial<Record<SubstreamState, SubstreamEvent>> {
  const all = STATES.map((state) => [state, pacing.due(state)] as const);
  return Object.fromEntries(all.filter(([, due]) => due !== undefined));
}

describe('the room for playback', () => {
  it('is there before START, while it runs, is paused or has run dry; nowhere else', () => {
    const pacing = opened();
    const rooms = STATES.map((state) => [state, pacing.room(100 * FRAME, state)]);
    expect(Object.fromEntries(rooms)).toEqual({
      closed: 0,
      closedHeld: 0,
      prepared: 400,
      preparedHeld: 400,
      running: 400,
      paused: 400,
      underrun: 400,
      underrunHeld: 0,
      draining: 0,
      finished: 0,
    });
  });

  it('is never more than waits, nor than is free', () => {
    const pacing = running(BUFFER, 2 * PERIOD);
    expect([0, FRAME, 2 * PERIOD].map((pending) => pacing.room(pending, 'running'))).toEqual([
      0,
      FRAME,
      2 * PERIOD,
    ]);
    expect(pacing.room(Number.MAX_SAFE_INTEGER, 'running')).toBe(2 * PERIOD);
  });

  it('is of whole frames: a position inside one counts as the last whole one', () => {
    const pacing = opened(BUFFER);
    const rooms = [3, 4, 7, 401, 403, 404].map((at) => {
      report(pacing, at);
      return pacing.room(BUFFER, 'prepared'); // all of it
    });
    expect(rooms).toEqual([0, 4, 4, 400, 400, 404]);
  });

  it('ends at the end of a period rather than less than an eighth of one beyond, where more waits than is free', () => {
    const rooms = [PERIOD, PERIOD + FRAME, PERIOD + 28, PERIOD + 32, PERIOD + 36].map((played) =>
      running(BUFFER, played).room(BUFFER, 'running'),
    );
    expect(rooms).toEqual([PERIOD, PERIOD, PERIOD, PERIOD + 32, PERIOD + 36]);
  });

  it("is none where less than an eighth of a period is free, and all of it where that is at a period's end", () => {
    expect(running(BUFFER, 28).room(BUFFER, 'running')).toBe(0);
    const ends = opened(BUFFER - 28);
    expect(ends.room(BUFFER, 'running')).toBe(28);
  });

  it('is counted by periods of the stream, not by those that are free', () => {
    const pacing = running(BUFFER - 100, PERIOD); // free: 356, of which 100 up to the end of a period
    expect(pacing.room(BUFFER, 'running')).toBe(356);
    report(pacing, PERIOD + 12);
    expect(pacing.room(BUFFER, 'running')).toBe(356);
    report(pacing, PERIOD + 32);
    expect(pacing.room(BUFFER, 'running')).toBe(356 + 32);
  });

  it('is all that is free where nothing more waits, and before START', () => {
    const pacing = running(BUFFER, PERIOD + FRAME);
    expect(pacing.room(PERIOD + FRAME, 'running')).toBe(PERIOD + FRAME);
    const odd = opened(0, { bufferFrames: 258 });
    expect(['prepared', 'preparedHeld'].map((state) => odd.room(BUFFER * 2, state as 'prepared'))).toEqual([
      BUFFER + 8,
      BUFFER + 8,
    ]);
    expect(odd.room(BUFFER * 2, 'running')).toBe(BUFFER);
  });

  it('is not where the backend has not taken yet what lies there, whatever it says of its position', () => {
    const pacing = opened(PERIOD);
    putUntaken(pacing, 3 * PERIOD);
    report(pacing, 3 * PERIOD);
    expect(pacing.room(BUFFER, 'running')).toBe(PERIOD);
    pacing.answer(PERIOD);
    expect(pacing.room(BUFFER, 'running')).toBe(2 * PERIOD);
    pacing.answer(2 * PERIOD);
    expect(pacing.room(BUFFER, 'running')).toBe(3 * PERIOD);
  });

  it('is, where answers set the pace, a period for one WRITE at a time', () => {
    const pacing = opened(BUFFER);
    pacing.paceByAnswers();
    expect(pacing.room(BUFFER, 'running')).toBe(PERIOD);
    putUntaken(pacing, PERIOD);
    expect(pacing.room(BUFFER, 'running')).toBe(0);
    pacing.answer(PERIOD);
    expect(pacing.room(BUFFER, 'running')).toBe(PERIOD);
    expect(pacing.room(FRAME, 'running')).toBe(FRAME);
  });

  it('is, where answers set the pace, a second at most', () => {
    const pacing = new PlaybackPacing(FRAME, 16);
    pacing.open(SIZES);
    pacing.paceByAnswers();
    expect(pacing.room(BUFFER, 'running')).toBe(16 * FRAME);
  });

  it('is, where answers set the pace, no more than the buffer, where that is less than a period', () => {
    const pacing = opened(0, { bufferFrames: 32 });
    pacing.paceByAnswers();
    expect(pacing.room(BUFFER, 'running')).toBe(32 * FRAME);
  });
});

describe('what is put in', () => {
  it("goes on where the last ended, up to the buffer's end", () => {
    const pacing = opened();
    expect([pacing.offset, pacing.untilWrap]).toEqual([0, BUFFER]);
    pacing.enqueue(BUFFER - PERIOD);
    expect([pacing.offset, pacing.untilWrap]).toEqual([BUFFER - PERIOD, PERIOD]);
    pacing.enqueue(PERIOD);
    expect([pacing.offset, pacing.untilWrap]).toEqual([0, BUFFER]);
  });

  it('cannot be more than has room', () => {
    const pacing = running(BUFFER, PERIOD);
    expect(thrownBy(() => pacing.enqueue(PERIOD + FRAME))).toMatchObject({
      code: 'ERR_VSND_INVALID_STATE',
      message: '260 bytes into a room of 256',
    });
    expect(pacing.latency).toBe(192);
    pacing.enqueue(PERIOD);
    expect(pacing.latency).toBe(256);
  });

  it('is latency until it is reported as played: a frame played in part is not', () => {
    const pacing = opened(PERIOD);
    expect([pacing.latency, pacing.position, pacing.progress, pacing.end]).toEqual([64, 0, 0, 64]);
    report(pacing, 41);
    expect([pacing.latency, pacing.position, pacing.progress, pacing.end]).toEqual([54, 10, 41, 64]);
  });

  it('is acknowledged up to what was put in', () => {
    const pacing = opened();
    pacing.answer(BUFFER);
    putUntaken(pacing, PERIOD);
    pacing.paceByAnswers();
    expect(pacing.progress).toBe(0);
    pacing.answer(PERIOD - FRAME);
    expect(pacing.progress).toBe(PERIOD - FRAME);
    pacing.answer(PERIOD);
    expect(pacing.progress).toBe(PERIOD);
  });

  it('may all be still to come out where answers set the pace', () => {
    const pacing = running(PERIOD, FRAME);
    expect(pacing.unplayedFrames).toBe(63);
    pacing.paceByAnswers();
    expect(pacing.latency).toBe(0);
    expect(pacing.unplayedFrames).toBe(256);
  });
});

describe('a report of the position', () => {
  it('means something while it runs, is paused, has run dry, or drains', () => {
    const outcomes = STATES.map((state) => [state, report(opened(PERIOD), FRAME, state)]);
    expect(Object.fromEntries(outcomes)).toEqual({
      closed: 'ignored',
      closedHeld: 'ignored',
      prepared: 'ignored',
      preparedHeld: 'ignored',
      running: 'moved',
      paused: 'moved',
      underrun: 'moved',
      underrunHeld: 'moved',
      draining: 'moved',
      finished: 'ignored',
    });
  });

  it('that is ignored leaves nothing behind', () => {
    const pacing = opened(BUFFER);
    report(pacing, 2n ** 40n, 'prepared');
    expect(pacing.progress).toBe(0);
    expect(report(pacing, PERIOD)).toBe('moved');
    expect(pacing.progress).toBe(PERIOD);
  });

  it('moves nothing where it is late or doubled, and all at once where others were lost', () => {
    const pacing = opened(BUFFER);
    const outcomes = [PERIOD, PERIOD, 8, 3 * PERIOD, 3 * PERIOD - 4, BUFFER].map((at) => report(pacing, at));
    expect(outcomes).toEqual(['moved', 'still', 'still', 'moved', 'still', 'moved']);
    expect(pacing.progress).toBe(BUFFER);
  });

  it('beyond what was put in counts as all of that', () => {
    const pacing = opened(PERIOD);
    expect(report(pacing, PERIOD + FRAME)).toBe('moved');
    expect(pacing.progress).toBe(PERIOD);
    put(pacing, PERIOD);
    expect(pacing.progress).toBe(PERIOD);
  });

  it('of a foreign counter counts from the first period on', () => {
    const pacing = opened(BUFFER);
    report(pacing, 2n ** 40n);
    expect(pacing.progress).toBe(PERIOD);
    report(pacing, 2n ** 40n + 100n);
    expect(pacing.progress).toBe(PERIOD + 100);
  });

  it('of a counter that began again after it had run dry counts on from there', () => {
    const pacing = running(2 * PERIOD, 2 * PERIOD);
    expect(pacing.due('running')).toBe('dry');
    put(pacing, BUFFER);
    expect(report(pacing, PERIOD)).toBe('moved');
    expect(pacing.progress).toBe(3 * PERIOD);
  });

  it('of a counter that began again is known as such, too, where it was said once more that it stood', () => {
    const pacing = running(2 * PERIOD, 2 * PERIOD);
    pacing.due('running');
    put(pacing, BUFFER);
    expect([report(pacing, 2 * PERIOD), report(pacing, PERIOD)]).toEqual(['still', 'moved']);
    expect(pacing.progress).toBe(3 * PERIOD);
  });

  it('that is low is not believed at once after one that was far too high', () => {
    const pacing = running(2 * PERIOD, 2 * PERIOD);
    pacing.due('running');
    put(pacing, PERIOD);
    expect(report(pacing, 2n ** 40n, 'paused')).toBe('moved');
    put(pacing, 2 * PERIOD);
    expect(report(pacing, PERIOD + FRAME)).toBe('still');
    expect(pacing.progress).toBe(3 * PERIOD);
  });

  it('that is low where nothing had run dry is one that is late', () => {
    const pacing = running(2 * PERIOD, 2 * PERIOD);
    put(pacing, BUFFER);
    expect(report(pacing, 100)).toBe('still');
    expect(pacing.progress).toBe(2 * PERIOD);
  });

  it('that is low is one that is late, too, where it has moved on since it had run dry', () => {
    const pacing = running(2 * PERIOD, 2 * PERIOD);
    pacing.due('running');
    put(pacing, BUFFER);
    report(pacing, 3 * PERIOD);
    expect(report(pacing, PERIOD)).toBe('still');
    expect(pacing.progress).toBe(3 * PERIOD);
  });

  it('says it is stuck where none has shown any movement: a whole buffer of them and two, of what the backend has taken', () => {
    const pacing = opened(BUFFER);
    const outcomes = Array.from({ length: 7 }, () => report(pacing, 0));
    expect(outcomes).toEqual([...Array(6).fill('still'), 'stuck']);
  });

  it('is not stuck before the backend has taken anything', () => {
    const pacing = opened();
    putUntaken(pacing, BUFFER);
    expect(Array.from({ length: 20 }, () => report(pacing, 0))).toEqual(Array(20).fill('still'));
    pacing.answer(FRAME);
    expect(report(pacing, 0)).toBe('stuck');
  });

  it('is not stuck where it has moved once, nor where it is not meant to move', () => {
    const moved = running(BUFFER, FRAME);
    expect(Array.from({ length: 20 }, () => report(moved, FRAME))).toEqual(Array(20).fill('still'));
    for (const state of ['paused', 'underrun', 'draining'] as const) {
      const still = opened(BUFFER);
      const outcomes = Array.from({ length: 20 }, () => report(still, 0, state));
      expect(outcomes, state).toEqual(Array(20).fill('still'));
    }
  });

  it('says nothing any more where answers set the pace', () => {
    const pacing = opened(PERIOD);
    expect(pacing.isPacedByAnswers).toBe(false);
    expect(pacing.paceByAnswers()).toBe(true);
    expect([pacing.isPacedByAnswers, pacing.progress]).toEqual([true, PERIOD]);
    expect(pacing.paceByAnswers()).toBe(false);
    putUntaken(pacing, PERIOD);
    expect(report(pacing, 2 * PERIOD)).toBe('still');
    expect(pacing.progress).toBe(PERIOD);
    expect(pacing.answer(PERIOD)).toBe(true);
    expect(pacing.progress).toBe(2 * PERIOD);
  });

  it('is not taken back where answers set the pace from now on, and less has been answered', () => {
    const pacing = opened(PERIOD);
    putUntaken(pacing, PERIOD);
    report(pacing, PERIOD + FRAME);
    expect([pacing.paceByAnswers(), pacing.progress]).toEqual([false, PERIOD + FRAME]);
    expect([pacing.answer(PERIOD), pacing.progress]).toEqual([true, 2 * PERIOD]);
  });

  it('moves what an answer does not, where positions set the pace', () => {
    const pacing = opened();
    putUntaken(pacing, PERIOD);
    expect(pacing.answer(PERIOD)).toBe(false);
    expect(pacing.progress).toBe(0);
  });
});

describe('what is due in playback', () => {
  it('is nothing where data waits to be played', () => {
    expect(dues(running(PERIOD, FRAME))).toEqual({ underrun: 'refilled' });
  });

  it('is START with the threshold, the whole buffer at most; the first frame where it was asked for', () => {
    const startsAt = (pacing: PlaybackPacing): number => {
      for (let queued = 0; ; queued += FRAME) {
        if (pacing.due('prepared') === 'start') return queued;
        pacing.enqueue(FRAME);
      }
    };
    const wanted = (): PlaybackPacing => {
      const pacing = opened();
      pacing.begin();
      return pacing;
    };
    expect(startsAt(opened())).toBe(3 * PERIOD);
    expect(startsAt(opened(0, { startThresholdFrames: 2 }))).toBe(2 * FRAME);
    expect(startsAt(opened(0, { startThresholdFrames: 1e6 }))).toBe(BUFFER);
    expect(startsAt(wanted())).toBe(FRAME);
    expect(wanted().due('preparedHeld')).toBeUndefined();
  });

  it('is an underrun where all has been played by the position, and its end once more is in', () => {
    const pacing = running(PERIOD, PERIOD);
    expect(dues(pacing)).toEqual({ running: 'dry', draining: 'played' });
    putUntaken(pacing, FRAME);
    expect(dues(pacing)).toEqual({ underrun: 'refilled' });
  });

  it('is no underrun where answers set the pace', () => {
    const pacing = opened(PERIOD);
    pacing.paceByAnswers();
    expect(pacing.due('running')).toBeUndefined();
  });

  it('is, once all is in, to end: with START if it has not come to that, at once where there was nothing', () => {
    const nothing = opened();
    nothing.finish();
    expect(dues(nothing)).toEqual({
      closed: 'endEmpty',
      closedHeld: 'endEmpty',
      prepared: 'endEmpty',
      preparedHeld: 'endEmpty',
      running: 'end',
      underrun: 'end',
      draining: 'played',
    });
    const little = opened(FRAME);
    little.finish();
    expect(dues(little)).toEqual({ prepared: 'end', running: 'end', underrun: 'end' });
  });

  it('is never anything that the state does not know', () => {
    const pacings = [opened(), opened(FRAME), opened(BUFFER), running(BUFFER, BUFFER), opened(PERIOD)];
    pacings[4]?.paceByAnswers();
    for (const ends of [false, true]) {
      for (const pacing of pacings) {
        if (ends) pacing.finish();
        for (const [state, due] of Object.entries(dues(pacing))) {
          expect(knowsEvent('playback', state as SubstreamState, due), `${due} in ${state}`).toBe(true);
        }
      }
    }
  });
});

describe('the end of a drain', () => {
  it('is reached with the last byte', () => {
    const pacing = running(PERIOD, PERIOD - 1);
    expect(pacing.due('draining')).toBeUndefined();
    report(pacing, PERIOD, 'draining');
    expect(pacing.due('draining')).toBe('played');
  });

  it('is reached a frame before, where the position does not show it: the second report in a row says so', () => {
    const pacing = running(PERIOD, PERIOD - FRAME);
    expect(pacing.due('draining')).toBeUndefined();
    report(pacing, PERIOD - FRAME, 'draining');
    expect(pacing.due('draining')).toBe('playedNearly');
  });

  it('is not reached more than a frame before, however often it is said', () => {
    const pacing = running(PERIOD, PERIOD - FRAME - 1);
    for (let times = 0; times < 10; times++) report(pacing, PERIOD - FRAME - 1, 'draining');
    expect(pacing.due('draining')).toBeUndefined();
    report(pacing, PERIOD - FRAME, 'draining');
    expect(pacing.due('draining')).toBeUndefined();
  });

  it('is not reached by reports of before the last frame was there', () => {
    const pacing = running(PERIOD, PERIOD);
    report(pacing, PERIOD);
    put(pacing, FRAME);
    expect(pacing.due('draining')).toBeUndefined();
    report(pacing, PERIOD, 'draining');
    expect(pacing.due('draining')).toBe('playedNearly');
  });

  it('is not reached by reports of an earlier session', () => {
    const pacing = running(PERIOD, PERIOD - FRAME);
    report(pacing, PERIOD - FRAME, 'draining');
    pacing.leave();
    pacing.open(SIZES);
    put(pacing, FRAME);
    expect(pacing.due('draining')).toBeUndefined();
  });

  it('is reached, where answers set the pace, with the last answer; CLOSE plays out what was taken', () => {
    const pacing = opened();
    putUntaken(pacing, PERIOD);
    pacing.paceByAnswers();
    expect(pacing.due('draining')).toBeUndefined();
    pacing.answer(PERIOD);
    expect(pacing.due('draining')).toBe('playedNearly');
  });
});

describe('what has not been played', () => {
  it('is what is in the buffer, from the frame on that has been played in part', () => {
    const pacing = running(BUFFER, PERIOD + 7);
    expect(pacing.unplayed).toEqual([{ offset: PERIOD + 4, length: 3 * PERIOD - 4 }]);
    put(pacing, PERIOD);
    expect(pacing.unplayed).toEqual([
      { offset: PERIOD + 4, length: 3 * PERIOD - 4 },
      { offset: 0, length: PERIOD },
    ]);
    report(pacing, BUFFER + PERIOD);
    expect(pacing.unplayed).toEqual([]);
  });

  it('is the rest of the period behind the last byte, where it is to be silent', () => {
    const pacing = opened();
    expect(pacing.restOfPeriod).toEqual([]);
    put(pacing, FRAME);
    expect(pacing.restOfPeriod).toEqual([{ offset: FRAME, length: PERIOD - FRAME }]);
    put(pacing, PERIOD - 2 * FRAME);
    expect(pacing.restOfPeriod).toEqual([{ offset: PERIOD - FRAME, length: FRAME }]);
    put(pacing, FRAME);
    expect(pacing.restOfPeriod).toEqual([]);
  });

  it('is not made silent, and the rest of a period wraps', () => {
    const pacing = opened(250 * FRAME, { bufferFrames: 250 });
    expect(pacing.restOfPeriod).toEqual([]);
    report(pacing, 13);
    expect(pacing.restOfPeriod).toEqual([{ offset: 0, length: 12 }]);
    report(pacing, PERIOD);
    expect(pacing.restOfPeriod).toEqual([{ offset: 0, length: 24 }]);
    const wraps = opened(240 * FRAME, { bufferFrames: 250 });
    report(wraps, PERIOD);
    expect(wraps.restOfPeriod).toEqual([
      { offset: 960, length: 40 },
      { offset: 0, length: 24 },
    ]);
  });

  it('is not made silent where the backend has not taken it, whatever it says of its position', () => {
    const pacing = opened(0, { bufferFrames: 250 });
    putUntaken(pacing, 250 * FRAME);
    report(pacing, 250 * FRAME);
    expect(pacing.restOfPeriod).toEqual([]);
    pacing.answer(8);
    expect(pacing.restOfPeriod).toEqual([{ offset: 0, length: 8 }]);
  });
});

describe('one session after another', () => {
  it('goes on from what was reported as played; a frame in part was not', () => {
    const pacing = running(BUFFER, PERIOD + 6);
    pacing.leave();
    expect([pacing.position, pacing.end, pacing.latency, pacing.progress]).toEqual([65, 65, 0, 0]);
    pacing.open(SIZES);
    put(pacing, PERIOD);
    report(pacing, 2 * FRAME);
    expect([pacing.position, pacing.end, pacing.latency, pacing.progress]).toEqual([67, 129, 62, 8]);
  });

  it('has its own sizes', () => {
    const pacing = opened(PERIOD);
    pacing.leave();
    pacing.open({ bufferFrames: 100, periodFrames: 50, startThresholdFrames: 3 });
    expect(pacing.room(BUFFER, 'prepared')).toBe(400);
    put(pacing, 3 * FRAME);
    expect(pacing.due('prepared')).toBe('start');
    expect(pacing.restOfPeriod).toEqual([{ offset: 12, length: 188 }]);
  });

  it('begins with positions anew, and its own patience', () => {
    const pacing = opened(BUFFER);
    for (let times = 0; times < 6; times++) report(pacing, 0);
    pacing.paceByAnswers();
    pacing.leave();
    pacing.open(SIZES);
    expect(pacing.isPacedByAnswers).toBe(false);
    put(pacing, BUFFER);
    expect(report(pacing, 0)).toBe('still');
    expect(report(pacing, PERIOD)).toBe('moved');
    expect(pacing.progress).toBe(PERIOD);
  });

  it('has taken nothing yet', () => {
    const pacing = opened(BUFFER);
    pacing.leave();
    pacing.open(SIZES);
    putUntaken(pacing, PERIOD);
    expect([pacing.paceByAnswers(), pacing.progress]).toEqual([false, 0]);
  });

  it('begins with a counter of its own, which is not one that began again', () => {
    const pacing = running(PERIOD, PERIOD);
    pacing.due('running'); // dry: it stood at a period
    pacing.leave();
    pacing.open(SIZES);
    put(pacing, BUFFER);
    report(pacing, PERIOD);
    report(pacing, FRAME);
    expect(pacing.progress).toBe(PERIOD);
  });

  it('ends anew when all is in again, and starts at once if that was ever asked for', () => {
    const pacing = opened();
    pacing.begin();
    put(pacing, PERIOD);
    pacing.finish();
    pacing.leave();
    expect(dues(pacing)).toEqual({ running: 'dry', draining: 'played' });
    pacing.open(SIZES);
    put(pacing, FRAME);
    expect(pacing.due('prepared')).toBe('start');
    pacing.finish();
    expect(pacing.due('prepared')).toBe('end');
  });

  it('after a drop waits for its threshold again', () => {
    const pacing = running(BUFFER, PERIOD);
    pacing.begin();
    pacing.finish();
    pacing.drop();
    expect([pacing.position, pacing.end, pacing.latency]).toEqual([64, 64, 0]);
    pacing.open(SIZES);
    put(pacing, FRAME);
    expect(pacing.due('prepared')).toBeUndefined();
  });

  it('goes on as before when START is answered', () => {
    const pacing = running(BUFFER, PERIOD);
    pacing.started();
    expect([pacing.position, pacing.latency, pacing.due('running')]).toEqual([64, 192, undefined]);
  });
});
