import { describe, expect, test } from 'vitest';
import { Turns, type TurnTaker } from '../../src/backend/turns.ts';
import { type Clock, nextTurn } from '../../src/clock.ts';

/** A clock that goes on only while somebody works. */
class WorkClock implements Clock {
  #now = 0;

  now(): number {
    return this.#now;
  }

  after(): never {
    throw new Error('nobody waits here');
  }

  work(duration: number): void {
    this.#now += duration;
  }
}

/** A guest whose OPENs all wait in its ring, each of which takes 5 ms after its turn: as mapping 16 MiB does, and its answer. */
class Opener implements TurnTaker {
  readonly #turns: Turns;
  readonly #clock: WorkClock;
  opened = 0;
  left: number;

  constructor(turns: Turns, clock: WorkClock, left: number) {
    this.#turns = turns;
    this.#clock = clock;
    this.left = left;
  }

  takeTurn(): boolean {
    if (this.left === 0) return false;
    this.left -= 1;
    this.#turns.spend();
    void this.#open();
    return false;
  }

  async #open(): Promise<void> {
    await Promise.resolve();
    this.#clock.work(5e6);
    this.opened += 1;
    this.#turns.spendLate(1);
    this.#turns.ask(1, this);
  }
}

describe('OPENs that map large buffers', () => {
  test('are carried out one in a turn of the loop, and keep no other guest waiting', async () => {
    const clock = new WorkClock();
    const turns = new Turns(clock);
    const opener = new Opener(turns, clock, 100);
    turns.ask(1, opener);
    let isServed = false;
    const other = {
      takeTurn: () => {
        isServed = true;
        turns.spend();
        return false;
      },
    };
    for (let turn = 0; turn < 100; turn++) {
      const before = opener.opened;
      isServed = false;
      turns.ask(2, other);
      await nextTurn();
      expect(opener.opened - before).toBeLessThanOrEqual(1);
      await nextTurn();
      expect(isServed).toBe(true);
    }
    while (opener.left > 0) await nextTurn();
  });
});
