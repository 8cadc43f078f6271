import type { Clock } from '../../clock.ts';
import type { PortTable } from './event-channels.ts';
import { FaultRules } from './fault-rules.ts';
import type { GrantTable } from './grant-table.ts';
import { StoreServer } from './store-server.ts';

/** What the processes of one domain have in common; a restore gives it another domid and new ports. */
export interface DomainState {
  domid: number;
  readonly privileged: boolean;
  readonly grants: GrantTable;
  ports: PortTable;
  readonly claims: Set<string>;
  readonly processes: Set<DomainProcess>;
}

/** What the machine does with a process of a domain: an EmulatedDomain. */
export interface DomainProcess {
  /** It ends, all at once. */
  exit(): void;
  /** It goes on in other memory than its peers have mapped. */
  leaveMemory(): void;
  /** What it still has, a line each. */
  leaks(): string[];
}

/** Something under way that {@link EmulatedXen.settle} waits for. */
export interface Activity {
  /** Idempotent. */
  end(): void;
}

/** What lies below the domains of an emulated machine: all that they share, and the one queue of what is under way. */
export class EmulatedXen {
  /** The time of all domains. */
  readonly clock: Clock;
  /** @internal */
  readonly store = new StoreServer();
  /** @internal */
  readonly rules = new FaultRules();
  /** @internal By domid. */
  readonly domains = new Map<number, DomainState>();
  /** @internal What would have been a BUG in a real kernel, a line each. */
  readonly bugs: string[] = [];
  /** Its first `#queued` wait for a turn. The two lists take turns, and keep their memory. */
  #queue: ((() => void) | undefined)[] = [];
  #spare: ((() => void) | undefined)[] = [];
  #queued = 0;
  #draining = false;
  /** Counts whatever happens: two equal readings mean that nothing did. */
  #moves = 0;
  #activities = 0;
  #waiting: (() => void)[] = [];
  readonly #others = new Set<() => Promise<void>>();

  /** @internal */
  constructor(clock: Clock) {
    this.clock = clock;
  }

  /**
   * The domain and its processes end here and now. What XenStore says of it stays: see removeDomain of the
   * toolstack.
   */
  destroyDomain(domid: number): void {
    const state = this.domains.get(domid);
    if (state === undefined) return;
    this.domains.delete(domid);
    for (const process of state.processes) process.exit();
    this.store.release(domid);
  }

  /** Runs `step` in a later turn of the event loop, in order; everything that is not immediate goes this way. */
  schedule(step: () => void): void {
    this.#moves += 1;
    this.#queue[this.#queued++] = step;
    this.#drainSoon();
  }

  /** Resolves in a later turn. */
  step(): Promise<void> {
    return new Promise((resolve) => this.schedule(resolve));
  }

  /** @internal Something has happened without {@link schedule}. */
  noteMove(): void {
    this.#moves += 1;
  }

  /** Lets {@link settle} wait for something that the machine cannot see: a thread, a file, a child process. */
  activity(): Activity {
    let ended = false;
    this.#activities += 1;
    return {
      end: () => {
        if (ended) return;
        ended = true;
        this.#moves += 1;
        this.#activities -= 1;
        if (this.#activities === 0) for (const resume of this.#waiting.splice(0)) resume();
      },
    };
  }

  /** @internal Another thread that is to come to rest as well: `settle` resolves when it has handled all that was sent to it. */
  settleWith(settle: () => Promise<void>): () => void {
    this.#others.add(settle);
    return () => {
      this.#others.delete(settle);
    };
  }

  /**
   * Resolves when nothing is under way any more, and a turn of the event loop has passed in which nothing new
   * began: promises and stream callbacks have had their say. Pending timers are not under way.
   */
  async settle(): Promise<void> {
    for (let idle = false; !idle; ) {
      if (this.#activities > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const before = this.#moves;
      await Promise.all([...this.#others].map((settle) => settle()));
      await new Promise((resolve) => setImmediate(resolve));
      idle = this.#moves === before && this.#queued === 0 && this.#activities === 0;
    }
  }

  #drainSoon(): void {
    if (this.#draining) return;
    this.#draining = true;
    setImmediate(this.#drain);
  }

  /**
   * One turn: all that was scheduled before it. A handler that throws does not keep the others from theirs.
   */
  readonly #drain = (): void => {
    const steps = this.#queue;
    const count = this.#queued;
    this.#queue = this.#spare;
    this.#spare = steps;
    this.#queued = 0;
    this.#draining = false;
    this.#moves += 1;
    let done = 0;
    try {
      while (done < count) {
        const step = steps[done];
        steps[done++] = undefined;
        step?.();
      }
    } finally {
      if (done < count) {
        this.#queue = [...steps.slice(done, count), ...this.#queue.slice(0, this.#queued)];
        this.#queued += count - done;
        this.#drainSoon();
      }
    }
  };
}
