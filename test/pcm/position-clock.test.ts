import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ClockReading, PositionClock } from '../../src/pcm/position-clock.ts';
import { fractionsOf } from '../sound.ts';
import '../wire/support.ts'; // how long properties may shrink

const RATE = 48_000;
const PERIOD = 256;
/** Frames */
const MILLISECOND = RATE / 1000;
const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1);

type Random = () => number;

interface Backend {
  readonly seed: number;
  /** s: how long it plays. */
  readonly seconds: number;
  /** Frames it has truly played by then, s after START. */
  readonly played: (time: number) => number;
  /** s between its events. */
  readonly interval: number;
  /** s by which an event is late that was due then. */
  readonly late: (random: Random, due: number) => number;
  /** Frames: positions are whole multiples of it. */
  readonly step?: number;
}

/** A device whose rate deviates by so many ppm, and sends an event a period. */
function deviating(ppm: number, seed: number, seconds: number): Backend {
  const rate = RATE * (1 + ppm / 1e6);
  const interval = PERIOD / rate;
  return {
    seed,
    seconds,
    interval,
    played: (time) => time * rate,
    late: (random) => (random() * interval) / 2,
  };
}

interface Report {
  /** s */
  readonly time: number;
  readonly frames: number;
}

function* reportsOf({ seed, seconds, played, interval, late, step = 1 }: Backend): Generator<Report> {
  const random = fractionsOf(seed);
  let time = 0;
  for (let index = 1; index * interval < seconds; index++) {
    const due = index * interval;
    time = Math.max(time, due + late(random, due)); // events do not overtake each other
    yield { time, frames: Math.floor(played(due) / step) * step };
  }
}

interface Sample {
  /** s since START */
  readonly time: number;
  /** Frames by which the reading is ahead of the true position. */
  readonly error: number;
  readonly reading: ClockReading;
}

/** ns, ahead of the next event */
const JUST_BEFORE = 1;
const SHARES = [0.2, 0.4, 0.6, 0.8];

/** What a clock reads while a backend plays: right after each event, right before it, and between. */
function samplesOf(backend: Backend, clock = new PositionClock(RATE)): Sample[] {
  const samples: Sample[] = [];
  const sample = (time: number): void => {
    const reading = clock.read(time);
    const seconds = time / 1e9;
    samples.push({ time: seconds, error: reading.frames - backend.played(seconds), reading });
  };
  clock.start(0, 0);
  let previous = 0;
  for (const report of reportsOf(backend)) {
    const time = report.time * 1e9;
    for (const share of SHARES) sample(previous + share * (time - previous));
    sample(time - JUST_BEFORE);
    clock.report(report.frames, time);
    sample(time);
    previous = time;
  }
  return samples;
}

/** The largest one: a loop, as these are more than can be spread into Math.max. */
function worst(samples: readonly Sample[], value: (sample: Sample) => number): number {
  return samples.reduce((most, sample) => Math.max(most, value(sample)), Number.NEGATIVE_INFINITY);
}

const wrongBy = ({ error }: Sample): number => Math.abs(error);

const isOutOfBounds = ({ error, reading }: Sample): boolean => Math.abs(error) > reading.errorFrames;

const since = (seconds: number, samples: readonly Sample[]): Sample[] =>
  samples.filter(({ time }) => time >= seconds);

/** ppm by which the deviation is wrong; NaN where none is told. */
const deviationWrongBy = (ppm: number, { reading }: Sample): number =>
  Math.abs((reading.deviation ?? Number.NaN) - ppm);

/** ppm; NaN where none is told. */
const deviationError = ({ reading }: Sample): number => reading.deviationError ?? Number.NaN;

const errorFrames = ({ reading }: Sample): number => reading.errorFrames;

/** False where none is told. */
const isRateOutOfBounds = (ppm: number, sample: Sample): boolean =>
  deviationWrongBy(ppm, sample) > deviationError(sample);

/** A clock that has heard `seconds` of a deviating device, which is playing on. */
function clockAfter(ppm: number, seconds: number): { clock: PositionClock; now: number; played: number } {
  const clock = new PositionClock(RATE);
  const last = samplesOf(deviating(ppm, 1, seconds), clock).at(-1);
  const now = last?.time ?? Number.NaN;
  return { clock, now: now * 1e9, played: now * RATE * (1 + ppm / 1e6) };
}

describe.each([200, -200])(
  'a device that deviates by %d ppm, its events late by up to half a period',
  (ppm) => {
    it.each(SEEDS)('is followed within 1 ms from 2 s on, and within 10 ppm from 30 s on: seed %d', (seed) => {
      const samples = samplesOf(deviating(ppm, seed, 35));
      expect(samples.length).toBeGreaterThan(35_000);
      expect(worst(since(2, samples), wrongBy)).toBeLessThan(MILLISECOND);
      expect(worst(since(30, samples), (sample) => deviationWrongBy(ppm, sample))).toBeLessThan(10);

      expect(samples.filter(isOutOfBounds)).toEqual([]);
      expect(samples.filter((sample) => isRateOutOfBounds(ppm, sample))).toEqual([]);
      expect(worst(since(2, samples), errorFrames)).toBeLessThan(1.25 * MILLISECOND);
      expect(worst(since(7.5, samples), deviationError)).toBeLessThan(100);
      expect(worst(since(30, samples), deviationError)).toBeLessThan(10);
    });

    it('would be taken for more than 1 ms behind by a straight line through the mean of the same reports', () => {
      for (const seed of SEEDS) {
        const backend = deviating(ppm, seed, 35);
        const reports = [...reportsOf(backend)];
        const mean = (value: (report: Report) => number): number =>
          reports.reduce((sum, report) => sum + value(report), 0) / reports.length;
        const [time, frames] = [mean((report) => report.time), mean((report) => report.frames)];
        const slope =
          mean((report) => (report.time - time) * (report.frames - frames)) /
          mean((report) => (report.time - time) ** 2);
        expect(backend.played(35) - (frames + slope * (35 - time))).toBeGreaterThan(MILLISECOND);
      }
    });
  },
);

describe('a reading', () => {
  it('is 0 and certain before the stream starts, and knows of no deviation', () => {
    expect(new PositionClock(RATE).read(5e9)).toEqual({
      frames: 0,
      errorFrames: 0,
      deviation: undefined,
      deviationError: undefined,
    });
  });

  it('stays where the device was set going until that is heard of, and may be wrong by what the time allows', () => {
    const clock = new PositionClock(RATE);
    clock.start(1000, 1e9);
    expect(clock.read(1e9)).toMatchObject({ frames: 1000, errorFrames: 0 });
    const { frames, errorFrames } = clock.read(1.1e9);
    expect(frames).toBe(1000);
    expect(errorFrames).toBeGreaterThanOrEqual(4800);
    expect(errorFrames).toBeLessThan(4810);
  });

  it('is that of the report at first, and goes on at the nominal rate', () => {
    const clock = new PositionClock(RATE);
    clock.start(0, 0);
    clock.report(256, 7e6);
    expect(clock.read(7e6).frames).toBeCloseTo(256, 6);
    expect(clock.read(8e6)).toMatchObject({ frames: expect.closeTo(256 + 48, 6), deviation: undefined });
    expect(clock.read(8e6).errorFrames).toBeGreaterThan(10 * MILLISECOND);
  });

  it('takes no heed of reports that repeat where the device was set going: it is not moving yet', () => {
    const clock = new PositionClock(RATE);
    clock.start(480, 0);
    clock.report(480, 10e6);
    clock.report(480, 20e6);
    expect(clock.read(30e6).frames).toBe(480);
    clock.report(528, 30e6);
    expect(clock.read(31e6).frames).toBeCloseTo(576, 6);
  });

  it('ends at the limit', () => {
    const { clock, now, played } = clockAfter(0, 3);
    const limit = Math.floor(played) + 100;
    expect(clock.read(now + 1e6, limit).frames).toBeLessThan(limit);
    expect(clock.read(now + 1e9, limit).frames).toBe(limit);
    expect(clock.read(now + 3600e9, limit).frames).toBe(limit);
  });

  it('admits that the device may have stopped when nothing is heard of it any more', () => {
    const { clock, now, played } = clockAfter(200, 5);
    const soon = clock.read(now + (1.5e9 * PERIOD) / RATE);
    expect(soon.errorFrames).toBeLessThan(MILLISECOND);
    for (const silence of [0.1, 1, 60, 3600]) {
      const { frames, errorFrames } = clock.read(now + silence * 1e9);
      const playing = played + silence * RATE * 1.0002;
      expect(Math.abs(frames - playing)).toBeLessThan(errorFrames);
      expect(frames - errorFrames).toBeLessThanOrEqual(played);
    }
  });

  it('admits the same after the first report', () => {
    const clock = new PositionClock(RATE);
    clock.start(0, 0);
    clock.report(256, 6e6);
    const { frames, errorFrames } = clock.read(60e9);
    expect(frames - errorFrames).toBeLessThanOrEqual(256);
  });

  it('never goes back, never passes the limit, and is a number, whatever is reported when', () => {
    const frames = fc.oneof(
      fc.integer({ min: 0, max: 100_000 }),
      fc.maxSafeInteger().map(Math.abs),
      fc.constantFrom(0, 2 ** 53),
    );
    const step = fc.record({
      kind: fc.constantFrom('start', 'halt', 'report', 'report', 'report', 'read'),
      frames,
      /** ns */
      wait: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 6e6 }), fc.integer({ min: 0, max: 100e9 })),
      written: fc.oneof(fc.integer({ min: 0, max: 10_000 }), frames),
    });
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 100, size: 'max' }),
        fc.constantFrom(0, 1e18),
        (steps, origin) => {
          const clock = new PositionClock(RATE);
          let [time, limit, previous] = [origin, 0, 0];
          for (const { kind, frames, wait, written } of steps) {
            time += wait;
            limit = Math.min(2 ** 53, limit + written);
            if (kind === 'start') clock.start(Math.min(frames, limit), time);
            else if (kind === 'halt') clock.halt(Math.min(frames, limit));
            else if (kind === 'report') clock.report(frames, time);
            const reading = clock.read(time, limit);
            expect(reading.frames).toBeGreaterThanOrEqual(previous);
            expect(reading.frames).toBeLessThanOrEqual(limit);
            expect(reading.errorFrames).toBeGreaterThanOrEqual(0);
            expect(reading.deviation ?? 0).not.toBeNaN();
            expect(reading.deviationError ?? 0).toBeGreaterThanOrEqual(0);
            previous = reading.frames;
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('a device that is halted', () => {
  it('stands where it was halted, for certain, until it is started', () => {
    const { clock, played } = clockAfter(200, 5);
    const frames = Math.ceil(played) + 300;
    clock.halt(frames);
    for (const time of [6e9, 60e9]) expect(clock.read(time)).toMatchObject({ frames, errorFrames: 0 });
  });

  it('is not set going by reports: they tell where it stands', () => {
    const { clock, played } = clockAfter(200, 5);
    const frames = Math.ceil(played) + 300;
    clock.halt(frames);
    clock.report(frames - 40, 6e9);
    expect(clock.read(7e9)).toMatchObject({ frames, errorFrames: 0 });
    clock.report(frames + 40, 8e9);
    expect(clock.read(9e9)).toMatchObject({ frames: frames + 40, errorFrames: 0 });
  });

  it('is waited for where the last reading was beyond: that much the reading may be wrong', () => {
    const { clock, now } = clockAfter(200, 5);
    const { frames } = clock.read(now + 4e6);
    clock.halt(frames - 100);
    expect(clock.read(now + 1e9)).toMatchObject({ frames, errorFrames: expect.closeTo(100, 6) });
  });

  it('is waited for, and that much may the reading be wrong, also when it goes on', () => {
    const { clock, now } = clockAfter(0, 5);
    const { frames } = clock.read(now);
    const base = Math.floor(frames) - 1000;
    clock.start(base, now);
    const step = 1e5; // ns: a hundred reports while the reading waits
    for (let time = step; time <= 100 * step; time += step)
      clock.report(base + (time * RATE) / 1e9, now + time);
    const reading = clock.read(now + 100 * step);
    expect(reading.frames).toBe(frames);
    expect(frames - reading.errorFrames).toBeLessThan(base + 480 - 1);
  });

  it('goes on with its rate remembered and its place unknown, both within the bounds', () => {
    for (const seed of SEEDS) {
      const clock = new PositionClock(RATE);
      const first = samplesOf(deviating(-200, seed, 30), clock).at(-1);
      const before = first?.reading.deviationError ?? Number.NaN;
      const base = Math.ceil(first?.reading.frames ?? Number.NaN);
      clock.halt(base);

      const restart = 40e9;
      const backend = deviating(-200, seed + 100, 3);
      clock.start(base, restart);
      const errors: number[] = [];
      for (const { time, frames } of reportsOf(backend)) {
        clock.report(base + frames, restart + time * 1e9);
        const reading = clock.read(restart + time * 1e9);
        const error = Math.abs(reading.frames - base - backend.played(time));
        expect(error).toBeLessThanOrEqual(reading.errorFrames);
        expect(Math.abs((reading.deviation ?? Number.NaN) + 200)).toBeLessThan(10);
        expect(reading.deviationError).toBeLessThan(before + 2);
        errors.push(reading.errorFrames);
      }
      expect(errors[0]).toBeGreaterThan(10 * MILLISECOND);
      expect(errors.at(-1)).toBeLessThan(MILLISECOND);
    }
  });

  it('is less certainly what it was, the longer it has not been heard of', () => {
    const { clock, now } = clockAfter(200, 60);
    clock.halt(0);
    const errors = [0, 60, 600].map((pause) => clock.read(now + pause * 1e9).deviationError ?? Number.NaN);
    expect(errors[1]).toBeCloseTo((errors[0] ?? Number.NaN) + 6, 6);
    expect(errors[2]).toBeCloseTo((errors[0] ?? Number.NaN) + 60, 6);
    expect(clock.read(now + 3600e9).deviation).toBeUndefined();
  });
});

describe('positions as backends send them', () => {
  const plain = (change: Partial<Backend>): Backend => ({
    seed: 1,
    seconds: 45,
    played: (time) => time * RATE * 1.00005,
    interval: PERIOD / RATE,
    late: (random) => random() * 0.002,
    ...change,
  });

  it.each<[what: string, change: Partial<Backend>, milliseconds: number]>([
    ['never late', { late: () => 0 }, 0.1],
    ['never late, of a slow device', { late: () => 0, played: (time) => time * RATE * 0.9996 }, 0.1],
    [
      'never late, rounded down by nearly a frame',
      { late: () => 0, played: (time) => time * RATE + Math.min(0.9, 9 * time) },
      0.1,
    ],
    ['seldom late by much', { late: (random) => -0.0005 * Math.log(1 - random()) }, 0.5],
    ['once in 4096 frames', { interval: 4096 / RATE }, 6],
    ['once a second', { interval: 1 }, 60],
  ])('%s: within the bounds from the first moment on', (_, change, milliseconds) => {
    for (const seed of SEEDS.slice(0, 5)) {
      const samples = samplesOf(plain({ ...change, seed }));
      expect(samples.filter(isOutOfBounds)).toEqual([]);
      expect(worst(since(10, samples), errorFrames)).toBeLessThan(milliseconds * MILLISECOND);
    }
  });

  it.each([
    ['5 ms', 0.005],
    ['2.8 ms, so that nearly a third repeat the last one', 0.0028],
  ])(
    'in steps of 4 ms, looked at every %s: within the bounds once the beat has been heard',
    (_, interval) => {
      for (const seed of SEEDS.slice(0, 5)) {
        const samples = samplesOf(plain({ step: 192, interval, seed }));
        expect(since(21, samples).filter(isOutOfBounds)).toEqual([]);
        expect(worst(since(2, samples), wrongBy)).toBeLessThan(1.5 * MILLISECOND);
        expect(worst(since(30, samples), (sample) => deviationWrongBy(50, sample))).toBeLessThan(10);
      }
    },
  );

  it.each([
    ['stood still for', -480],
    ['jumped ahead by', 480],
  ])('from a device that %s 10 ms: found again within a second, its rate never lost', (_, jump) => {
    const played = (time: number): number => time * RATE * 1.00005 + (time < 35 ? 0 : jump);
    const samples = samplesOf(plain({ played, seconds: 140 }));
    expect(worst(since(36, samples), wrongBy)).toBeLessThan(MILLISECOND);
    expect(worst(since(30, samples), (sample) => deviationWrongBy(50, sample))).toBeLessThan(10);
  });

  it.each([
    [200, -200],
    [-200, 200],
  ])('from a device whose deviation changes from %d to %d ppm: followed within a minute', (before, after) => {
    const change = 70;
    const played = (time: number): number =>
      RATE * (time + (before * Math.min(time, change) + after * Math.max(0, time - change)) / 1e6);
    const samples = samplesOf(plain({ played, seconds: 150 }));
    expect(worst(since(2, samples), wrongBy)).toBeLessThan(MILLISECOND);
    const told = (from: number, to: number) =>
      since(from, samples).filter(({ time, reading }) => time < to && reading.deviation !== undefined);
    expect(worst(told(30, change), (sample) => deviationWrongBy(before, sample))).toBeLessThan(10);
    expect(worst(since(change + 60, samples), (sample) => deviationWrongBy(after, sample))).toBeLessThan(10);
  });

  it('from a device that warms up: its rate is within the bounds all the time', () => {
    const [amplitude, pace] = [12, 120]; // 0.1 ppm a second
    const played = (time: number): number =>
      RATE * (time + (amplitude * pace * (1 - Math.cos(time / pace))) / 1e6);
    const samples = samplesOf(plain({ played, seconds: 300 }));
    expect(samples.filter(isOutOfBounds)).toEqual([]);
    const deviation = (time: number): number => amplitude * Math.sin(time / pace);
    expect(samples.filter((sample) => isRateOutOfBounds(deviation(sample.time), sample))).toEqual([]);
    expect(
      worst(since(30, samples), (sample) => deviationWrongBy(deviation(sample.time), sample)),
    ).toBeLessThan(5);
  });

  it('from a device that gets slower all the time: followed about half a minute behind', () => {
    const played = (time: number): number => RATE * (time - (3 * time ** 2) / 2 / 1e6); // by 3 ppm a second
    const samples = samplesOf(plain({ played, seconds: 120 }));
    const behind = (sample: Sample): number => deviationWrongBy(-3 * (sample.time - 30), sample);
    expect(worst(since(60, samples), behind)).toBeLessThan(50);
  });

  it('from a device far from its nominal rate: believed once it is certain', () => {
    const samples = samplesOf(plain({ played: (time) => time * RATE * 0.95 }));
    expect(since(2, samples).filter(isOutOfBounds)).toEqual([]);
    expect(worst(since(10, samples), wrongBy)).toBeLessThan(MILLISECOND / 4);
    expect(worst(since(30, samples), (sample) => deviationWrongBy(-50_000, sample))).toBeLessThan(10);
  });

  it('late by much for a while: forgiven', () => {
    const late: Backend['late'] = (random, due) => random() * (due < 30 ? 0.02 : 0.0002);
    const samples = samplesOf(plain({ late, seconds: 120 }));
    expect(samples.filter(isOutOfBounds)).toEqual([]);
    expect(worst(since(100, samples), errorFrames)).toBeLessThan(MILLISECOND / 2);
  });

  it('after an hour without any: where it is now counts, not where it was', () => {
    const { clock, now, played } = clockAfter(200, 30);
    const later = now + 3600e9;
    const frames = Math.floor(played) + RATE * 3600 - 4800;
    clock.report(frames, later);
    expect(Math.abs(clock.read(later).frames - frames)).toBeLessThan(MILLISECOND);
  });
});

describe('large numbers', () => {
  it('change nothing: positions near 2^53 bytes, times near 10^18 ns', () => {
    const backend = deviating(200, 5, 10);
    const [base, start] = [2 ** 51 - 10 * RATE, 1e18];
    const [small, large] = [new PositionClock(RATE), new PositionClock(RATE)];
    small.start(0, 0);
    large.start(base, start);
    for (const { time, frames } of reportsOf(backend)) {
      const now = start + Math.round(time * 1e9);
      small.report(frames, now - start);
      large.report(base + frames, now);
      const [expected, actual] = [small.read(now - start), large.read(now)];
      expect(Math.abs(actual.frames - base - expected.frames)).toBeLessThan(1);
      expect(Math.abs(actual.errorFrames - expected.errorFrames)).toBeLessThan(1);
      expect(actual.deviation ?? 0).toBeCloseTo(expected.deviation ?? 0, 6);
    }
  });
});

describe('a clock that nobody reads until the end', () => {
  /** Played without a reading for so many seconds, with a report every `period` frames. */
  function unread(ppm: number, seed: number, seconds: number, period: number) {
    const rate = RATE * (1 + ppm / 1e6);
    const backend: Backend = {
      ...deviating(ppm, seed, seconds),
      interval: period / rate,
      late: (random) => random() * 0.002,
    };
    const clock = new PositionClock(RATE);
    clock.start(0, 0);
    let last = { time: 0, frames: 0 };
    for (const report of reportsOf(backend)) {
      clock.report(report.frames, report.time * 1e9);
      last = report;
    }
    const reading = clock.read(last.time * 1e9);
    return { reading, error: reading.frames - backend.played(last.time), ppm };
  }

  // More reports than are kept: the oldest are forgotten.
  it.each([
    [2048, 400],
    [1024, 300],
    [256, 120],
    [128, 60],
  ])('is as right as one that is read, with a period of %i frames after %i s', (period, seconds) => {
    for (const ppm of [-300, 0, 40, 300]) {
      for (const seed of [1, 2, 3]) {
        const { reading, error } = unread(ppm, seed, seconds, period);
        expect(Math.abs(error)).toBeLessThanOrEqual(reading.errorFrames);
        expect(reading.errorFrames).toBeLessThan(0.002 * RATE); // a report alone may be late by as much
        expect(Math.abs((reading.deviation ?? Number.NaN) - ppm)).toBeLessThanOrEqual(
          reading.deviationError ?? 0,
        );
        expect(reading.deviationError).toBeLessThan(30);
      }
    }
  });
});

describe('a million reports', () => {
  /** Bytes of the heap that are in use. */
  function heapInUse(): number {
    setFlagsFromString('--expose-gc');
    runInNewContext('gc')();
    return process.memoryUsage().heapUsed;
  }

  it.each([
    ['at 375 a second', 1e9 / 375],
    ['all at once', 1000],
  ])('%s leave next to nothing behind', (_, interval) => {
    const clock = new PositionClock(RATE);
    clock.start(0, 0);
    const before = heapInUse();
    for (let index = 1; index <= 1e6; index++) {
      const time = index * interval;
      clock.report(Math.floor((time * RATE) / 1e9), time);
    }
    expect(heapInUse() - before).toBeLessThan(1e6);
    const end = 1e6 * interval;
    expect(Math.abs(clock.read(end).frames - (end * RATE) / 1e9)).toBeLessThan(2);
  });
});
