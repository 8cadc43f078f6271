import { expect, test } from 'vitest';
import { watchCards } from '../../src/open-card.ts';
import { createSoundCard, EmulatedMachine, ManualClock, removeSoundCard } from '../../src/testing.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';

const PLAYBACK = [{ streams: [{ fields: { type: 'p' } }] }];

function startMachine() {
  const machine = new EmulatedMachine({ clock: new ManualClock() });
  const guest = machine.createDomain();
  const add = (devid: number) =>
    createSoundCard(machine, { frontendDomid: guest.domid, devid, pcmDevices: PLAYBACK });
  const remove = (devid: number) => removeSoundCard(machine, { frontendDomid: guest.domid, devid });
  return { machine, guest, add, remove };
}

test('the cards that are there, then those that appear and vanish', async () => {
  const { machine, guest, add, remove } = startMachine();
  add(0);
  add(7);
  const seen: string[] = [];
  for await (const { type, card } of watchCards({ hypervisor: guest })) {
    seen.push(`${type} ${card.devid}`);
    if (seen.length === 2) add(3);
    if (seen.length === 3) remove(7);
    if (seen.length === 4) remove(0);
    if (seen.length === 5) remove(3); // the directory of all cards goes with the last one
    if (seen.length === 6) add(0);
    if (seen.length === 7) break;
  }
  expect(seen).toEqual(['added 0', 'added 7', 'added 3', 'removed 7', 'removed 0', 'removed 3', 'added 0']);
  await machine.settle();
  machine.assertCleanedUp();
  await machine.close();
});

test('a guest without a card: waits for the first one', async () => {
  const { machine, guest, add } = startMachine();
  const changes = watchCards({ hypervisor: guest });
  const first = changes.next();
  await machine.settle();
  add(0);
  expect((await first).value).toMatchObject({ type: 'added', card: { devid: 0, backendDomid: 0 } });
  await changes.return();
  await machine.settle();
  machine.assertCleanedUp();
  await machine.close();
});

test('a card that is not configured in full appears when it is', async () => {
  const { machine, guest } = startMachine();
  const { frontend } = createSoundCard(machine, {
    frontendDomid: guest.domid,
    pcmDevices: [{ streams: [{ fields: {} }] }],
  });
  const changes = watchCards({ hypervisor: guest });
  const first = changes.next();
  await machine.settle();
  const dom0 = await XenStoreClient.open(machine.dom0);
  await dom0.write(`${frontend}/0/0/type`, 'p');
  expect((await first).value).toMatchObject({ type: 'added', card: { devid: 0 } });
  await changes.return();
  await dom0.close();
  await machine.close();
});

test('an aborted signal ends the wait with an AbortError, and nothing is left', async () => {
  const { machine, guest } = startMachine();
  const giveUp = new AbortController();
  const waiting = watchCards({ hypervisor: guest, signal: giveUp.signal }).next();
  const refused = expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  await machine.settle();
  giveUp.abort();
  await refused;
  await machine.settle();
  machine.assertCleanedUp();
  await machine.close();
});
