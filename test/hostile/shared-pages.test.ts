// Pages that are not what a guest says they are: what it makes of its own stream is its affair, and nobody else hears of it.
import { expect, test } from 'vitest';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { BUFFER_BYTES, openRequest, type RawBuffer } from '../backend/raw-frontend.ts';
import { CAPTURE, PLAYBACK, useWorlds, type World } from '../backend/world.ts';

const createWorld = useWorlds();

/** Another guest, which plays; what is returned says that it goes on doing so. */
async function addPlayer(world: World): Promise<() => Promise<void>> {
  const player = await world.addGuest({ pcmDevices: [{ streams: [PLAYBACK] }] });
  const channel = await player.connectOne();
  expect(await channel.open(await player.createBuffer(BUFFER_BYTES))).toBe(0);
  expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
  expect(await channel.trigger('start')).toBe(0);
  world.takeLog();
  return async () => {
    channel.takeEvents();
    await world.clock.advance(256);
    expect(channel.takePositions()).toHaveLength(1);
    expect(await player.backendState()).toBe('4');
  };
}

/** After all that the guest may begin anew, and play. */
async function expectNewBeginning({ guest }: World): Promise<void> {
  const channel = await guest.connectOne();
  expect(await channel.open(await guest.createBuffer(BUFFER_BYTES))).toBe(0);
}

test('one page as ring and event page: positions overwrite requests', async () => {
  const world = await createWorld();
  const expectUnharmed = await addPlayer(world);
  const { guest } = world;
  const { transport, ringPage, ringPort } = await guest.createChannel();
  await guest.publish('0/0', { ...transport, 'evt-ring-ref': transport['ring-ref'] });
  await guest.setState('3');
  ringPage.store32(0, 32);
  ringPort.notify();
  await expectUnharmed();
  await expectNewBeginning(world);
});

test('a ring, and a page directory, as the buffer: what is captured becomes their content', async () => {
  const world = await createWorld({ pcmDevices: [{ streams: [CAPTURE] }] });
  const expectUnharmed = await addPlayer(world);
  const { guest } = world;
  const channel = await guest.connectOne();
  const directory = await guest.grant(1);
  for (const [index, gref] of [0, channel.ringPage.grefs[0], directory.grefs[0]].entries())
    directory.store32(4 * index, gref ?? 0);
  expect(await channel.open({ directoryGref: directory.grefs[0] } as RawBuffer)).toBe(0);
  expect(await channel.trigger('start')).toBe(0);
  channel.send({ op: 'read', offset: 0, length: 1024 });
  await world.clock.advance(512);
  expect(world.takeLog()).toContainEqual(
    expect.stringMatching(/^1\/0: stream 0\/0: the frontend's req_prod announces \d+ requests/),
  );
  expect(world.backend.status.find(({ domid }) => domid === 1)?.streams[0]?.open).toBe(undefined);
  await expectUnharmed();
  await expectNewBeginning(world);
});

test('pages that may only be read', async () => {
  const world = await createWorld();
  const expectUnharmed = await addPlayer(world);
  const { guest } = world;
  const readOnly = await guest.grant(1, { access: 'read-only' });
  const gref = readOnly.grefs[0] ?? 0;
  for (const name of ['ring-ref', 'evt-ring-ref']) {
    const { transport } = await guest.createChannel();
    await guest.publish('0/0', { ...transport, [name]: String(gref) });
    await guest.setState('3');
    expect(world.takeLog()).toEqual([
      `1/0: cannot connect: cannot map grant ${gref}: it is granted for reading only`,
    ]);
    await guest.setState('1');
  }
  const channel = await guest.connectOne();
  const status = await channel.status(openRequest({ directoryGref: gref } as RawBuffer));
  expect(-status).toBeOneOf(Object.values(XenErrno));
  await expectUnharmed();
  await expectNewBeginning(world);
});
