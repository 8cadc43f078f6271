import type { Clock } from '../clock.ts';
import { RING_SIZE } from '../wire/ring.ts';

/** ns of one turn of the event loop that may go into requests, but for the last request, which is answered whole. */
const TURN_TIME = 1e6;

/** ns that a request counts for at least: a ring's worth of them is a turn, however fast they are. */
const REQUEST_TIME = TURN_TIME / RING_SIZE;

/** Something of a guest's that asks for turns: a stream. */
export interface TurnTaker {
  /** Answers requests until {@link Turns.spend} says no, or none are left of those there are now; says whether more wait. */
  takeTurn(): boolean;
}

interface Guest {
  /** ns that its requests have taken, or would have, had it always waited. */
  used: number;
  /** Which of its streams wait, in the order of their turns. */
  readonly takers: Set<TurnTaker>;
}

/**
 * Says whose requests are answered next, so that no guest keeps the others, or timers and signals, from theirs: whoever has
 * used the least of the time that there was, however many streams it has, and of its streams one after the other. After a
 * turn's worth of requests the event loop has its turn; before that nobody waits.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #guests = new Map<number, Guest>();
  #current: Guest | undefined;
  /** What the guest whose turn came last had used, ns: nobody who waits has used less. */
  #floor = 0;
  #left = TURN_TIME;
  /** When the last request was done with, or the first one begun, ns. */
  #last = 0;
  #isResting = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Gives `taker` a turn: at once where nobody waits. */
  ask(domid: number, taker: TurnTaker): void {
    let guest = this.#guests.get(domid);
    if (guest === undefined) {
      guest = { used: 0, takers: new Set() };
      this.#guests.set(domid, guest);
    }
    // Who has left a turn out goes before those that have not, but saves up no more than that.
    if (guest.takers.size === 0) guest.used = Math.max(guest.used, this.#floor - TURN_TIME);
    guest.takers.add(taker);
    if (this.#current === undefined && !this.#isResting) this.#work();
  }

  /** `taker` does not wait any more. */
  leave(domid: number, taker: TurnTaker): void {
    this.#guests.get(domid)?.takers.delete(taker);
  }

  /** Takes note that a request has been dealt with; says whether there is time for another one. */
  spend(): boolean {
    const now = this.#clock.now();
    const spent = Math.max(REQUEST_TIME, now - this.#last);
    this.#last = now;
    this.#left -= spent;
    if (this.#current) this.#current.used += spent;
    return this.#left > 0;
  }

  /**
   * Takes note of an answer that came after its turn: what was done for it, to map a large buffer, say, may not have given the
   * event loop its turn. That it may only have waited costs no more than one of those.
   */
  spendLate(domid: number): void {
    const now = this.#clock.now();
    const spent = now - this.#last;
    this.#last = now;
    this.#left -= spent;
    const guest = this.#guests.get(domid);
    if (guest) guest.used += Math.min(spent, TURN_TIME);
  }

  #work(): void {
    this.#last = this.#clock.now();
    for (let next = this.#next(); next !== undefined && this.#left > 0; next = this.#next())
      this.#serve(next);
    if (this.#left > 0) return;
    this.#isResting = true;
    setImmediate(() => {
      this.#isResting = false;
      this.#left = TURN_TIME;
      this.#work();
    });
  }

  #serve(guest: Guest): void {
    const [taker] = guest.takers;
    if (taker === undefined) return;
    guest.takers.delete(taker);
    this.#current = guest;
    try {
      if (taker.takeTurn()) guest.takers.add(taker);
    } finally {
      this.#current = undefined;
    }
  }

  /** Who has used the least of those that wait; forgets those that would not gain by waiting. */
  #next(): Guest | undefined {
    let next: Guest | undefined;
    for (const [domid, guest] of this.#guests) {
      if (guest.takers.size === 0) {
        if (guest.used <= this.#floor - TURN_TIME) this.#guests.delete(domid);
      } else if (next === undefined || guest.used < next.used) {
        next = guest;
      }
    }
    if (next !== undefined) {
      this.#floor = next.used;
    } else {
      this.#guests.clear();
      this.#floor = 0;
    }
    return next;
  }
}
