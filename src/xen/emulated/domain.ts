import { invalidArgError, VsndError } from '../../errors.ts';
import { type Holding, ReleaseStack } from '../../release-stack.ts';
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
import { EmulatedPort, type PortState } from './event-channels.ts';
import type { HypervisorOperation } from './fault-rules.ts';
import { EmulatedGrantedPages, EmulatedPages } from './pages.ts';
import { EmulatedTransport } from './store-transport.ts';
import { TrackedClock } from './tracked-clock.ts';
import type { DomainState, EmulatedXen } from './xen.ts';

/**
 * A process in a domain of an emulated machine; {@link EmulatedDomain.close} is its exit, and leaves the
 * domain alive.
 */
export class EmulatedDomain implements Hypervisor {
  /** Whether it may do what domain 0 may. */
  readonly privileged: boolean;
  /** The time of its machine; timers that are still set are leaks. */
  readonly clock: TrackedClock;
  /** Gives pages to other domains. */
  readonly grants: GrantAllocator = { grant: (...args) => this.#grant(...args) };
  /** Maps pages of other domains. */
  readonly mapper: GrantMapper = { map: (...args) => this.#map(...args) };
  /** Binds event channels. */
  readonly eventChannels = {
    /** See EVTCHNOP_alloc_unbound. */
    bindUnbound: (domid: number) => this.#bindUnbound(domid),
    /** See EVTCHNOP_bind_interdomain. */
    bindInterdomain: (domid: number, port: number) => this.#bindInterdomain(domid, port),
    /** Forgets the ports of before a restore: whether there was one. */
    forgetIfRestored: () => this.#forgetIfRestored(),
  } satisfies EventChannels;
  readonly leaving = new Map<string, Promise<void>>();
  /** @internal */
  readonly xen: EmulatedXen;
  readonly #state: DomainState;
  readonly #releases = new ReleaseStack();
  readonly #ports = new Map<PortState, Holding>();
  readonly #granted = new Set<EmulatedPages>();
  #open = true;
  #holds = 0;
  #keepAlive: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(xen: EmulatedXen, state: DomainState) {
    this.xen = xen;
    this.#state = state;
    this.privileged = state.privileged;
    this.clock = new TrackedClock(xen.clock);
    state.processes.add(this);
  }

  /** Another one after a restore. */
  get domid(): number {
    return this.#state.domid;
  }

  get description(): string {
    return `domain ${this.domid} of an emulated Xen machine`;
  }

  /** A connection to XenStore. */
  async openXenStore(): Promise<XenStoreTransport> {
    await this.#enter('openXenStore');
    return new EmulatedTransport(this.xen, this.domid, (connection) =>
      this.#hold(
        () => [
          'XenStore connection',
          ...connection.watches.map(({ path, token }) => `XenStore watch of ${path} (token ${token})`),
          ...[...connection.transactions.keys()].map((id) => `XenStore transaction ${id}`),
        ],
        () => this.xen.store.disconnect(connection),
      ),
    );
  }

  async claim(device: string): Promise<DeviceClaim> {
    await this.#enter('claim');
    const { claims } = this.#state;
    if (claims.has(device)) {
      const message = `${device} of domain ${this.domid} is in use by process ${process.pid}`;
      throw new VsndError('ERR_VSND_CARD_BUSY', message, { pid: process.pid, path: device });
    }
    claims.add(device);
    const holding = this.#hold(
      () => [`claim of ${device}`],
      () => claims.delete(device),
    );
    return { release: () => holding.end() };
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

  /** @internal Another process in this domain. */
  startProcess(): EmulatedDomain {
    return new EmulatedDomain(this.xen, this.#state);
  }

  async close(): Promise<void> {
    this.exit();
    await this.xen.step();
  }

  /** As {@link close}, all at once. */
  exit(): void {
    this.#open = false;
    this.clock.stop();
    clearInterval(this.#keepAlive);
    for (const holding of this.#releases.held) void holding.end();
    this.#state.processes.delete(this);
  }

  /** @internal After a restore: the process goes on in other memory than its peers have mapped. */
  leaveMemory(): void {
    for (const pages of this.#granted) pages.detach();
  }

  /** What the process still has, a line each. */
  leaks(): string[] {
    const timers = this.clock.pendingTimers;
    const held = this.#releases.held.reverse().flatMap(({ describe }) => describe());
    return [...held, ...(timers === 0 ? [] : [`${timers} pending timers`])].map(
      (line) => `domain ${this.domid}: ${line}`,
    );
  }

  async #grant(domid: number, pageCount: number, access: GrantAccess = 'read-write'): Promise<GrantedPages> {
    if (!Number.isInteger(pageCount) || pageCount < 1)
      throw invalidArgError('pageCount', pageCount, 'integers from 1');
    await this.#enter('grant');
    const table = this.#state.grants;
    const grants = table.grant(domid, pageCount, access);
    const grefs = grants.map(({ gref }) => gref);
    const holding = this.#hold(
      () => [`grant of ${pageCount} pages to domain ${domid} (gref ${grefs.join(', ')})`],
      () => {
        this.#granted.delete(pages);
        table.end(grants);
      },
    );
    const pages = new EmulatedGrantedPages(grants, grefs, holding);
    this.#granted.add(pages);
    return pages;
  }

  async #map(domid: number, grefs: readonly number[], access: GrantAccess = 'read-write'): Promise<Pages> {
    if (grefs.length === 0) throw invalidArgError('grefs', grefs, 'one or more grant references');
    await this.#enter('map');
    const table = this.xen.domains.get(domid)?.grants;
    if (table === undefined) {
      throw new VsndError('ERR_VSND_HYPERVISOR', `cannot map: there is no domain ${domid}`, {
        errno: 'ESRCH',
      });
    }
    const grants = table.map(this.domid, grefs, access);
    const holding = this.#hold(
      () => [`mapping of ${grants.length} pages of domain ${domid} (gref ${grefs.join(', ')})`],
      () => table.unmap(grants),
    );
    return new EmulatedPages(grants, access, holding);
  }

  async #bindUnbound(remoteDomid: number): Promise<EmulatedPort> {
    await this.#enter('bindUnbound');
    this.#assertNoDeadPort();
    return this.#holdPort(this.#state.ports.bindUnbound(remoteDomid));
  }

  async #bindInterdomain(remoteDomid: number, remotePort: number): Promise<EmulatedPort> {
    await this.#enter('bindInterdomain');
    this.#assertNoDeadPort();
    const remote = this.xen.domains.get(remoteDomid)?.ports;
    return this.#holdPort(this.#state.ports.bindInterdomain(remoteDomid, remote, remotePort));
  }

  async #forgetIfRestored(): Promise<boolean> {
    if (!this.#open) return false;
    await this.#enter('forgetIfRestored');
    const dead = [...this.#ports].filter(([port]) => port.isDead);
    for (const [port, holding] of dead) {
      this.#ports.delete(port);
      void holding.end();
    }
    return dead.length > 0;
  }

  #holdPort(port: PortState): EmulatedPort {
    const { ports } = this.#state;
    const holding = this.#hold(
      () => [`event channel port ${port.port} to domain ${port.remoteDomid}`],
      () => {
        const forgotten = !this.#ports.delete(port);
        ports.close(port);
        if (port.isDead && !forgotten) this.#recordBug(port);
      },
    );
    this.#ports.set(port, holding);
    return new EmulatedPort(port, holding);
  }

  /** Of a domain that is destroyed there is no kernel left to have one. */
  #recordBug(port: PortState): void {
    if (this.xen.domains.get(this.domid) !== this.#state) return;
    this.xen.bugs.push(
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
    await this.xen.step();
    this.#assertOpen();
    this.xen.rules.checkOperation(this.domid, operation);
  }

  #assertOpen(): void {
    if (this.#open) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `the process in domain ${this.domid} has ended`);
  }

  #hold(describe: () => string[], end: () => void): Holding {
    const giveBack = () => {
      end();
      return this.xen.step();
    };
    return this.#releases.push(giveBack, describe);
  }
}
