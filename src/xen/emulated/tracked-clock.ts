import type { Clock, Timer } from '../../clock.ts';

/** A clock that knows which of one process's timers are pending, and ends them with the process. */
export class TrackedClock implements Clock {
  readonly #clock: Clock;
  readonly #pending = new Set<Timer>();
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get pendingTimers(): number {
    return this.#pending.size;
  }

  now(): number {
    return this.#clock.now();
  }

  after(delay: number, callback: () => void): Timer {
    if (this.#stopped) return { cancel: () => {}, unref: () => {} };
    const timer = this.#clock.after(delay, () => {
      this.#pending.delete(timer);
      callback();
    });
    this.#pending.add(timer);
    return {
      cancel: () => {
        this.#pending.delete(timer);
        timer.cancel();
      },
      unref: () => timer.unref(),
    };
  }

  /** @internal The process is no more: nothing of it runs again. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#pending) timer.cancel();
    this.#pending.clear();
  }
}
