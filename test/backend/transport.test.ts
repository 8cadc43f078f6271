import { describe, expect, test } from 'vitest';
import type { RawFrontend, Transport } from './raw-frontend.ts';
import { PLAYBACK, useWorlds, type World } from './world.ts';

const startWorld = useWorlds();

const NODES = ['ring-ref', 'event-channel', 'evt-ring-ref', 'evt-event-channel'] as const;

/** Publishes a good channel but for these nodes, and writes Initialised. Nothing may be held then. */
async function publishOdd(world: World, frontend: RawFrontend, odd: Partial<Transport>) {
  const { transport } = await frontend.createChannel();
  await frontend.setState('1');
  await frontend.publish('0/0', { ...transport, ...odd });
  world.takeLog();
  await frontend.setState('3');
  expect(await frontend.backendState()).toBe('6');
  const held = world.machine.leaks().filter((leak) => /^domain 0: (mapping|event channel)/.test(leak));
  expect(held).toEqual([]);
  return world.takeLog().join('\n');
}

/** A correct frontend, after whatever was: its state 1 opens the way again. */
async function expectRecovery(frontend: RawFrontend): Promise<void> {
  await frontend.setState('1');
  expect(await frontend.backendState()).toBe('2');
  const channel = await frontend.connectOne();
  expect(await frontend.backendState()).toBe('4');
  expect(await channel.close()).toBe(0);
}

describe.each(NODES)('%s', (name) => {
  test.each([
    '',
    'abc',
    '-1',
    '0',
    '0x8',
    '8.0',
    '1e1',
    ' 8',
    '8\n',
    '4294967296',
    '99999999999',
    '9'.repeat(500),
  ])('is no number as %j: the card is closed, and the log names path and value', async (value) => {
    const world = await startWorld();
    const line = await publishOdd(world, world.guest, { [name]: value });
    expect(line).toContain(`${world.guest.path}/0/0/${name}`);
    expect(line).toContain(JSON.stringify(value.slice(0, 80)));
    await expectRecovery(world.guest);
  });

  test('is missing: the card is closed, and the log names it', async () => {
    const world = await startWorld();
    const { transport } = await world.guest.createChannel();
    const { [name]: _left, ...others } = transport;
    await world.guest.publish('0/0', others);
    await world.guest.setState('3');
    expect(await world.guest.backendState()).toBe('6');
    expect(world.takeLog().join('\n')).toContain(`${world.guest.path}/0/0/${name} is missing`);
    await expectRecovery(world.guest);
  });

  test.each(['4294967295', '77'])('is a number that means nothing: %s', async (value) => {
    const world = await startWorld();
    expect(await publishOdd(world, world.guest, { [name]: value })).toContain(value);
    await expectRecovery(world.guest);
  });
});

describe('pages and ports that are not for this backend', () => {
  test.each(['ring-ref', 'evt-ring-ref'] as const)('%s granted to another domain', async (name) => {
    const world = await startWorld();
    const other = world.machine.createDomain();
    const page = await world.guest.grant(1, { domid: other.domid });
    const line = await publishOdd(world, world.guest, { [name]: String(page.grefs[0]) });
    expect(line).toContain(`it is granted to domain ${other.domid}, not 0`);
    await expectRecovery(world.guest);
  });

  test.each(['ring-ref', 'evt-ring-ref'] as const)('%s granted for reading only', async (name) => {
    const world = await startWorld();
    const page = await world.guest.grant(1, { access: 'read-only' });
    expect(await publishOdd(world, world.guest, { [name]: String(page.grefs[0]) })).toContain('reading only');
    await expectRecovery(world.guest);
  });

  test.each(['ring-ref', 'evt-ring-ref'] as const)('%s whose grant has ended', async (name) => {
    const world = await startWorld();
    const page = await world.guest.grant(1);
    await page.release();
    await publishOdd(world, world.guest, { [name]: String(page.grefs[0]) });
    await expectRecovery(world.guest);
  });

  test.each(['event-channel', 'evt-event-channel'] as const)('%s for another domain', async (name) => {
    const world = await startWorld();
    const other = world.machine.createDomain();
    const { port } = await world.guest.bindUnbound(other.domid);
    const line = await publishOdd(world, world.guest, { [name]: String(port) });
    expect(line).toContain(`it is for domain ${other.domid}`);
    await expectRecovery(world.guest);
  });

  test('one port for both purposes', async () => {
    const world = await startWorld();
    const { port } = await world.guest.bindUnbound();
    const both = { 'event-channel': String(port), 'evt-event-channel': String(port) };
    expect(await publishOdd(world, world.guest, both)).toContain('bound already');
    await expectRecovery(world.guest);
  });

  test('the grants of another guest', async () => {
    const world = await startWorld();
    const other = await world.addGuest();
    for (let count = 0; count < 5; count++) await other.grant(1);
    const page = await other.grant(1);
    await publishOdd(world, world.guest, { 'ring-ref': String(page.grefs[0]) });
    await expectRecovery(world.guest);
  });
});

describe('the card itself', () => {
  test('one bad stream of two: nothing of the other one is held', async () => {
    const world = await startWorld({ pcmDevices: [{ streams: [PLAYBACK, PLAYBACK] }] });
    const { guest } = world;
    const good = await guest.createChannel();
    await guest.publish('0/0', good.transport);
    await guest.setState('3');
    expect(await guest.backendState()).toBe('6');
    expect(world.takeLog().join()).toContain(`${guest.path}/0/1/ring-ref is missing`);
    expect(world.machine.leaks().filter((leak) => /^domain 0: (mapping|event)/.test(leak))).toEqual([]);
    await guest.connect(['0/0', '0/1']);
    expect(await guest.backendState()).toBe('4');
  });

  test.each([
    ['0/0/type', 'x'],
    ['0/0/type', ''],
  ])('a configuration in which %s is %j', async (name, value) => {
    const world = await startWorld();
    const { guest } = world;
    const path = `${guest.path}/${name}`;
    const before = await guest.xenstore.readIfPresent(path);
    await guest.xenstore.write(path, value);
    await publishOdd(world, guest, {}).then((line) => {
      expect(line).toContain(path);
      expect(line).toContain(JSON.stringify(value));
    });
    if (before === undefined) await guest.xenstore.remove(path);
    else await guest.xenstore.write(path, before);
    await expectRecovery(guest);
  });

  test('a guest that removes its whole stream node', async () => {
    const world = await startWorld();
    await world.guest.xenstore.remove(`${world.guest.path}/0/0`);
    await world.guest.setState('3');
    expect(await world.guest.backendState()).toBe('4'); // a card without streams, as the guest wants it
    await world.guest.setState('5');
    expect(await world.guest.backendState()).toBe('2');
  });

  test('a device that cannot be had for a stream closes the card', async () => {
    const world = await startWorld({
      deviceFor: () => {
        throw new Error('no device for you');
      },
    });
    expect(await publishOdd(world, world.guest, {})).toContain('no device for you');
  });

  test('a hypervisor that fails in the middle leaves nothing mapped', async () => {
    for (const [operation, after] of [
      ['map', 0],
      ['map', 1],
      ['bindInterdomain', 0],
      ['bindInterdomain', 1],
    ] as const) {
      const world = await startWorld();
      world.machine.faults.failOperations({ domid: 0, operation, after, errno: 'ENOMEM' });
      expect(await publishOdd(world, world.guest, {})).toContain('ENOMEM');
      await expectRecovery(world.guest);
    }
  });
});
