import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HoleFinder } from '../../src/pcm/hole-finder.ts';
import { fractionsOf } from '../sound.ts';

const RATE = 48_000;

/** A host whose device plays, and a backend that says how far it is. Times are in ms. */
interface Host {
  /** How much faster the device is than the nominal rate, ppm. */
  ppm: number;
  /** Frames between two reports that were asked for, and the backend's timer, which is later by up to twice its mean. */
  period: number;
  timer: number;
  lateness: number;
  /** Frames: the device's position moves in such steps. */
  step: number;
  /** When the device stops, and for how long: an xrun. */
  hole?: { at: number; length: number };
  /** When the process is away, and for how long: reports wait for it. */
  pauses?: { at: number; length: number }[];
}

/** The holes found in so many seconds of reports: when, and how many frames. */
function findHoles(host: Host, seconds: number, random: () => number): { at: number; frames: number }[] {
  const finder = new HoleFinder(RATE);
  finder.begin(host.period);
  const found: { at: number; frames: number }[] = [];
  let last = 0;
  for (let now = host.timer; now < seconds * 1000; now += host.timer + 2 * random() * host.lateness) {
    const { at = Infinity, length = 0 } = host.hole ?? {};
    const lost = Math.min(Math.max(0, now - at), length);
    const exact = ((now - lost) * RATE * (1 + host.ppm / 1e6)) / 1000;
    const position = exact - (exact % host.step);
    if (position === last) continue; // no movement is no report
    last = position;
    const away = host.pauses?.find((pause) => now >= pause.at && now < pause.at + pause.length);
    const handled = away ? away.at + away.length : now + random() * 0.3;
    const frames = finder.report(Math.floor(position), handled * 1e6);
    if (frames > 0) found.push({ at: handled, frames });
  }
  return found;
}

/** Timers as they were measured on the reference backend, and devices from exact to a period a step. */
const host = fc.record({
  ppm: fc.integer({ min: -3000, max: 3000 }),
  timers: fc.constantFrom(
    { period: 4096, timer: 85, lateness: 3.1 },
    { period: 1200, timer: 25, lateness: 1.5 },
    { period: 1024, timer: 21, lateness: 1.8 },
    { period: 256, timer: 5, lateness: 1.3 },
    { period: 128, timer: 2, lateness: 2 },
    { period: 64, timer: 1, lateness: 1.9 },
  ),
  steps: fc.constantFrom<(number | 'period')[]>(1, 48, 192, 'period', 1024),
  seed: fc.integer(),
});
type Drawn = typeof host extends fc.Arbitrary<infer T> ? T : never;
const hostOf = ({ ppm, timers, steps }: Drawn): Host & { step: number } => ({
  ppm,
  ...timers,
  step: typeof steps === 'string' ? timers.period : steps,
});

describe('holes in what a device has played', () => {
  it('are none where only reports are late, the clock is off, the device moves in steps, or the process is away', () => {
    const pause = fc.record({
      at: fc.integer({ min: 0, max: 60_000 }),
      length: fc.integer({ min: 1, max: 4000 }),
    });
    fc.assert(
      fc.property(host, fc.array(pause, { maxLength: 6 }), (drawn, pauses) => {
        expect(findHoles({ ...hostOf(drawn), pauses }, 60, fractionsOf(drawn.seed))).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it('are none where a position is a period old for a while, again and again', () => {
    const beat = { ppm: 120, period: 1200, timer: 25, lateness: 0, step: 1200 };
    expect(findHoles(beat, 600, () => 0)).toEqual([]);
  });

  it('are none where a position is a step too far for once, by a backend that has rounded another one down', () => {
    const finder = new HoleFinder(RATE);
    finder.begin(1024);
    const STEP = 4096;
    const found: number[] = [];
    for (let now = 1024, last = 0; now < 20 * RATE; now += 1024) {
      const exact = now - (now % STEP);
      const position = now === 5 * STEP ? exact - 1 : now === 94 * STEP ? exact + STEP : exact;
      if (position > last) found.push(finder.report(position, (now * 1e9) / RATE));
      last = Math.max(last, position);
    }
    expect(found.filter((frames) => frames > 0)).toEqual([]);
  });

  it('are found once, where they are, with their length', () => {
    fc.assert(
      fc.property(
        host,
        fc.integer({ min: 3000, max: 20_000 }),
        fc.integer({ min: 0, max: 2000 }),
        (drawn, at, more) => {
          const told = hostOf(drawn);
          const least = (2000 * Math.max(told.period, told.step)) / RATE + 60;
          const length = least + more;
          const found = findHoles({ ...told, hole: { at, length } }, 40, fractionsOf(drawn.seed));
          expect(found).toHaveLength(1);
          const [hole = { at: 0, frames: 0 }] = found;
          expect(hole.at - at - length).toBeLessThan(6000);
          expect(Math.abs(hole.frames - (length * RATE) / 1000)).toBeLessThan((RATE / 1000) * 25 + told.step);
        },
      ),
      { numRuns: 150 },
    );
  });

  it('as that of 1792 frames in a recording, of which no underrun told', () => {
    const told = { ppm: -40, period: 1200, timer: 25, lateness: 1.5, step: 192 };
    const found = findHoles({ ...told, hole: { at: 7000, length: 1792 / 48 } }, 20, fractionsOf(1));
    expect(found).toHaveLength(1);
    expect(found[0]?.frames).toBeGreaterThan(1600);
    expect(found[0]?.frames).toBeLessThan(2000);
  });

  it('are forgotten where the device is set going anew', () => {
    const finder = new HoleFinder(RATE);
    const report = (frames: number, ms: number) => finder.report(frames, ms * 1e6);
    finder.begin(1200);
    for (let count = 1; count < 200; count++) expect(report(1200 * count, 25 * count)).toBe(0);
    finder.begin(1200);
    for (let count = 200; count < 400; count++) expect(report(1200 * count, 25 * count + 500)).toBe(0);
  });
});
