import { afterEach, describe, expect, test, vi } from 'vitest';
import { XsMessageDecoder, XsType } from '../../src/wire/xenstore.ts';
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

describe('when XenStore fails', () => {
  test('a connection is let go although its state cannot be written', async () => {
    const world = await startWorld();
    await world.guest.connectOne();
    world.machine.faults.refuseXenStore({ domid: 0, type: XsType.transactionStart, errno: 'EIO' });
    await world.guest.setState('5');
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping'))).toEqual([]);
    expect(world.takeLog().join()).toContain('EIO');
    await world.guest.connectOne();
    expect(await world.guest.backendState()).toBe('4');
  });

  test('a list of cards that cannot be read once removes no card', async () => {
    const world = await startWorld();
    const channel = await world.guest.connectOne();
    world.machine.faults.refuseXenStore({ domid: 0, type: XsType.directory, errno: 'EIO' });
    world.machine.faults.watchStorm({ domid: 0, path: '/local/domain/0/backend/vsnd', count: 1 });
    expect(await world.guest.backendState()).toBe('4');
    expect(await channel.close()).toBe(0);
    expect(world.takeLog().join()).toContain('EIO');
  });

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
