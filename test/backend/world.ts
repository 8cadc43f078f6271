import { afterEach } from 'vitest';
import { Backend, type BackendOptions } from '../../src/backend/backend.ts';
import { memoryDevice } from '../../src/backend/devices.ts';
import { parseLimit } from '../../src/backend/limits.ts';
import type { PcmDevice } from '../../src/backend/pcm-device.ts';
import type { QueueMode } from '../../src/backend/playback-queue.ts';
import { type Clock, ManualClock } from '../../src/clock.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { createSoundCard, type SoundCardOptions } from '../../src/xen/emulated/toolstack.ts';
import { type RawBuffer, type RawChannel, RawFrontend } from './raw-frontend.ts';

export const PLAYBACK = { fields: { type: 'p', 'unique-id': 'playback' } };
export const CAPTURE = { fields: { type: 'c', 'unique-id': 'capture' } };

export interface WorldOptions {
  queueMode?: QueueMode;
  /** XenStore fields of the card. */
  fields?: Record<string, string>;
  /** By default one with one playback stream. */
  pcmDevices?: SoundCardOptions['pcmDevices'];
  /** By default the memory device `world.device` for everybody. */
  deviceFor?: BackendOptions['deviceFor'];
  /** What guests may have, as on the command line. */
  limits?: readonly string[];
  /** By default a memory device. */
  device?: (clock: Clock) => PcmDevice;
}

/** An emulated machine: a guest with a card, a backend in domain 0, and the time in the test's hand. */
export class World {
  readonly clock = new ManualClock();
  readonly machine = new EmulatedMachine({ clock: this.clock });
  /** That of the backend's process, whose forgotten timers are leaks. */
  readonly backendClock: Clock = this.machine.dom0.clock;
  readonly device = memoryDevice(this.backendClock);
  /** What the backend has logged, a line each. */
  readonly log: string[] = [];
  readonly #options: WorldOptions;
  readonly #frontends: RawFrontend[] = [];
  #backend: Backend | undefined;
  #guest: RawFrontend | undefined;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
  }

  /** The first guest's frontend. */
  get guest(): RawFrontend {
    if (this.#guest === undefined) throw new Error('this world has no guest');
    return this.#guest;
  }

  get backend(): Backend {
    if (this.#backend === undefined) throw new Error('this world has no backend');
    return this.#backend;
  }

  async start(): Promise<this> {
    this.#guest = await this.addGuest();
    await this.startBackend();
    return this;
  }

  /** A new domain with a card. */
  async addGuest(options: Partial<SoundCardOptions> = {}): Promise<RawFrontend> {
    const domain = this.machine.createDomain();
    this.addCard({ frontendDomid: domain.domid, ...options });
    return await this.frontend(domain.domid, options.devid);
  }

  /** A guest that may grant that many pages at once. */
  async addGuestWithPages(grantLimit: number, fields: Record<string, string>): Promise<RawFrontend> {
    const { domid } = this.machine.createDomain({ grantLimit });
    this.addCard({ frontendDomid: domid, fields });
    return await this.frontend(domid);
  }

  addCard(options: Partial<SoundCardOptions> & { frontendDomid: number }): void {
    const { fields = {}, pcmDevices = [{ streams: [PLAYBACK] }] } = this.#options;
    createSoundCard(this.machine, { fields, pcmDevices, ...options });
  }

  /** One more frontend process in a domain. */
  async frontend(domid: number, devid = 0): Promise<RawFrontend> {
    const frontend = await RawFrontend.create(this.machine.startProcess(domid), devid);
    this.#frontends.push(frontend);
    return frontend;
  }

  async startBackend(options: Partial<BackendOptions> = {}): Promise<Backend> {
    const device = this.#options.device?.(this.backendClock) ?? this.device;
    this.#backend = await Backend.start(this.machine.dom0, {
      deviceFor: this.#options.deviceFor ?? (() => device),
      queueMode: this.#options.queueMode,
      limits: this.#options.limits?.map((limit) => parseLimit(limit)),
      log: (line) => this.log.push(line),
      ...options,
    });
    await this.machine.settle();
    return this.#backend;
  }

  /** A connected channel with a buffer at the backend, opened. */
  async openStream(
    changes: Parameters<RawChannel['open']>[1] = {},
  ): Promise<{ channel: RawChannel; buffer: RawBuffer }> {
    const channel = await this.guest.connectOne();
    const buffer = await this.guest.createBuffer(changes.bufferBytes ?? 8192);
    const status = await channel.open(buffer, changes);
    if (status !== 0) throw new Error(`OPEN was refused with ${status}`);
    return { channel, buffer };
  }

  /** The lines logged since the last call. */
  takeLog(): string[] {
    return this.log.splice(0);
  }

  async closeBackend(): Promise<void> {
    await this.#backend?.close();
    await this.machine.settle();
  }

  /** Ends all, the backend before its frontends, and checks after each that it has left nothing behind. */
  async close(): Promise<void> {
    await this.closeBackend();
    const left = this.machine.leaks().filter((leak) => leak.startsWith('domain 0:'));
    for (const frontend of this.#frontends) await frontend.release();
    await this.machine.settle();
    if (left.length > 0) throw new Error(`the backend has left behind:\n${left.join('\n')}`);
    this.machine.assertCleanedUp();
    if (this.clock.pendingTimers > 0) throw new Error(`${this.clock.pendingTimers} timers are pending`);
    await this.machine.close();
  }
}

/** Starts worlds, and closes each after its test: nothing may be left then. */
export function useWorlds(): (options?: WorldOptions) => Promise<World> {
  const worlds: World[] = [];
  afterEach(async () => {
    for (const world of worlds.splice(0)) await world.close();
  });
  return async (options) => {
    const world = new World(options);
    worlds.push(world);
    return await world.start();
  };
}
