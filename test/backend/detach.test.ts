import { expect, test } from 'vitest';
import { removeSoundCard, requestSoundCardClose } from '../../src/xen/emulated/toolstack.ts';
import { useWorlds } from './world.ts';

const startWorld = useWorlds();

test('a card that the toolstack puts offline is closed, and may come back', async () => {
  const world = await startWorld();
  const address = { frontendDomid: 1 };
  await world.openStream();
  requestSoundCardClose(world.machine, address);
  await world.machine.settle();
  expect(await world.guest.backendState()).toBe('6');
  expect(world.machine.leaks().filter((leak) => leak.includes('mapping'))).toEqual([]);
  removeSoundCard(world.machine, address);
  world.addCard(address);
  await world.machine.settle();
  expect(await world.guest.backendState()).toBe('2');
  await world.guest.connectOne();
  expect(await world.guest.backendState()).toBe('4');
});
