import { MessageChannel } from 'node:worker_threads';
import { beforeEach, describe, expect, test } from 'vitest';
import { RealClock } from '../../src/clock.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { connectDomain, serveDomain } from '../../src/xen/emulated/remote.ts';
import { createSoundCard, restoreDomain, type SoundCardOptions } from '../../src/xen/emulated/toolstack.ts';
import type { Hypervisor } from '../../src/xen/hypervisor.ts';
import { Conversation } from './conversation.ts';

const OLD = 5;
const NEW = 6;
const BUG = `domain ${NEW}: port 1 was unbound after a restore, without forgetIfRestored(): a BUG in Linux`;

let machine: EmulatedMachine;
let guest: EmulatedDomain;

beforeEach(() => {
  machine = new EmulatedMachine();
  guest = machine.createDomain({ domid: OLD });
  return () => machine.close();
});

async function channel(mine: Hypervisor = guest) {
  const unbound = await mine.eventChannels.bindUnbound(0);
  const bound = await machine.dom0.eventChannels.bindInterdomain(guest.domid, unbound.port);
  return { unbound, bound };
}

describe('a restored guest', () => {
  test('goes on under another domid, and may be restored again', async () => {
    const store = await Conversation.open(guest);
    const claim = await guest.claim('device/vsnd/0');
    expect(restoreDomain(machine, OLD)).toBe(NEW);
    expect(guest.domid).toBe(NEW);
    expect(guest.description).toContain(`domain ${NEW} `);
    expect(await store.read('domid')).toBe(String(NEW));
    expect(await store.write('data/mine', 'x')).toBe('OK');
    expect(await store.permissions(`/local/domain/${NEW}/data/mine`)).toBe(`n${NEW}`);
    expect(await store.read(`/local/domain/${OLD}/domid`)).toBe('EACCES');
    await expect(machine.startProcess(NEW).claim('device/vsnd/0')).rejects.toMatchObject({
      code: 'ERR_VSND_CARD_BUSY',
    });
    await claim.release();
    expect(restoreDomain(machine, NEW)).toBe(NEW + 1);
    expect(await store.read('domid')).toBe(String(NEW + 1));
    expect(() => machine.startProcess(OLD)).toThrow('there is no domain');
  });

  test('has to be one', () => {
    for (const domid of [0, 77]) {
      expect(() => restoreDomain(machine, domid)).toThrow(
        expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG' }),
      );
    }
  });

  test('may in XenStore what it might before, and has its faults by the new domid', async () => {
    const control = machine.createDomain({ domid: 7, privileged: true });
    const store = await Conversation.open(control);
    const domid = restoreDomain(machine, 7);
    expect(await store.write('/tool', 'x')).toBe('OK');
    const unmute = machine.faults.muteXenStore(domid);
    expect(await store.read('/tool')).toBeUndefined();
    unmute();
    machine.faults.refuseXenStore({ domid, errno: 'EIO' });
    expect(await store.read('/tool')).toBe('EIO');
    expect(await store.read('/tool')).toBe('x');
  });

  test('is a domain that goes, and one that comes, to Dom0', async () => {
    const zero = await Conversation.open(machine.dom0);
    for (const path of ['@introduceDomain', '@releaseDomain']) await zero.watch(path);
    zero.takeEvents();
    restoreDomain(machine, OLD);
    await machine.settle();
    expect(zero.takeEvents()).toEqual(['@releaseDomain t', '@introduceDomain t']);
  });
});

describe('its sound cards', () => {
  const card: SoundCardOptions = {
    frontendDomid: OLD,
    devid: 1,
    fields: { 'short-name': 'VCard' },
    pcmDevices: [{ fields: { name: 'dev' }, streams: [{ fields: { type: 'p', 'unique-id': 'one' } }] }],
  };

  test('are made anew, as they were configured', async () => {
    const driver = machine.createDomain({ domid: 3 });
    createSoundCard(machine, card);
    createSoundCard(machine, { ...card, devid: 0, backendDomid: 3 });
    const store = await Conversation.open(guest);
    const zero = await Conversation.open(machine.dom0);
    const published = ['ring-ref', 'event-channel', 'evt-ring-ref', 'evt-event-channel'];
    for (const name of published) await store.write(`device/vsnd/1/0/0/${name}`, '8');
    await store.write('device/vsnd/1/version', '2');
    await store.write('device/vsnd/1/state', '4');
    await zero.write(`/local/domain/0/backend/vsnd/${OLD}/1/state`, '4');
    await zero.write(`/local/domain/0/backend/vsnd/${OLD}/1/versions`, '1,2');
    restoreDomain(machine, OLD);

    const backend = `/local/domain/0/backend/vsnd/${NEW}/1`;
    expect(await store.list('device/vsnd/1')).toBe('backend backend-id state short-name 0');
    expect(await store.list('device/vsnd/1/0/0')).toBe('type unique-id');
    expect(await store.read('device/vsnd/1/state')).toBe('1');
    expect(await store.read('device/vsnd/1/backend')).toBe(backend);
    expect(await store.read('device/vsnd/1/0/name')).toBe('dev');
    expect(await store.permissions('device/vsnd/1/0/0')).toBe(`n${NEW} r0`);
    expect(await store.read(`/local/domain/0/backend/vsnd/${OLD}/1/state`)).toBe('EACCES');
    expect(await zero.list(backend)).toBe('frontend frontend-id online state');
    expect(await zero.read(`${backend}/frontend-id`)).toBe(String(NEW));
    expect(await zero.read(`${backend}/state`)).toBe('1');
    expect(await zero.list('/local/domain/0/backend/vsnd')).toBe(String(NEW));
    expect(await zero.list('/local/domain')).toBe('0 3 6');
    expect(await (await Conversation.open(driver)).list('backend/vsnd')).toBe(String(NEW));
    expect(await store.read('device/vsnd/0/backend')).toBe(`/local/domain/3/backend/vsnd/${NEW}/0`);
  });

  test('are seen at once by the watches, which are set again: relative ones below the new home', async () => {
    createSoundCard(machine, card);
    const store = await Conversation.open(guest);
    const old = `/local/domain/0/backend/vsnd/${OLD}/1/state`;
    await store.watch('device/vsnd', 'devices');
    await store.watch(old, 'backend');
    await store.watch('data');
    store.takeEvents();
    restoreDomain(machine, OLD);
    await machine.settle();
    expect(store.takeEvents()).toEqual(['device/vsnd devices', `${old} backend`, 'data t']);
    await store.write('device/vsnd/1/state', '3');
    expect(store.takeEvents()).toEqual(['device/vsnd/1/state devices']);
    expect(await store.read(old)).toBe('EACCES');
  });
});

describe('its connections to XenStore', () => {
  test('answer what was asked, and have none of the transactions that were open', async () => {
    const store = await Conversation.open(guest);
    const transaction = await store.start();
    await store.write('data/lost', 'x', transaction);
    const asked = store.read('domid');
    restoreDomain(machine, OLD);
    expect(await asked).toBe(String(NEW));
    expect(await store.read('domid', transaction)).toBe('ENOENT');
    expect(await store.commit(transaction)).toBe('ENOENT');
    expect(await store.read('data/lost')).toBe('ENOENT');
    const next = await store.start();
    await store.write('data/kept', 'x', next);
    expect(await store.commit(next)).toBe('OK');
  });
});

describe('its grants', () => {
  test('are dead: memory is its own, and what the peer has mapped stays as it was', async () => {
    const granted = await guest.grants.grant(0, 2);
    const mapped = await machine.dom0.mapper.map(OLD, granted.grefs);
    const gone = await guest.grants.grant(0, 1);
    await gone.release();
    granted.copyIn(4090, Buffer.from('before'));
    restoreDomain(machine, OLD);
    const seen = Buffer.alloc(6);
    granted.copyOut(4090, seen);
    expect(seen.toString()).toBe('before');
    granted.copyIn(4090, Buffer.from('guest!'));
    mapped.store32(0, 7);
    mapped.copyOut(4090, seen);
    expect(seen.toString()).toBe('before');
    granted.copyOut(4090, seen);
    expect(seen.toString()).toBe('guest!');
    expect(granted.load32(0)).toBe(0);
    for (const domid of [OLD, NEW]) {
      await expect(machine.dom0.mapper.map(domid, granted.grefs)).rejects.toThrow('cannot map');
    }
    await Promise.all([mapped.release(), granted.release()]);
    machine.assertCleanedUp();
  });

  test('count until they are released, mapped or not, and new ones are as good as ever', async () => {
    const small = machine.createDomain({ grantLimit: 2 });
    const old = await small.grants.grant(0, 2);
    const mapped = await machine.dom0.mapper.map(small.domid, old.grefs);
    const domid = restoreDomain(machine, small.domid);
    await expect(small.grants.grant(0, 1)).rejects.toMatchObject({ errno: 'ENOSPC' });
    await old.release();
    const fresh = await small.grants.grant(0, 2);
    await mapped.release();
    await expect(small.grants.grant(0, 1)).rejects.toMatchObject({ errno: 'ENOSPC' });
    const again = await machine.dom0.mapper.map(domid, fresh.grefs);
    fresh.store32(4096, 5);
    expect(again.load32(4096)).toBe(5);
  });
});

describe('its event channels', () => {
  test('are dead without a sign, and forgotten when it asks', async () => {
    const { unbound, bound } = await channel();
    let calls = 0;
    unbound.onNotify(() => {
      calls += 1;
    });
    bound.onNotify(() => {
      calls += 1;
    });
    await machine.settle();
    calls = 0;
    bound.notify();
    restoreDomain(machine, OLD);
    unbound.notify();
    bound.notify();
    unbound.onNotify(() => {
      calls += 1;
    });
    await machine.settle();
    expect(calls).toBe(0);

    const dead = { code: 'ERR_VSND_HYPERVISOR', errno: 'EEXIST' };
    await expect(guest.eventChannels.bindUnbound(0)).rejects.toMatchObject(dead);
    await expect(guest.eventChannels.bindInterdomain(0, 1)).rejects.toMatchObject(dead);
    expect(await guest.eventChannels.forgetIfRestored()).toBe(true);
    expect(await guest.eventChannels.forgetIfRestored()).toBe(false);
    expect(() => unbound.notify()).toThrow(expect.objectContaining({ code: 'ERR_VSND_INVALID_STATE' }));
    await unbound.unbind();
    await bound.unbind();

    const next = await channel();
    expect(next.unbound.port).toBe(1);
    const heard = new Promise<void>((resolve) => next.bound.onNotify(resolve));
    next.unbound.notify();
    await heard;
    expect(await guest.eventChannels.forgetIfRestored()).toBe(false);
    await Promise.all([next.unbound.unbind(), next.bound.unbind()]);
    machine.assertCleanedUp();
  });

  test('are those of each process by itself', async () => {
    const second = machine.startProcess(OLD);
    const [first, other] = [await channel(guest), await channel(second)];
    restoreDomain(machine, OLD);
    expect(await machine.startProcess(NEW).eventChannels.forgetIfRestored()).toBe(false);
    expect(await guest.eventChannels.forgetIfRestored()).toBe(true);
    expect((await guest.eventChannels.bindUnbound(0)).port).toBe(1);
    await expect(second.eventChannels.bindUnbound(0)).rejects.toMatchObject({ errno: 'EEXIST' });
    expect(await second.eventChannels.forgetIfRestored()).toBe(true);
    await Promise.all([first, other].map(({ unbound }) => unbound.unbind()));
    expect(machine.leaks().join()).not.toContain('BUG');
  });

  test('that are unbound all the same would have been a BUG', async () => {
    const { unbound, bound } = await channel();
    restoreDomain(machine, OLD);
    await unbound.unbind();
    await bound.unbind();
    expect(machine.leaks()).toEqual([BUG]);
    expect(() => machine.assertCleanedUp()).toThrow(BUG);
    expect(await guest.eventChannels.forgetIfRestored()).toBe(false);
  });

  test('that the process still has when it ends would have been one, too', async () => {
    await guest.eventChannels.bindUnbound(0);
    restoreDomain(machine, OLD);
    await guest.close();
    expect(await guest.eventChannels.forgetIfRestored()).toBe(false);
    expect(machine.leaks()).toEqual([BUG]);
  });

  test('go with a guest that is destroyed: there is no kernel any more', async () => {
    await guest.eventChannels.bindUnbound(0);
    restoreDomain(machine, OLD);
    machine.faults.killDomain(NEW);
    machine.assertCleanedUp();
  });

  test('may fail to be looked at', async () => {
    const { bound } = await channel();
    restoreDomain(machine, OLD);
    machine.faults.failOperations({ domid: NEW, operation: 'forgetIfRestored', errno: 'EMFILE' });
    await expect(guest.eventChannels.forgetIfRestored()).rejects.toMatchObject({
      code: 'ERR_VSND_HYPERVISOR',
      errno: 'EMFILE',
    });
    expect(await guest.eventChannels.forgetIfRestored()).toBe(true);
    await bound.unbind();
    machine.assertCleanedUp();
  });

  test('are forgotten from another thread as well', async () => {
    const { port1, port2 } = new MessageChannel();
    serveDomain(guest, port1);
    const away = await connectDomain(port2, { clock: new RealClock() });
    const { unbound, bound } = await channel(away);
    expect(await away.eventChannels.forgetIfRestored()).toBe(false);
    restoreDomain(machine, OLD);
    unbound.notify();
    await expect(away.eventChannels.bindUnbound(0)).rejects.toMatchObject({ errno: 'EEXIST' });
    expect(await away.eventChannels.forgetIfRestored()).toBe(true);
    expect(() => unbound.notify()).toThrow(expect.objectContaining({ code: 'ERR_VSND_INVALID_STATE' }));
    await unbound.unbind();
    const next = await channel(away);
    const heard = new Promise<void>((resolve) => next.unbound.onNotify(resolve));
    next.bound.notify();
    await heard;
    expect(await away.eventChannels.forgetIfRestored()).toBe(false);
    await Promise.all([bound.unbind(), next.unbound.unbind(), next.bound.unbind()]);
    await machine.settle();
    machine.assertCleanedUp();
    await away.close();
    expect(await away.eventChannels.forgetIfRestored()).toBe(false);
  });
});
