/**
 * A Xen machine in memory: domains that share pages, event channels and a XenStore, without Xen.
 *
 * ```
 * EmulatedMachine          domains, the one queue of deliveries, settle(), leaks()
 *   EmulatedDomain         a process in a domain: the Hypervisor interface, and all that it has (Lease)
 *     EmulatedTransport    its XenStore device  -> StoreServer -> StoreView (a transaction) -> store-tree
 *     EmulatedPort         its event channels   -> PortTable
 *     EmulatedPages        its memory           -> GrantTable
 *   Faults                 what a test lets go wrong
 * toolstack.ts             what xl does; remote.ts: a domain that is used from another thread
 * ```
 * docs/emulation.md says what is not emulated.
 */

import { type Clock, ManualClock, RealClock } from '../../clock.ts';
import { invalidArgError, VsndError } from '../../errors.ts';
import { type DomainState, EmulatedDomain } from './domain.ts';
import { PortTable } from './event-channels.ts';
import { Faults } from './faults.ts';
import { GrantTable } from './grant-table.ts';
import { homeOf, StoreServer } from './store-server.ts';

export interface DomainOptions {
  /** The lowest free one from 1 by default. */
  domid?: number;
  /** May everything in XenStore, as Dom0. */
  privileged?: boolean;
  /** How many pages it may grant at once: gntalloc's limit, 1024 by default. */
  grantLimit?: number;
}

/** Something under way that {@link EmulatedMachine.settle} waits for. */
export interface Activity {
  /** Idempotent. */
  end(): void;
}

/** An emulated Xen machine. Domain 0 exists from the start. */
export class EmulatedMachine {
  readonly clock: Clock;
  readonly store = new StoreServer();
  readonly faults = new Faults(this);
  /** A first process in domain 0. */
  readonly dom0: EmulatedDomain;
  readonly #domains = new Map<number, DomainState>();
  readonly #bugs: string[] = [];
  #queue: (() => void)[] = [];
  #draining = false;
  /** Counts whatever happens: two equal readings mean that nothing did. */
  #moves = 0;
  #activities = 0;
  #waiting: (() => void)[] = [];

  /** With a ManualClock, moving the clock also lets the machine settle at every instant on the way. */
  constructor({ clock = new RealClock() }: { clock?: Clock } = {}) {
    this.clock = clock;
    if (clock instanceof ManualClock) clock.settleWith(() => this.settle());
    this.dom0 = this.createDomain({ domid: 0, privileged: true });
  }

  /** A new domain, its XenStore home as xl makes it, and a first process in it. */
  createDomain(options: DomainOptions = {}): EmulatedDomain {
    const { domid = this.#freeDomid(), privileged = false, grantLimit = 1024 } = options;
    if (this.#domains.has(domid)) throw invalidArgError('domid', domid, 'one that is not in use');
    const [grants, ports] = [new GrantTable(grantLimit), this.#newPorts(domid)];
    this.#domains.set(domid, { domid, privileged, grants, ports, claims: new Set(), processes: new Set() });
    this.store.introduce(domid, privileged);
    this.#makeHome(domid);
    return this.startProcess(domid);
  }

  /** Another process in a domain. Throws ERR_VSND_HYPERVISOR with ESRCH where there is no such domain. */
  startProcess(domid: number): EmulatedDomain {
    const state = this.#domains.get(domid);
    if (state === undefined) {
      throw new VsndError('ERR_VSND_HYPERVISOR', `there is no domain ${domid}`, { errno: 'ESRCH' });
    }
    return new EmulatedDomain(this, state);
  }

  /**
   * The domain and its processes end here and now. What XenStore says of it stays: see removeDomain of the
   * toolstack.
   */
  destroyDomain(domid: number): void {
    const state = this.#domains.get(domid);
    if (state === undefined) return;
    this.#domains.delete(domid);
    for (const process of state.processes) process.exit();
    this.store.release(domid);
  }

  /**
   * The domain's processes go on in a new domain, whose domid it returns: with their memory and connections to
   * XenStore; without event channels, grants and transactions. `makeDevices` may change XenStore before they
   * do. See restoreDomain of the toolstack. Throws ERR_VSND_INVALID_ARG where there is no such guest.
   */
  restoreDomain(domid: number, makeDevices: (domid: number) => void): number {
    const state = this.#domains.get(domid);
    if (state === undefined || domid === 0) throw invalidArgError('domid', domid, 'those of guests');
    const restored = Math.max(...this.#domains.keys()) + 1;
    this.#domains.delete(domid);
    this.#domains.set(restored, state);
    state.domid = restored;
    state.ports.abandon();
    state.ports = this.#newPorts(restored);
    state.grants.abandon();
    for (const process of state.processes) process.leaveMemory();
    this.store.restore(domid, restored, () => {
      this.#makeHome(restored);
      makeDevices(restored);
    });
    return restored;
  }

  /**
   * Runs `step` in a later turn of the event loop, in order; everything that is not immediate goes this way.
   */
  schedule(step: () => void): void {
    this.#moves += 1;
    this.#queue.push(step);
    this.#drainSoon();
  }

  /** Resolves in a later turn. */
  step(): Promise<void> {
    return new Promise((resolve) => this.schedule(resolve));
  }

  /**
   * Lets {@link settle} wait for something that the machine cannot see: a thread, a file, a child process.
   */
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

  /**
   * Resolves when nothing is under way any more, and a turn of the event loop has passed in which nothing new
   * began: promises and stream callbacks have had their say. Pending timers are not under way.
   */
  async settle(): Promise<void> {
    for (let idle = false; !idle; ) {
      if (this.#activities > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      const before = this.#moves;
      await new Promise((resolve) => setImmediate(resolve));
      idle = this.#moves === before && this.#queue.length === 0 && this.#activities === 0;
    }
  }

  /** What processes still have, and what would have been a BUG in a real kernel, a line each. */
  leaks(): string[] {
    const processes = [...this.#domains.values()].flatMap((state) => [...state.processes]);
    return [...processes.flatMap((process) => process.leaks()), ...this.#bugs];
  }

  /** Throws one error that names all leaks. */
  assertCleanedUp(): void {
    const leaks = this.leaks();
    if (leaks.length === 0) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `the machine is not cleaned up:\n  ${leaks.join('\n  ')}`);
  }

  /** Ends all domains. */
  async close(): Promise<void> {
    for (const domid of this.domids.reverse()) this.destroyDomain(domid);
    await this.settle();
  }

  /** Of the domains that there are. */
  get domids(): number[] {
    return [...this.#domains.keys()];
  }

  /** For the domains: what those of one domid have in common. */
  state(domid: number): DomainState | undefined {
    return this.#domains.get(domid);
  }

  /** For the domains: {@link leaks} tells of it from now on. */
  recordBug(line: string): void {
    this.#bugs.push(line);
  }

  /** For the faults: lets through what was held. */
  deliverPending(domid: number): void {
    this.#domains.get(domid)?.ports.deliverPending();
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
    this.#queue = [];
    this.#draining = false;
    this.#moves += 1;
    let done = 0;
    try {
      for (const step of steps) {
        done += 1;
        step();
      }
    } finally {
      if (done < steps.length) {
        this.#queue = steps.slice(done).concat(this.#queue);
        this.#drainSoon();
      }
    }
  };

  #newPorts(domid: number): PortTable {
    return new PortTable(domid, {
      clock: this.clock,
      schedule: (step) => this.schedule(step),
      isLost: (to, port) => this.faults.isLost(to, port),
      isHeld: (to, port) => this.faults.isHeld(to, port),
    });
  }

  #freeDomid(): number {
    let domid = 1;
    while (this.#domains.has(domid)) domid++;
    return domid;
  }

  #makeHome(domid: number): void {
    const home = homeOf(domid);
    const name = domid === 0 ? 'Domain-0' : `guest${domid}`;
    this.store.run((view) => {
      view.mkdir(home);
      if (domid !== 0) {
        view.setPermissions(home, [
          { access: 'n', domid: 0 },
          { access: 'r', domid },
        ]);
        view.mkdir(`${home}/device`);
        view.mkdir(`${home}/data`);
        view.setPermissions(`${home}/data`, [{ access: 'n', domid }]);
      }
      view.write(`${home}/domid`, Buffer.from(String(domid)));
      view.write(`${home}/name`, Buffer.from(name));
    });
  }
}
