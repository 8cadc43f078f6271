import { createHistogram } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { ManualClock } from '../../src/clock.ts';
import { LoopGap } from '../../src/metrics/loop-gap.ts';

/** Looks at a loop are 20 ms apart. */
const ms = (time: number) => time * 1e6;

test('the worst gap is shown for one to two minutes, whoever looks, and how often', async () => {
  const clock = new ManualClock();
  const histogram = createHistogram();
  const gap = new LoopGap(clock, histogram);
  expect(gap.worst).toBe(0);
  histogram.record(ms(20));
  histogram.record(ms(19));
  expect(gap.worst).toBeCloseTo(0, 3);
  histogram.record(ms(320));
  histogram.record(ms(20));
  await clock.advanceTime(59e9);
  expect(gap.worst).toBeCloseTo(0.3, 3);
  expect(gap.worst).toBeCloseTo(0.3, 3);
  await clock.advanceTime(2e9);
  histogram.record(ms(70));
  expect(gap.worst).toBeCloseTo(0.3, 3);
  await clock.advanceTime(60e9);
  expect(gap.worst).toBeCloseTo(0.05, 3);
  await clock.advanceTime(60e9);
  expect(gap.worst).toBe(0);
  gap.close();
  expect(clock.pendingTimers).toBe(0);
});
