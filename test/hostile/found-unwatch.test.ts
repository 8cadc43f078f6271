import { expect, test } from 'vitest';
import { XsType } from '../../src/wire/xenstore.ts';
import { Machine } from './machine.ts';

test('a card is closed also where XenStore is lost, for good, in the instant of its last watch', async () => {
  const machine = new Machine();
  const guest = machine.addGuest();
  let unwatched = 0;
  const open = guest.openXenStore.bind(guest);
  guest.openXenStore = async () => {
    const transport = await open();
    const send = transport.send.bind(transport);
    transport.send = (message) => {
      if (message[0] === XsType.unwatch && ++unwatched === 2)
        queueMicrotask(() => machine.machine.faults.stopXenStore(guest.domid));
      send(message);
    };
    return transport;
  };
  await machine.startBackend();
  const card = await machine.connect(guest);
  let isClosed = false;
  const closing = card.close().then(() => {
    isClosed = true;
  });
  await machine.machine.settle();
  expect([unwatched, isClosed]).toEqual([2, true]);
  await closing;
  await machine.close();
});
