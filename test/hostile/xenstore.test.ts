import { describe, expect, test } from 'vitest';
import { Backend } from '../../src/backend/backend.ts';
import { memoryDevice } from '../../src/backend/devices.ts';
import { ManualClock } from '../../src/clock.ts';
import type { Card } from '../../src/frontend/card.ts';
import { openCard } from '../../src/open-card.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { createSoundCard } from '../../src/xen/emulated/toolstack.ts';

const PCM_DEVICES = [{ streams: [{ fields: { type: 'p', 'unique-id': 'playback' } }] }];

/** A machine whose backend runs in domain 0, or in a driver domain with the quotas of any guest. */
class Machine {
  readonly clock = new ManualClock();
  readonly machine = new EmulatedMachine({ clock: this.clock });
  readonly log: string[] = [];
  readonly host: EmulatedDomain;
  readonly #cards: Card[] = [];
  #backend: Backend | undefined;

  constructor({ inDriverDomain = false } = {}) {
    this.host = inDriverDomain ? this.machine.createDomain() : this.machine.dom0;
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

  async startBackend(): Promise<void> {
    const device = memoryDevice(this.host.clock);
    const starting = Backend.start(this.host, {
      deviceFor: () => device,
      log: (line) => this.log.push(line),
    });
    this.#backend = await this.whileTimePasses(starting);
    await this.machine.settle();
  }

  /** Opens the guest's card, however often something has to be tried again. */
  async connect(guest: EmulatedDomain): Promise<Card> {
    const card = await this.whileTimePasses(openCard({ hypervisor: guest }));
    this.#cards.push(card);
    await this.machine.settle();
    return card;
  }

  /** Gives what is under way ten seconds, in the machine's time. */
  async whileTimePasses<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const end = () => {
      isOver = true;
    };
    promise.then(end, end);
    for (let passed = 0; !isOver && passed < 100; passed++) {
      await this.machine.settle();
      if (!isOver) await this.clock.advanceTime(0.1e9);
    }
    if (!isOver) throw new Error(`it is not over after 10 s; the backend says:\n${this.log.join('\n')}`);
    return promise;
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

describe('what a guest costs in requests', () => {
  test('does not grow with the number of guests', async () => {
    const machine = new Machine();
    await machine.startBackend();
    const costs: number[] = [];
    for (let guest = 0; guest < 40; guest++) {
      const before = machine.backend.xenstore.roundTrips;
      await machine.connect(machine.addGuest());
      costs.push(machine.backend.xenstore.roundTrips - before);
    }
    expect(new Set(costs)).toEqual(new Set([costs[0]]));
    expect(costs[0]).toBeLessThanOrEqual(28);
    await machine.close();
  });
});

describe('a backend in a driver domain, with the quotas of any domain', () => {
  test.each([30, 60])('%i guests that connect at once are all connected', async (count) => {
    const machine = new Machine({ inDriverDomain: true });
    const guests = Array.from({ length: count }, () => machine.addGuest());
    await machine.startBackend();
    const cards = await Promise.all(guests.map((guest) => machine.connect(guest)));
    expect(cards.every((card) => card.connected)).toBe(true);
    expect(machine.backend.status.filter(({ connected }) => connected)).toHaveLength(count);
    await machine.close();
  });
});

describe.each(['EAGAIN', 'ENOSPC', 'ENOMEM', 'EIO'])('one request that XenStore refuses with %s', (errno) => {
  /** Rounds, the first request refused in the first, and so on until one has been refused none. */
  const refuseEach = async (whose: 'backend' | 'frontend') => {
    for (let number = 0, isOver = false; !isOver; number++) {
      const machine = new Machine();
      const guest = machine.addGuest();
      const { domid } = whose === 'backend' ? machine.host : guest;
      const takeBack = machine.machine.faults.refuseXenStore({ domid, errno, after: number });
      await machine.startBackend();
      const card = await machine.connect(guest);
      expect([number, card.connected, machine.backend.status[0]?.connected]).toEqual([number, true, true]);
      expect(machine.log).toEqual(['1/0: connected, 1 streams']);
      await machine.close();
      isOver = takeBack() > 0;
    }
  };

  test('whichever of the backend’s it is, the guest is connected', () => refuseEach('backend'));
  test('whichever of the frontend’s it is, the guest is connected', () => refuseEach('frontend'));
});
