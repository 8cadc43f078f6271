import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type FillController, RateController, SlipController } from '../../src/bridge/rate-controller.ts';
import { PositionClock } from '../../src/pcm/position-clock.ts';
import '../wire/support.ts'; // how long properties may shrink

const RATE = 48_000;
const QUANTUM = 256;
const TARGET = 768;
const OPTIONS = { rate: RATE, quantumFrames: QUANTUM, targetFrames: TARGET };
/** A card reports every so many frames. */
const PERIOD = 480;

interface Course {
  /** By how much the card is faster than the monotonic clock, ppm; what drives the sound server may be off as well. */
  readonly cardPpm: number;
  readonly serverPpm?: number;
  readonly seconds: number;
  /** s: the process is woken as late, at most. */
  readonly jitter?: number;
  /** The card's clock is not known. */
  readonly blind?: boolean;
  /** Frames that are suddenly more: at a quarter of the time. */
  readonly step?: number;
}

/** What came of it, from the middle of the course on where it says so. */
interface Outcome {
  readonly least: number;
  readonly greatest: number;
  /** The same in the second half. */
  readonly settledLeast: number;
  readonly settledGreatest: number;
  readonly ratios: readonly number[];
  readonly slips: readonly number[];
  /** How often it went from untouched to resampled. */
  readonly departures: number;
  /** The greatest change of the ratio in a second, ppm. */
  readonly slew: number;
}

/** 0 to 1, the same ones each time. */
function* randoms(): Generator<number, never> {
  for (let state = 1; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

/** A sound server that brings a quantum each time, and a card that plays them and reports its position. */
function run(controller: FillController, course: Course): Outcome {
  const { cardPpm, serverPpm = 0, seconds, jitter = 0.002, blind = false, step = 0 } = course;
  const random = randoms();
  const cardRate = RATE * (1 + cardPpm / 1e6);
  const interval = QUANTUM / (RATE * (1 + serverPpm / 1e6));
  const clock = new PositionClock(RATE);
  clock.start(0, 0);
  const fills: number[] = [];
  const ratios: number[] = [];
  const slips: number[] = [];
  let [written, reported, position, ratio, slew] = [TARGET + QUANTUM, 0, 0, 1, 0];
  for (let arrival = 1; arrival * interval < seconds; arrival++) {
    const due = arrival * interval;
    while ((reported + PERIOD) / cardRate < due) {
      reported += PERIOD;
      clock.report(reported, (reported / cardRate + random.next().value * 0.001) * 1e9);
    }
    if (arrival === Math.floor(seconds / 4 / interval)) written += step;
    const time = due + random.next().value * jitter;
    const fillFrames = written - time * cardRate;
    const correction = controller.correct({
      time: time * 1e9,
      fillFrames,
      clock: blind ? { deviation: undefined, deviationError: undefined } : clock.read(time * 1e9),
      phase: position - Math.round(position),
    });
    slew = Math.max(slew, Math.abs(correction.ratio - ratio) / interval);
    ratio = correction.ratio;
    written += QUANTUM * ratio + correction.slipFrames;
    position = ratio === 1 ? 0 : position + QUANTUM * (1 / ratio - 1);
    fills.push(fillFrames);
    ratios.push(ratio);
    if (correction.slipFrames !== 0) slips.push(correction.slipFrames);
  }
  const settled = fills.slice(fills.length / 2);
  return {
    least: fills.reduce((a, b) => Math.min(a, b)),
    greatest: fills.reduce((a, b) => Math.max(a, b)),
    settledLeast: settled.reduce((a, b) => Math.min(a, b)),
    settledGreatest: settled.reduce((a, b) => Math.max(a, b)),
    ratios,
    slips,
    departures: ratios.filter((value, i) => value !== 1 && (i === 0 || ratios[i - 1] === 1)).length,
    slew: slew * 1e6,
  };
}

describe('RateController', () => {
  it.each([0, 1, -3])('lets a card of %d ppm alone', (cardPpm) => {
    const { ratios } = run(new RateController(OPTIONS), { cardPpm, seconds: 900 });
    expect(ratios.every((ratio) => ratio === 1)).toBe(true);
  });

  it.each(
    [200, -200, 1000, -1000, 50, -50].flatMap((ppm) => [true, false].map((blind) => [ppm, blind] as const)),
  )(
    'follows a card of %d ppm for ten minutes (blind: %s): a steady ratio, the fill at its target',
    (cardPpm, blind) => {
      const outcome = run(new RateController(OPTIONS), { cardPpm, seconds: 600, blind });
      expect(outcome.departures).toBe(1);
      expect(outcome.least).toBeGreaterThan(QUANTUM / 2); // nothing is lost
      expect(outcome.greatest).toBeLessThan(TARGET + 2.5 * QUANTUM); // and the latency bounded
      expect(outcome.slips).toEqual([]);
      const settled = outcome.ratios.slice(outcome.ratios.length / 2).map((ratio) => (ratio - 1) * 1e6);
      expect(Math.min(...settled)).toBeGreaterThan(cardPpm - 30);
      expect(Math.max(...settled)).toBeLessThan(cardPpm + 30);
      expect(outcome.settledLeast).toBeGreaterThan(TARGET - QUANTUM);
      expect(outcome.settledGreatest).toBeLessThan(TARGET + QUANTUM);
    },
  );

  it('follows a sound server that runs by a clock of its own', () => {
    const outcome = run(new RateController(OPTIONS), { cardPpm: 100, serverPpm: -100, seconds: 600 });
    expect(outcome.departures).toBe(1);
    expect(outcome.settledLeast).toBeGreaterThan(TARGET - QUANTUM);
    expect(outcome.settledGreatest).toBeLessThan(TARGET + QUANTUM);
  });

  it.each([2000, -500])('mends a step of %d frames, and lets the frames pass untouched again', (step) => {
    const outcome = run(new RateController(OPTIONS), { cardPpm: 0, seconds: 600, step });
    expect(outcome.departures).toBe(1);
    expect(outcome.ratios.at(-1)).toBe(1);
    expect(outcome.settledLeast).toBeGreaterThan(TARGET - QUANTUM);
    expect(outcome.settledGreatest).toBeLessThan(TARGET + QUANTUM);
  });

  it('moves the ratio by less than half a cent a second and never beyond 0.5%', () => {
    const cent = 578; // ppm
    fc.assert(
      fc.property(
        fc.record({
          cardPpm: fc.integer({ min: -1000, max: 1000 }),
          seconds: fc.constant(60),
          step: fc.integer({ min: -4000, max: 4000 }),
          jitter: fc.double({ min: 0, max: 0.004, noNaN: true }),
          blind: fc.boolean(),
        }),
        (course) => {
          const { slew, ratios } = run(new RateController(OPTIONS), course);
          expect(slew).toBeLessThan(cent / 1.5); // a quantum may be followed by the next one sooner than in its time
          for (const ratio of ratios) expect(Math.abs(ratio - 1)).toBeLessThanOrEqual(0.005);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('begins anew after a stop, with the drift that it has learnt', () => {
    const controller = new RateController(OPTIONS);
    run(controller, { cardPpm: 200, seconds: 300, blind: true });
    controller.restart();
    const reading = {
      fillFrames: TARGET,
      clock: { deviation: undefined, deviationError: undefined },
      phase: 0,
    };
    expect(controller.correct({ ...reading, time: 1e12 })).toEqual({ ratio: 1, slipFrames: 0 });
    controller.restart();
    const again = run(controller, { cardPpm: 200, seconds: 120, blind: true });
    expect(again.greatest - again.least).toBeLessThan(3 * QUANTUM);
  });
});

describe('SlipController', () => {
  it.each([200, -200, 1000])('repeats or drops whole quanta where the card is off by %d ppm', (cardPpm) => {
    const { ratios, slips, least, greatest } = run(new SlipController(OPTIONS), { cardPpm, seconds: 600 });
    expect(ratios.every((ratio) => ratio === 1)).toBe(true);
    expect(new Set(slips)).toEqual(new Set([Math.sign(cardPpm) * QUANTUM]));
    const drifted = (600 * RATE * cardPpm) / 1e6;
    expect(Math.abs(drifted - slips.reduce((sum, slip) => sum + slip, 0))).toBeLessThan(2 * QUANTUM);
    expect(least).toBeGreaterThan(QUANTUM);
    expect(greatest).toBeLessThan(TARGET + 2 * QUANTUM);
  });

  it('does nothing where the clocks agree', () => {
    expect(run(new SlipController(OPTIONS), { cardPpm: 0, seconds: 600 }).slips).toEqual([]);
  });
});
