import { expect, test } from 'vitest';
import { nextTurn } from '../../src/clock.ts';
import { XsType } from '../../src/wire/xenstore.ts';
import { Machine } from './machine.ts';

test.each(['frontend', 'backend'] as const)(
  'watch events without end, while XenStore takes its time for one answer, are one more read for a %s',
  async (side) => {
    const machine = new Machine();
    const guest = machine.addGuest();
    const victim = side === 'frontend' ? guest : machine.host;
    let held: (() => void)[] | undefined;
    let reads = 0;
    const open = victim.openXenStore.bind(victim);
    victim.openXenStore = async () => {
      const transport = await open();
      const send = transport.send.bind(transport);
      transport.send = (message) => {
        if (message[0] === XsType.read) reads += 1;
        if (held) held.push(() => send(message));
        else send(message);
      };
      return transport;
    };
    await machine.startBackend();
    await machine.connect(guest);
    const ends = {
      frontend: `/local/domain/0/backend/vsnd/${guest.domid}/0`,
      backend: `/local/domain/${guest.domid}/device/vsnd/0`,
    };
    const late: (() => void)[] = [];
    held = late;
    reads = 0;
    for (let event = 0; event < 1000; event++) {
      machine.machine.faults.watchStorm({ domid: victim.domid, path: `${ends[side]}/state`, count: 1 });
      await nextTurn();
      await nextTurn();
    }
    held = undefined;
    for (const send of late) send();
    await machine.machine.settle();
    expect(reads).toBe(2);
    await machine.close();
  },
);
