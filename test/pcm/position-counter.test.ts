import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PositionCounter } from '../../src/pcm/position-counter.ts';
import { FRAME } from '../sound.ts';
import { u64 } from '../wire/support.ts';

const PERIOD = 400;
const BUFFER = 8 * PERIOD;

/** A playback stream's side of a counter: how much was written, and where the device ran dry. */
class Player {
  readonly counter: PositionCounter;
  written: number;
  stoodAt: number | undefined;

  constructor({ written = BUFFER, period = PERIOD } = {}) {
    this.counter = new PositionCounter(period);
    this.written = written;
  }

  write(bytes: number): void {
    this.written += bytes;
  }

  read(position: number | bigint): number {
    const count = this.counter.read(BigInt(position), this.written, this.stoodAt);
    if (this.stoodAt !== undefined && this.written > this.stoodAt) this.stoodAt = undefined;
    if (count === this.written) this.stoodAt = count;
    return count;
  }

  readAll(...positions: (number | bigint)[]): number[] {
    return positions.map((position) => this.read(position));
  }
}

describe('a first position', () => {
  it('of one period, of more, or of nothing is what it says', () => {
    for (const first of [0, FRAME, PERIOD, 3 * PERIOD, BUFFER]) {
      const player = new Player();
      expect(player.counter.count).toBe(0);
      expect(player.read(first)).toBe(first);
      expect(player.counter.count).toBe(first);
    }
  });

  it('beyond what was written by two periods at most is all of that', () => {
    const player = new Player();
    expect(player.read(BUFFER + 2 * PERIOD)).toBe(BUFFER);
    player.write(4 * PERIOD);
    expect(player.read(BUFFER + 3 * PERIOD)).toBe(BUFFER + 3 * PERIOD);
  });

  const foreign = [
    BigInt(BUFFER + 2 * PERIOD + 1),
    2n ** 32n,
    2n ** 53n - 1n,
    2n ** 53n,
    2n ** 53n + 1n,
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n - BigInt(3 * PERIOD),
  ];

  it.each(foreign)('of %d, beyond by more, is the end of the first period of a foreign counter', (first) => {
    const player = new Player();
    const steps = [0n, 0n, BigInt(PERIOD), BigInt(3 * PERIOD) - 1n, BigInt(3 * PERIOD)];
    expect(player.readAll(...steps.map((step) => first + step))).toEqual([
      PERIOD,
      PERIOD,
      2 * PERIOD,
      4 * PERIOD - 1,
      4 * PERIOD,
    ]);
  });

  it('of 2^64 - 1 is as good as any: a counter that wraps has begun again', () => {
    const player = new Player();
    expect(player.readAll(2n ** 64n - 1n, PERIOD - 1, 2 * PERIOD - 1)).toEqual([
      PERIOD,
      PERIOD,
      3 * PERIOD - 1,
    ]);
  });

  it('of a foreign counter, then one that is a frame low: nothing moves until it rises', () => {
    const player = new Player();
    const base = 2n ** 40n;
    expect(player.readAll(base, base - 4n, base + 396n, base + 400n)).toEqual([
      PERIOD,
      PERIOD,
      796,
      2 * PERIOD,
    ]);
  });

  it('beyond by more is foreign only where it is the first', () => {
    const player = new Player();
    expect(player.readAll(0, 2n ** 63n)).toEqual([0, BUFFER]);
  });
});

describe('a counter that begins again after an underrun', () => {
  /** `written` bytes have been played; then a whole buffer was written. */
  const refilled = (written = BUFFER): Player => {
    const player = new Player({ written });
    player.read(written);
    expect(player.stoodAt).toBe(written);
    player.write(BUFFER);
    return player;
  };

  it('counts on from there with the first position', () => {
    const player = refilled();
    expect(player.readAll(PERIOD, 2 * PERIOD, 2 * PERIOD, BUFFER)).toEqual([
      BUFFER + PERIOD,
      BUFFER + 2 * PERIOD,
      BUFFER + 2 * PERIOD,
      2 * BUFFER,
    ]);
  });

  it('counts on also where the events of the first periods were lost', () => {
    expect(refilled().readAll(5 * PERIOD, 6 * PERIOD)).toEqual([BUFFER + 5 * PERIOD, BUFFER + 6 * PERIOD]);
    expect(refilled(2 * BUFFER).readAll(BUFFER)).toEqual([3 * BUFFER]);
  });

  it('counts on where it reads 0 from the underrun on', () => {
    const player = new Player();
    expect(player.readAll(BUFFER, 0, 0)).toEqual([BUFFER, BUFFER, BUFFER]);
    player.write(BUFFER);
    expect(player.readAll(0, PERIOD)).toEqual([BUFFER, BUFFER + PERIOD]);
  });

  it('counts on where the device played a step too much before it stood still', () => {
    const player = new Player();
    expect(player.readAll(BUFFER - PERIOD, BUFFER + 300)).toEqual([BUFFER - PERIOD, BUFFER]);
    player.write(BUFFER);
    expect(player.read(PERIOD)).toBe(BUFFER + PERIOD);
  });

  it('counts on where it then reads a step more than was written since', () => {
    const player = new Player();
    player.read(BUFFER);
    player.write(PERIOD);
    expect(player.readAll(PERIOD + 300, PERIOD)).toEqual([BUFFER + PERIOD, BUFFER + PERIOD]);
  });

  it('counts on in a buffer of two periods, which would be full for ever otherwise', () => {
    const player = refilled(2 * PERIOD);
    expect(player.readAll(PERIOD + 8, 2 * PERIOD)).toEqual([3 * PERIOD + 8, 4 * PERIOD]);
  });

  it('counts on after each of many underruns', () => {
    const player = new Player();
    for (let round = 0; round < 50; round++) {
      expect(player.readAll(PERIOD, 5 * PERIOD, BUFFER).map((count) => count - round * BUFFER)).toEqual([
        PERIOD,
        5 * PERIOD,
        BUFFER,
      ]);
      player.write(BUFFER);
    }
  });

  it('does not begin again where it reads the total all the time', () => {
    const player = refilled();
    expect(player.readAll(BUFFER, BUFFER + PERIOD, 2 * BUFFER)).toEqual([
      BUFFER,
      BUFFER + PERIOD,
      2 * BUFFER,
    ]);
  });

  it('has not begun again where it is one frame too low', () => {
    const player = new Player();
    expect(player.readAll(BUFFER, BUFFER - FRAME)).toEqual([BUFFER, BUFFER]);
    player.write(BUFFER);
    expect(player.readAll(BUFFER - FRAME, BUFFER + PERIOD)).toEqual([BUFFER, BUFFER + PERIOD]);
  });

  it('has not begun again where it is too low by a quarter of a period, and has with a byte more', () => {
    const tooLow = (bytes: number) => refilled(2 * PERIOD).readAll(2 * PERIOD - bytes, 3 * PERIOD);
    expect(tooLow(PERIOD / 4)).toEqual([2 * PERIOD, 3 * PERIOD]);
    expect(tooLow(PERIOD / 4 + 1)).toEqual([4 * PERIOD - PERIOD / 4 - 1, 5 * PERIOD]);
  });

  it('has not begun again where so much cannot have been played since', () => {
    const player = new Player({ written: 4 * BUFFER });
    player.readAll(4 * BUFFER);
    player.write(PERIOD);
    expect(player.readAll(2 * BUFFER, 4 * BUFFER + PERIOD)).toEqual([4 * BUFFER, 4 * BUFFER + PERIOD]);
  });

  it('has not begun again where a jump made it look like an underrun', () => {
    const player = new Player();
    expect(player.readAll(3 * PERIOD, 2n ** 60n)).toEqual([3 * PERIOD, BUFFER]);
    player.write(BUFFER - 3 * PERIOD);
    const late = 2.5 * PERIOD;
    expect(player.readAll(late, 4 * PERIOD, BUFFER, BUFFER + PERIOD)).toEqual([
      BUFFER,
      BUFFER,
      BUFFER,
      BUFFER + PERIOD,
    ]);
  });
});

describe('a counter that begins again while it runs', () => {
  it('counts on once two positions rise from there', () => {
    const player = new Player({ written: 3 * BUFFER });
    expect(player.read(BUFFER)).toBe(BUFFER);
    expect([player.read(PERIOD), player.counter.hasFallen]).toEqual([BUFFER, true]);
    expect([player.read(2 * PERIOD), player.counter.hasFallen]).toEqual([BUFFER + 2 * PERIOD, false]);
    expect(player.read(3 * PERIOD)).toBe(BUFFER + 3 * PERIOD);
  });

  it('counts from the first position seen where that is not near 0', () => {
    const player = new Player({ written: 3 * BUFFER });
    expect(player.readAll(BUFFER, 3 * PERIOD, 4 * PERIOD, 6 * PERIOD)).toEqual([
      BUFFER,
      BUFFER,
      BUFFER + PERIOD,
      BUFFER + 3 * PERIOD,
    ]);
  });

  it('takes a step of two periods for a beginning at 0, and one byte more not', () => {
    const second = (first: number) =>
      new Player({ written: 3 * BUFFER }).readAll(BUFFER, first, first + 1).at(-1);
    expect(second(2 * PERIOD)).toBe(BUFFER + 2 * PERIOD + 1);
    expect(second(2 * PERIOD + 1)).toBe(BUFFER + 1);
  });

  it('is waited for while it stands still, or falls further', () => {
    const player = new Player({ written: 3 * BUFFER });
    expect(player.readAll(BUFFER, PERIOD, PERIOD, 0, 0, PERIOD)).toEqual([
      BUFFER,
      BUFFER,
      BUFFER,
      BUFFER,
      BUFFER,
      BUFFER + PERIOD,
    ]);
  });

  it('says so of a capture stream at once: the first fall is all that it needs', () => {
    const counter = new PositionCounter(PERIOD);
    const fallen = (position: number) => {
      counter.read(BigInt(position), Number.MAX_SAFE_INTEGER);
      return counter.hasFallen;
    };
    expect(counter.hasFallen).toBe(false);
    expect([fallen(3 * PERIOD), fallen(3 * PERIOD), fallen(2 * PERIOD), fallen(0)]).toEqual([
      false,
      false,
      false,
      true,
    ]);
  });
});

describe('a position', () => {
  it('that is one frame too low moves the count by so much less, and the next one makes up for it', () => {
    const player = new Player();
    expect(player.readAll(PERIOD - FRAME, 2 * PERIOD - FRAME, 3 * PERIOD)).toEqual([
      PERIOD - FRAME,
      2 * PERIOD - FRAME,
      3 * PERIOD,
    ]);
  });

  it('that jumps forward inside what was written is believed', () => {
    expect(new Player().readAll(PERIOD, 6 * PERIOD, 7 * PERIOD)).toEqual([PERIOD, 6 * PERIOD, 7 * PERIOD]);
  });

  it.each([
    BigInt(BUFFER + PERIOD),
    BigInt(BUFFER + 3 * PERIOD),
    2n ** 53n,
    2n ** 53n + 1n,
    2n ** 63n,
    2n ** 64n - 1n,
  ])('that jumps to %d, beyond what was written, is all of that, until the true ones catch up', (jump) => {
    const player = new Player();
    expect(player.readAll(PERIOD, 2 * PERIOD, jump, 3 * PERIOD, 4 * PERIOD)).toEqual([
      PERIOD,
      2 * PERIOD,
      BUFFER,
      BUFFER,
      BUFFER,
    ]);
    expect(player.counter.hasFallen).toBe(false);
    player.write(2 * PERIOD);
    expect(player.readAll(5 * PERIOD, BUFFER, BUFFER + PERIOD)).toEqual([BUFFER, BUFFER, BUFFER + PERIOD]);
  });

  it('that goes on past what was written skips data that comes late, until more is written than it says', () => {
    const player = new Player();
    expect(player.readAll(...[7, 8, 9, 10, 11, 12].map((periods) => periods * PERIOD))).toEqual([
      7 * PERIOD,
      ...Array(5).fill(BUFFER),
    ]);
    player.write(3 * PERIOD);
    expect(player.read(13 * PERIOD)).toBe(11 * PERIOD);
    player.write(BUFFER);
    expect(player.readAll(14 * PERIOD, 15 * PERIOD)).toEqual([14 * PERIOD, 15 * PERIOD]);
  });

  it('that is sent twice moves nothing', () => {
    const player = new Player();
    expect(player.readAll(PERIOD, PERIOD, 2 * PERIOD, 2 * PERIOD, 2 * PERIOD)).toEqual([
      PERIOD,
      PERIOD,
      2 * PERIOD,
      2 * PERIOD,
      2 * PERIOD,
    ]);
  });

  it('that is late moves nothing, be it by a little or by much, and nor do its successors', () => {
    const player = new Player({ written: 3 * BUFFER });
    const positions = [10, 9, 9.5, 11, 2, 12, 0, 13, 11, 14].map((periods) => periods * PERIOD);
    expect(player.readAll(...positions)).toEqual(
      [10, 10, 10, 11, 11, 12, 12, 13, 13, 14].map((periods) => periods * PERIOD),
    );
    expect(player.counter.hasFallen).toBe(false);
  });

  it('after events that were lost makes up for them', () => {
    const player = new Player({ written: 100 * BUFFER });
    expect(player.readAll(PERIOD, 50 * PERIOD, 51 * PERIOD, 800 * PERIOD)).toEqual([
      PERIOD,
      50 * PERIOD,
      51 * PERIOD,
      800 * PERIOD,
    ]);
  });

  it('that stands still leaves the count where it is', () => {
    const player = new Player();
    expect(player.readAll(...Array(20).fill(0))).toEqual(Array(20).fill(0));
    expect(player.counter.hasFallen).toBe(false);
    expect(player.read(PERIOD)).toBe(PERIOD);
  });

  it('that is a step too high at the end, and then right, is all of it both times', () => {
    const player = new Player({ written: 259_072, period: 4096 });
    player.read(4096);
    player.read(258_048);
    expect(player.readAll(262_656, 259_072, 259_072)).toEqual([259_072, 259_072, 259_072]);
    player.write(32_768);
    expect(player.readAll(259_072, 259_072 + 4608)).toEqual([259_072, 259_072 + 4608]);
  });

  it('is counted exactly up to 2^53, which no stream lives to see', () => {
    const counter = new PositionCounter(PERIOD);
    const possible = 2 ** 53 - 1;
    const count = (position: bigint) => counter.read(position, possible);
    expect(count(2n ** 53n - 3n)).toBe(2 ** 53 - 3);
    expect(count(2n ** 53n - 2n)).toBe(2 ** 53 - 2);
    expect(count(2n ** 53n + 1n)).toBe(possible);
    expect(count(2n ** 64n - 1n)).toBe(possible);
  });
});

const period = fc.constantFrom(4, 24, 400, 4096);
/** A part of a whole; all and nothing more often than by chance. */
const share = fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true }));
const hostile = fc.oneof(
  fc.bigInt({ min: 0n, max: 20_000n }),
  fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n),
  u64,
);

describe('whatever a backend sends', () => {
  it('the count never falls, and is never more than was written', () => {
    const steps = fc.array(fc.tuple(fc.nat(3000), hostile), { maxLength: 40, size: 'max' });
    fc.assert(
      fc.property(period, steps, (periodBytes, sequence) => {
        const player = new Player({ written: 0, period: periodBytes });
        let before = 0;
        for (const [written, position] of sequence) {
          player.write(written);
          const count = player.read(position);
          expect(count).toBeGreaterThanOrEqual(before);
          expect(count).toBeLessThanOrEqual(player.written);
          expect(Number.isSafeInteger(count)).toBe(true);
          expect(player.counter.count).toBe(count);
          before = count;
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** What happens at a backend between two events, and to the second. */
interface Step {
  /** How much of the room is written. */
  readonly filled: number;
  /** How much of what was written is played. */
  readonly played: number;
  /** The event is lost, comes twice, or is a late one: one before, sent again. */
  readonly event: 'once' | 'lost' | 'twice' | 'late';
}

const step: fc.Arbitrary<Step> = fc.record({
  filled: share,
  played: share,
  event: fc.constantFrom('once', 'once', 'once', 'lost', 'twice', 'late'),
});

describe('a true counter', () => {
  /** Where the counter begins: at the stream's own 0, or anywhere else. */
  const begin = fc.oneof(fc.constant(0n), fc.bigInt({ min: 2n ** 20n, max: 2n ** 64n - 2n ** 30n }));

  it('is counted exactly, from any base, with any steps, events lost, doubled and late', () => {
    fc.assert(
      fc.property(period, begin, fc.array(step, { maxLength: 60, size: 'max' }), (bytes, base, steps) => {
        const player = new Player({ written: 8 * bytes, period: bytes });
        let played = bytes;
        expect(player.read(base + BigInt(played))).toBe(played);
        for (const { filled, played: part, event } of steps) {
          player.write(Math.floor(filled * (8 * bytes - (player.written - played))));
          const before = played;
          played += Math.floor(part * (player.written - played));
          // Nothing is on its way any more from a device that stands still.
          if (event === 'late' && player.stoodAt === undefined) {
            player.read(base + BigInt(Math.floor(before / 2)));
          }
          if (event !== 'lost') expect(player.read(base + BigInt(played))).toBe(played);
          if (event === 'twice') expect(player.read(base + BigInt(played))).toBe(played);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('of others is counted too low for ever by what was played before the first event and is no period', () => {
    const later = fc.tuple(fc.nat(7 * PERIOD), fc.nat(3 * PERIOD));
    fc.assert(
      fc.property(later, fc.bigInt({ min: 2n ** 20n, max: 2n ** 63n }), ([late, more], base) => {
        const player = new Player();
        expect(player.read(base + BigInt(PERIOD + late))).toBe(PERIOD);
        player.write(BUFFER);
        expect(player.read(base + BigInt(PERIOD + late + more))).toBe(PERIOD + more);
      }),
    );
  });
});

/** A device whose counter begins again at 0 whenever a test says so, and the count that is made of it. */
class RestartingDevice {
  readonly player: Player;
  truth = 0;
  /** Where the counter read 0. */
  begun = 0;

  constructor() {
    this.player = new Player({ written: BUFFER });
  }

  get standsStill(): boolean {
    return this.truth === this.player.written;
  }

  /** Writes as much of what the count leaves free as `share` says. */
  fill(share: number): void {
    this.player.write(Math.floor(share * (BUFFER - (this.player.written - this.player.counter.count))));
  }

  play(bytes: number): void {
    this.truth = Math.min(this.player.written, this.truth + bytes);
  }

  restart(): void {
    this.begun = this.truth;
  }

  report(): number {
    return this.player.read(this.truth - this.begun);
  }
}

describe('a counter that begins again', () => {
  it('is counted exactly where it does so after underruns that were reported', () => {
    const run = fc.record({
      periods: fc.integer({ min: 3, max: 8 }),
      steps: fc.array(fc.nat(2 * PERIOD), { minLength: 1, maxLength: 8 }),
    });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 12 }), (runs) => {
        const device = new RestartingDevice();
        device.play(BUFFER);
        expect(device.report()).toBe(BUFFER);
        for (const { periods, steps } of runs) {
          device.player.write(periods * PERIOD);
          device.restart();
          for (const bytes of [...steps, BUFFER]) {
            device.play(bytes);
            expect(device.report()).toBe(device.truth);
          }
        }
      }),
    );
  });

  it('is never counted too high, whenever it does so, and whatever is lost', () => {
    const moves = fc.record({
      filled: share,
      played: fc.nat(3 * PERIOD),
      restarts: fc.boolean(),
      isLost: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(moves, { maxLength: 60, size: 'max' }), (sequence) => {
        const device = new RestartingDevice();
        for (const { filled, played, restarts, isLost } of sequence) {
          device.fill(filled);
          device.play(played);
          if (restarts) device.restart();
          if (!isLost) expect(device.report()).toBeLessThanOrEqual(device.truth);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('while it runs, is counted too low by what was played unseen before, from the second event on', () => {
    const run = fc.record({
      /** Bytes by which the events come later than one a period. */
      jitter: fc.array(fc.nat(PERIOD / 2), { minLength: 5, maxLength: 12 }),
      unseen: fc.nat(PERIOD),
    });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 8 }), (runs) => {
        const device = new RestartingDevice();
        let unseen = 0;
        for (const { jitter, unseen: more } of runs) {
          for (const [index, bytes] of jitter.entries()) {
            device.player.write(2 * PERIOD);
            device.play(PERIOD + bytes);
            expect(device.standsStill).toBe(false);
            const count = device.report();
            if (index > 0) expect(count).toBe(device.truth - unseen);
          }
          device.play(more);
          unseen += more;
          device.restart();
        }
      }),
    );
  });

  it('too soon to be told from a late event, is counted too low by three periods at most, once', () => {
    fc.assert(
      fc.property(fc.nat(PERIOD), fc.nat(PERIOD), fc.array(fc.nat(PERIOD)), (first, unseen, steps) => {
        const device = new RestartingDevice();
        device.player.write(steps.length * PERIOD);
        device.play(PERIOD + first);
        device.report();
        device.play(unseen);
        device.restart();
        for (const bytes of [PERIOD, ...steps]) {
          device.play(bytes);
          const lag = device.truth - device.report();
          expect(lag).toBeGreaterThanOrEqual(0);
          expect(lag).toBeLessThanOrEqual(first + unseen + PERIOD);
        }
      }),
    );
  });
});
