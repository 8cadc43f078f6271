import { describe, expect, test } from 'vitest';
import { CapturePacing } from '../../src/pcm/capture-pacing.ts';
import { PlaybackPacing } from '../../src/pcm/playback-pacing.ts';
import { FRAME } from '../sound.ts';

const RATE = 48_000;
/** 64 frames, of which the buffer has four. */
const PERIOD = 256;
const BUFFER = 4 * PERIOD;
const SIZES = { bufferFrames: 256, periodFrames: 64 };

function playing(queued = BUFFER): PlaybackPacing {
  const pacing = new PlaybackPacing(FRAME, RATE);
  pacing.open({ ...SIZES, startThresholdFrames: 64 });
  pacing.enqueue(queued);
  pacing.answer(queued);
  return pacing;
}

function capturing(): CapturePacing {
  const pacing = new CapturePacing(FRAME, RATE);
  pacing.open(SIZES);
  pacing.want();
  pacing.start();
  pacing.started();
  return pacing;
}

describe('playback is lent', () => {
  test('from START on, by a counter that begins at 0', () => {
    const loan = { queued: BUFFER, applied: BUFFER, position: 0, origin: 0n };
    expect(playing().lend('running')).toEqual(loan);
  });

  test('by a counter that is not its own: from one period before its first position', () => {
    const pacing = playing();
    pacing.report(1_000_000n, 'running');
    const origin = BigInt(1_000_000 - PERIOD);
    expect(pacing.lend('running')).toMatchObject({ position: PERIOD, origin });
  });

  test.each(['prepared', 'paused', 'underrun', 'draining'] as const)('not where it is %s', (state) => {
    expect(playing().lend(state)).toBeUndefined();
  });

  test('not by answers, not at its end, not where nothing is left or the counter has fallen', () => {
    const byAnswers = playing();
    byAnswers.paceByAnswers();
    const ending = playing();
    ending.finish();
    const dry = playing();
    dry.report(BigInt(BUFFER), 'running');
    const fallen = playing();
    fallen.report(BigInt(3 * PERIOD), 'running');
    fallen.report(1n, 'running');
    for (const pacing of [byAnswers, ending, dry, fallen]) expect(pacing.lend('running')).toBeUndefined();
  });

  test('not after it stood, until the backend has been heard of again', () => {
    const pacing = playing();
    pacing.report(BigInt(BUFFER), 'running');
    expect(pacing.due('running')).toBe('dry');
    pacing.enqueue(PERIOD);
    pacing.answer(PERIOD);
    expect(pacing.lend('running')).toBeUndefined();
    pacing.report(BigInt(BUFFER + FRAME), 'running');
    expect(pacing.lend('running')).toMatchObject({ queued: BUFFER + PERIOD, position: BUFFER + FRAME });
  });

  test('and comes back where another has left it; positions count on', () => {
    const pacing = playing();
    pacing.follow(PERIOD, BUFFER + PERIOD);
    expect([pacing.position, pacing.end, pacing.latency]).toEqual([64, 320, 256]);
    pacing.takeBack({ queued: BUFFER + 2 * PERIOD, applied: BUFFER + PERIOD, position: 2 * PERIOD });
    expect([pacing.position, pacing.latency, pacing.isHeldByAnswers]).toEqual([128, 256, false]);
    expect(pacing.report(BigInt(3 * PERIOD), 'running')).toBe('moved');
    expect(pacing.position).toBe(192);
    expect(pacing.lend('running')).toMatchObject({ position: 3 * PERIOD, origin: 0n });
  });

  test('and comes back before the first position: that one may still begin anywhere', () => {
    const pacing = playing();
    pacing.takeBack({ queued: BUFFER, applied: BUFFER, position: 0 });
    pacing.report(1_000_000n, 'running');
    expect(pacing.position).toBe(64);
  });
});

describe('capture is lent', () => {
  test('where READs of it are answered', () => {
    const pacing = capturing();
    pacing.report(BigInt(PERIOD), 'running');
    expect(pacing.lend('running')).toEqual({ queued: 0, applied: 0, position: PERIOD, origin: 0n });
    pacing.ask(PERIOD);
    expect(pacing.lend('running')).toBeUndefined();
    pacing.deliver();
    expect(pacing.lend('running')).toMatchObject({ queued: PERIOD, position: PERIOD });
    expect([pacing.isWanted, pacing.isFinishing]).toEqual([false, false]);
  });

  test('not where it is paused, is about to end, or has run over', () => {
    const finishing = capturing();
    finishing.finish(0);
    const overrun = capturing();
    overrun.report(BigInt(BUFFER + FRAME), 'running');
    expect(finishing.isFinishing).toBe(true);
    for (const pacing of [finishing, overrun]) expect(pacing.lend('running')).toBeUndefined();
    expect(capturing().lend('paused')).toBeUndefined();
  });

  test('and comes back where another has left it, READs under way or not', () => {
    const pacing = capturing();
    pacing.follow(PERIOD, 0);
    expect([pacing.position, pacing.latency]).toEqual([64, 64]);
    pacing.takeBack({ queued: PERIOD, applied: 0, position: 2 * PERIOD }, false);
    expect([pacing.position, pacing.latency, pacing.isWanted]).toEqual([128, 64, true]);
    pacing.takeBack({ queued: 2 * PERIOD, applied: PERIOD, position: 2 * PERIOD }, true);
    expect([pacing.latency, pacing.isWanted]).toEqual([0, false]);
    expect(pacing.report(BigInt(3 * PERIOD), 'running')).toBe('moved');
  });
});
