import { describe, expect, test } from 'vitest';
import { Machine } from './machine.ts';

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
