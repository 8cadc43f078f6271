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
  domid: number;
  /** ns that its requests have taken, or would have, had it always waited. */
  used: number;
  /** Which of its streams wait, in the order of their turns. */
  readonly takers: TurnTaker[];
}

/**
 * Says whose requests are answered next, so that no guest keeps the others, or timers and signals, from theirs: whoever has
 * used the least of the time that there was, however many streams it has, and of its streams one after the other. After a
 * turn's worth of requests the event loop has its turn; before that nobody waits.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #guests: Guest[] = [];
  /** One that is not among them any more, for the next that is new: most often one guest asks, again and again. */
  #spare: Guest | undefined;
  /** Streams that wait. */
  #waiting = 0;
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
    const isBusy = this.#current !== undefined || this.#isResting;
    let guest = this.#find(domid);
    if (guest === undefined) {
      guest = this.#spare ?? { domid, used: 0, takers: [] };
      this.#spare = undefined;
      guest.domid = domid;
      guest.used = 0;
      this.#guests.push(guest);
    }
    // Who has left a turn out goes before those that have not, but saves up no more than that.
    if (guest.takers.length === 0) guest.used = Math.max(guest.used, this.#floor - TURN_TIME);
    if (isBusy || this.#left <= 0) {
      this.#await(guest, taker);
    } else {
      this.#last = this.#clock.now();
      this.#floor = guest.used;
      this.#serve(guest, taker);
    }
    if (!isBusy) this.#work();
  }

  /** `taker` does not wait any more. */
  leave(domid: number, taker: TurnTaker): void {
    const takers = this.#find(domid)?.takers ?? [];
    const index = takers.indexOf(taker);
    if (index === -1) return;
    takers.splice(index, 1);
    this.#waiting -= 1;
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
    const guest = this.#find(domid);
    if (guest) guest.used += Math.min(spent, TURN_TIME);
  }

  /** Serves those that wait, while there is time. */
  #work(): void {
    for (let next = this.#next(); next !== undefined && this.#left > 0; next = this.#next()) {
      const taker = next.takers.shift();
      if (taker === undefined) break;
      this.#waiting -= 1;
      this.#serve(next, taker);
    }
    if (this.#left > 0) return;
    this.#isResting = true;
    setImmediate(() => {
      this.#isResting = false;
      this.#left = TURN_TIME;
      this.#last = this.#clock.now();
      this.#work();
    });
  }

  #serve(guest: Guest, taker: TurnTaker): void {
    this.#current = guest;
    try {
      if (taker.takeTurn()) this.#await(guest, taker);
    } finally {
      this.#current = undefined;
    }
  }

  #await(guest: Guest, taker: TurnTaker): void {
    if (guest.takers.includes(taker)) return;
    guest.takers.push(taker);
    this.#waiting += 1;
  }

  /** Who has used the least of those that wait; forgets those that would not gain by waiting. */
  #next(): Guest | undefined {
    if (this.#waiting === 0) {
      this.#spare = this.#guests.pop() ?? this.#spare;
      if (this.#guests.length > 0) this.#guests.length = 0;
      this.#floor = 0;
      return undefined;
    }
    let next: Guest | undefined;
    for (let index = this.#guests.length - 1; index >= 0; index--) {
      const guest = this.#guests[index];
      if (guest === undefined) continue;
      if (guest.takers.length === 0) {
        if (guest.used <= this.#floor - TURN_TIME) this.#guests.splice(index, 1);
      } else if (next === undefined || guest.used <= next.used) {
        next = guest;
      }
    }
    this.#floor = next?.used ?? 0;
    return next;
  }

  #find(domid: number): Guest | undefined {
    for (const guest of this.#guests) if (guest.domid === domid) return guest;
    return undefined;
  }
}
