import type { Clock, Timer } from '../../clock.ts';
import { IdleDelay } from '../idle-delay.ts';

/** Where the notifications of a port meet its handler: with the pending and the mask bit that /dev/xen/evtchn works with. */
export class EventReceiver {
  readonly #clock: Clock;
  readonly #schedule: (step: () => void) => void;
  readonly #isHeld: () => boolean;
  readonly #idleDelay = new IdleDelay();
  #handler: (() => void) | undefined;
  #isPending = false;
  /** Nobody reads the events before there is a handler. */
  #isMasked = true;
  #isScheduled = false;
  #unmasking: Timer | undefined;

  /** `schedule`: runs a step in a later turn. `isHeld`: true where notifications wait for {@link deliverSoon}. */
  constructor(clock: Clock, schedule: (step: () => void) => void, isHeld = () => false) {
    this.#clock = clock;
    this.#schedule = schedule;
    this.#isHeld = isHeld;
  }

  /** Sets the pending bit; what is pending already takes any number of further notifications in. */
  raise(): void {
    this.#isPending = true;
    this.deliverSoon();
  }

  /** As {@link raise}, for a notification that has this turn to itself. */
  raiseNow(): void {
    this.#isPending = true;
    if (!this.#isScheduled) this.#deliver();
  }

  /** Sets the handler and unmasks. */
  listen(handler: () => void): void {
    this.#handler = handler;
    this.#unmask();
  }

  /** The notification that is being handled leads to nothing. */
  idle(): void {
    this.#idleDelay.idle();
  }

  close(): void {
    this.#handler = undefined;
    this.#unmasking?.cancel();
    this.#isMasked = true;
    this.#isPending = false;
  }

  deliverSoon(): void {
    if (!this.#isReady || this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(this.#deliver);
  }

  get #isReady(): boolean {
    return this.#isPending && !this.#isMasked && !this.#isHeld();
  }

  readonly #deliver = (): void => {
    this.#isScheduled = false;
    if (!this.#isReady) return;
    this.#isPending = false;
    this.#isMasked = true;
    try {
      this.#handler?.();
    } finally {
      const delay = this.#idleDelay.afterHandling();
      if (delay === 0) this.#unmask();
      else this.#unmasking = this.#clock.after(delay, () => this.#unmask());
    }
  };

  #unmask(): void {
    if (this.#handler === undefined) return;
    this.#isMasked = false;
    this.deliverSoon();
  }
}
