import { describe, expect, test } from 'vitest';
import { memoryDevice } from '../../src/backend/devices.ts';
import { removeDomain, removeSoundCard } from '../../src/xen/emulated/toolstack.ts';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, openRequest, type RawChannel, type RawFrontend } from './raw-frontend.ts';
import { PLAYBACK, useWorlds, type World, type WorldOptions } from './world.ts';

const startWorld = useWorlds();

/** A world in which each stream has a memory device of its own, by '<domid>/<devid>/<pcm>/<stream>'. */
async function startWithDevices(options: WorldOptions = {}) {
  const devices = new Map<string, ReturnType<typeof memoryDevice>>();
  const holder: { world?: World } = {};
  const world = await startWorld({
    ...options,
    deviceFor: ({ frontendDomid, devid, pcmDevice, config }) => {
      if (holder.world === undefined) throw new Error('too early');
      const device = memoryDevice(holder.world.backendClock);
      devices.set(`${frontendDomid}/${devid}/${pcmDevice}/${config.index}`, device);
      return device;
    },
  });
  holder.world = world;
  return { world, heard: (name: string) => devices.get(name)?.heard() };
}

/** Opens a stream, fills its buffer and starts it; returns what was written. */
async function play(channel: RawChannel, seed: number): Promise<Uint8Array> {
  const buffer = await channel.frontend.createBuffer(BUFFER_BYTES);
  const bytes = noise(BUFFER_BYTES, seed);
  buffer.put(0, bytes);
  expect(await channel.open(buffer)).toBe(0);
  expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
  expect(await channel.trigger('start')).toBe(0);
  return bytes;
}

const held = (world: World) =>
  world.machine.leaks().filter((leak) => /^domain 0: (mapping|event channel|\d+ pending)/.test(leak));

describe('several guests and cards', () => {
  test('three cards of two guests play at once, each its own sound', async () => {
    const { world, heard } = await startWithDevices();
    const second = await world.addGuest();
    world.addCard({ frontendDomid: 1, devid: 3 });
    await world.machine.settle();
    const third = await world.frontend(1, 3);
    const played = [];
    for (const [seed, frontend] of [world.guest, second, third].entries()) {
      played.push(await play(await frontend.connectOne(), seed + 1));
    }
    await world.clock.advance(BUFFER_BYTES / 4);
    expect(heard('1/0/0/0')).toEqual(Buffer.from(played[0] ?? []));
    expect(heard('2/0/0/0')).toEqual(Buffer.from(played[1] ?? []));
    expect(heard('1/3/0/0')).toEqual(Buffer.from(played[2] ?? []));
  });

  test('the streams of one card are told apart', async () => {
    const { world, heard } = await startWithDevices({
      pcmDevices: [{ streams: [PLAYBACK, PLAYBACK] }, { streams: [PLAYBACK] }],
    });
    const names = ['0/0', '0/1', '1/0'];
    const channels = await world.guest.connect(names);
    const played: Uint8Array[] = [];
    for (const [seed, channel] of channels.entries()) played.push(await play(channel, seed + 1));
    await world.clock.advance(BUFFER_BYTES / 4);
    for (const [index, name] of names.entries()) {
      expect(heard(`1/0/${name}`)).toEqual(Buffer.from(played[index] ?? []));
    }
  });

  test('a guest that publishes nonsense harms no other guest', async () => {
    const { world, heard } = await startWithDevices();
    const second = await world.addGuest();
    const bytes = await play(await world.guest.connectOne(), 1);
    await second.publish('0/0', { 'ring-ref': '99999' });
    await second.setState('3');
    expect(await second.backendState()).toBe('6');
    await world.clock.advance(BUFFER_BYTES / 4);
    expect(heard('1/0/0/0')).toEqual(Buffer.from(bytes));
    expect(await world.guest.backendState()).toBe('4');
  });

  test('a guest that breaks its ring harms no other guest', async () => {
    const { world, heard } = await startWithDevices();
    const second = await world.addGuest();
    const bytes = await play(await world.guest.connectOne(), 1);
    const broken = await second.connectOne();
    broken.ringPage.store32(0, 0x8000_0000);
    broken.ringPort.notify();
    await world.machine.settle();
    expect(world.takeLog().join()).toMatch(/2\/0: stream 0\/0: the frontend's req_prod/);
    await world.clock.advance(BUFFER_BYTES / 4);
    expect(heard('1/0/0/0')).toEqual(Buffer.from(bytes));
  });
});

describe('cards that come and go', () => {
  test('a card that appears while the backend runs is served', async () => {
    const world = await startWorld();
    const late = await world.addGuest();
    expect(await late.backendState()).toBe('2');
    await play(await late.connectOne(), 1);
  });

  test('a card that is removed while it plays is let go, and its nodes stay removed', async () => {
    const { world } = await startWithDevices();
    const { guest } = world;
    await play(await guest.connectOne(), 1);
    await world.clock.advance(10);
    world.takeLog();
    removeSoundCard(world.machine, { frontendDomid: guest.domain.domid });
    await world.machine.settle();
    expect(held(world)).toEqual([]);
    expect(world.takeLog()).toEqual(['1/0: disconnected', '1/0: removed']);
    expect(world.machine.leaks().filter((leak) => /domain 0: XenStore watch.*device/.test(leak))).toEqual([]);
    expect(await world.machine.store.run((view) => view.has('/local/domain/0/backend/vsnd/1'))).toBe(false);
  });

  test('one card of two is removed; the other plays on', async () => {
    const { world, heard } = await startWithDevices();
    world.addCard({ frontendDomid: 1, devid: 1 });
    await world.machine.settle();
    const other = await world.frontend(1, 1);
    await world.guest.connectOne();
    const bytes = await play(await other.connectOne(), 5);
    removeSoundCard(world.machine, { frontendDomid: 1, devid: 0 });
    await world.clock.advance(BUFFER_BYTES / 4);
    expect(heard('1/1/0/0')).toEqual(Buffer.from(bytes));
    expect(await other.backendState()).toBe('4');
  });

  test('a card that is removed and made again at once is served again', async () => {
    const world = await startWorld();
    await world.guest.connectOne();
    removeSoundCard(world.machine, { frontendDomid: 1 });
    await world.machine.settle();
    world.addCard({ frontendDomid: 1 });
    await world.machine.settle();
    const channel = await world.guest.connectOne();
    expect(await world.guest.backendState()).toBe('4');
    expect(await channel.close()).toBe(0);
  });

  test.each([
    ['odd/0', '/local/domain/1/device/vsnd/0'],
    ['7/zero', '/local/domain/1/device/vsnd/0'],
    ['7/1', undefined], // the toolstack is not done with it
  ])('the node %s below backend/vsnd is no card, and is left alone', async (name, frontend) => {
    const world = await startWorld();
    const path = `/local/domain/0/backend/vsnd/${name}`;
    world.machine.store.run((view) => {
      view.write(`${path}/state`, Buffer.from('1'));
      if (frontend !== undefined) view.write(`${path}/frontend`, Buffer.from(frontend));
    });
    await world.machine.settle();
    expect(world.takeLog()).toEqual([]);
    const { value } = world.machine.store.run((view) => view.read(`${path}/state`));
    expect(Buffer.from(value).toString()).toBe('1');
  });
});

describe('a domain that is killed', () => {
  test.each(['copy', 'direct'] as const)('while it plays, in mode %s', async (queueMode) => {
    const { world, heard } = await startWithDevices({ queueMode });
    const second = await world.addGuest();
    const bytes = await play(await second.connectOne(), 2);
    await play(await world.guest.connectOne(), 1);
    await world.clock.advance(300);
    world.machine.faults.killDomain(1);
    await world.clock.advance(BUFFER_BYTES / 4);
    expect(heard('2/0/0/0')).toEqual(Buffer.from(bytes));
    removeDomain(world.machine, 1);
    await world.machine.settle();
    expect(world.log).toContain('1/0: removed');
    expect(world.machine.leaks().filter((leak) => leak.includes('domain 1'))).toEqual([]);
  });

  test('between Initialised and the mapping of its pages', async () => {
    const world = await startWorld();
    const channel = await world.guest.createChannel();
    await world.guest.publish('0/0', channel.transport);
    await world.guest.writeState('3');
    world.machine.faults.killDomain(1);
    await world.machine.settle();
    expect(held(world)).toEqual([]);
    expect(world.log.join()).toContain('no domain 1');
  });
});

describe('Backend.close()', () => {
  test('releases open streams, and says Closed', async () => {
    const { world } = await startWithDevices();
    const second = await world.addGuest();
    await play(await world.guest.connectOne(), 1);
    await play(await second.connectOne(), 2);
    await world.clock.advance(100);
    await world.closeBackend();
    expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0'))).toEqual([]);
    expect(await world.guest.backendState()).toBe('6');
    expect(await second.backendState()).toBe('6');
    await world.closeBackend();
  });

  test('ends a CLOSE that drains, with the clock standing still', async () => {
    const { world } = await startWithDevices();
    const channel = await world.guest.connectOne();
    await play(channel, 1);
    channel.send({ op: 'close' });
    await world.machine.settle();
    expect(channel.takeResponses()).toEqual([]);
    await world.closeBackend();
    expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0'))).toEqual([]);
  });

  test('is complete whenever it comes: at each step of a start, a handshake and an OPEN', async () => {
    for (let steps = 0; steps < 90; steps += 1) {
      const world = await startWorld();
      await world.closeBackend();
      const { guest } = world;
      const channel = await guest.createChannel();
      const buffer = await guest.createBuffer(BUFFER_BYTES);
      buffer.put(0, noise(BUFFER_BYTES));
      await guest.publish('0/0', channel.transport);
      channel.send(
        openRequest(buffer),
        { op: 'write', offset: 0, length: BUFFER_BYTES },
        { op: 'trigger', trigger: 'start' },
      );
      await guest.setState('3');
      const starting = world.startBackend();
      for (let step = 0; step < steps; step++) await world.machine.step();
      const backend = await starting;
      await backend.close();
      await world.machine.settle();
      expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0'))).toEqual([]);
    }
  });
});

describe('a frontend that goes away in the middle', () => {
  /** Lets `leave` happen before, during and after an OPEN, WRITE, START, CLOSE; nothing of it may stay. */
  async function atEachStep(leave: (world: World, guest: RawFrontend) => Promise<void> | void) {
    for (let steps = -24; steps < 24; steps += 1) {
      const world = await startWorld();
      const { guest } = world;
      const channel = await guest.connectOne();
      const buffer = await guest.createBuffer(BUFFER_BYTES);
      const send = () =>
        channel.send(
          openRequest(buffer),
          { op: 'write', offset: 0, length: BUFFER_BYTES },
          { op: 'trigger', trigger: 'start' },
          { op: 'close' },
        );
      if (steps >= 0) send();
      const left = steps < 0 ? leave(world, guest) : undefined;
      for (let step = 0; step < Math.abs(steps); step++) await world.machine.step();
      if (steps < 0) send();
      await (left ?? leave(world, guest));
      await world.machine.settle();
      expect(held(world)).toEqual([]);
      expect(world.log.join()).not.toContain('released');
    }
  }

  test('its state says Closing during an OPEN', async () => {
    await atEachStep((_world, guest) => guest.writeState('5'));
  });

  test('its card is removed during an OPEN', async () => {
    await atEachStep((world) => removeSoundCard(world.machine, { frontendDomid: 1 }));
  });

  test('its process is killed during an OPEN, and another one begins anew', async () => {
    for (let steps = 0; steps < 24; steps += 1) {
      const world = await startWorld();
      const { guest } = world;
      const channel = await guest.connectOne();
      channel.send(openRequest(await guest.createBuffer(BUFFER_BYTES)), { op: 'trigger', trigger: 'start' });
      for (let step = 0; step < steps; step++) await world.machine.step();
      guest.domain.exit();
      const next = await world.frontend(guest.domain.domid);
      await next.setState('1');
      expect(held(world)).toEqual([]);
      expect(await next.backendState()).toBe('2');
    }
  });
});
