import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { serveGuests } from '../../src/cli/backend.ts';
import type { Card } from '../../src/frontend/card.ts';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import { watchCards } from '../../src/open-card.ts';
import { removeSoundCard } from '../../src/testing.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { noise } from '../sound.ts';
import { FORMAT, Machine, SECOND_BYTES } from './machine.ts';

/** ns: so long a daemon may be gone, and XenStore not be given up. */
const SHORT = 8e9;
const LONG = 12e9;

/** A backend and a guest whose card is open. */
async function start(options: { reconnect?: boolean } = {}) {
  const machine = new Machine();
  const guest = machine.addGuest();
  await machine.startBackend();
  const card = await machine.connect(guest, options);
  machine.takeLog();
  return { machine, guest, card, faults: machine.machine.faults };
}

/** Plays for `seconds`, and never stops before they are over. */
function play(card: Card, seconds: number): { out: PlaybackStream; sound: Buffer; events: unknown[] } {
  const sound = noise(seconds * SECOND_BYTES);
  const out = card.createPlaybackStream(FORMAT);
  const events: unknown[] = [];
  out.on('disconnect', ({ error }) => events.push(['disconnect', (error as { code?: string }).code]));
  out.on('reconnect', () => events.push('reconnect'));
  for (const event of ['underrun', 'finish', 'close'] as const) out.on(event, () => events.push(event));
  out.on('error', (error: { code?: string }) => events.push(error.code));
  out.end(sound);
  return { out, sound, events };
}

async function stateOf({ machine }: Machine, path: string): Promise<string> {
  return Buffer.from(machine.store.run((view) => view.read(path)).value).toString();
}

const backendState = (machine: Machine, { domid }: EmulatedDomain) =>
  stateOf(machine, `/local/domain/0/backend/vsnd/${domid}/0/state`);

describe('XenStore’s daemon is gone for a while, and back', () => {
  test('what plays goes on, and is not even told', async () => {
    const { machine, card, faults } = await start();
    const { sound, events } = play(card, 20);
    await machine.clock.advanceTime(2e9);
    const back = faults.stopXenStore();
    await machine.clock.advanceTime(SHORT);
    back();
    await machine.clock.advanceTime(12e9);
    expect(events).toEqual(['finish', 'close']);
    expect(Buffer.from(machine.device.heard()).equals(sound)).toBe(true);
    expect(machine.takeLog()).toEqual([
      expect.stringMatching(/^XenStore: the connection was lost: .*; it is opened again$/),
      'XenStore is back',
    ]);
    expect(machine.backend.xenstore.reconnections).toBe(1);
    await machine.close();
  });

  test('guests that came and went meanwhile are found', async () => {
    const { machine, guest, card, faults } = await start();
    const back = faults.stopXenStore(machine.host.domid);
    const other = machine.addGuest();
    removeSoundCard(machine.machine, { frontendDomid: guest.domid });
    await machine.clock.advanceTime(SHORT);
    expect(machine.backend.status).toMatchObject([{ domid: guest.domid, connected: true }]);
    back();
    await machine.clock.advanceTime(2e9);
    expect(machine.backend.status).toMatchObject([{ domid: other.domid, connected: false }]);
    expect((await machine.connect(other)).connected).toBe(true);
    expect(card.connected).toBe(false);
    await machine.close();
  });

  test('a guest that left meanwhile, and one that came, are answered', async () => {
    const { machine, guest, card, faults } = await start();
    const other = machine.addGuest();
    await machine.machine.settle();
    const back = faults.stopXenStore(machine.host.domid);
    const leaving = card.close();
    const coming = machine.connect(other);
    await machine.clock.advanceTime(SHORT);
    back();
    await machine.whileTimePasses(Promise.all([leaving, coming]));
    expect((await coming).connected).toBe(true);
    expect(await backendState(machine, guest)).toBe('2');
    expect(await backendState(machine, other)).toBe('4');
    await machine.close();
  });

  test('what it has forgotten of our state is said again, and nobody is disconnected', async () => {
    const { machine, guest, card, faults } = await start();
    const { events } = play(card, 20);
    await machine.machine.settle();
    const back = faults.stopXenStore(machine.host.domid);
    const node = `/local/domain/0/backend/vsnd/${guest.domid}/0/state`;
    const backAtGuest = faults.stopXenStore(guest.domid);
    machine.machine.store.run((view) => view.write(node, Buffer.from('2')));
    await machine.clock.advanceTime(1e9);
    back();
    await machine.clock.advanceTime(2e9);
    backAtGuest();
    await machine.clock.advanceTime(2e9);
    expect(await backendState(machine, guest)).toBe('4');
    expect([card.connected, events]).toEqual([true, []]);
    await machine.close();
  });

  test('a daemon that hangs is as good as gone', async () => {
    const { machine, guest, faults } = await start();
    faults.watchStorm({ domid: 0, path: `/local/domain/0/backend/vsnd/${guest.domid}/0`, count: 1 });
    const speak = faults.muteXenStore(machine.host.domid);
    const other = machine.addGuest();
    await machine.clock.advanceTime(1e9);
    speak();
    await machine.clock.advanceTime(10e9);
    expect((await machine.connect(other)).connected).toBe(true);
    await machine.close();
  });

  test('a frontend learns what its backend did meanwhile', async () => {
    const { machine, guest, card, faults } = await start({ reconnect: true });
    const { sound, events } = play(card, 10);
    await machine.clock.advanceTime(2e9);
    const back = faults.stopXenStore(guest.domid);
    await machine.backend.close();
    await machine.startBackend();
    await machine.clock.advanceTime(1e9);
    back();
    await machine.clock.advanceTime(15e9);
    expect(events).toEqual([['disconnect', 'ERR_VSND_BACKEND_GONE'], 'reconnect', 'finish', 'close']);
    expect(Buffer.from(machine.device.heard()).length).toBeGreaterThan(0);
    expect(sound.subarray(-4000).equals(Buffer.from(machine.device.heard()).subarray(-4000))).toBe(true);
    await machine.close();
  });

  test('lost again and again, each time within a second, it is given up', async () => {
    const { machine, faults } = await start();
    let failed = false;
    machine.backend.failed.then(() => {
      failed = true;
    });
    for (let loss = 0; loss < 24; loss++) {
      faults.closeXenStore(machine.host.domid);
      await machine.clock.advanceTime(0.5e9);
    }
    expect(failed).toBe(true);
    await machine.close();
  });
});

describe('XenStore’s daemon is gone for good', () => {
  test('a backend says so, and what plays goes on until somebody ends it', async () => {
    const { machine, card, faults } = await start();
    const { sound, events } = play(card, 15);
    const back = faults.stopXenStore(machine.host.domid);
    await machine.clock.advanceTime(LONG);
    expect(await machine.backend.failed).toMatchObject({ code: 'ERR_VSND_XENSTORE', errno: 'ECONNREFUSED' });
    expect(machine.takeLog().at(-1)).toMatch(/^XenStore cannot be reached any more, for 10 s by now: /);
    await machine.clock.advanceTime(LONG);
    expect(events).toEqual(['finish', 'close']);
    expect(Buffer.from(machine.device.heard()).equals(sound)).toBe(true);
    back();
    await machine.clock.advanceTime(2e9);
    await machine.close();
  });

  test('`vsnd backend` ends with an error, and holds nothing', async () => {
    const machine = new Machine();
    const said: string[] = [];
    const options = { routes: [], sink: undefined, source: undefined, json: false };
    const terminal = { say: (line: string) => said.push(line) };
    const serving = serveGuests(machine.host, options, terminal, new AbortController().signal);
    const ended = expect(serving).rejects.toMatchObject({ code: 'ERR_VSND_XENSTORE' });
    await machine.machine.settle();
    machine.machine.faults.stopXenStore();
    await machine.clock.advanceTime(LONG);
    await ended;
    expect(said.join()).toContain('XenStore cannot be reached any more');
    machine.machine.assertCleanedUp();
    await machine.machine.close();
  });

  test('a guest’s streams end with their error', async () => {
    const { machine, guest, card, faults } = await start();
    const { events } = play(card, 60);
    const back = faults.stopXenStore(guest.domid);
    await machine.clock.advanceTime(SHORT);
    expect(events).toEqual([]);
    await machine.clock.advanceTime(LONG - SHORT);
    expect(events).toEqual(['ERR_VSND_XENSTORE', 'close']);
    expect(card.connected).toBe(false);
    back();
    await machine.clock.advanceTime(3e9);
    expect(card.connected).toBe(true);
    await machine.close();
  });

  test('those with reconnect go on when it is back, however long that takes', async () => {
    const { machine, guest, card, faults } = await start({ reconnect: true });
    const { sound, events } = play(card, 20);
    const back = faults.stopXenStore(guest.domid);
    await machine.clock.advanceTime(5 * 60e9);
    expect(events).toEqual([['disconnect', 'ERR_VSND_XENSTORE']]);
    back();
    await machine.clock.advanceTime(30e9);
    expect(events.slice(1)).toEqual(['reconnect', 'finish', 'close']);
    const last = Buffer.from(machine.device.heard());
    expect(sound.subarray(-last.length).equals(last)).toBe(true);
    await machine.close();
  });

  test('a card can be closed all the same', async () => {
    const { machine, guest, card, faults } = await start();
    const { out } = play(card, 60);
    const back = faults.stopXenStore(guest.domid);
    const closed = card.close();
    await machine.clock.advanceTime(LONG);
    await closed;
    expect(out.destroyed).toBe(true);
    expect(machine.machine.leaks().filter((leak) => leak.startsWith(`domain ${guest.domid}`))).toEqual([]);
    back();
    await machine.close();
  });

  test('whoever watches cards is told', async () => {
    const machine = new Machine();
    const guest = machine.addGuest();
    const watching = watchCards({ hypervisor: guest });
    expect((await watching.next()).value).toMatchObject({ type: 'added' });
    const next = expect(watching.next()).rejects.toMatchObject({ code: 'ERR_VSND_XENSTORE' });
    const back = machine.machine.faults.stopXenStore(guest.domid);
    await machine.clock.advanceTime(LONG);
    await next;
    back();
    machine.machine.assertCleanedUp();
    await machine.machine.close();
  });
});

test('whoever watches cards hears of those that came while the daemon was gone', async () => {
  const machine = new Machine();
  const guest = machine.addGuest();
  const watching = watchCards({ hypervisor: guest });
  await watching.next();
  const next = watching.next();
  const back = machine.machine.faults.stopXenStore(guest.domid);
  await machine.machine.settle();
  removeSoundCard(machine.machine, { frontendDomid: guest.domid });
  await machine.clock.advanceTime(SHORT);
  back();
  await machine.clock.advanceTime(2e9);
  expect((await next).value).toMatchObject({ type: 'removed' });
  await watching.return(undefined as never);
  machine.machine.assertCleanedUp();
  await machine.machine.close();
});

describe('a client with patience', () => {
  const OPTIONS = { patience: 10e9 };

  test('asks again what was not answered, begins transactions again, and sets its watches anew', async () => {
    const machine = new Machine();
    const guest = machine.addGuest();
    const client = await XenStoreClient.open(guest, OPTIONS);
    const heard: string[] = [];
    const watch = await client.watch('data', (path) => void heard.push(path));
    await machine.machine.settle();
    let runs = 0;
    const back = machine.machine.faults.stopXenStore(guest.domid);
    const asked = Promise.all([
      client.write('data/x', '1'),
      client.read('domid'),
      client.watch('device', () => {}),
      client.transaction(async (transaction) => {
        runs += 1;
        await transaction.write('data/y', '2');
      }),
    ]);
    await machine.clock.advanceTime(SHORT);
    expect([heard, client.isOpen]).toEqual([['data'], false]);
    back();
    const [, domid] = await machine.whileTimePasses(asked);
    await machine.machine.settle();
    expect(domid).toBe(String(guest.domid));
    expect(runs).toBe(1);
    expect(heard.slice(1)).toEqual(['data', 'data/x', 'data/y']);
    expect(machine.machine.leaks().filter((leak) => leak.includes('watch'))).toHaveLength(2);
    await watch.close();
    await client.close();
    machine.machine.assertCleanedUp();
    await machine.machine.close();
  });

  test('has at most eight transactions under way', async () => {
    const machine = new Machine();
    const guest = machine.addGuest();
    const client = await XenStoreClient.open(guest);
    let most = 0;
    const count = () => machine.machine.leaks().filter((leak) => leak.includes('transaction')).length;
    await Promise.all(
      Array.from({ length: 30 }, (_, number) =>
        client.transaction(async (transaction) => {
          await transaction.write(`data/${number}`, '');
          most = Math.max(most, count());
        }),
      ),
    );
    expect(most).toBe(8);
    expect(await client.directory('data')).toHaveLength(30);
    await client.close();
    await machine.machine.close();
  });

  test.each(['closed', 'gone'])('can be closed while it is %s, and while it opens anew', async (how) => {
    for (let steps = 0; steps < 12; steps++) {
      const machine = new Machine();
      const guest = machine.addGuest();
      const client = await XenStoreClient.open(guest, OPTIONS);
      await client.watch('data', () => {});
      if (how === 'gone') machine.machine.faults.stopXenStore(guest.domid);
      else machine.machine.faults.closeXenStore(guest.domid);
      const asked = expect(
        client.read('domid').then(() => Promise.reject(new Error('late'))),
      ).rejects.toThrow();
      for (let step = 0; step < steps; step++) await machine.machine.step();
      await client.close();
      await asked;
      await machine.machine.settle();
      machine.machine.assertCleanedUp();
      await machine.machine.close();
    }
  });

  test('however many requests wait to be asked again, nobody warns of a leak', async () => {
    const machine = new Machine();
    const guest = machine.addGuest();
    const client = await XenStoreClient.open(guest, OPTIONS);
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => warn.mockRestore());
    machine.machine.faults.refuseXenStore({ domid: guest.domid, errno: 'ENOSPC', count: 24 });
    const asked = Array.from({ length: 12 }, (_, number) => client.write(`data/${number}`, ''));
    await machine.whileTimePasses(Promise.all(asked));
    expect(warn.mock.calls).toEqual([]);
    await client.close();
    await machine.machine.close();
  });

  test('does not ask for ever for what is refused', async () => {
    const machine = new Machine();
    const guest = machine.addGuest();
    const client = await XenStoreClient.open(guest, OPTIONS);
    const errno = 'ENOSPC';
    const takeBack = machine.machine.faults.refuseXenStore({ domid: guest.domid, errno, count: 1000 });
    const refused = expect(client.write('data/x', '')).rejects.toMatchObject({ errno });
    await machine.clock.advanceTime(LONG);
    await refused;
    expect(takeBack()).toBeGreaterThan(1000 - 25);
    await client.close();
    await machine.machine.close();
  });
});
