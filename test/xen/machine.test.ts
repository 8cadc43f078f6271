import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { beforeEach, describe, expect, test } from 'vitest';
import { FastClock, ManualClock, RealClock } from '../../src/clock.ts';
import { XsType } from '../../src/wire/xenstore.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { connectDomain, serveDomain } from '../../src/xen/emulated/remote.ts';
import {
  createSoundCard,
  removeDomain,
  removeSoundCard,
  requestSoundCardClose,
} from '../../src/xen/emulated/toolstack.ts';
import { Conversation } from './conversation.ts';

let machine: EmulatedMachine;
let guest: EmulatedDomain;

beforeEach(() => {
  machine = new EmulatedMachine();
  guest = machine.createDomain({ domid: 5 });
  return () => machine.close();
});

async function channel() {
  const mine = await guest.eventChannels.bindUnbound(0);
  const theirs = await machine.dom0.eventChannels.bindInterdomain(5, mine.port);
  return { mine, theirs };
}

function counter(): { calls: number; handler: () => void } {
  const count = {
    calls: 0,
    handler: () => {
      count.calls += 1;
    },
  };
  return count;
}

describe('grants', () => {
  test('have references from 8 on that are never used again', async () => {
    const first = await guest.grants.grant(0, 2);
    expect(first.grefs).toEqual([8, 9]);
    await first.release();
    const second = await guest.grants.grant(0, 1);
    expect(second.grefs).toEqual([10]);
  });

  test('say why they cannot be mapped', async () => {
    const { grefs } = await guest.grants.grant(0, 1, 'read-only');
    const stranger = machine.createDomain();
    const map = (domain: EmulatedDomain, domid: number, refs: readonly number[]) =>
      domain.mapper.map(domid, refs);
    const code = 'ERR_VSND_HYPERVISOR';
    await expect(map(machine.dom0, 77, grefs)).rejects.toMatchObject({ code, errno: 'ESRCH' });
    await expect(map(machine.dom0, 5, [1])).rejects.toMatchObject({ code, errno: 'EINVAL' });
    await expect(map(stranger, 5, grefs)).rejects.toMatchObject({ code, errno: 'EPERM' });
    await expect(map(machine.dom0, 5, grefs)).rejects.toMatchObject({ code, errno: 'EACCES' });
    await expect(map(machine.dom0, 5, [])).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_ARG' });
    await expect(guest.grants.grant(0, 0)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_ARG' });
  });

  test('count against the limit until the last mapping of a released one has gone', async () => {
    const small = machine.createDomain({ grantLimit: 4 });
    const pages = await small.grants.grant(0, 4);
    await expect(small.grants.grant(0, 1)).rejects.toMatchObject({ errno: 'ENOSPC' });
    const mapped = await machine.dom0.mapper.map(small.domid, pages.grefs);
    await pages.release();
    await expect(small.grants.grant(0, 1)).rejects.toMatchObject({ errno: 'ENOSPC' });
    await mapped.release();
    await (await small.grants.grant(0, 4)).release();
    const once = await small.grants.grant(0, 4);
    await once.release();
    await expect(small.grants.grant(0, 5)).rejects.toMatchObject({ errno: 'ENOSPC' });
  });

  test('a mapping that is refused in part maps nothing', async () => {
    const small = machine.createDomain({ grantLimit: 1 });
    const pages = await small.grants.grant(0, 1);
    await expect(machine.dom0.mapper.map(small.domid, [...pages.grefs, 99])).rejects.toThrow();
    await pages.release();
    await small.grants.grant(0, 1);
  });
});

describe('event channels', () => {
  test('have ports with the lowest free number, and say why they cannot be bound', async () => {
    const { mine, theirs } = await channel();
    expect([mine.port, theirs.port]).toEqual([1, 1]);
    const second = await guest.eventChannels.bindUnbound(77);
    expect(second.port).toBe(2);
    await mine.unbind();
    expect((await guest.eventChannels.bindUnbound(0)).port).toBe(1);
    const bind = (domid: number, port: number) => machine.dom0.eventChannels.bindInterdomain(domid, port);
    await expect(bind(5, 2)).rejects.toMatchObject({
      errno: 'EINVAL',
      message: expect.stringContaining('77'),
    });
    await expect(bind(5, 9)).rejects.toMatchObject({ errno: 'EINVAL' });
    await expect(bind(77, 1)).rejects.toMatchObject({ errno: 'ESRCH' });
  });

  test('raise one event at the binding end, as Xen does', async () => {
    const { theirs } = await channel();
    const count = counter();
    theirs.onNotify(count.handler);
    await machine.settle();
    expect(count.calls).toBe(1);
  });

  test('can be bound again when the other end has gone', async () => {
    const { mine, theirs } = await channel();
    await theirs.unbind();
    const again = await machine.dom0.eventChannels.bindInterdomain(5, mine.port);
    const count = counter();
    mine.onNotify(count.handler);
    again.notify();
    await machine.settle();
    expect(count.calls).toBe(1);
  });
});

describe('settle()', () => {
  test('waits for chains of events, turns and promises between two domains', async () => {
    const { mine, theirs } = await channel();
    let rounds = 0;
    theirs.onNotify(() => theirs.notify());
    mine.onNotify(async () => {
      rounds += 1;
      await null;
      process.nextTick(() => {
        if (rounds < 100) mine.notify();
      });
    });
    mine.notify();
    await machine.settle();
    expect(rounds).toBe(100);
  });

  test('waits for activities', async () => {
    const activity = machine.activity();
    let settled = false;
    const settling = machine.settle().then(() => {
      settled = true;
    });
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(settled).toBe(false);
    activity.end();
    activity.end();
    await settling;
    expect(settled).toBe(true);
  });

  test('is called by a manual clock at each instant', async () => {
    const clock = new ManualClock();
    const machine = new EmulatedMachine({ clock });
    const seen: number[] = [];
    const port = await machine.dom0.eventChannels.bindUnbound(0);
    const other = await machine.dom0.eventChannels.bindInterdomain(0, port.port);
    port.onNotify(() => seen.push(clock.now()));
    for (const time of [10, 20, 30]) machine.dom0.clock.after(time, () => other.notify());
    await clock.advanceTime(25);
    expect(seen).toEqual([10, 20]);
    expect(machine.leaks()).toContain('domain 0: 1 pending timers');
    await machine.close();
  });

  test('is no worse for a handler that throws: all others have their turn, and so has it', async () => {
    const { mine, theirs } = await channel();
    const error = new Error('from a handler');
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const caught = once(process, 'uncaughtException');
    const [first, second] = [counter(), counter()];
    mine.onNotify(() => {
      first.handler();
      if (first.calls === 1) throw error;
    });
    theirs.notify();
    mine.notify();
    // In the queue behind the one that throws.
    theirs.onNotify(second.handler);
    expect((await caught)[0]).toBe(error);
    for (const listener of listeners) process.on('uncaughtException', listener);
    await machine.settle();
    expect(second.calls).toBe(1);
    theirs.notify();
    await machine.settle();
    expect(first.calls).toBe(2);
  });

  test('lets one more turn pass after the last delivery', async () => {
    const { mine, theirs } = await channel();
    const count = counter();
    theirs.onNotify(count.handler);
    await machine.settle();
    mine.onNotify(() => setImmediate(() => mine.notify()));
    theirs.notify();
    await machine.settle();
    expect(count.calls).toBe(2);
  });

  test('waits for domains in other threads', async () => {
    const { port1, port2 } = new MessageChannel();
    serveDomain(guest, port1);
    const away = await connectDomain(port2, { clock: new RealClock() });
    const mine = await away.eventChannels.bindUnbound(0);
    const theirs = await machine.dom0.eventChannels.bindInterdomain(5, mine.port);
    const count = counter();
    mine.onNotify(() => {
      count.handler();
      mine.notify();
    });
    theirs.onNotify(() => {
      if (count.calls < 10) theirs.notify();
    });
    await machine.settle();
    expect(count.calls).toBe(10);
    await away.close();
  });
});

describe('a domain in another thread', () => {
  test('that nobody has connected to keeps nobody waiting', async () => {
    const { port1, port2 } = new MessageChannel();
    serveDomain(guest, port1);
    await machine.settle();
    port2.close();
  });

  test('has a message for each notification, for all that come before it is handled, and for nothing else', async () => {
    const { port1, port2 } = new MessageChannel();
    serveDomain(guest, port1);
    const away = await connectDomain(port2, { clock: new RealClock() });
    const mine = await away.eventChannels.bindUnbound(0);
    const theirs = await machine.dom0.eventChannels.bindInterdomain(5, mine.port);
    const [toThread, toMachine] = [counter(), counter()];
    let rounds = 0;
    await new Promise<void>((resolve) => {
      mine.onNotify(() => {
        for (let again = 0; again < 10; again++) mine.notify();
      });
      theirs.onNotify(() => {
        rounds += 1;
        if (rounds === 10) {
          port2.on('message', toThread.handler);
          port1.on('message', toMachine.handler);
        }
        if (rounds === 110) resolve();
        else for (let again = 0; again < 10; again++) theirs.notify();
      });
    });
    expect([toThread.calls, toMachine.calls]).toEqual([100, 100]);
    await away.close();
  });
});

describe('faults', () => {
  test('lose notifications, the first or later ones', async () => {
    const { mine, theirs } = await channel();
    const count = counter();
    mine.onNotify(count.handler);
    machine.faults.loseNotifications({ domid: 5, port: mine.port, after: 1, count: 2 });
    const seen: number[] = [];
    for (let index = 0; index < 4; index++) {
      theirs.notify();
      await machine.settle();
      seen.push(count.calls);
    }
    expect(seen).toEqual([1, 1, 1, 2]);
  });

  test('hold notifications, and deliver them merged', async () => {
    const { mine, theirs } = await channel();
    const count = counter();
    mine.onNotify(count.handler);
    const release = machine.faults.holdNotifications({ domid: 5 });
    for (let index = 0; index < 3; index++) {
      theirs.notify();
      await machine.settle();
    }
    expect(count.calls).toBe(0);
    release();
    await machine.settle();
    expect(count.calls).toBe(1);
  });

  test('fail any operation, a given number of times', async () => {
    machine.faults.failOperations({ domid: 5, operation: 'grant', after: 1, errno: 'ENOSPC' });
    await guest.grants.grant(0, 1);
    await guest.eventChannels.bindUnbound(0);
    await expect(guest.grants.grant(0, 1)).rejects.toMatchObject({
      code: 'ERR_VSND_HYPERVISOR',
      errno: 'ENOSPC',
    });
    await guest.grants.grant(0, 1);
    machine.faults.failOperations({ domid: 5 });
    await expect(guest.openXenStore()).rejects.toMatchObject({ errno: 'ENOMEM' });
    await guest.openXenStore();
  });

  test('refuse XenStore requests of a type; a transaction whose end is refused is over', async () => {
    const store = await Conversation.open(guest);
    machine.faults.refuseXenStore({ domid: 5, type: XsType.transactionEnd, errno: 'EAGAIN' });
    const transaction = await store.start();
    await store.write('data/x', '1', transaction);
    expect(await store.commit(transaction)).toBe('EAGAIN');
    expect(await store.commit(transaction)).toBe('ENOENT');
    machine.faults.refuseXenStore({ domid: 5, errno: 'EIO' });
    expect(await store.read('domid')).toBe('EIO');
    expect(await store.read('domid')).toBe('5');
  });

  test('mute XenStore, answers and events, for one domain', async () => {
    const store = await Conversation.open(guest);
    const zero = await Conversation.open(machine.dom0);
    await store.watch('domid');
    const unmute = machine.faults.muteXenStore(5);
    expect(await store.read('domid')).toBeUndefined();
    expect(await zero.write('/local/domain/5/domid', '5')).toBe('OK');
    expect(store.takeEvents()).toEqual([]);
    unmute();
    expect(await store.read('domid')).toBe('5');
  });

  test('split what XenStore sends', async () => {
    const store = await Conversation.open(guest);
    machine.faults.splitXenStore(5, 1);
    expect(await store.read('domid')).toBe('5');
  });

  test('end XenStore connections, also for those who ask later', async () => {
    const store = await Conversation.open(guest);
    const late = await guest.openXenStore();
    const errors: unknown[] = [];
    store.transport.onClose((error) => errors.push(error));
    machine.faults.closeXenStore(5);
    late.onClose((error) => errors.push(error));
    expect(await store.read('domid')).toBeUndefined();
    expect(errors).toMatchObject([{ errno: 'EIO' }, { errno: 'EIO' }]);
  });

  test('let XenStore send what nobody asked for, of any size', async () => {
    const chunks: Uint8Array[] = [];
    for (let connection = 0; connection < 2; connection++) {
      (await guest.openXenStore()).onData((chunk) => chunks.push(chunk));
    }
    (await machine.dom0.openXenStore()).onData((chunk) => chunks.push(chunk));
    machine.faults.injectXenStore(5, new Uint8Array(3_000_000).fill(0x41));
    await machine.settle();
    expect(chunks.map(({ length }) => length)).toEqual([3_000_000, 3_000_000]);
  });

  test('make a storm of events that nobody caused', async () => {
    const store = await Conversation.open(guest);
    await store.watch('device');
    machine.faults.watchStorm({ domid: 5, path: '/local/domain/5/device/vsnd/0/state', count: 1000 });
    await machine.settle();
    expect(store.takeEvents()).toEqual(new Array(1000).fill('device/vsnd/0/state t'));
  });
});

describe('leaks()', () => {
  test('names all that a process has, and assertCleanedUp throws it in one error', async () => {
    expect(machine.leaks()).toEqual([]);
    machine.assertCleanedUp();
    const pages = await guest.grants.grant(0, 2);
    const mapped = await machine.dom0.mapper.map(5, pages.grefs);
    const { mine, theirs } = await channel();
    const store = await Conversation.open(guest);
    await store.watch('data', 'mark');
    const transaction = await store.start();
    const timer = guest.clock.after(1e12, () => {});
    const claim = await guest.claim('device/vsnd/0');
    expect(machine.leaks()).toEqual([
      'domain 0: mapping of 2 pages of domain 5 (gref 8, 9)',
      'domain 0: event channel port 1 to domain 5',
      'domain 5: grant of 2 pages to domain 0 (gref 8, 9)',
      'domain 5: event channel port 1 to domain 0',
      'domain 5: XenStore connection',
      'domain 5: XenStore watch of /local/domain/5/data (token mark)',
      `domain 5: XenStore transaction ${transaction}`,
      'domain 5: claim of device/vsnd/0',
      'domain 5: 1 pending timers',
    ]);
    expect(() => machine.assertCleanedUp()).toThrow(/gref 8, 9[\s\S]*token mark[\s\S]*claim/);
    timer.cancel();
    await Promise.all([pages.release(), mapped.release(), mine.unbind(), theirs.unbind(), claim.release()]);
    await store.transport.close();
    expect(machine.leaks()).toEqual([]);
  });

  test('knows a timer as gone when it has been called', async () => {
    const machine = new EmulatedMachine({ clock: new FastClock() });
    await new Promise<void>((resolve) => machine.dom0.clock.after(1e9, resolve));
    expect(machine.leaks()).toEqual([]);
    await machine.close();
  });
});

describe('domains', () => {
  test('that die leave silent ports, mapped pages and their nodes behind', async () => {
    const zero = await Conversation.open(machine.dom0);
    const pages = await guest.grants.grant(0, 1);
    const mapped = await machine.dom0.mapper.map(5, pages.grefs);
    const { theirs } = await channel();
    let fired = false;
    guest.clock.after(0, () => {
      fired = true;
    });
    machine.faults.killDomain(5);
    mapped.store32(0, 1);
    theirs.notify();
    expect(() => pages.load32(0)).toThrow(expect.objectContaining({ code: 'ERR_VSND_INVALID_STATE' }));
    await expect(guest.openXenStore()).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
    expect(() => machine.startProcess(5)).toThrow(expect.objectContaining({ errno: 'ESRCH' }));
    expect(await zero.read('/local/domain/5/domid')).toBe('5');
    removeDomain(machine, 5);
    expect(await zero.read('/local/domain/5')).toBe('ENOENT');
    expect(fired).toBe(false);
    machine.destroyDomain(5);
    expect(machine.createDomain({ domid: 5 }).domid).toBe(5);
    expect(() => machine.createDomain({ domid: 5 })).toThrow(/5/);
  });

  test('outlive their processes, which share claims and ports', async () => {
    const second = machine.startProcess(5);
    await second.claim('device/vsnd/0');
    await expect(guest.claim('device/vsnd/0')).rejects.toMatchObject({ code: 'ERR_VSND_CARD_BUSY' });
    expect((await second.eventChannels.bindUnbound(0)).port).toBe(1);
    expect((await guest.eventChannels.bindUnbound(0)).port).toBe(2);
    await second.close();
    await guest.claim('device/vsnd/0');
    expect((await guest.eventChannels.bindUnbound(0)).port).toBe(1);
  });

  test('hold the process while somebody has a reason for it', async () => {
    const held = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    // At once, while no timer of somebody else's ends.
    const change = (act: () => void) => {
      const before = held();
      act();
      return held() - before;
    };
    await guest.openXenStore();
    expect(change(() => guest.ref())).toBe(1);
    expect(change(() => guest.ref())).toBe(0);
    expect(change(() => guest.unref())).toBe(0);
    expect(change(() => guest.unref())).toBe(-1);
    expect(change(() => guest.unref())).toBe(0);
    expect(change(() => guest.ref())).toBe(1);
    let closed = Promise.resolve();
    const closing = change(() => {
      closed = guest.close();
    });
    expect(closing).toBe(-1);
    await closed;
  });

  test('in another thread release everything when the thread ends', async () => {
    const { port1, port2 } = new MessageChannel();
    serveDomain(guest, port1);
    const script = `
      const { parentPort, workerData: { port } } = require('node:worker_threads');
      const calls = [
        ['grant', 0, 1], ['bindUnbound', 0], ['openXenStore'], ['claim', 'device/vsnd/0']];
      const answered = new Set();
      port.on('message', ({ id }) => answered.add(id).size === calls.length && parentPort.postMessage('all'));
      calls.forEach(([name, ...args], id) => port.postMessage({ kind: 'call', id, name, args }));`;
    const worker = new Worker(script, { eval: true, workerData: { port: port2 }, transferList: [port2] });
    await once(worker, 'message');
    expect(machine.leaks()).toHaveLength(4);
    const ended = once(port1, 'close');
    await worker.terminate();
    await ended;
    await machine.settle();
    expect(machine.leaks()).toEqual([]);
    await guest.claim('device/vsnd/0');
  });

  test('in another thread that are killed take no notice of what comes from there', async () => {
    const { port1, port2 } = new MessageChannel();
    serveDomain(guest, port1);
    const away = await connectDomain(port2, { clock: new RealClock() });
    const port = await away.eventChannels.bindUnbound(0);
    const transport = await away.openXenStore();
    machine.faults.killDomain(5);
    port.notify();
    transport.send(new Uint8Array(16));
    await expect(away.grants.grant(0, 1)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
    await away.close();
  });

  test('in another thread learn that the machine is gone', async () => {
    const { port1, port2 } = new MessageChannel();
    serveDomain(guest, port1);
    const away = await connectDomain(port2, { clock: new RealClock() });
    expect(away.description).toBe(guest.description);
    const transport = await away.openXenStore();
    const lost = new Promise((resolve) => transport.onClose(resolve));
    port1.close();
    expect(await lost).toMatchObject({ code: 'ERR_VSND_HYPERVISOR', errno: 'EIO' });
    await expect(away.grants.grant(0, 1)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
    expect(machine.leaks()).toEqual([]);
  });
});

describe('the toolstack', () => {
  const card = {
    frontendDomid: 5,
    devid: 1,
    fields: { 'short-name': 'VCard', 'sample-rates': '44100,48000' },
    pcmDevices: [
      { fields: { name: 'General' }, streams: [{ fields: { type: 'p', 'unique-id': '0' } }] },
      { streams: [{ fields: { type: 'c', 'unique-id': '1' } }] },
    ],
  };

  test('makes a card as libxl does, at once', async () => {
    const store = await Conversation.open(guest);
    const zero = await Conversation.open(machine.dom0);
    await store.watch('device');
    const paths = createSoundCard(machine, card);
    expect(paths).toEqual({
      frontend: '/local/domain/5/device/vsnd/1',
      backend: '/local/domain/0/backend/vsnd/5/1',
    });
    await machine.settle();
    expect(store.takeEvents()).toContain('device/vsnd/1/state t');
    expect(await store.read('device/vsnd/1/backend')).toBe(paths.backend);
    expect(await store.read('device/vsnd/1/backend-id')).toBe('0');
    expect(await store.read('device/vsnd/1/0/0/type')).toBe('p');
    expect(await store.read('device/vsnd/1/1/0/unique-id')).toBe('1');
    expect(await store.permissions('device/vsnd/1/0/0')).toBe('n5 r0');
    expect(await store.write('device/vsnd/1/0/0/ring-ref', '8')).toBe('OK');
    expect(await store.write('device/vsnd/7/state', '1')).toBe('EACCES');
    expect(await store.list(paths.backend)).toBe('frontend frontend-id online state');
    expect(await store.permissions(paths.backend)).toBe('n0 r5');
    expect(await store.write(`${paths.backend}/state`, '6')).toBe('EACCES');
    expect(await zero.write(`${paths.backend}/state`, '2')).toBe('OK');
  });

  test('makes one for a backend in another guest, which may read what the frontend publishes', async () => {
    const driver = machine.createDomain({ domid: 6 });
    const paths = createSoundCard(machine, { ...card, backendDomid: 6 });
    const store = await Conversation.open(driver);
    expect(await store.list('backend/vsnd')).toBe('5');
    expect(await store.read(`${paths.frontend}/state`)).toBe('1');
    expect(await store.write(`${paths.backend}/state`, '2')).toBe('OK');
    expect(await store.write(`${paths.frontend}/state`, '2')).toBe('EACCES');
    expect(await (await Conversation.open(guest)).read(`${paths.backend}/state`)).toBe('2');
  });

  test('asks for the end of a card, and removes it with the empty directories above', async () => {
    createSoundCard(machine, card);
    createSoundCard(machine, { ...card, devid: 0 });
    requestSoundCardClose(machine, card);
    const zero = await Conversation.open(machine.dom0);
    expect(await zero.read('/local/domain/0/backend/vsnd/5/1/state')).toBe('5');
    expect(await zero.read('/local/domain/0/backend/vsnd/5/1/online')).toBe('0');
    removeSoundCard(machine, card);
    expect(await zero.list('/local/domain/5/device/vsnd')).toBe('0');
    removeSoundCard(machine, { frontendDomid: 5 });
    removeSoundCard(machine, { frontendDomid: 5 });
    expect(await zero.list('/local/domain/0')).toBe('domid name');
    expect(await zero.read('/local/domain/5/domid')).toBe('5');
    expect(await zero.ask(XsType.directory, ['/'])).toBe('local');
  });
});
