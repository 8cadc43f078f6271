import { expect, test } from 'vitest';
import { removeSoundCard } from '../../src/testing.ts';
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
