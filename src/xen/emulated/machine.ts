/**
 * A Xen machine in memory: domains that share pages, event channels and a XenStore, without Xen.
 *
 * ```
 * EmulatedXen              what domains share: the one queue of deliveries, settle()
 * EmulatedMachine          is one, and makes, restores and ends the domains; leaks()
 *   EmulatedDomain         a process in a domain: the Hypervisor interface, and all that it has (ReleaseStack)
 *     EmulatedTransport    its XenStore device  -> StoreServer -> StoreView (a transaction) -> store-tree
 *     EmulatedPort         its event channels   -> PortTable
 *     EmulatedPages        its memory           -> GrantTable
 *   Faults                 what a test lets go wrong -> FaultRules, which the others ask
 * toolstack.ts             what xl does; remote.ts: a domain that is used from another thread
 * ```
 * docs/emulation.md says what is not emulated.
 */

import { type Clock, ManualClock, RealClock } from '../../clock.ts';
import { invalidArgError, VsndError } from '../../errors.ts';
import { checkOptionNames, type OptionNames } from '../../option-names.ts';
import { EmulatedDomain } from './domain.ts';
import { PortTable } from './event-channels.ts';
import { Faults } from './faults.ts';
import { GrantTable } from './grant-table.ts';
import { homeOf } from './store-server.ts';
import { EmulatedXen } from './xen.ts';

/** What a domain of an emulated machine is. */
export interface DomainOptions {
  /** The lowest free one from 1 by default. */
  domid?: number;
  /** May everything in XenStore, as Dom0. */
  privileged?: boolean;
  /** How many pages it may grant at once: gntalloc's limit, 1024 by default. */
  grantLimit?: number;
}

const DOMAIN_OPTIONS: OptionNames<DomainOptions> = { domid: true, privileged: true, grantLimit: true };

/** An emulated Xen machine. Domain 0 exists from the start. */
export class EmulatedMachine extends EmulatedXen {
  /** Lets things go wrong. */
  readonly faults = new Faults(this);
  /** A first process in domain 0. */
  readonly dom0: EmulatedDomain;

  /** With a ManualClock, moving the clock also lets the machine settle at every instant on the way. */
  constructor(options: { clock?: Clock } = {}) {
    checkOptionNames<{ clock?: Clock }>('new EmulatedMachine()', options, { clock: true });
    const { clock = new RealClock() } = options;
    super(clock);
    if (clock instanceof ManualClock) clock.settleWith(() => this.settle());
    this.dom0 = this.createDomain({ domid: 0, privileged: true });
  }

  /** A new domain, its XenStore home as xl makes it, and a first process in it. */
  createDomain(options: DomainOptions = {}): EmulatedDomain {
    checkOptionNames('createDomain()', options, DOMAIN_OPTIONS);
    const { domid = this.#freeDomid(), privileged = false, grantLimit = 1024 } = options;
    if (this.domains.has(domid)) throw invalidArgError('domid', domid, 'one that is not in use');
    const [grants, ports] = [new GrantTable(grantLimit), new PortTable(domid, this)];
    this.domains.set(domid, { domid, privileged, grants, ports, claims: new Set(), processes: new Set() });
    this.store.introduce(domid, privileged);
    this.#makeHome(domid);
    return this.startProcess(domid);
  }

  /** Another process in a domain. Throws ERR_VSND_HYPERVISOR with ESRCH where there is no such domain. */
  startProcess(domid: number): EmulatedDomain {
    const state = this.domains.get(domid);
    if (state === undefined) {
      throw new VsndError('ERR_VSND_HYPERVISOR', `there is no domain ${domid}`, { errno: 'ESRCH' });
    }
    return new EmulatedDomain(this, state);
  }

  /**
   * The domain's processes go on in a new domain, whose domid it returns: with their memory and connections to
   * XenStore; without event channels, grants and transactions. `makeDevices` may change XenStore before they
   * do. See restoreDomain of the toolstack. Throws ERR_VSND_INVALID_ARG where there is no such guest.
   */
  restoreDomain(domid: number, makeDevices: (domid: number) => void): number {
    const state = this.domains.get(domid);
    if (state === undefined || domid === 0) throw invalidArgError('domid', domid, 'those of guests');
    const restored = Math.max(...this.domains.keys()) + 1;
    this.domains.delete(domid);
    this.domains.set(restored, state);
    state.domid = restored;
    state.ports.abandon();
    state.ports = new PortTable(restored, this);
    state.grants.abandon();
    for (const process of state.processes) process.leaveMemory();
    this.store.restore(domid, restored, () => {
      this.#makeHome(restored);
      makeDevices(restored);
    });
    return restored;
  }

  /** What processes still have, and what would have been a BUG in a real kernel, a line each. */
  leaks(): string[] {
    const processes = [...this.domains.values()].flatMap((state) => [...state.processes]);
    return [...processes.flatMap((process) => process.leaks()), ...this.bugs];
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
    return [...this.domains.keys()];
  }

  #freeDomid(): number {
    let domid = 1;
    while (this.domains.has(domid)) domid++;
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
