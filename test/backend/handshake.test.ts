import { afterEach, describe, expect, test, vi } from 'vitest';
import { BackendCard } from '../../src/backend/card.ts';
import { Turns } from '../../src/backend/turns.ts';
import { XsMessageDecoder, XsType } from '../../src/wire/xenstore.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { createGuest } from './budgets.ts';
import type { RawFrontend } from './raw-frontend.ts';
import { PLAYBACK, useWorlds, type World } from './world.ts';

const startWorld = useWorlds();
afterEach(() => {
  vi.restoreAllMocks();
});

/** Restarts the backend, and collects each state that it writes from then on. */
async function recordStates(world: World): Promise<string[]> {
  const states: string[] = [];
  const { dom0 } = world.machine;
  await world.closeBackend();
  const openXenStore = dom0.openXenStore.bind(dom0);
  vi.spyOn(dom0, 'openXenStore').mockImplementation(async () => {
    const transport = await openXenStore();
    const send = transport.send.bind(transport);
    vi.spyOn(transport, 'send').mockImplementation((message) => {
      for (const { type, payload } of new XsMessageDecoder().push(message)) {
        const [path, value = ''] = Buffer.from(payload).toString().split('\0');
        if (type === XsType.write && path?.endsWith('/state')) states.push(value);
      }
      send(message);
    });
    return transport;
  });
  await world.startBackend();
  return states;
}

describe('the way to Connected', () => {
  test('the backend waits in InitWait for the frontend', async () => {
    const { guest } = await startWorld();
    expect(await guest.backendState()).toBe('2');
    await guest.setState('1');
    expect(await guest.backendState()).toBe('2');
  });

  test.each(['3', '1 then 3'])('it goes to Connected at Initialised, with the states %s', async (states) => {
    const world = await startWorld();
    const { guest } = world;
    const channel = await guest.createChannel();
    await guest.publish('0/0', channel.transport);
    for (const state of states.split(' then ')) await guest.setState(state);
    expect(await guest.backendState()).toBe('4');
    expect(world.takeLog()).toContain(`${guest.domain.domid}/0: connected, 1 streams`);
    await guest.setState('4');
    expect(await guest.backendState()).toBe('4');
  });

  test('a frontend that was Initialised before the backend came is connected at once', async () => {
    const world = await startWorld();
    await world.closeBackend();
    const { guest } = world;
    await guest.connect();
    expect(await guest.backendState()).toBe('6');
    await world.startBackend();
    expect(await guest.backendState()).toBe('4');
  });

  test('an InitWait that a killed backend has left is not written again: a frontend may be publishing', async () => {
    const world = await startWorld();
    await world.closeBackend();
    const { guest } = world;
    const dom0 = await XenStoreClient.open(world.machine.dom0);
    await dom0.write(`${guest.backendPath}/state`, '2');
    let events = 0;
    await guest.xenstore.watch(`${guest.backendPath}/state`, () => {
      events += 1;
    });
    await guest.settle();
    events = 0;
    await world.startBackend();
    expect(events).toBe(0);
    await guest.connectOne();
    expect(await guest.backendState()).toBe('4');
    await dom0.close();
  });

  test('rings that are published again, without a word, while the backend connects: it takes the new ones', async () => {
    const world = await startWorld();
    const { guest } = world;
    const [first, second] = [await guest.createChannel(), await guest.createChannel()];
    await guest.publish('0/0', first.transport);
    await guest.writeState('3');
    const { mapper } = world.machine.dom0;
    const map = mapper.map.bind(mapper);
    vi.spyOn(mapper, 'map').mockImplementationOnce(async (...args) => {
      await guest.publish('0/0', second.transport);
      return await map(...args);
    });
    expect(await guest.backendState()).toBe('4');
    expect(world.takeLog().filter((line) => line.includes('connected'))).toHaveLength(1);
    const buffer = await guest.createBuffer(8192);
    expect(await second.open(buffer)).toBe(0);
  });

  test('rings that never stay the same are refused', async () => {
    const world = await startWorld();
    const { guest } = world;
    const channels = [await guest.createChannel(), await guest.createChannel()] as const;
    await guest.publish('0/0', channels[0].transport);
    await guest.writeState('3');
    const { mapper } = world.machine.dom0;
    const map = mapper.map.bind(mapper);
    let maps = 0;
    vi.spyOn(mapper, 'map').mockImplementation(async (...args) => {
      maps += 1; // a ring page, then an event page
      const pages = await map(...args);
      if (maps % 2 === 0) await guest.publish('0/0', channels[maps % 4 === 0 ? 0 : 1].transport);
      return pages;
    });
    expect(await guest.backendState()).toBe('6');
    expect(world.takeLog().join()).toContain('its rings change all the time');
  });

  test('1 and 3 written without a pause are enough', async () => {
    const { guest } = await startWorld();
    const channel = await guest.createChannel();
    await guest.publish('0/0', channel.transport);
    await Promise.all([guest.writeState('1'), guest.writeState('3')]);
    expect(await guest.backendState()).toBe('4');
  });

  test('every stream of every PCM device gets a channel of its own', async () => {
    const world = await startWorld({
      pcmDevices: [{ streams: [PLAYBACK, PLAYBACK] }, { streams: [PLAYBACK] }],
    });
    const channels = await world.guest.connect(['0/0', '0/1', '1/0']);
    expect(await world.guest.backendState()).toBe('4');
    for (const channel of channels) expect(await channel.close()).toBe(0);
    expect(world.takeLog()).toContain('1/0: connected, 3 streams');
  });

  test('a frontend that is Connected already, of an earlier connection, is not believed', async () => {
    const world = await startWorld();
    const { guest } = world;
    const channel = await guest.createChannel();
    await guest.publish('0/0', channel.transport);
    await guest.setState('4');
    expect(await guest.backendState()).toBe('2');
    expect(world.takeLog()).toEqual([]);
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping'))).toEqual([]);
  });
});

describe('the way back', () => {
  test.each(['1', '5', '6', '2', '0', '7', '99', '', 'abc', '4 '])(
    'a connected frontend that writes "%s" is let go: 5, 6, then 2',
    async (state) => {
      const world = await startWorld();
      const { guest } = world;
      const states = await recordStates(world);
      await guest.connectOne();
      expect(states).toEqual(['2', '4']);
      await guest.setState(state);
      expect(states).toEqual(['2', '4', '5', '6', '2']);
      expect(await guest.backendState()).toBe('2');
      expect(world.takeLog()).toContain('1/0: disconnected');
      expect(world.machine.leaks().filter((leak) => leak.includes('mapping'))).toEqual([]);
      await guest.connectOne();
      expect(await guest.backendState()).toBe('4');
    },
  );

  test('a backend that is closed says 5 and 6, and nothing more', async () => {
    const world = await startWorld();
    const states = await recordStates(world);
    await world.guest.connectOne();
    await world.closeBackend();
    expect(states).toEqual(['2', '4', '5', '6']);
  });

  test('a frontend that published nonsense gets 5 and 6, and 2 once it begins anew', async () => {
    const world = await startWorld();
    const states = await recordStates(world);
    await world.guest.setState('3');
    expect(states).toEqual(['2', '5', '6']);
    await world.guest.setState('3');
    expect(states).toEqual(['2', '5', '6']);
    await world.guest.setState('1');
    expect(states).toEqual(['2', '5', '6', '2']);
  });

  test('a state node that is removed is the end of the connection, and can come back', async () => {
    const world = await startWorld();
    const { guest } = world;
    await guest.connectOne();
    await guest.xenstore.remove(`${guest.path}/state`);
    expect(await guest.backendState()).toBe('2');
    await guest.connectOne();
    expect(await guest.backendState()).toBe('4');
  });

  test('after a crash, with its state found at 4: 1, 2, publish, 3 connect afresh', async () => {
    const world = await startWorld();
    const { guest } = world;
    const { channel, buffer } = await world.openStream();
    buffer.put(0, new Uint8Array(4096).fill(7));
    await channel.write(0, 4096);
    await channel.trigger('start');
    await world.clock.advance(100);
    await guest.release(); // the process is killed: nothing is said to anybody
    const next = await world.frontend(guest.domain.domid);
    expect(await next.xenstore.read(`${next.path}/state`)).toBe('4');
    expect(await next.backendState()).toBe('4');
    await next.setState('1');
    expect(await next.backendState()).toBe('2');
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping'))).toEqual([]);
    const fresh = await next.connectOne();
    expect(await next.backendState()).toBe('4');
    expect(await fresh.open(await next.createBuffer(8192))).toBe(0);
  });

  test('5 and 1 in quick succession end in InitWait', async () => {
    const { guest } = await startWorld();
    await guest.connectOne();
    await Promise.all(['5', '6', '1'].map((state) => guest.writeState(state)));
    expect(await guest.backendState()).toBe('2');
    await guest.connectOne();
    expect(await guest.backendState()).toBe('4');
  });

  test('Initialised written again changes nothing while connected', async () => {
    const world = await startWorld();
    const channel = await world.guest.connectOne();
    world.takeLog();
    await world.guest.setState('3');
    expect(await world.guest.backendState()).toBe('4');
    expect(await channel.close()).toBe(0);
    expect(world.takeLog()).toEqual([]);
  });

  test('a storm of watch events changes nothing', async () => {
    const world = await startWorld();
    const channel = await world.guest.connectOne();
    world.takeLog();
    world.machine.faults.watchStorm({ domid: 0, path: `${world.guest.path}/state`, count: 500 });
    world.machine.faults.watchStorm({ domid: 0, path: '/local/domain/0/backend/vsnd', count: 500 });
    expect(await world.guest.backendState()).toBe('4');
    expect(await channel.close()).toBe(0);
    expect(world.takeLog()).toEqual([]);
  });
});

describe('each state of the table', () => {
  /** Whatever a frontend's node may say, as it says it; undefined: it says nothing. */
  const OTHEREND = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '99', undefined] as const;
  type Otherend = (typeof OTHEREND)[number];

  const say = async (guest: RawFrontend, state: Otherend) => {
    if (state === undefined) await guest.xenstore.remove(`${guest.path}/state`);
    else await guest.setState(state);
    await guest.settle();
  };
  const mappings = (world: World) => world.machine.leaks().filter((leak) => leak.includes('mapping'));

  test.each(OTHEREND)('InitWait, and the frontend says %s', async (state) => {
    const world = await startWorld();
    const { guest } = world;
    const channel = await guest.createChannel();
    await guest.publish('0/0', channel.transport);
    const states = await recordStates(world);
    await say(guest, state);
    expect(states).toEqual(state === '3' ? ['2', '4'] : ['2']);
    expect(mappings(world)).toHaveLength(state === '3' ? 2 : 0);
    await world.closeBackend();
    expect(states.slice(-2)).toEqual(['5', '6']);
  });

  test.each(OTHEREND)('Connected, and the frontend says %s', async (state) => {
    const world = await startWorld();
    const { guest } = world;
    const states = await recordStates(world);
    await guest.connectOne();
    await say(guest, state);
    const stays = state === '3' || state === '4';
    expect(states).toEqual(stays ? ['2', '4'] : ['2', '4', '5', '6', '2']);
    expect(mappings(world)).toHaveLength(stays ? 2 : 0);
    await world.closeBackend();
    expect(states.slice(-2)).toEqual(['5', '6']);
  });

  test.each(OTHEREND)('Closed for what was published, and the frontend says %s', async (state) => {
    const world = await startWorld();
    const { guest } = world;
    const states = await recordStates(world);
    await guest.setState('3'); // without a channel
    expect(states).toEqual(['2', '5', '6']);
    await say(guest, state);
    const isAnew = state === '1' || state === '5' || state === '6';
    expect(states).toEqual(isAnew ? ['2', '5', '6', '2'] : ['2', '5', '6']);
    await world.closeBackend();
    expect(states.slice(isAnew ? 4 : 3)).toEqual(isAnew ? ['5', '6'] : []);
  });

  test.each(OTHEREND)('removed, and the frontend says %s', async (state) => {
    const world = await startWorld();
    const { guest } = world;
    const states = await recordStates(world);
    await guest.connectOne();
    await world.closeBackend();
    await say(guest, state);
    await world.closeBackend();
    expect(states).toEqual(['2', '4', '5', '6']);
  });

  test.each(OTHEREND)('between Initialised and Connected, and the frontend says %s', async (state) => {
    const world = await startWorld();
    const { guest } = world;
    const channel = await guest.createChannel();
    await guest.publish('0/0', channel.transport);
    const states = await recordStates(world);
    const unlock = world.machine.faults.muteXenStore(0);
    await guest.writeState('3');
    await guest.settle();
    await say(guest, state);
    unlock();
    world.machine.faults.watchStorm({ domid: 0, path: `${guest.path}/state`, count: 1 });
    await guest.settle();
    // It sees the last state only: never connects to one that has left, nor misses that it came.
    expect(states).toEqual(state === '3' ? ['2', '4'] : ['2']);
    expect(mappings(world)).toHaveLength(state === '3' ? 2 : 0);
  });

  test('Initialising: a card that is removed before it was started is Closed', async () => {
    const world = await startWorld();
    await world.closeBackend();
    const { dom0 } = world.machine;
    const xenstore = await XenStoreClient.open(dom0);
    await xenstore.write(`${world.guest.backendPath}/state`, '1');
    const card = new BackendCard({
      ...{ hypervisor: dom0, xenstore, path: world.guest.backendPath, frontendPath: world.guest.path },
      guest: createGuest().guest,
      ...{
        frontendDomid: 1,
        devid: 0,
        queueMode: 'copy',
        turns: new Turns(world.clock),
        deviceFor: () => world.device,
        log() {},
        giveUp() {},
      },
    });
    await card.close();
    expect(await world.guest.backendState()).toBe('6');
    await card.close();
    await xenstore.close();
  });

  test('while connecting: a frontend that has left meanwhile is let go at once', async () => {
    const world = await startWorld();
    const { guest } = world;
    const channel = await guest.createChannel();
    await guest.publish('0/0', channel.transport);
    const states = await recordStates(world);
    await guest.writeState('3');
    while (mappings(world).length === 0) await world.machine.step();
    await guest.setState('6');
    expect(states).toEqual(['2', '4', '5', '6', '2']);
    expect(mappings(world)).toEqual([]);
  });
});

describe('the protocol’s version', () => {
  test('is published before InitWait', async () => {
    const world = await startWorld();
    const { guest } = world;
    const versions = () => guest.xenstore.readIfPresent(`${guest.backendPath}/versions`);
    expect(await versions()).toBe('2');
    await world.closeBackend();
    const { dom0 } = world.machine;
    const xenstore = await XenStoreClient.open(dom0);
    await xenstore.remove(`${guest.backendPath}/versions`);
    await xenstore.write(`${guest.backendPath}/state`, '1');
    await xenstore.close();
    // Whoever hears of InitWait finds the versions.
    const seen: string[] = [];
    const watch = await guest.xenstore.watch(`${guest.backendPath}/state`, async () => {
      if ((await guest.xenstore.read(`${guest.backendPath}/state`)) === '2') seen.push(`${await versions()}`);
    });
    await world.startBackend();
    expect(new Set(seen)).toEqual(new Set(['2']));
    await watch.close();
  });

  test.each(['1', '3', '', '2,1', '02', ' 2', '9'.repeat(500)])(
    '"%s" is refused with one line',
    async (version) => {
      const world = await startWorld();
      const { guest } = world;
      await guest.xenstore.write(`${guest.path}/version`, version);
      world.takeLog();
      await guest.connect();
      expect(await guest.backendState()).toBe('6');
      const found = JSON.stringify(version.slice(0, 80));
      expect(world.takeLog()).toEqual([
        `1/0: cannot connect: ${guest.path}/version is ${found}; allowed: "2", the version of the protocol`,
      ]);
      await guest.xenstore.write(`${guest.path}/version`, '2');
      await guest.connectOne();
      expect(await guest.backendState()).toBe('4');
    },
  );

  test('need not be said', async () => {
    const world = await startWorld();
    await world.guest.connectOne();
    expect(await world.guest.backendState()).toBe('4');
    expect(world.takeLog()).toEqual(['1/0: connected, 1 streams']);
  });
});

describe('when XenStore fails', () => {
  test('a backend that cannot watch its cards does not start, and holds nothing', async () => {
    const world = await startWorld();
    await world.closeBackend();
    world.machine.faults.refuseXenStore({ domid: 0, type: XsType.watch, errno: 'E2BIG' });
    await expect(world.startBackend()).rejects.toMatchObject({ code: 'ERR_VSND_XENSTORE', errno: 'E2BIG' });
    expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0'))).toEqual([]);
  });

  test('a backend that has lost XenStore can still be closed', async () => {
    const world = await startWorld();
    const { channel, buffer } = await world.openStream();
    buffer.put(0, new Uint8Array(8192));
    await channel.write(0, 8192);
    await channel.trigger('start');
    world.machine.faults.closeXenStore(0);
    await world.machine.settle();
    await world.closeBackend();
    expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0'))).toEqual([]);
  });
});
