import { expect, test } from 'vitest';
import { nextTurn } from '../../src/clock.ts';
import { removeSoundCard } from '../../src/testing.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { useWorlds } from '../backend/world.ts';

const createWorld = useWorlds();

test('a card beyond the limit is served when another one of the guest is removed', async () => {
  const world = await createWorld({ limits: ['cards=2'] });
  for (const devid of [1, 2]) world.addCard({ frontendDomid: 1, devid });
  await world.machine.settle();
  expect(world.backend.status.map(({ devid }) => devid)).toEqual([0, 1]);
  removeSoundCard(world.machine, { frontendDomid: 1, devid: 1 });
  await world.machine.settle();
  expect(world.backend.status.map(({ devid }) => devid)).toEqual([0, 2]);
});

test('a card that cannot be served is given up once: what is written for that is no reason to try it again', async () => {
  const world = await createWorld();
  const store = await XenStoreClient.open(world.machine.dom0);
  await store.write('backend/vsnd/7/0/frontend', '/');
  await store.write('backend/vsnd/7/0/state', '1');
  for (let turn = 0; turn < 500; turn++) await nextTurn();
  const lines = world.takeLog();
  expect(lines).toEqual([expect.stringContaining('7/0: given up: XenStore path is "//state"')]);
  await store.remove('backend/vsnd/7');
  await store.close();
});
