import { describe, expect, it } from 'vitest';
import {
  CAPTURE_PHASES,
  CapturePacing,
  type CapturePhase,
  type CapturePhaseEvent,
} from '../../src/pcm/capture-pacing.ts';
import type { ReportOutcome } from '../../src/pcm/playback-pacing.ts';
import { knowsEvent, type SubstreamEvent, type SubstreamState } from '../../src/pcm/substream.ts';
import { FRAME } from '../sound.ts';

const STATES: readonly SubstreamState[] = [
  'closed',
  'closedHeld',
  'prepared',
  'preparedHeld',
  'running',
  'paused',
  'finished',
];

const RATE = 48000;
/** 64 frames. */
const PERIOD = 256;
const BUFFER = 4 * PERIOD;
const SIZES = { bufferFrames: 256, periodFrames: 64 };
const MOST = 10 * BUFFER;
const MINUTE = 60 * RATE * FRAME;

function opened(rate = RATE): CapturePacing {
  const pacing = new CapturePacing(FRAME, rate);
  pacing.open(SIZES);
  return pacing;
}

/** Started by a reader, who still waits. */
function started(rate = RATE): CapturePacing {
  const pacing = opened(rate);
  pacing.want();
  pacing.start();
  pacing.started();
  return pacing;
}

/** One that has captured so many bytes, of which `read` have been read; the reader wants more. */
function captured(bytes: number, read = 0): CapturePacing {
  const pacing = started();
  report(pacing, bytes);
  if (read > 0) takeOut(pacing, read);
  return pacing;
}

function takeOut(pacing: CapturePacing, length: number): void {
  pacing.ask(length);
  pacing.deliver();
  pacing.want();
}

function report(
  pacing: CapturePacing,
  position: number | bigint,
  state: SubstreamState = 'running',
): ReportOutcome {
  return pacing.report(BigInt(position), state);
}

/** What is due in each state, where anything is. */
function dues(pacing: CapturePacing): Partial<Record<SubstreamState, SubstreamEvent>> {
  const all = STATES.map((state) => [state, pacing.due(state)] as const);
  return Object.fromEntries(all.filter(([, due]) => due !== undefined));
}

describe('the phases of a capture', () => {
  const PHASES = Object.keys(CAPTURE_PHASES) as CapturePhase[];
  const EVENTS: readonly CapturePhaseEvent[] = [
    'begin',
    'start',
    'started',
    'stuck',
    'finish',
    'leave',
    'drop',
  ];
  const phaseAfter = (phase: CapturePhase, event: CapturePhaseEvent) => CAPTURE_PHASES[phase][event] ?? phase;

  it('lead from idle to a START that is answered', () => {
    expect(phaseAfter(phaseAfter(phaseAfter('idle', 'begin'), 'start'), 'started')).toBe('byPositions');
  });

  it('are finishing once they are to end, for good', () => {
    for (const phase of PHASES) expect(phaseAfter(phase, 'finish'), phase).toBe('finishing');
    for (const event of EVENTS) expect(phaseAfter('finishing', event), event).toBe('finishing');
  });

  it('begin again after a loss where they had begun, and after a drop where somebody reads', () => {
    for (const phase of ['begun', 'starting', 'byPositions', 'byAnswers'] as const) {
      expect([phaseAfter(phase, 'leave'), phaseAfter(phase, 'drop')], phase).toEqual(['begun', 'idle']);
    }
    expect([phaseAfter('idle', 'leave'), phaseAfter('idle', 'drop')]).toEqual(['idle', 'idle']);
  });

  it('are by answers where the position is stuck, until START is sent again', () => {
    for (const phase of ['starting', 'byPositions', 'byAnswers'] as const) {
      expect(phaseAfter(phase, 'stuck'), phase).toBe('byAnswers');
      expect(phaseAfter(phase, 'start'), phase).toBe('starting');
    }
    expect(phaseAfter('byAnswers', 'started')).toBe('byAnswers');
    expect(['idle', 'begun'].map((phase) => phaseAfter(phase as 'idle', 'stuck'))).toEqual(['idle', 'begun']);
  });

  it('do not begin twice', () => {
    for (const phase of PHASES) {
      expect(phaseAfter(phase, 'begin'), phase).toBe(phase === 'idle' ? 'begun' : phase);
    }
  });
});

describe('what is due in capture', () => {
  it('is nothing before anybody asks', () => {
    expect(dues(opened())).toEqual({});
  });

  it('is START where somebody reads, or has asked for it; once', () => {
    const read = opened();
    read.want();
    expect(dues(read)).toEqual({ prepared: 'start' });
    read.start();
    expect(dues(read)).toEqual({});
    const begun = opened();
    begun.begin();
    expect(dues(begun)).toEqual({ prepared: 'start' });
  });

  it('is an overrun where more was captured than the buffer holds, not where it is full', () => {
    expect(dues(captured(BUFFER))).toEqual({});
    expect(dues(captured(BUFFER + FRAME - 1))).toEqual({});
    expect(dues(captured(BUFFER + FRAME))).toEqual({ running: 'overrun' });
    expect(dues(captured(BUFFER + FRAME, FRAME))).toEqual({});
  });

  it('is an overrun where the counter falls by more than a period, until something explains that', () => {
    const pacing = captured(2 * PERIOD);
    report(pacing, PERIOD);
    expect(dues(pacing)).toEqual({});
    report(pacing, PERIOD - 1);
    expect(dues(pacing)).toEqual({ running: 'overrun' });
    report(pacing, 2 * PERIOD);
    expect(dues(pacing)).toEqual({});
  });

  it('is no overrun before START is answered again, nor where answers set the pace', () => {
    const pacing = captured(2 * BUFFER);
    pacing.start();
    expect(dues(pacing)).toEqual({});
    pacing.paceByAnswers();
    expect(dues(pacing)).toEqual({});
  });

  it('is to end, once it is finished and what there is has been read', () => {
    const ends = {
      closed: 'end',
      closedHeld: 'end',
      prepared: 'end',
      preparedHeld: 'end',
      running: 'end',
      paused: 'end',
    };
    const pacing = captured(PERIOD);
    pacing.ask(PERIOD);
    pacing.finish(0);
    expect(dues(pacing)).toEqual({});
    pacing.deliver();
    expect(dues(pacing)).toEqual(ends);
    for (const [state, due] of Object.entries(ends)) {
      expect(knowsEvent('capture', state as SubstreamState, due as SubstreamEvent)).toBe(true);
    }
  });
});

describe('what can be read', () => {
  it('is what has been captured and not been asked for, in whole frames', () => {
    const pacing = started();
    const readable = [0, 3, 4, 7, PERIOD].map((position) => {
      report(pacing, position);
      return [pacing.readable(MOST, 0, 'running'), pacing.latency];
    });
    expect(readable).toEqual([
      [0, 0],
      [0, 0],
      [4, 1],
      [4, 1],
      [PERIOD, 64],
    ]);
    expect(captured(PERIOD, 100).readable(MOST, 0, 'running')).toBe(PERIOD - 100);
  });

  it('is there while it runs or is paused', () => {
    const pacing = captured(PERIOD);
    const all = STATES.map((state) => [state, pacing.readable(MOST, 0, state)]);
    expect(Object.fromEntries(all)).toEqual({
      closed: 0,
      closedHeld: 0,
      prepared: 0,
      preparedHeld: 0,
      running: PERIOD,
      paused: PERIOD,
      finished: 0,
    });
  });

  it('is as much as the reader takes at once, a frame at least', () => {
    const pacing = captured(PERIOD);
    const readable = [0, 3, 4, 102, 104, PERIOD, PERIOD + 4].map((most) =>
      pacing.readable(most, 0, 'running'),
    );
    expect(readable).toEqual([4, 4, 4, 100, 104, PERIOD, PERIOD]);
  });

  it('is nothing where nobody reads, or a READ is under way', () => {
    const pacing = opened();
    pacing.begin();
    pacing.start();
    pacing.started();
    report(pacing, PERIOD);
    expect(pacing.readable(MOST, 0, 'running')).toBe(0);
    pacing.want();
    expect(pacing.readable(MOST, 0, 'running')).toBe(PERIOD);
    pacing.ask(FRAME);
    expect(pacing.readable(MOST, 0, 'running')).toBe(0);
    pacing.want();
    expect(pacing.readable(MOST, 0, 'running')).toBe(0);
    pacing.deliver();
    expect(pacing.readable(MOST, 0, 'running')).toBe(0);
    pacing.want();
    expect(pacing.readable(MOST, 0, 'running')).toBe(PERIOD - FRAME);
  });

  it('is nothing where the buffer has run over, or may have since the last report', () => {
    expect(captured(BUFFER).readable(MOST, 0, 'running')).toBe(BUFFER);
    expect(captured(BUFFER).readable(MOST, 1, 'running')).toBe(0);
    expect(captured(PERIOD).readable(MOST, 3 * PERIOD, 'running')).toBe(PERIOD);
    expect(captured(PERIOD).readable(MOST, 3 * PERIOD + 1, 'running')).toBe(0);
    expect(captured(BUFFER + FRAME).readable(MOST, 0, 'running')).toBe(0);
    const fallen = captured(2 * PERIOD);
    report(fallen, 0, 'paused');
    expect(fallen.readable(MOST, 0, 'paused')).toBe(0);
  });

  it('is put where the last ended, around the end of the buffer', () => {
    const pacing = captured(BUFFER);
    expect(pacing.ask(BUFFER - PERIOD)).toEqual([{ offset: 0, length: BUFFER - PERIOD }]);
    pacing.deliver();
    report(pacing, BUFFER + PERIOD);
    expect(pacing.ask(2 * PERIOD)).toEqual([
      { offset: BUFFER - PERIOD, length: PERIOD },
      { offset: 0, length: PERIOD },
    ]);
    pacing.deliver();
    report(pacing, BUFFER + 2 * PERIOD);
    expect(pacing.ask(FRAME)).toEqual([{ offset: PERIOD, length: FRAME }]);
  });

  it('is, where answers set the pace, a period, of a second at most, for one READ at a time', () => {
    const pacing = started();
    expect(pacing.isPacedByAnswers).toBe(false);
    expect(pacing.paceByAnswers()).toBe(false);
    expect(pacing.isPacedByAnswers).toBe(true);
    expect(pacing.readable(MOST, MOST, 'running')).toBe(PERIOD);
    expect(pacing.readable(100, 0, 'running')).toBe(100);
    pacing.ask(PERIOD);
    expect([pacing.readable(MOST, 0, 'running'), pacing.position, pacing.latency]).toEqual([0, 0, 0]);
    expect(pacing.answer(PERIOD)).toBe(false);
    expect(pacing.deliver()).toBe(true);
    expect([pacing.position, pacing.progress]).toEqual([64, PERIOD]);
    const slow = started(16);
    slow.paceByAnswers();
    expect(slow.readable(MOST, 0, 'running')).toBe(16 * FRAME);
  });

  it('moves nothing by being delivered, where positions set the pace', () => {
    const pacing = captured(PERIOD);
    pacing.ask(100);
    expect([pacing.answer(100), pacing.deliver(), pacing.position]).toEqual([false, false, 64]);
  });
});

describe('a report of what was captured', () => {
  it('means something while it runs or is paused, once START has been answered', () => {
    const outcomes = STATES.map((state) => [state, report(started(), FRAME, state)]);
    expect(Object.fromEntries(outcomes)).toEqual({
      closed: 'ignored',
      closedHeld: 'ignored',
      prepared: 'ignored',
      preparedHeld: 'ignored',
      running: 'moved',
      paused: 'moved',
      finished: 'ignored',
    });
    const starting = opened();
    starting.want();
    starting.start();
    expect([report(starting, BUFFER), starting.position]).toEqual(['ignored', 0]);
    starting.started();
    expect([report(starting, FRAME), starting.position]).toEqual(['moved', 1]);
  });

  it('moves nothing where it is late or doubled, and all at once where others were lost', () => {
    const pacing = started();
    const outcomes = [PERIOD, PERIOD, 8, 3 * PERIOD].map((at) => report(pacing, at));
    expect(outcomes).toEqual(['moved', 'still', 'still', 'moved']);
    expect([pacing.position, pacing.progress, pacing.latency]).toEqual([192, 3 * PERIOD, 192]);
  });

  it('of a foreign counter counts from the first period on', () => {
    const pacing = started();
    const first = BUFFER + 4 * PERIOD + 1;
    report(pacing, first);
    expect(pacing.progress).toBe(PERIOD);
    report(pacing, first + 100);
    expect(pacing.progress).toBe(PERIOD + 100);
  });

  it('that is the first, and is not foreign, is the buffer and two periods at most', () => {
    const pacing = started();
    report(pacing, BUFFER + 4 * PERIOD);
    expect(pacing.progress).toBe(BUFFER + 2 * PERIOD);
    const zero = started();
    report(zero, 0);
    report(zero, 2n ** 40n);
    expect(zero.progress).toBe(BUFFER + 2 * PERIOD);
  });

  it('that leaps is a minute more than the last at most', () => {
    const pacing = captured(PERIOD);
    report(pacing, PERIOD + MINUTE);
    expect(pacing.progress).toBe(PERIOD + MINUTE);
    report(pacing, 2n ** 63n);
    expect(pacing.progress).toBe(PERIOD + 2 * MINUTE);
  });

  it('says it is stuck where none has shown any movement: a whole buffer of them and two', () => {
    const pacing = started();
    expect(Array.from({ length: 7 }, () => report(pacing, 0))).toEqual([...Array(6).fill('still'), 'stuck']);
    pacing.paceByAnswers();
    expect([report(pacing, PERIOD), pacing.position]).toEqual(['still', 0]);
  });

  it('is not stuck where it has moved once, nor where it is paused, and has patience anew with each START', () => {
    const moved = captured(FRAME);
    expect(Array.from({ length: 20 }, () => report(moved, FRAME))).toEqual(Array(20).fill('still'));
    const paused = started();
    expect(Array.from({ length: 20 }, () => report(paused, 0, 'paused'))).toEqual(Array(20).fill('still'));
    const again = started();
    for (let times = 0; times < 6; times++) report(again, 0);
    again.start();
    again.restart();
    again.started();
    expect(Array.from({ length: 6 }, () => report(again, 0))).toEqual(Array(6).fill('still'));
  });
});

describe('frames that are lost', () => {
  it('in an overrun are those that were captured and not asked for; the position counts them', () => {
    const pacing = captured(BUFFER + PERIOD, FRAME);
    report(pacing, BUFFER + 2 * PERIOD);
    pacing.start();
    expect(pacing.restart()).toBe(383);
    expect([pacing.position, pacing.latency, pacing.progress]).toEqual([384, 0, 0]);
    pacing.started();
    expect(dues(pacing)).toEqual({});
    report(pacing, PERIOD);
    expect([pacing.position, pacing.latency]).toEqual([448, 64]);
    expect(pacing.ask(PERIOD)).toEqual([{ offset: 0, length: PERIOD }]);
  });

  it('by a counter that has fallen are no reason for another overrun', () => {
    const pacing = captured(2 * PERIOD);
    report(pacing, 0);
    pacing.start();
    expect(pacing.restart()).toBe(128);
    pacing.started();
    expect(dues(pacing)).toEqual({});
    expect(report(pacing, FRAME)).toBe('moved');
  });

  it('are none at the end where the buffer cannot have run over: they can be read, whether somebody waits or not', () => {
    const pacing = opened();
    pacing.begin();
    pacing.start();
    pacing.started();
    report(pacing, PERIOD);
    expect(pacing.finish(3 * PERIOD)).toBe(0);
    expect(pacing.readable(100, 0, 'running')).toBe(100);
    expect([report(pacing, 2 * PERIOD), pacing.latency]).toEqual(['ignored', 64]);
  });

  it('are, at the end, all where the buffer may have run over; that is said once', () => {
    const pacing = captured(PERIOD, FRAME);
    expect(pacing.finish(3 * PERIOD + FRAME + 1)).toBe(63);
    expect(pacing.finish(BUFFER)).toBe(0);
    expect([pacing.position, pacing.latency]).toEqual([64, 0]);
    expect(pacing.readable(MOST, 0, 'running')).toBe(0);
    expect(pacing.due('running')).toBe('end');
  });

  it('are, at the end, all where the counter has fallen while it was paused', () => {
    const pacing = captured(2 * PERIOD);
    report(pacing, 0, 'paused');
    expect(pacing.finish(0)).toBe(128);
    expect([pacing.position, pacing.latency, pacing.due('paused')]).toEqual([128, 0, 'end']);
  });

  it('are none at the end where answers set the pace, and where there was nothing', () => {
    const pacing = started();
    pacing.paceByAnswers();
    pacing.ask(PERIOD);
    expect(pacing.finish(MOST)).toBe(0);
    expect(opened().finish(MOST)).toBe(0);
  });

  it('can be told of by what is left, where the buffer has run over while the last of it was read', () => {
    const pacing = captured(2 * PERIOD);
    pacing.finish(0);
    pacing.ask(PERIOD);
    pacing.deliver();
    expect([pacing.readable(MOST, BUFFER, 'running'), pacing.finish(BUFFER)]).toEqual([0, 0]);
    expect([pacing.due('running'), pacing.latency]).toEqual(['end', 64]);
  });
});

describe('one session of a capture after another', () => {
  it('goes on from what was reported, and starts by itself', () => {
    const pacing = captured(PERIOD + 6);
    pacing.leave();
    expect([pacing.position, pacing.latency, pacing.progress]).toEqual([65, 0, 0]);
    pacing.open(SIZES);
    expect(dues(pacing)).toEqual({ prepared: 'start' });
    pacing.start();
    pacing.started();
    report(pacing, FRAME);
    expect([pacing.position, pacing.latency]).toEqual([66, 1]);
    expect(pacing.ask(FRAME)).toEqual([{ offset: 0, length: FRAME }]);
  });

  it('asks again for whom the last one has not answered', () => {
    const pacing = captured(PERIOD);
    pacing.ask(PERIOD);
    pacing.leave();
    pacing.open(SIZES);
    pacing.start();
    pacing.started();
    report(pacing, FRAME);
    expect(pacing.readable(MOST, 0, 'running')).toBe(FRAME);
  });

  it('asks for nobody where nobody had asked', () => {
    const pacing = captured(PERIOD);
    pacing.ask(PERIOD);
    pacing.deliver();
    pacing.leave();
    pacing.open(SIZES);
    pacing.start();
    pacing.started();
    report(pacing, FRAME);
    expect(pacing.readable(MOST, 0, 'running')).toBe(0);
  });

  it('ends at once where it was finishing', () => {
    const pacing = captured(PERIOD);
    pacing.ask(FRAME);
    pacing.finish(0);
    pacing.leave();
    expect([pacing.due('closed'), pacing.latency]).toEqual(['end', 0]);
  });

  it('has its own sizes, positions, and pace', () => {
    const pacing = captured(BUFFER);
    pacing.paceByAnswers();
    pacing.leave();
    pacing.open({ bufferFrames: 100, periodFrames: 50 });
    pacing.start();
    pacing.started();
    expect([pacing.isPacedByAnswers, report(pacing, 100 * FRAME)]).toEqual([false, 'moved']);
    expect(pacing.readable(MOST, 0, 'running')).toBe(100 * FRAME);
    expect(pacing.readable(MOST, 1, 'running')).toBe(0);
    takeOut(pacing, 90 * FRAME);
    report(pacing, 120 * FRAME);
    expect(pacing.ask(30 * FRAME)).toEqual([
      { offset: 90 * FRAME, length: 10 * FRAME },
      { offset: 0, length: 20 * FRAME },
    ]);
    pacing.paceByAnswers();
    pacing.deliver();
    pacing.want();
    expect(pacing.readable(MOST, 0, 'running')).toBe(50 * FRAME);
  });

  it('begins again after a drop only for whom waits', () => {
    const waits = captured(PERIOD);
    waits.drop();
    expect([waits.position, waits.latency]).toEqual([64, 0]);
    expect(dues(waits)).toEqual({ prepared: 'start' });
    const asked = captured(PERIOD);
    asked.ask(PERIOD);
    asked.drop();
    expect(dues(asked)).toEqual({ prepared: 'start' });
    asked.start();
    asked.started();
    report(asked, FRAME);
    expect(asked.readable(MOST, 0, 'running')).toBe(FRAME);
    const nobody = captured(PERIOD);
    nobody.ask(PERIOD);
    nobody.deliver();
    nobody.drop();
    expect(dues(nobody)).toEqual({});
    nobody.want();
    expect(dues(nobody)).toEqual({ prepared: 'start' });
  });

  it('has no end that the position could reach, and nothing that is to be played', () => {
    const pacing = captured(PERIOD);
    expect([pacing.end, pacing.unplayedFrames]).toEqual([Number.POSITIVE_INFINITY, 0]);
  });
});
