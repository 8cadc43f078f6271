import { type Clock, RealClock, type Timer } from '../../clock.ts';
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
import {
  type Addon,
  type EngineDevice,
  type GrantAllocDevice,
  type GrantMapDevice,
  loadAddon,
  type Mapping,
} from './addon.ts';
import { assertNoKernelDriver, claimDevice, devicesBeingLeft } from './claim.ts';
import { withDevice } from './device-error.ts';
import { LinuxEngine } from './engine.ts';
import { LinuxEventChannels } from './event-channels.ts';
import { MappedPages } from './pages.ts';
import { LinuxStoreTransport } from './store-transport.ts';

export interface LinuxHypervisorOptions {
  /** The folder of Xen's devices. */
  devices?: string;
  /** Where sysfs is mounted. */
  sys?: string;
  /** What is locked for claims; by default the node xenbus in `devices`. */
  claims?: string;
  /** The addon's file, in place of the prebuilt one. */
  addon?: string | undefined;
  /** Whether a thread waits for notifications, which can carry streams; by default the event loop does. */
  threaded?: boolean;
  /** A test's: that of the thread is another one. */
  clock?: Clock;
}

/**
 * The Xen below this Linux domain, through /dev/xen: each device is opened when it is first needed. Rejects
 * with ERR_VSND_NO_XEN where the addon cannot be loaded; so do operations whose device cannot be opened.
 */
export async function openLinuxHypervisor(options: LinuxHypervisorOptions = {}): Promise<Hypervisor> {
  const {
    devices = '/dev/xen',
    sys = '/sys',
    claims = `${devices}/xenbus`,
    addon,
    threaded = false,
    clock,
  } = options;
  return new LinuxHypervisor(loadAddon(addon), { devices, sys, claims }, threaded, clock);
}

type Paths = Required<Pick<LinuxHypervisorOptions, 'devices' | 'sys' | 'claims'>>;

class LinuxHypervisor implements Hypervisor {
  readonly description = 'Xen';
  readonly clock: Clock;
  readonly leaving = devicesBeingLeft();
  readonly grants: GrantAllocator = { grant: (...args) => this.#grant(...args) };
  readonly mapper: GrantMapper = { map: (...args) => this.#map(...args) };
  readonly eventChannels: EventChannels = {
    bindUnbound: async (...args) => this.#openEventChannels().bindUnbound(...args),
    bindInterdomain: async (...args) => this.#openEventChannels().bindInterdomain(...args),
    forgetIfRestored: async () => this.#forgetIfRestored(),
  };
  readonly engine: LinuxEngine | undefined;
  /** Its timers do not hold the process. */
  readonly #unmasking: Clock;
  readonly #addon: Addon;
  readonly #paths: Paths;
  readonly #releases = new ReleaseStack();
  #open = true;
  #gntalloc: GrantAllocDevice | undefined;
  #gntdev: GrantMapDevice | undefined;
  #evtchn: LinuxEventChannels | undefined;
  #engineDevice: EngineDevice | undefined;
  #holds = 0;
  #keepAlive: Timer | undefined;

  constructor(addon: Addon, paths: Paths, threaded: boolean, clock: Clock | undefined) {
    this.#addon = addon;
    this.#paths = paths;
    this.clock = clock ?? new RealClock();
    this.#unmasking = clock ?? new RealClock({ ref: false });
    if (threaded) this.engine = new LinuxEngine(() => this.#openEngine());
  }

  async openXenStore(): Promise<XenStoreTransport> {
    return new LinuxStoreTransport(this.#openDevice(this.#addon.XenbusDevice, 'xenbus'), this.#releases);
  }

  async claim(device: string): Promise<DeviceClaim> {
    this.#assertOpen();
    await assertNoKernelDriver(device, this.#paths.sys);
    this.#assertOpen(); // close() may have been called meanwhile
    const release = claimDevice(device, this.#addon, this.#paths.claims);
    const holding = this.#releases.push(release);
    return { release: () => holding.end() };
  }

  ref(): void {
    if (!this.#open) return;
    this.#holds += 1;
    this.#keepAlive ??= this.clock.after(Number.POSITIVE_INFINITY, () => {});
  }

  unref(): void {
    this.#holds = Math.max(0, this.#holds - 1);
    if (this.#holds === 0) this.#letGo();
  }

  async close(): Promise<void> {
    this.#open = false;
    this.#letGo();
    await this.#releases.releaseAll();
  }

  async #grant(domid: number, pageCount: number, access: GrantAccess = 'read-write'): Promise<GrantedPages> {
    if (!Number.isInteger(pageCount) || pageCount < 1)
      throw invalidArgError('pageCount', pageCount, 'integers from 1');
    this.#gntalloc ??= this.#openAndHold(this.#addon.GrantAllocDevice, 'gntalloc');
    const device = this.#gntalloc;
    this.#assertOpen();
    const { grefs, memory } = withDevice(() => device.grant(domid, pageCount, access === 'read-write'));
    return new MappedPages(memory, grefs, 'read-write', this.#holdMemory(memory));
  }

  async #map(domid: number, grefs: readonly number[], access: GrantAccess = 'read-write'): Promise<Pages> {
    if (grefs.length === 0) throw invalidArgError('grefs', grefs, 'one or more grant references');
    this.#gntdev ??= this.#openAndHold(this.#addon.GrantMapDevice, 'gntdev');
    const device = this.#gntdev;
    this.#assertOpen();
    const memory = withDevice(() => device.map(domid, grefs, access === 'read-write'));
    return new MappedPages(memory, grefs, access, this.#holdMemory(memory));
  }

  #openEventChannels(): LinuxEventChannels {
    this.#assertOpen();
    this.#evtchn ??= new LinuxEventChannels(
      this.engine ? this.#openEngine() : this.#openDevice(this.#addon.EventChannelDevice, 'evtchn'),
      this.#releases,
      this.#unmasking,
    );
    return this.#evtchn;
  }

  #openEngine(): EngineDevice {
    this.#assertOpen();
    const { EngineDevice } = this.#addon;
    this.#engineDevice ??= withDevice(
      () => new EngineDevice(`${this.#paths.devices}/evtchn`, this.clock.now()),
    );
    return this.#engineDevice;
  }

  #forgetIfRestored(): boolean {
    if (!this.#evtchn?.forgetIfRestored()) return false;
    // The next port is bound through a new file.
    this.#evtchn = this.#engineDevice = undefined;
    return true;
  }

  #holdMemory(memory: Mapping): Holding {
    return this.#releases.push(() => memory.release());
  }

  #openDevice<T>(Device: new (path: string) => T, name: string): T {
    this.#assertOpen();
    return withDevice(() => new Device(`${this.#paths.devices}/${name}`));
  }

  #openAndHold<T extends { close(): void }>(Device: new (path: string) => T, name: string): T {
    const device = this.#openDevice(Device, name);
    this.#releases.push(() => device.close());
    return device;
  }

  #assertOpen(): void {
    if (!this.#open) throw new VsndError('ERR_VSND_INVALID_STATE', 'this connection to Xen has been closed');
  }

  #letGo(): void {
    this.#keepAlive?.cancel();
    this.#keepAlive = undefined;
  }
}
