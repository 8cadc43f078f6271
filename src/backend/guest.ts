import { type Clock, wait } from '../clock.ts';
import {
  LIMIT_NAMES,
  LIMITS,
  type LimitName,
  type LimitSetting,
  type LimitValues,
  limitsOf,
} from './limits.ts';
import { type BackendLogEntry, LogBudget } from './log.ts';
import { Refusal } from './refusal.ts';
import { TokenBucket } from './token-bucket.ts';

/** Those that what a guest holds is counted for. */
export type HeldLimit = Exclude<LimitName, (typeof UNCOUNTED)[number]>;

/** Those that every single wish is held against. */
const UNCOUNTED = ['rate', 'channels', 'opens-per-second', 'log-bytes-per-minute'] as const;

/** A guest, and what its limits have done to it so far. */
export interface GuestStatus {
  readonly domid: number;
  readonly limits: readonly {
    readonly name: LimitName;
    readonly limit: number;
    /** What it has of that now; undefined where that means nothing. */
    readonly used: number | undefined;
    /** How often it wanted more than it may have. */
    readonly refused: number;
    /** How often it had to wait. */
    readonly delayed: number;
  }[];
}

/** What a guest wanted beyond a limit of its own. */
export class LimitRefusal extends Refusal {
  /** The log has had one of this guest and this limit already. */
  readonly isRepeated: boolean;

  constructor(errno: 'EINVAL' | 'EBUSY', message: string, isRepeated: boolean) {
    super(errno, message);
    this.isRepeated = isRepeated;
  }
}

/** Whether an error has been in the log: of each limit of a guest one refusal is enough. */
export function isRepeated(error: unknown): boolean {
  return error instanceof LimitRefusal && error.isRepeated;
}

/** OPENs that may come at once, in seconds' worth of them. */
const OPEN_BURST = 4;

/** ns that an OPEN may be kept waiting: Linux's frontend gives up after 3 s. */
const LONGEST_WAIT = 2e9;

export interface GuestOptions {
  readonly limits: LimitValues;
  readonly clock: Clock;
  log(entry: BackendLogEntry): void;
}

/** One guest, whatever cards and streams it has: what it may cost, and what it has cost. */
export class Guest {
  readonly domid: number;
  readonly #limits: LimitValues;
  readonly #clock: Clock;
  readonly #log: LogBudget;
  readonly #opens: TokenBucket;
  readonly #counts = new Map(LIMIT_NAMES.map((name) => [name, { used: 0, refused: 0, delayed: 0 }]));
  #lastUsed: number;

  constructor(domid: number, { limits, clock, log }: GuestOptions) {
    this.domid = domid;
    this.#limits = limits;
    this.#clock = clock;
    this.#log = new LogBudget({ bytesPerMinute: limits['log-bytes-per-minute'], clock, log });
    const rate = limits['opens-per-second'];
    const pace = { rate, size: OPEN_BURST * rate, longest: LONGEST_WAIT };
    this.#opens = new TokenBucket({ ...pace, now: clock.now() });
    this.#lastUsed = clock.now();
  }

  get status(): GuestStatus {
    const limits = [...this.#counts].map(([name, { used, refused, delayed }]) => ({
      ...{ name, limit: this.#limits[name], refused, delayed },
      used: isCounted(name) ? used : undefined,
    }));
    return { domid: this.domid, limits };
  }

  /** ns since it had a card; 0 while it has one. */
  get idleTime(): number {
    return this.#countsOf('cards').used > 0 ? 0 : this.#clock.now() - this.#lastUsed;
  }

  /** Takes note of what happens to it, as far as the log has room for that. */
  log(entry: Omit<BackendLogEntry, 'domid'>): void {
    const isWritten = this.#log.log({ domid: this.domid, ...entry });
    if (!isWritten) this.#countsOf('log-bytes-per-minute').refused += 1;
  }

  /** The most of something that it may have. */
  limit(name: LimitName): number {
    return this.#limits[name];
  }

  /** What is left to it of something. */
  left(name: HeldLimit): number {
    return Math.max(0, this.#limits[name] - this.#countsOf(name).used);
  }

  /** `value`: what the guest's `field` says. Throws {@link LimitRefusal}. */
  check(name: 'rate' | 'channels', value: number, field: string): void {
    if (value > this.#limits[name]) throw this.#refusal(name, value, field);
  }

  /** Lets it have `amount` until what is returned is called, if ever; idempotent. Throws {@link LimitRefusal}. */
  hold(name: HeldLimit, amount: number, field: string): () => void {
    const counts = this.#countsOf(name);
    if (counts.used + amount > this.#limits[name]) throw this.#refusal(name, amount, field);
    counts.used += amount;
    let held = amount;
    return () => {
      counts.used -= held;
      held = 0;
      this.#lastUsed = this.#clock.now();
    };
  }

  /**
   * Waits until one more OPEN, or what costs as much as one, may be carried out, or `signal` aborts. Rejects with
   * {@link LimitRefusal}, as late.
   */
  async admitOpen(signal: AbortSignal, what = 'one more OPEN'): Promise<void> {
    const delay = this.#opens.take(this.#clock.now());
    if (delay === 0) return;
    this.#countsOf('opens-per-second').delayed += 1;
    await wait(this.#clock, delay ?? LONGEST_WAIT, { signal });
    if (delay === undefined) throw this.#refusal('opens-per-second', 1, what);
  }

  #countsOf(name: LimitName) {
    const counts = this.#counts.get(name);
    if (counts === undefined) throw new TypeError(`no such limit: ${name}`);
    return counts;
  }

  /** What can never be is EINVAL, what cannot be now EBUSY. */
  #refusal(name: LimitName, amount: number, field: string): LimitRefusal {
    const counts = this.#countsOf(name);
    const limit = this.#limits[name];
    counts.refused += 1;
    const beside = counts.used > 0 ? ` beside ${counts.used} in use` : '';
    const allowed = `allowed: ${limit} ${LIMITS[name].unit} (--limit ${name})`;
    const message = `${field} is ${amount}${beside}; ${allowed}`;
    return new LimitRefusal(amount > limit ? 'EINVAL' : 'EBUSY', message, counts.refused > 1);
  }
}

/** ns that a guest without a card is remembered: what it has spent must not come back with the next card. */
const MEMORY = 600e9;

export interface GuestsOptions {
  readonly limits: readonly LimitSetting[];
  readonly clock: Clock;
  log(entry: BackendLogEntry): void;
}

/** All guests that have a card, or had one ten minutes ago. */
export class Guests {
  readonly #options: GuestsOptions;
  readonly #guests = new Map<number, Guest>();

  constructor(options: GuestsOptions) {
    this.#options = options;
  }

  get status(): GuestStatus[] {
    this.#forget();
    return [...this.#guests.values()].map((guest) => guest.status);
  }

  /** The guest with that domid. */
  find(domid: number): Guest {
    this.#forget();
    const { clock, log, limits } = this.#options;
    const guest =
      this.#guests.get(domid) ?? new Guest(domid, { clock, log, limits: limitsOf(limits, domid) });
    this.#guests.set(domid, guest);
    return guest;
  }

  #forget(): void {
    for (const [domid, guest] of this.#guests) if (guest.idleTime >= MEMORY) this.#guests.delete(domid);
  }
}

function isCounted(name: LimitName): boolean {
  return !UNCOUNTED.some((other) => other === name);
}
