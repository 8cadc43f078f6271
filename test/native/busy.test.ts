import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ProcessMachine } from './processes.ts';
import { named, SKIP_REASON } from './stand-in.ts';

const SECOND = 48_000;

describe.skipIf(SKIP_REASON)(named('Sound while JavaScript is busy'), () => {
  let machine: ProcessMachine;

  beforeEach(async () => {
    machine = await ProcessMachine.start();
  });

  afterEach(() => machine.close());

  async function play(what: 'block' | 'makeGarbage', options: object): Promise<Record<string, unknown>> {
    const { lines, complaints } = await machine.run('busy.js', [what, JSON.stringify(options)]);
    expect(complaints).toBe('');
    return JSON.parse(lines[0] ?? '');
  }

  /** 50 ms in the shared buffer, a second in the staging ring. */
  const blocked = { seconds: 2, bufferFrames: 2400, periodFrames: 600, highWaterMark: SECOND * 4 };

  test('of half a second goes on, bit for bit', async () => {
    expect(await play('block', { engine: 'native', ...blocked })).toMatchObject({
      ...{ wasPlaying: true, underruns: 0, position: 2 * SECOND, isExact: true },
      dry: 1, // at the end
    });
  });

  test('of half a second runs dry where JavaScript carries it', async () => {
    const { wasPlaying, underruns } = await play('block', { engine: 'script', ...blocked });
    expect(wasPlaying).toBe(false);
    expect(underruns).toBeGreaterThan(0);
  });

  test('to the end and beyond is no underrun', async () => {
    expect(await play('block', { engine: 'native', ...blocked, seconds: 0.5 })).toMatchObject({
      ...{ wasPlaying: false, underruns: 0, position: SECOND / 2, isExact: true },
    });
  });

  test('with the garbage of 100 MB a second goes on with 10 ms in the shared buffer', async ({ skip }) => {
    const options = { seconds: 5, bufferFrames: 480, periodFrames: 120, highWaterMark: 2 * SECOND * 4 };
    const { isRealTime, megabytes, collections, ...played } = await play('makeGarbage', {
      engine: 'native',
      ...options,
    });
    skip(!isRealTime, 'this process may have no real-time thread: RLIMIT_RTPRIO');
    expect(played).toEqual({ underruns: 0, position: 5 * SECOND, isExact: true, dry: 1 });
    expect(collections).toBeGreaterThan(10);
    expect(megabytes).toBe(500);
  });
});
