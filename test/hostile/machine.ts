import { Backend, type BackendOptions } from '../../src/backend/backend.ts';
import { type MemoryDevice, memoryDevice } from '../../src/backend/devices.ts';
import { ManualClock } from '../../src/clock.ts';
import type { Card, CardOptions } from '../../src/frontend/card.ts';
import { openCard } from '../../src/open-card.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { createSoundCard } from '../../src/xen/emulated/toolstack.ts';
import { STEREO } from '../sound.ts';
import { stepUntilSettled } from '../waits.ts';

const PCM_DEVICES = [{ streams: [{ fields: { type: 'p', 'unique-id': 'playback' } }] }];

/** What is played on it. */
export const FORMAT = {
  ...STEREO,
  bufferFrames: 4800,
  periodFrames: 480,
} as const;

/** Of a second of {@link FORMAT}. */
export const SECOND_BYTES = FORMAT.rate * FORMAT.channels * 2;

/** A machine whose backend runs in domain 0, or in a driver domain with the quotas of any guest. */
export class Machine {
  readonly clock = new ManualClock();
  readonly machine = new EmulatedMachine({ clock: this.clock });
  readonly log: string[] = [];
  readonly host: EmulatedDomain;
  /** What guests play and capture. */
  readonly device: MemoryDevice;
  readonly #cards: Card[] = [];
  #backend: Backend | undefined;

  constructor({ inDriverDomain = false } = {}) {
    this.host = inDriverDomain ? this.machine.createDomain() : this.machine.dom0;
    this.device = memoryDevice(this.host.clock);
  }

  get backend(): Backend {
    if (this.#backend === undefined) throw new Error('this machine has no backend');
    return this.#backend;
  }

  /** A domain with a card of that backend. */
  addGuest(): EmulatedDomain {
    const guest = this.machine.createDomain();
    const backendDomid = this.host.domid;
    createSoundCard(this.machine, { frontendDomid: guest.domid, backendDomid, pcmDevices: PCM_DEVICES });
    return guest;
  }

  /** By default everybody plays into {@link device}. */
  async startBackend(deviceFor: BackendOptions['deviceFor'] = () => this.device): Promise<void> {
    const starting = Backend.start(this.host, {
      deviceFor,
      log: (line) => this.log.push(line),
    });
    this.#backend = await this.whileTimePasses(starting);
    await this.machine.settle();
  }

  /** Opens the guest's card, however often something has to be tried again. */
  async connect(guest: EmulatedDomain, options: CardOptions = {}): Promise<Card> {
    const card = await this.whileTimePasses(openCard({ ...options, hypervisor: guest }));
    this.#cards.push(card);
    await this.machine.settle();
    return card;
  }

  /** Gives what is under way ten seconds, in the machine's time. */
  async whileTimePasses<T>(promise: Promise<T>): Promise<T> {
    const step = async () => {
      await this.clock.advanceTime(0.1e9);
      await this.machine.settle();
    };
    await this.machine.settle();
    return await stepUntilSettled(promise, step, 100, () => `; the backend says:\n${this.log.join('\n')}`);
  }

  /** The lines logged since the last call. */
  takeLog(): string[] {
    return this.log.splice(0);
  }

  /** Ends all; nothing may be left. */
  async close(): Promise<void> {
    await this.whileTimePasses(Promise.all(this.#cards.map((card) => card.close())));
    await this.whileTimePasses(this.backend.close());
    await this.machine.settle();
    this.machine.assertCleanedUp();
    await this.machine.close();
  }
}
