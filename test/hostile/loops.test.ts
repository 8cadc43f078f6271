// Guests that connect, leave and change their minds without end.
import { expect, test } from 'vitest';
import { nextTurn } from '../../src/clock.ts';
import { useWorlds } from '../backend/world.ts';

const createWorld = useWorlds();

test('a state that changes a thousand times costs a request or two each, and ends where it is', async () => {
  const world = await createWorld();
  const { guest } = world;
  const { transport } = await guest.createChannel();
  await guest.publish('0/0', transport);
  const before = world.backend.xenstore.roundTrips;
  for (let change = 0; change < 1000; change++) await guest.writeState(String([3, 4, 5, 6, 1][change % 5]));
  await guest.settle();
  expect(world.backend.xenstore.roundTrips - before).toBeLessThan(2000);
  expect(await guest.backendState()).toBe('2');
  await guest.connectOne();
  expect(await guest.backendState()).toBe('4');
});

test('rings that are others at every look are given up, and nothing of them stays mapped', async () => {
  const world = await createWorld();
  const { guest } = world;
  let isOver = false;
  const loop = async () => {
    while (!isOver) {
      await guest.publish('0/0', (await guest.createChannel()).transport);
      await guest.writeState('3');
    }
  };
  const looping = loop();
  for (let turn = 0; turn < 100; turn++) await nextTurn();
  isOver = true;
  await looping;
  await guest.setState('1');
  const isMapping = (leak: string) => leak.startsWith('domain 0: mapping');
  expect(world.machine.leaks().filter(isMapping)).toEqual([]);
  await guest.connectOne();
  expect(await guest.backendState()).toBe('4');
});

test('a stream that drains for minutes is let go at once when its guest leaves', async () => {
  const fields = { 'sample-rates': '5512', 'buffer-size': String(1 << 20) };
  const world = await createWorld({ fields });
  const { guest } = world;
  const channel = await guest.connectOne();
  const bufferBytes = 1 << 20;
  const buffer = await guest.createBuffer(bufferBytes);
  expect(await channel.open(buffer, { rate: 5512, bufferBytes, periodBytes: 65_536 })).toBe(0);
  expect(await channel.write(0, bufferBytes)).toBe(0);
  expect(await channel.trigger('start')).toBe(0);
  channel.send({ op: 'close' });
  await guest.settle();
  expect(channel.takeResponses()).toEqual([]); // 47 s
  await guest.setState('5');
  expect(await guest.backendState()).toBe('2');
  expect(world.clock.now()).toBe(0);
});
