import { invalidArg, VsndError } from '../../errors.ts';
import type {
  DeviceClaim,
  EventChannels,
  GrantAccess,
  GrantAllocator,
  GrantedPages,
  GrantMapper,
  Hypervisor,
  Pages,
  XenStoreTransport,
} from '../hypervisor.ts';
import { EmulatedPort, type PortState, type PortTable } from './event-channels.ts';
import type { HypervisorOperation } from './faults.ts';
import type { GrantTable } from './grant-table.ts';
import { Lease } from './lease.ts';
import type { EmulatedMachine } from './machine.ts';
import { EmulatedGrantedPages, EmulatedPages } from './pages.ts';
import { EmulatedTransport } from './store-transport.ts';
import { TrackedClock } from './tracked-clock.ts';

/** What the processes of one domain have in common; a restore gives it another domid and new ports. */
export interface DomainState {
  domid: number;
  readonly privileged: boolean;
  readonly grants: GrantTable;
  ports: PortTable;
  readonly claims: Set<string>;
  readonly processes: Set<EmulatedDomain>;
}

/**
 * A process in a domain of an emulated machine; {@link EmulatedDomain.close} is its exit, and leaves the
 * domain alive.
 */
export class EmulatedDomain implements Hypervisor {
  readonly privileged: boolean;
  readonly clock: TrackedClock;
  readonly grants: GrantAllocator = { grant: (...args) => this.#grant(...args) };
  readonly mapper: GrantMapper = { map: (...args) => this.#map(...args) };
  readonly eventChannels = {
    bindUnbound: (domid: number) => this.#bindUnbound(domid),
    bindInterdomain: (domid: number, port: number) => this.#bindInterdomain(domid, port),
    forgetIfRestored: () => this.#forgetIfRestored(),
  } satisfies EventChannels;
  readonly leaving = new Map<string, Promise<void>>();
  readonly machine: EmulatedMachine;
  readonly #state: DomainState;
  readonly #leases = new Map<Lease, () => string[]>();
  readonly #ports = new Map<PortState, Lease>();
  readonly #granted = new Set<EmulatedPages>();
  #open = true;
  #holds = 0;
  #keepAlive: NodeJS.Timeout | undefined;

  constructor(machine: EmulatedMachine, state: DomainState) {
    this.machine = machine;
    this.#state = state;
    this.privileged = state.privileged;
    this.clock = new TrackedClock(machine.clock);
    state.processes.add(this);
  }

  /** Another one after a restore. */
  get domid(): number {
    return this.#state.domid;
  }

  get description(): string {
    return `domain ${this.domid} of an emulated Xen machine`;
  }

  async openXenStore(): Promise<XenStoreTransport> {
    await this.#enter('openXenStore');
    const { store, faults } = this.machine;
    return new EmulatedTransport({
      domid: this.domid,
      server: store,
      faults,
      schedule: (step) => this.machine.schedule(step),
      lease: (connection) =>
        this.#lease(
          () => [
            'XenStore connection',
            ...connection.watches.map(({ path, token }) => `XenStore watch of ${path} (token ${token})`),
            ...[...connection.transactions.keys()].map((id) => `XenStore transaction ${id}`),
          ],
          () => store.disconnect(connection),
        ),
    });
  }

  async claim(device: string): Promise<DeviceClaim> {
    await this.#enter('claim');
    const { claims } = this.#state;
    if (claims.has(device)) {
      const message = `${device} of domain ${this.domid} is in use by process ${process.pid}`;
      throw new VsndError('ERR_VSND_CARD_BUSY', message, { pid: process.pid, path: device });
    }
    claims.add(device);
    const lease = this.#lease(
      () => [`claim of ${device}`],
      () => claims.delete(device),
    );
    return { release: () => lease.end() };
  }

  ref(): void {
    this.#holds += 1;
    this.#keepAlive ??= setInterval(() => {}, 2 ** 31 - 1);
  }

  unref(): void {
    this.#holds = Math.max(0, this.#holds - 1);
    if (this.#holds > 0) return;
    clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
  }

  async close(): Promise<void> {
    this.exit();
    await this.machine.step();
  }

  /** As {@link close}, all at once. */
  exit(): void {
    this.#open = false;
    this.clock.stop();
    clearInterval(this.#keepAlive);
    for (const lease of [...this.#leases.keys()].reverse()) void lease.end();
    this.#state.processes.delete(this);
  }

  /** For the machine, when the domain is restored: the process goes on in other memory than its peers have mapped. */
  leaveMemory(): void {
    for (const pages of this.#granted) pages.detach();
  }

  /** What the process still has, a line each. */
  leaks(): string[] {
    const timers = this.clock.pendingTimers;
    const held = [...this.#leases.values()].flatMap((describe) => describe());
    return [...held, ...(timers === 0 ? [] : [`${timers} pending timers`])].map(
      (line) => `domain ${this.domid}: ${line}`,
    );
  }

  async #grant(domid: number, pageCount: number, access: GrantAccess = 'read-write'): Promise<GrantedPages> {
    if (!Number.isInteger(pageCount) || pageCount < 1)
      throw invalidArg('pageCount', pageCount, 'integers from 1');
    await this.#enter('grant');
    const table = this.#state.grants;
    const grants = table.grant(domid, pageCount, access);
    const grefs = grants.map(({ gref }) => gref);
    const lease = this.#lease(
      () => [`grant of ${pageCount} pages to domain ${domid} (gref ${grefs.join(', ')})`],
      () => {
        this.#granted.delete(pages);
        table.end(grants);
      },
    );
    const pages = new EmulatedGrantedPages(grants, grefs, lease);
    this.#granted.add(pages);
    return pages;
  }

  async #map(domid: number, grefs: readonly number[], access: GrantAccess = 'read-write'): Promise<Pages> {
    if (grefs.length === 0) throw invalidArg('grefs', grefs, 'one or more grant references');
    await this.#enter('map');
    const table = this.machine.state(domid)?.grants;
    if (table === undefined) {
      throw new VsndError('ERR_VSND_HYPERVISOR', `cannot map: there is no domain ${domid}`, {
        errno: 'ESRCH',
      });
    }
    const grants = table.map(this.domid, grefs, access);
    const lease = this.#lease(
      () => [`mapping of ${grants.length} pages of domain ${domid} (gref ${grefs.join(', ')})`],
      () => table.unmap(grants),
    );
    return new EmulatedPages(grants, access, lease);
  }

  async #bindUnbound(remoteDomid: number): Promise<EmulatedPort> {
    await this.#enter('bindUnbound');
    this.#assertNoDeadPort();
    return this.#holdPort(this.#state.ports.bindUnbound(remoteDomid));
  }

  async #bindInterdomain(remoteDomid: number, remotePort: number): Promise<EmulatedPort> {
    await this.#enter('bindInterdomain');
    this.#assertNoDeadPort();
    const remote = this.machine.state(remoteDomid)?.ports;
    return this.#holdPort(this.#state.ports.bindInterdomain(remoteDomid, remote, remotePort));
  }

  async #forgetIfRestored(): Promise<boolean> {
    if (!this.#open) return false;
    await this.#enter('forgetIfRestored');
    const dead = [...this.#ports].filter(([port]) => port.isDead);
    for (const [port, lease] of dead) {
      this.#ports.delete(port);
      void lease.end();
    }
    return dead.length > 0;
  }

  #holdPort(port: PortState): EmulatedPort {
    const { ports } = this.#state;
    const lease = this.#lease(
      () => [`event channel port ${port.port} to domain ${port.remoteDomid}`],
      () => {
        const forgotten = !this.#ports.delete(port);
        ports.close(port);
        if (port.isDead && !forgotten) this.#recordBug(port);
      },
    );
    this.#ports.set(port, lease);
    return new EmulatedPort(port, lease);
  }

  /** Of a domain that is destroyed there is no kernel left to have one. */
  #recordBug(port: PortState): void {
    if (this.machine.state(this.domid) !== this.#state) return;
    this.machine.recordBug(
      `domain ${this.domid}: port ${port.port} was unbound after a restore, without forgetIfRestored(): a BUG in Linux`,
    );
  }

  #assertNoDeadPort(): void {
    if (![...this.#ports.keys()].some(({ isDead }) => isDead)) return;
    const message = `domain ${this.domid} has been restored, and its old event channels are dead`;
    throw new VsndError('ERR_VSND_HYPERVISOR', message, { errno: 'EEXIST' });
  }

  /** One step of the machine: a hypercall does not return in the turn in which it was made. */
  async #enter(operation: HypervisorOperation): Promise<void> {
    this.#assertOpen();
    await this.machine.step();
    this.#assertOpen();
    this.machine.faults.checkOperation(this.domid, operation);
  }

  #assertOpen(): void {
    if (this.#open) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `the process in domain ${this.domid} has ended`);
  }

  #lease(describe: () => string[], end: () => void): Lease {
    const lease = new Lease(() => {
      this.#leases.delete(lease);
      end();
      return this.machine.step();
    });
    this.#leases.set(lease, describe);
    return lease;
  }
}
