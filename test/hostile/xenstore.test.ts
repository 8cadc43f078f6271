import { describe, expect, test } from 'vitest';
import type { PlaybackDevice } from '../../src/backend/pcm-device.ts';
import type { Card } from '../../src/frontend/card.ts';
import { openCard } from '../../src/open-card.ts';
import { removeSoundCard } from '../../src/testing.ts';
import { XsType } from '../../src/wire/xenstore.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { noise } from '../sound.ts';
import { Machine, SECOND_BYTES, FORMAT as SOUND } from './machine.ts';

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

describe('what cannot be said', () => {
  test('is given up after ten seconds, aloud, and tried again when another card goes', async () => {
    const machine = new Machine();
    const [guest, other] = [machine.addGuest(), machine.addGuest()];
    await machine.startBackend();
    await machine.connect(other);
    const card = await machine.connect(guest);
    const domid = machine.host.domid;
    const refusal = { domid, type: XsType.write, errno: 'ENOSPC', count: 1e6 };
    const takeBack = machine.machine.faults.refuseXenStore(refusal);
    await machine.whileTimePasses(card.close());
    await machine.clock.advanceTime(25e9);
    takeBack();
    await machine.clock.advanceTime(25e9);
    const path = `/local/domain/0/backend/vsnd/${guest.domid}/0/state`;
    expect(machine.log).toContain(
      `${guest.domid}/0: given up: XenStore: cannot write backend${path.slice(23)}: ENOSPC`,
    );
    removeSoundCard(machine.machine, { frontendDomid: other.domid });
    await machine.clock.advanceTime(1e9);
    expect((await machine.connect(guest)).connected).toBe(true);
    await machine.close();
  });

  test('of a card that is removed at any step of a handshake leaves no node behind', async () => {
    for (let steps = 0, wasConnected = false; !wasConnected; steps++) {
      const machine = new Machine();
      const guest = machine.addGuest();
      await machine.startBackend();
      const opening = openCard({ hypervisor: guest }).then((card) => card.close());
      for (let step = 0; step < steps; step++) await machine.machine.step();
      wasConnected = machine.backend.status[0]?.connected === true;
      removeSoundCard(machine.machine, { frontendDomid: guest.domid });
      await machine.whileTimePasses(opening.catch(() => {}));
      await machine.machine.settle();
      const { store } = machine.machine;
      expect([steps, store.run((view) => view.has(`/local/domain/0/backend/vsnd/${guest.domid}`))]).toEqual([
        steps,
        false,
      ]);
      await machine.close();
    }
  });
});

describe('a guest whose device never closes', () => {
  const FORMAT = { rate: 48_000, channels: 2, format: 's16_le' } as const;

  /** A guest that has played, on a device that holds its card for as long as the backend's patience. */
  const start = async () => {
    const machine = new Machine();
    const guest = machine.addGuest();
    const stuck: PlaybackDevice = {
      ...machine.device,
      openPlayback: async (...args) => {
        const voice = await machine.device.openPlayback(...args);
        const closeVoice = voice.close.bind(voice);
        const close = async () => {
          await closeVoice({ drain: false });
          await new Promise(() => {});
        };
        return Object.assign(voice, { close });
      },
    };
    await machine.startBackend(({ frontendDomid }) =>
      frontendDomid === guest.domid ? stuck : machine.device,
    );
    const card = await machine.connect(guest);
    card.createPlaybackStream(FORMAT).on('error', () => {});
    await machine.machine.settle();
    return { machine, guest };
  };

  test('holds up no other, at whose coming nothing is waited for', async () => {
    const { machine, guest } = await start();
    removeSoundCard(machine.machine, { frontendDomid: guest.domid });
    await machine.machine.settle();
    const now = machine.clock.now();
    expect((await machine.connect(machine.addGuest())).connected).toBe(true);
    expect(machine.clock.now()).toBe(now);
    expect(machine.log).not.toContain(`${guest.domid}/0: removed`);
    await machine.clock.advanceTime(12e9);
    expect(machine.log).toContain(`${guest.domid}/0: removed`);
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

describe.each(['backend', 'frontend'] as const)('one request of a %s’s that XenStore refuses', (whose) => {
  /** Rounds, as above; `act` is what happens while requests are refused. */
  const refuseEach = async (
    act: (machine: Machine, round: { guest: EmulatedDomain; card: Card; number: number }) => Promise<void>,
  ) => {
    for (let number = 0, isOver = false; !isOver; number++) {
      const machine = new Machine();
      const guest = machine.addGuest();
      await machine.startBackend();
      const card = await machine.connect(guest, { reconnect: true });
      const { domid } = whose === 'backend' ? machine.host : guest;
      const takeBack = machine.machine.faults.refuseXenStore({ domid, errno: 'ENOSPC', after: number });
      await act(machine, { guest, card, number });
      isOver = takeBack() > 0;
      expect(machine.log.filter((line) => line.includes('given up'))).toEqual([]);
      await machine.close();
    }
  };

  test('while a guest leaves, comes back, and is removed', () =>
    refuseEach(async (machine, { guest, card, number }) => {
      await machine.whileTimePasses(card.close());
      await machine.clock.advanceTime(1e9);
      expect([number, machine.backend.status[0]?.connected]).toEqual([number, false]);
      expect([number, (await machine.connect(guest)).connected]).toEqual([number, true]);
      removeSoundCard(machine.machine, { frontendDomid: guest.domid });
      await machine.clock.advanceTime(3e9);
      const { store } = machine.machine;
      const isThere = store.run((view) => view.has(`/local/domain/0/backend/vsnd/${guest.domid}`));
      expect([number, machine.backend.status, isThere]).toEqual([number, [], false]);
    }));

  test('while the backend starts anew: what plays goes on', () =>
    refuseEach(async (machine, { card, number }) => {
      const out = card.createPlaybackStream(SOUND);
      const events: unknown[] = [];
      for (const event of ['reconnect', 'finish'] as const) out.on(event, () => events.push(event));
      out.on('error', (error) => events.push(error));
      out.end(noise(4 * SECOND_BYTES));
      await machine.clock.advanceTime(1e9);
      await machine.whileTimePasses(machine.backend.close());
      await machine.startBackend();
      await machine.clock.advanceTime(15e9);
      expect([number, events]).toEqual([number, ['reconnect', 'finish']]);
    }));
});
