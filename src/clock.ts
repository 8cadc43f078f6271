import { deferred } from './deferred.ts';

/** A pending call of {@link Clock.after}. */
export interface Timer {
  /** Idempotent; the call will not happen any more. */
  cancel(): void;
  /** It does not hold the process any more. */
  unref(): void;
}

/** A monotonic clock with timers: the machine's own, or one that a test moves by hand. */
export interface Clock {
  /** Nanoseconds since an arbitrary start; never runs backwards. */
  now(): number;
  /** Calls `callback` once, `delay` nanoseconds from now or later. */
  after(delay: number, callback: () => void): Timer;
}

/** ns: a timer that is later than that tells of a process that stood still, or a loop that did. */
const STANDSTILL = 0.25e9;

/**
 * Calls `expire` when what is waited for has had `delay` ns to come, and has not: for every time-out that says something
 * about somebody else. Time in which this process stood still (SIGSTOP, a saved guest, a busy loop) says nothing about
 * anybody and is given once more; and the event loop always takes in what has arrived before it is judged too late.
 */
export function timeout(clock: Clock, delay: number, expire: () => void): Timer {
  const due = clock.now() + delay;
  let isRef = true;
  let turn: NodeJS.Immediate | undefined;
  // Holds the process for that turn, always: a loop that sleeps does not wake for an immediate without a reference.
  const look = (): void => {
    turn = setImmediate(expire);
  };
  const handleDue = (): void => {
    if (clock.now() - due > STANDSTILL) {
      timer = clock.after(delay, look);
      if (!isRef) timer.unref();
    } else look();
  };
  let timer = clock.after(delay, handleDue);
  return {
    cancel: () => {
      timer.cancel();
      clearImmediate(turn);
    },
    unref: () => {
      isRef = false;
      timer.unref();
    },
  };
}

/** Resolves after `delay` ns, or as soon as `signal` aborts. Without `ref` it does not hold the process. */
export async function wait(
  clock: Clock,
  delay: number,
  { signal, ref = true }: { signal?: AbortSignal | undefined; ref?: boolean } = {},
): Promise<void> {
  if (delay <= 0 || signal?.aborted) return;
  const { promise, resolve } = deferred();
  const end = () => resolve();
  const timer = clock.after(delay, end);
  if (!ref) timer.unref();
  signal?.addEventListener('abort', end, { once: true });
  await promise;
  signal?.removeEventListener('abort', end);
  timer.cancel();
}

/** ms: what setTimeout takes; a longer delay would count as 1 ms. */
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** The machine's monotonic clock. Its timers hold the process only where `ref` is true. */
export class RealClock implements Clock {
  readonly #ref: boolean;

  constructor({ ref = true } = {}) {
    this.#ref = ref;
  }

  now(): number {
    return performance.now() * 1e6;
  }

  after(delay: number, callback: () => void): Timer {
    const due = this.now() + delay;
    let isRef = this.#ref;
    let timeout: NodeJS.Timeout;
    const wait = (rest: number): void => {
      timeout = setTimeout(check, Math.min(Math.ceil(rest / 1e6), LONGEST_TIMEOUT));
      if (!isRef) timeout.unref();
    };
    const unref = (): void => {
      isRef = false;
      timeout.unref();
    };
    /** Node counts whole milliseconds of its own, and so may be up to one early. */
    const check = (): void => {
      const rest = due - this.now();
      if (rest > 0) wait(rest);
      else callback();
    };
    wait(delay);
    return { cancel: () => clearTimeout(timeout), unref };
  }
}

interface Due {
  time: number;
  callback: () => void;
}

/** Another clock that is off: a sound card's crystal beside the machine's. */
export class DeviatingClock implements Clock {
  readonly #clock: Clock;
  readonly #speed: number;

  /** `deviation`: parts per million by which it is fast; negative, slow. */
  constructor(clock: Clock, deviation: number) {
    this.#clock = clock;
    this.#speed = 1 + deviation / 1e6;
  }

  now(): number {
    return this.#clock.now() * this.#speed;
  }

  after(delay: number, callback: () => void): Timer {
    return this.#clock.after(delay / this.#speed, callback);
  }
}

/** Timers in the order in which they fall due; those of one instant in the order in which they were set. */
class Agenda {
  readonly #due: Due[] = [];

  get size(): number {
    return this.#due.length;
  }

  get next(): Due | undefined {
    return this.#due[0];
  }

  add(entry: Due): Timer {
    const before = this.#due.findIndex((other) => other.time > entry.time);
    this.#due.splice(before === -1 ? this.#due.length : before, 0, entry);
    return { cancel: () => this.#remove(entry), unref: () => {} };
  }

  shift(): Due | undefined {
    return this.#due.shift();
  }

  #remove(entry: Due): void {
    const index = this.#due.indexOf(entry);
    if (index !== -1) this.#due.splice(index, 1);
  }
}

/** ns: a timer as near as that is due. Times that are whole numbers of frames are seldom whole nanoseconds. */
const ROUNDING = 0.5;

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  readonly #rate: number;
  readonly #agenda = new Agenda();
  readonly #settle: (() => Promise<void>)[] = [];
  #now = 0;

  /** `rate` in Hz: what one frame means to {@link advance}. */
  constructor({ rate = 48_000 } = {}) {
    this.#rate = rate;
  }

  now(): number {
    return this.#now;
  }

  after(delay: number, callback: () => void): Timer {
    return this.#agenda.add({ time: this.#now + Math.max(0, delay), callback });
  }

  /** Timers that have neither been called nor cancelled. */
  get pendingTimers(): number {
    return this.#agenda.size;
  }

  /** Registers what must come to rest after each instant at which timers fire: an emulated machine. */
  settleWith(settle: () => Promise<void>): void {
    this.#settle.push(settle);
  }

  /**
   * Lets the time of `frames` frames at `rate` Hz pass. Stops at each timer that falls due on the way, and settles
   * when everything that follows from it, on both sides of the domain border, has been handled.
   */
  async advance(frames: number, rate = this.#rate): Promise<void> {
    await this.advanceTime((frames * 1e9) / rate);
  }

  /** As {@link advance}, in nanoseconds. */
  async advanceTime(duration: number): Promise<void> {
    const target = this.#now + duration;
    await this.#settleAll();
    for (
      let due = this.#agenda.next;
      due !== undefined && due.time <= target + ROUNDING;
      due = this.#agenda.next
    ) {
      this.#agenda.shift();
      this.#now = Math.max(this.#now, due.time);
      due.callback();
      await this.#settleAll();
    }
    this.#now = Math.max(this.#now, target);
  }

  /** As {@link advanceTime} for a process that does not run meanwhile: what has fallen due is called afterwards, all late. */
  async standStill(duration: number): Promise<void> {
    await this.#settleAll();
    this.#now += duration;
    await this.advanceTime(0);
  }

  async #settleAll(): Promise<void> {
    for (const settle of this.#settle) await settle();
  }
}

/** A clock without waiting: each timer is called in the next turn of the event loop, and the time is then its time. */
export class FastClock implements Clock {
  readonly #agenda = new Agenda();
  #now = 0;
  #scheduled = false;

  now(): number {
    return this.#now;
  }

  after(delay: number, callback: () => void): Timer {
    const timer = this.#agenda.add({ time: this.#now + Math.max(0, delay), callback });
    this.#schedule();
    return timer;
  }

  #schedule(): void {
    if (this.#scheduled || this.#agenda.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const due = this.#agenda.shift();
      if (due === undefined) return;
      this.#now = Math.max(this.#now, due.time);
      due.callback();
      this.#schedule();
    });
  }
}

/** Lets whatever waits for the event loop have its turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
