import { beforeEach, describe, expect, test } from 'vitest';
import { encodeXsMessage, encodeXsStrings, encodeXsWrite, XsType } from '../../src/wire/xenstore.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import { Conversation } from './conversation.ts';

let machine: EmulatedMachine;
let guest: EmulatedDomain;
let other: EmulatedDomain;
let g: Conversation;
let o: Conversation;
let zero: Conversation;

beforeEach(async () => {
  machine = new EmulatedMachine();
  guest = machine.createDomain({ domid: 5 });
  other = machine.createDomain({ domid: 6 });
  g = await Conversation.open(guest);
  o = await Conversation.open(other);
  zero = await Conversation.open(machine.dom0);
  return () => machine.close();
});

describe('nodes', () => {
  test('are written with what is missing above, listed in order, read back', async () => {
    expect(await g.write('data/a/b', 'x')).toBe('OK');
    expect(await g.write('data/a/a', 'y')).toBe('OK');
    expect(await g.read('data/a')).toBe('');
    expect(await g.list('data/a')).toBe('b a');
    expect(await g.read('/local/domain/5/data/a/b')).toBe('x');
    expect(await g.mkdir('data/a/b')).toBe('OK');
    expect(await g.read('data/a/b')).toBe('x');
    expect(await g.list('data/a/b')).toBe('');
  });

  test('are removed with all below; one that is not there only where its parent is', async () => {
    await g.write('data/a/b/c', 'x');
    expect(await g.remove('data/a')).toBe('OK');
    expect(await g.read('data/a/b/c')).toBe('ENOENT');
    expect(await g.remove('data/a')).toBe('OK');
    expect(await g.remove('data/a/b')).toBe('ENOENT');
    expect(await zero.remove('/')).toBe('EINVAL');
  });

  test.each([
    '',
    '.',
    'a/',
    '/a/',
    'a//b',
    'a b',
    '@releaseDomain',
    'x'.repeat(2049),
    `/local/domain/5/${'x'.repeat(2049)}`,
    `/${'x'.repeat(3072)}`,
  ])('have no path such as %j', async (path) => {
    expect(await g.read(path)).toBe('EINVAL');
    expect(await g.write(path, 'x')).toBe('EINVAL');
  });

  test('have paths of up to 2048 bytes below home, up to 3072 elsewhere', async () => {
    expect(await g.read('x'.repeat(2048))).toBe('ENOENT');
    expect(await zero.read(`/${'x'.repeat(3071)}`)).toBe('ENOENT');
  });

  test('need a NUL behind the path, and nothing else', async () => {
    expect((await g.raw(XsType.read, Buffer.from('domid')))?.type).toBe(XsType.error);
    expect(await g.ask(XsType.read, ['domid', 'domid'])).toBe('EINVAL');
    expect(await g.ask(XsType.read, [])).toBe('EINVAL');
    expect((await g.raw(XsType.write, Buffer.from('data/a')))?.type).toBe(XsType.error);
  });

  test('keep bytes as they are', async () => {
    const value = Uint8Array.from({ length: 256 }, (_, index) => index);
    await g.raw(XsType.write, encodeXsWrite('data/x', value));
    const answer = await g.raw(XsType.read, encodeXsStrings('data/x'));
    expect([...(answer?.payload ?? [])]).toEqual([...value]);
  });
});

describe('permissions', () => {
  test('a home belongs to Dom0, and the guest may read it', async () => {
    expect(await g.permissions('domid')).toBe('n0 r5');
    expect(await g.read('domid')).toBe('5');
    expect(await g.write('domid', '7')).toBe('EACCES');
    expect(await g.write('new', '7')).toBe('EACCES');
    expect(await g.remove('domid')).toBe('EACCES');
    expect(await g.mkdir('device/vsnd')).toBe('EACCES');
  });

  test('new nodes have those of the parent, and the guest that made them as their owner', async () => {
    await zero.mkdir('/shared');
    await zero.permit('/shared', 'b6', 'r7');
    expect(await g.write('/shared/mine/below', 'x')).toBe('OK');
    expect(await g.permissions('/shared/mine')).toBe('b5 r7');
    expect(await zero.write('/shared/zero', 'x')).toBe('OK');
    expect(await zero.permissions('/shared/zero')).toBe('b6 r7');
  });

  test('an entry of its own comes before the default, for better or worse', async () => {
    await zero.write('/x', 'value');
    await zero.permit('/x', 'r0', 'n5', 'w6');
    expect(await g.read('/x')).toBe('EACCES');
    expect(await o.read('/x')).toBe('EACCES');
    expect(await o.write('/x', 'new')).toBe('OK');
    expect(await zero.read('/x')).toBe('new');
  });

  test('a missing node is told apart from a forbidden one only below what the domain may read', async () => {
    expect(await g.read('missing')).toBe('ENOENT');
    expect(await g.read('device/vsnd/0')).toBe('ENOENT');
    expect(await g.read('/local/domain/6/missing')).toBe('EACCES');
    expect(await g.read('/nowhere/at/all')).toBe('EACCES');
    expect(await g.list('/local')).toBe('EACCES');
    expect(await zero.read('/nowhere/at/all')).toBe('ENOENT');
  });

  test('only the owner changes them, and cannot give the node away', async () => {
    await g.write('data/x', '1');
    expect(await g.permit('data/x', 'n5', 'r6')).toBe('OK');
    expect(await o.read('/local/domain/5/data/x')).toBe('1');
    expect(await o.permit('/local/domain/5/data/x', 'b6')).toBe('EACCES');
    expect(await g.permit('data/x', 'n6')).toBe('EPERM');
    expect(await g.permit('domid', 'n5')).toBe('EACCES');
    expect(await g.permit('data/x', 'q5')).toBe('EINVAL');
    expect(await g.permit('data/x')).toBe('EINVAL');
    expect(await zero.permit('/local/domain/5/data/x', 'n6')).toBe('OK');
    expect(await g.read('data/x')).toBe('EACCES');
  });

  test('SET_TARGET gives a domain those of another', async () => {
    expect(await o.read('/local/domain/5/domid')).toBe('EACCES');
    expect(await zero.ask(XsType.setTarget, ['6', '5'])).toBe('OK');
    expect(await o.read('/local/domain/5/domid')).toBe('5');
  });
});

describe('watches', () => {
  test('fire once after their OK, and for the path and everything below', async () => {
    expect(await g.ask(XsType.watch, ['data', 't'])).toBe('OK');
    expect(g.order).toEqual([1, 'event']);
    expect(g.takeEvents()).toEqual(['data t']);
    await g.write('data/a/b', '1');
    await g.write('data/a/b', '1');
    await g.permit('data/a', 'n5');
    expect(g.takeEvents()).toEqual(['data/a/b t', 'data/a/b t', 'data/a t']);
    await g.mkdir('data/a');
    await g.remove('data/none');
    await g.read('data/a');
    expect(g.takeEvents()).toEqual([]);
    await g.write('data-not', '1');
    expect(g.takeEvents()).toEqual([]);
  });

  test('are absolute or relative as they were set', async () => {
    await g.watch('data', 'relative');
    await g.watch('/local/domain/5/data', 'absolute');
    await g.write('/local/domain/5/data/x', '1');
    expect(g.takeEvents()).toEqual(['data/x relative', '/local/domain/5/data/x absolute']);
  });

  test('fire for nodes that go with an ancestor, and not for what was never there', async () => {
    await g.write('data/a/b/c', '1');
    await g.watch('data/a/b', 'middle');
    await g.watch('data/a/b/c', 'leaf');
    await g.watch('data/a/x', 'never');
    await g.remove('data/a');
    expect(g.takeEvents().sort()).toEqual(['data/a/b middle', 'data/a/b/c leaf']);
  });

  test('deliver twice what is watched twice with one token, until unwatched twice', async () => {
    await g.watch('data', 't');
    await g.watch('data', 't');
    await g.write('data/x', '1');
    expect(g.takeEvents()).toEqual(['data/x t', 'data/x t']);
    expect(await g.ask(XsType.unwatch, ['data', 't'])).toBe('OK');
    await g.write('data/x', '1');
    expect(g.takeEvents()).toEqual(['data/x t']);
    expect(await g.ask(XsType.unwatch, ['data', 'other'])).toBe('ENOENT');
    expect(await g.ask(XsType.unwatch, ['data', 't'])).toBe('OK');
    expect(await g.ask(XsType.unwatch, ['data', 't'])).toBe('ENOENT');
  });

  test('are answered but silent where the domain may not read', async () => {
    expect(await o.watch('/local/domain/5/data', 't')).toBe('OK');
    await g.write('data/x', '1');
    expect(o.takeEvents()).toEqual([]);
    await g.permit('data/x', 'n5', 'r6');
    expect(o.takeEvents()).toEqual(['/local/domain/5/data/x t']);
    await g.permit('data/x', 'n5');
    expect(o.takeEvents()).toEqual(['/local/domain/5/data/x t']);
    await g.write('data/x', '1');
    expect(o.takeEvents()).toEqual([]);
  });

  test('all go with RESET_WATCHES, and transactions too', async () => {
    await g.watch('data', 't');
    const transaction = await g.start();
    expect(await g.ask(XsType.resetWatches, [''])).toBe('OK');
    await g.write('data/x', '1');
    expect(g.takeEvents()).toEqual([]);
    expect(await g.commit(transaction)).toBe('ENOENT');
  });

  test('tell Dom0, and only Dom0, of domains that come and go', async () => {
    for (const connection of [zero, g]) {
      await connection.watch('@introduceDomain', 'in');
      await connection.watch('@releaseDomain', 'out');
    }
    machine.createDomain({ domid: 9 });
    await machine.settle();
    expect(zero.takeEvents()).toEqual(['@introduceDomain in']);
    machine.destroyDomain(9);
    await machine.settle();
    expect(zero.takeEvents()).toEqual(['@releaseDomain out']);
    expect(g.takeEvents()).toEqual([]);
  });
});

describe('transactions', () => {
  test('see their own changes and nobody else sees them before the end', async () => {
    await g.watch('data', 't');
    const t = await g.start();
    expect(await g.write('data/x', '1', t)).toBe('OK');
    expect(await g.read('data/x', t)).toBe('1');
    expect(await g.list('data', t)).toBe('x');
    expect(await g.read('data/x')).toBe('ENOENT');
    expect(g.takeEvents()).toEqual([]);
    expect(await g.commit(t)).toBe('OK');
    expect(await g.read('data/x')).toBe('1');
    expect(g.takeEvents()).toEqual(['data/x t']);
  });

  test('leave nothing when aborted, or when their connection closes', async () => {
    const t = await g.start();
    await g.write('data/x', '1', t);
    expect(await g.abort(t)).toBe('OK');
    expect(await g.read('data/x')).toBe('ENOENT');
    expect(await g.commit(t)).toBe('ENOENT');
    expect(await g.write('data/x', '1', t)).toBe('ENOENT');
    const second = await Conversation.open(guest);
    await second.write('data/x', '1', await second.start());
    await second.transport.close();
    expect(await g.read('data/x')).toBe('ENOENT');
  });

  test('tell watches once of a node changed several times, before the answer', async () => {
    await g.watch('data', 't');
    const t = await g.start();
    await g.write('data/x', '1', t);
    await g.write('data/x', '2', t);
    await g.write('data/y', '2', t);
    const before = g.order.length;
    await g.commit(t);
    expect(g.takeEvents()).toEqual(['data/x t', 'data/y t']);
    expect(g.order.slice(before, before + 2)).toEqual(['event', 'event']);
  });

  const conflicts: [name: string, mine: (t: number) => Promise<unknown>, theirs: () => Promise<unknown>][] = [
    ['a node read', (t) => g.read('data/x', t), () => g.write('data/x', '2')],
    ['a node written blindly', (t) => g.write('data/x', '1', t), () => g.write('data/x', '2')],
    ['the same value', (t) => g.read('data/x', t), () => g.write('data/x', '0')],
    ['a missing node', (t) => g.read('data/y', t), () => g.write('data/y', '2')],
    ['a list', (t) => g.list('data', t), () => g.write('data/y', '2')],
    ['another child of one parent', (t) => g.write('data/y', '1', t), () => g.write('data/z', '2')],
    ['a node removed', (t) => g.read('data/x', t), () => g.remove('data/x')],
    ['an ancestor removed', (t) => g.read('data/d/e', t), () => g.remove('data/d')],
    ['a child in what is removed', (t) => g.remove('data/d', t), () => g.write('data/d/new', '2')],
    ['a child far below', (t) => g.remove('data/d', t), () => g.write('data/d/e/new', '2')],
    ['permissions', (t) => g.read('data/x', t), () => g.permit('data/x', 'n5', 'r6')],
  ];
  test.each(conflicts)('end in EAGAIN after a conflict: %s', async (_, mine, theirs) => {
    await g.write('data/x', '0');
    await g.write('data/d/e', '0');
    const t = await g.start();
    await mine(t);
    await theirs();
    expect(await g.commit(t)).toBe('EAGAIN');
    expect(await g.commit(t)).toBe('ENOENT');
  });

  const harmless: [name: string, mine: (t: number) => Promise<unknown>, theirs: () => Promise<unknown>][] = [
    ['other nodes', (t) => g.write('data/d/e', '1', t), () => g.write('data/d/f', '2')],
    ['values below a list', (t) => g.list('data/d', t), () => g.write('data/d/e', '2')],
    ['nodes below a node read', (t) => g.read('data/d/e', t), () => g.write('data/d/e/g/h', '2')],
    ['reads', (t) => g.write('data/d/e', '1', t), () => g.read('data/d/e')],
  ];
  test.each(harmless)('merge with what others do: %s', async (_, mine, theirs) => {
    await g.write('data/d/e/g', '0');
    await g.write('data/d/f', '0');
    const t = await g.start();
    await mine(t);
    await theirs();
    expect(await g.commit(t)).toBe('OK');
  });

  test('keep what others wrote beside their own changes', async () => {
    await g.write('data/a/x', '0');
    await g.write('data/b/x', '0');
    const t = await g.start();
    await g.write('data/a/x', 'mine', t);
    await g.write('data/b/x', 'theirs');
    await g.write('data/b/y', 'theirs');
    expect(await g.commit(t)).toBe('OK');
    expect([await g.read('data/a/x'), await g.read('data/b/x'), await g.read('data/b/y')]).toEqual([
      'mine',
      'theirs',
      'theirs',
    ]);
  });

  test('work on after a request of theirs that fails, without what it had done', async () => {
    const t = await g.start();
    expect(await g.write(`data/a/${'x'.repeat(2040)}`, '1', t)).toBe('ENOSPC');
    expect(await g.read('data/a', t)).toBe('ENOENT');
    expect(await g.write('data/b', '1', t)).toBe('OK');
    await zero.write('/elsewhere', 'so that the changes are merged');
    expect(await g.commit(t)).toBe('OK');
    expect(await g.list('data')).toBe('b');
  });

  test('have an end that is T or F, no transaction in them, and no answer without one', async () => {
    const t = await g.start();
    expect(await g.ask(XsType.transactionEnd, ['X'], t)).toBe('EINVAL');
    expect(await g.ask(XsType.transactionStart, [''], t)).toBe('EBUSY');
    expect(await g.ask(XsType.transactionEnd, ['T'], 12345)).toBe('ENOENT');
    expect(await g.ask(XsType.transactionEnd, ['T'], 0)).toBeUndefined();
    expect(await g.commit(t)).toBe('OK');
  });
});

describe('quotas', () => {
  test('1000 nodes of a domain, whoever made them', async () => {
    const data = '/local/domain/5/data';
    machine.store.run((view) => {
      for (let index = 0; index < 10; index++) view.mkdir(`${data}/${index}`);
    });
    // `data` itself, the ten, and these.
    machine.store.run((view) => {
      for (let index = 0; index < 989; index++) view.mkdir(`${data}/${index % 10}/${index}`);
    }, 5);
    expect(await g.write('data/0/more', '')).toBe('ENOSPC');
    expect(await g.write('data/0/0', 'a change is no new node')).toBe('OK');
    expect(await zero.write(`${data}/0/more`, '')).toBe('OK');
    expect(await g.remove('data/9')).toBe('OK');
    expect(await g.write('data/1/more', '')).toBe('OK');
  });

  test('2048 bytes a node: the value, or the names of its children', async () => {
    expect(await g.write('data/x', 'x'.repeat(2000))).toBe('OK');
    expect(await g.write('data/x', 'x'.repeat(2048))).toBe('ENOSPC');
    await g.permit('data', 'n5', 'r0');
    let count = 0;
    while ((await g.write(`data/d/n${count}`, '')) === 'OK') count += 1;
    // Names of four or five bytes with their NUL: real ones ended at 424.
    expect(Math.abs(count - 424)).toBeLessThan(3);
    expect(await zero.write('/big', 'x'.repeat(4000))).toBe('OK');
  });

  test('128 watches of a domain, whichever connections they are of', async () => {
    const second = await Conversation.open(guest);
    for (let index = 0; index < 128; index++) {
      expect(await (index % 2 ? g : second).watch('data', String(index))).toBe('OK');
    }
    expect(await g.ask(XsType.watch, ['data', 'more'])).toBe('E2BIG');
    await second.transport.close();
    expect(await g.ask(XsType.watch, ['data', 'more'])).toBe('OK');
  });

  test('10 transactions of a domain', async () => {
    const ids: number[] = [];
    for (let index = 0; index < 10; index++) ids.push(await g.start());
    expect(await g.ask(XsType.transactionStart, [''])).toBe('ENOSPC');
    await g.abort(ids[0] ?? 0);
    expect(await g.start()).toBeGreaterThan(0);
  });

  test('4096 bytes a message through the device, refused by the write itself', async () => {
    const send = (payload: Uint8Array) =>
      g.transport.send(encodeXsMessage({ type: XsType.write, requestId: 1, transactionId: 0, payload }));
    expect(() => send(new Uint8Array(4081))).toThrow(expect.objectContaining({ errno: 'EINVAL' }));
    const header = new Uint8Array(16);
    new DataView(header.buffer).setUint32(12, 4097, true);
    expect(() => g.transport.send(header)).toThrow(expect.objectContaining({ errno: 'E2BIG' }));
    expect(await g.read('domid')).toBe('5');
  });
});

describe('the device', () => {
  const message = (path: string, requestId: number) =>
    encodeXsMessage({ type: XsType.read, requestId, transactionId: 0, payload: encodeXsStrings(path) });

  test('takes one request in several writes', async () => {
    const bytes = message('domid', 77);
    for (const byte of bytes) g.transport.send(Uint8Array.of(byte));
    await machine.settle();
    expect(g.order).toEqual([77]);
  });

  test('drops a second request of one write', async () => {
    g.transport.send(Buffer.concat([message('domid', 77), message('domid', 78)]));
    g.transport.send(Buffer.concat([message('domid', 79), message('domid', 80).subarray(0, 18)]));
    g.transport.send(message('domid', 81));
    await machine.settle();
    expect(g.order).toEqual([77, 79, 81]);
  });

  test('gives all answers of a turn at once, and keeps them until there is someone to read', async () => {
    const transport = await guest.openXenStore();
    for (const id of [1, 2, 3]) transport.send(message('domid', id));
    await machine.settle();
    const chunks: number[] = [];
    transport.onData((chunk) => chunks.push(chunk.length));
    await machine.settle();
    expect(chunks).toEqual([3 * 17]);
  });
});

describe('other requests', () => {
  test('DIRECTORY of more than a message is E2BIG; its parts have the generation and an end', async () => {
    machine.store.run((view) => {
      for (let index = 0; index < 600; index++) view.mkdir(`/many/child-${index}`);
    });
    expect(await zero.list('/many')).toBe('E2BIG');
    const [generation, ...names] = (await zero.ask(XsType.directoryPart, ['/many', '0']))?.split(' ') ?? [];
    expect(Number(generation)).toBeGreaterThan(0);
    const offset = names.join(' ').length + 1;
    const [same, ...rest] =
      (await zero.ask(XsType.directoryPart, ['/many', String(offset)]))?.split(' ') ?? [];
    expect(same).toBe(generation);
    expect(rest.at(-1)).toBe('');
    expect([...names, ...rest.slice(0, -1)]).toEqual(Array.from({ length: 600 }, (_, i) => `child-${i}`));
    expect(await zero.ask(XsType.directoryPart, ['/many', '99999'])).toBe(`${generation} `);
  });

  test('GET_DOMAIN_PATH, IS_DOMAIN_INTRODUCED', async () => {
    expect(await g.ask(XsType.getDomainPath, ['77'])).toBe('/local/domain/77');
    expect(await g.ask(XsType.getDomainPath, ['x'])).toBe('EINVAL');
    expect(await zero.ask(XsType.isDomainIntroduced, ['5'])).toBe('T');
    expect(await zero.ask(XsType.isDomainIntroduced, ['77'])).toBe('F');
  });

  test('INTRODUCE, RELEASE, RESUME, SET_TARGET and CONTROL are for Dom0 only', async () => {
    const types = [XsType.introduce, XsType.release, XsType.resume, XsType.setTarget, XsType.control];
    for (const type of types) expect(await g.ask(type, ['6', '5'])).toBe('EACCES');
    expect(await zero.ask(XsType.introduce, ['77', '1', '2'])).toBe('OK');
    expect(await zero.ask(XsType.isDomainIntroduced, ['77'])).toBe('T');
    expect(await zero.ask(XsType.resume, ['77'])).toBe('OK');
    expect(await zero.ask(XsType.resume, ['78'])).toBe('ENOENT');
    expect(await zero.ask(XsType.release, ['77'])).toBe('OK');
    expect(await zero.ask(XsType.isDomainIntroduced, ['77'])).toBe('F');
    expect(await zero.ask(XsType.release, ['0'])).toBe('EINVAL');
    expect(await zero.ask(XsType.control, ['help'])).toBe('EINVAL');
  });

  test.each([XsType.watchEvent, XsType.error, 20, 23, 0xffff])('of type %d are unknown', async (type) => {
    expect(await g.ask(type, ['domid'])).toBe('ENOSYS');
  });
});
