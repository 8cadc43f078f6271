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

/**
 * Says whose requests are answered next, so that no guest can keep the others, or timers and signals, from theirs. It goes
 * round the guests, however many streams each has, and round each guest's streams. After a turn's worth of requests the
 * event loop has its turn; before that nobody waits. A guest that comes anew goes before those that keep coming, and so
 * waits for nobody's second turn.
 */
export class Turns {
  readonly #clock: Clock;
  /** Who waits, by guest, in the order of their turns; those that wait for nothing any more are dropped when it is theirs. */
  readonly #guests = new Map<number, Set<TurnTaker>>();
  /** Guests that have had no turn since they came. */
  readonly #fresh = new Set<number>();
  #left = TURN_TIME;
  /** When the last request was done with, or the first one begun, ns. */
  #last = 0;
  #isWorking = false;
  #isResting = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Gives `taker` a turn: at once where nobody waits. */
  ask(domid: number, taker: TurnTaker): void {
    let takers = this.#guests.get(domid);
    if (takers === undefined) {
      takers = new Set();
      this.#guests.set(domid, takers);
      this.#fresh.add(domid);
    }
    takers.add(taker);
    if (!this.#isWorking && !this.#isResting) this.#work();
  }

  /** `taker` does not wait any more. */
  leave(domid: number, taker: TurnTaker): void {
    this.#guests.get(domid)?.delete(taker);
  }

  /** Takes note that a request has been dealt with; says whether there is time for another one. */
  spend(): boolean {
    const now = this.#clock.now();
    this.#left -= Math.max(REQUEST_TIME, now - this.#last);
    this.#last = now;
    return this.#left > 0;
  }

  #work(): void {
    this.#isWorking = true;
    this.#last = this.#clock.now();
    try {
      while (this.#left > 0 && this.#serveNext());
    } finally {
      this.#isWorking = false;
      if (this.#left <= 0) this.#rest();
    }
  }

  #rest(): void {
    this.#isResting = true;
    setImmediate(() => {
      this.#isResting = false;
      this.#left = TURN_TIME;
      this.#work();
    });
  }

  /** False where nobody waits. */
  #serveNext(): boolean {
    for (;;) {
      const [domid] = this.#fresh.size > 0 ? this.#fresh : this.#guests.keys();
      if (domid === undefined) return false;
      const takers = this.#guests.get(domid) ?? new Set();
      this.#fresh.delete(domid);
      this.#guests.delete(domid);
      const [taker] = takers;
      if (taker === undefined) continue;
      takers.delete(taker);
      this.#guests.set(domid, takers); // behind the others
      if (taker.takeTurn()) takers.add(taker);
      return true;
    }
  }
}
