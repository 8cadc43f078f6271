import { expect, test } from 'vitest';
import { XsType } from '../../src/wire/xenstore.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
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

test('a watch that is closed while it is set on a new connection does not stay there', async () => {
  const machine = new Machine();
  const { dom0, faults } = machine.machine;
  const sent: (number | undefined)[] = [];
  let onWatch = () => {};
  const open = dom0.openXenStore.bind(dom0);
  dom0.openXenStore = async () => {
    const transport = await open();
    const send = transport.send.bind(transport);
    transport.send = (message) => {
      sent.push(message[0]);
      if (message[0] === XsType.watch) onWatch();
      send(message);
    };
    return transport;
  };
  const client = await machine.whileTimePasses(XenStoreClient.open(dom0, { patience: 10e9 }));
  const watch = await client.watch('domid', () => {});
  let closing: Promise<void> | undefined;
  onWatch = () => {
    closing = watch.close();
  };
  faults.closeXenStore(0);
  await machine.clock.advanceTime(1e9);
  await closing;
  expect(client.reconnections).toBe(1);
  expect(sent.slice(-2)).toEqual([XsType.watch, XsType.unwatch]);
  await client.close();
  await machine.machine.close();
});
