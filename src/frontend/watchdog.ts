import type { Clock, Timer } from '../clock.ts';

/** Tells of something that should move and does not. One timer, set again only when it fires: movement costs nothing. */
export class Watchdog {
  readonly #clock: Clock;
  readonly #delay: () => number;
  readonly #onStall: () => void;
  #timer: Timer | undefined;
  #movedAt = 0;

  /** `onStall` is called whenever nothing has moved for `delay` ns, and again after as long. */
  constructor(clock: Clock, watched: { delay(): number; onStall(): void }) {
    this.#clock = clock;
    this.#delay = () => watched.delay();
    this.#onStall = () => watched.onStall();
  }

  /** Watches from now on. */
  start(): void {
    this.stop();
    this.moved();
    this.#watch();
  }

  /** What is watched has moved: `now`, ns. */
  moved(now = this.#clock.now()): void {
    this.#movedAt = now;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  get #rest(): number {
    const delay = this.#delay(); // which may find out that it has moved
    return this.#movedAt + delay - this.#clock.now();
  }

  #watch(): void {
    this.#timer = this.#clock.after(this.#rest, () => {
      const isStill = this.#rest < 1; // ns: clocks round
      if (isStill) this.moved(); // counts anew, up to the next call
      this.#watch();
      if (isStill) this.#onStall();
    });
  }
}
