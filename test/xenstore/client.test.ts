import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../src/clock.ts';
import { VsndError } from '../../src/errors.ts';
import {
  encodeXsMessage,
  encodeXsStrings,
  type XsMessage,
  XsMessageDecoder,
  XsType,
} from '../../src/wire/xenstore.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import type { XenStoreTransport } from '../../src/xen/hypervisor.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';

describe('over an emulated machine', () => {
  let machine: EmulatedMachine;
  let client: XenStoreClient;
  let other: XenStoreClient;

  beforeEach(async () => {
    machine = new EmulatedMachine();
    const guest = machine.createDomain({ domid: 5 });
    client = await XenStoreClient.open(guest);
    other = await XenStoreClient.open(guest);
    return async () => {
      await client.close();
      await other.close();
      machine.assertCleanedUp();
      await machine.close();
    };
  });

  test('has an operation for each request', async () => {
    await client.write('data/x', 'höher');
    expect(await client.read('data/x')).toBe('höher');
    expect(await client.readIfPresent('data/none')).toBeUndefined();
    expect(await client.readIfPresent('data/x')).toBe('höher');
    await client.write('data/x', Uint8Array.of(0, 255));
    expect([...(await client.readBytes('data/x'))]).toEqual([0, 255]);
    await client.mkdir('data/d');
    expect(await client.directory('data')).toEqual(['x', 'd']);
    expect(await client.directory('data/d')).toEqual([]);
    await client.remove('data/d');
    expect(await client.directory('data')).toEqual(['x']);
    await client.setPermissions('data/x', [
      { access: 'n', domid: 5 },
      { access: 'b', domid: 0 },
    ]);
    expect(await client.getPermissions('data/x')).toEqual([
      { access: 'n', domid: 5 },
      { access: 'b', domid: 0 },
    ]);
    expect(await client.domainPath(77)).toBe('/local/domain/77');
  });

  test('says what could not be done, with path and errno', async () => {
    const path = 'device/vsnd/0/backend';
    await expect(client.read(path)).rejects.toMatchObject({
      code: 'ERR_VSND_XENSTORE',
      errno: 'ENOENT',
      path,
      message: 'XenStore: cannot read device/vsnd/0/backend: ENOENT',
    });
    await expect(client.readIfPresent('/local/domain/6/x')).rejects.toMatchObject({ errno: 'EACCES' });
    await expect(client.write('data/x', 'x'.repeat(4080))).rejects.toMatchObject({
      message: 'XenStore: cannot write data/x: EINVAL',
    });
    await expect(client.write('data/x', 'x'.repeat(5000))).rejects.toMatchObject({ errno: 'E2BIG' });
    expect(await client.readIfPresent('data/x')).toBeUndefined();
  });

  test.each(['', '/a/', 'a//b', 'ä', 'a\0b'])('sends nothing for the path %j', async (path) => {
    const attempts = [
      client.read(path),
      client.write(path, ''),
      client.directory(path),
      client.watch(path, () => {}),
      client.setPermissions(path, []),
    ];
    for (const attempt of attempts)
      await expect(attempt).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_ARG' });
  });

  test('has any number of requests under way, also when answers arrive byte by byte', async () => {
    machine.faults.splitXenStore(5, 1);
    const values = Array.from({ length: 200 }, (_, index) => `${index}`);
    await Promise.all(values.map((value) => client.write(`data/${value}`, value)));
    expect(await Promise.all(values.map((value) => client.read(`data/${value}`)))).toEqual(values);
  });

  test('lists directories of any length', async () => {
    const zero = await XenStoreClient.open(machine.dom0);
    const names = Array.from({ length: 2000 }, (_, index) => `child-${index}`);
    machine.store.run((view) => names.forEach((name) => void view.mkdir(`/many/${name}`)));
    expect(await zero.directory('/many')).toEqual(names);
    await zero.close();
  });

  test('lists a directory again that changes while its parts are fetched', async () => {
    const zero = await XenStoreClient.open(machine.dom0);
    machine.store.run((view) => {
      for (let index = 0; index < 600; index++) view.mkdir(`/many/child-${index}`);
    });
    const listing = zero.directory('/many');
    // DIRECTORY, then the first part: one turn there, one back.
    for (let turn = 0; turn < 4; turn++) await machine.step();
    machine.store.run((view) => view.remove('/many/child-0'));
    const names = await listing;
    expect(names).toHaveLength(599);
    expect(names[0]).toBe('child-1');
    await zero.close();
  });

  describe('watch()', () => {
    test('tells of the first state and of each change, until it is closed', async () => {
      const paths: string[] = [];
      const watch = await client.watch('data', (path) => void paths.push(path));
      await machine.settle();
      expect(paths).toEqual(['data']);
      await other.write('data/x', '1');
      await machine.settle();
      expect(paths).toEqual(['data', 'data/x']);
      await Promise.all([watch.close(), watch.close()]);
      await other.write('data/x', '2');
      await machine.settle();
      expect(paths).toEqual(['data', 'data/x']);
      expect(machine.leaks().join()).not.toContain('watch');
    });

    test('is two watches when it is called twice', async () => {
      const paths: string[] = [];
      const first = await client.watch('data', () => void paths.push('first'));
      await client.watch('data', () => void paths.push('second'));
      await first.close();
      paths.length = 0;
      await other.write('data/x', '1');
      await machine.settle();
      expect(paths).toEqual(['second']);
    });

    test('merges a storm, and calls a slow handler again only when it is ready', async () => {
      let calls = 0;
      let finish = (): void => {};
      await client.watch('data', () => {
        calls += 1;
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      });
      await machine.settle();
      expect(calls).toBe(1);
      machine.faults.watchStorm({ domid: 5, path: '/local/domain/5/data', count: 10_000 });
      await machine.settle();
      expect(calls).toBe(1);
      finish();
      await machine.settle();
      expect(calls).toBe(2);
      finish();
      await machine.settle();
      expect(calls).toBe(2);
    });

    test('makes of very many different paths the watched one', async () => {
      const paths: string[] = [];
      await client.watch('data', (path) => void paths.push(path));
      await machine.settle();
      for (let index = 0; index < 1000; index++) {
        machine.faults.watchStorm({ domid: 5, path: `/local/domain/5/data/${index}`, count: 1 });
      }
      await machine.settle();
      expect(paths.length).toBeLessThan(100);
      expect(paths).toContain('data');
    });

    test('reports a quota, and leaves nothing behind', async () => {
      await Promise.all(Array.from({ length: 128 }, () => client.watch('data', () => {})));
      await expect(client.watch('data', () => {})).rejects.toMatchObject({
        errno: 'E2BIG',
        message: 'XenStore: cannot watch data: E2BIG',
      });
    });

    test('takes the special paths', async () => {
      const zero = await XenStoreClient.open(machine.dom0);
      let calls = 0;
      await zero.watch('@releaseDomain', () => {
        calls += 1;
      });
      machine.destroyDomain(machine.createDomain().domid);
      await machine.settle();
      expect(calls).toBe(2);
      await zero.close();
    });

    test('ends without a word when the connection is closed first', async () => {
      const watch = await client.watch('data', () => {});
      await client.close();
      await watch.close();
    });
  });

  describe('transaction()', () => {
    test('commits what its body did, and gives its result', async () => {
      const result = await client.transaction(async (t) => {
        await t.write('data/x', '1');
        await t.mkdir('data/d');
        await t.remove('data/d');
        expect(await other.readIfPresent('data/x')).toBeUndefined();
        return `${await t.read('data/x')} ${await t.directory('data')}`;
      });
      expect(result).toBe('1 x');
      expect(await other.read('data/x')).toBe('1');
    });

    test('runs its body again after a conflict', async () => {
      await client.write('data/count', '0');
      const increment = (store: XenStoreClient) =>
        store.transaction(async (t) => t.write('data/count', String(Number(await t.read('data/count')) + 1)));
      await Promise.all([increment(client), increment(other), increment(client), increment(other)]);
      expect(await client.read('data/count')).toBe('4');
    });

    test('gives up after so many conflicts', async () => {
      machine.faults.refuseXenStore({ domid: 5, type: XsType.transactionEnd, errno: 'EAGAIN', count: 3 });
      let runs = 0;
      const body = async (): Promise<void> => {
        runs += 1;
      };
      await expect(client.transaction(body, { retries: 2 })).rejects.toMatchObject({
        code: 'ERR_VSND_XENSTORE',
        errno: 'EAGAIN',
      });
      expect(runs).toBe(3);
      await client.transaction(body, { retries: 0 });
      expect(runs).toBe(4);
      await expect(client.transaction(body, { retries: -1 })).rejects.toMatchObject({
        code: 'ERR_VSND_INVALID_ARG',
      });
    });

    test('aborts when its body throws, and throws the same', async () => {
      const error = new Error('no');
      await expect(
        client.transaction(async (t) => {
          await t.write('data/x', '1');
          throw error;
        }),
      ).rejects.toBe(error);
      expect(await client.readIfPresent('data/x')).toBeUndefined();
      expect(machine.leaks().join()).not.toContain('transaction');
    });

    test('does not run again for an error other than a conflict', async () => {
      machine.faults.refuseXenStore({ domid: 5, type: XsType.transactionEnd, errno: 'ENOSPC' });
      await expect(client.transaction(async () => {})).rejects.toMatchObject({
        errno: 'ENOSPC',
        message: 'XenStore: cannot commit the transaction: ENOSPC',
      });
    });
  });

  test('a lost connection rejects what is pending, and what is asked later', async () => {
    machine.faults.muteXenStore(5);
    const pending = [
      client.read('domid'),
      client.watch('data', () => {}),
      client.transaction(async () => {}),
    ];
    machine.faults.closeXenStore(5);
    for (const request of pending) {
      await expect(request).rejects.toMatchObject({ code: 'ERR_VSND_XENSTORE', errno: 'EIO' });
    }
    expect(client.isOpen).toBe(false);
    await expect(client.read('domid')).rejects.toMatchObject({ errno: 'EIO' });
  });

  test('close() rejects what is pending; with `await using` it needs no call', async () => {
    const pending = client.read('domid');
    const closing = client.close();
    await expect(pending).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
    await closing;
    await client[Symbol.asyncDispose]();
    await expect(client.read('domid')).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
  });
});

/** A transport whose other end is the test. */
class Daemon implements XenStoreTransport {
  readonly requests: XsMessage[] = [];
  readonly #decoder = new XsMessageDecoder();
  emit: (chunk: Uint8Array) => void = () => {};
  lose: (error: Error) => void = () => {};
  closed = 0;

  send(message: Uint8Array): void {
    this.requests.push(...this.#decoder.push(message));
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    this.emit = handler;
  }

  onClose(handler: (error: Error) => void): void {
    this.lose = handler;
  }

  async close(): Promise<void> {
    this.closed += 1;
  }

  answer(request: XsMessage | undefined, ...strings: string[]): void {
    if (request === undefined) throw new Error('there is no such request');
    this.emit(encodeXsMessage({ ...request, payload: encodeXsStrings(...strings) }));
  }
}

describe('over a daemon of any kind', () => {
  let daemon: Daemon;
  let clock: ManualClock;
  let client: XenStoreClient;

  beforeEach(() => {
    daemon = new Daemon();
    clock = new ManualClock();
    client = new XenStoreClient(daemon, clock, { firstRequestId: 0xfffffffe });
  });

  test('gives up a daemon that does not answer for 5 s, and has no timer while nothing is asked', async () => {
    const first = client.read('a');
    const second = client.read('b');
    await clock.advanceTime(4.9e9);
    daemon.emit(answerTo(daemon.requests[0], 'late'));
    expect(await first).toBe('late');
    await clock.advanceTime(4.9e9);
    expect(client.isOpen).toBe(true);
    const refused = expect(second).rejects.toMatchObject({
      code: 'ERR_VSND_XENSTORE',
      errno: 'ETIMEDOUT',
      path: 'b',
    });
    await clock.advanceTime(0.2e9);
    await refused;
    expect(client.isOpen).toBe(false);
    await expect(client.read('c')).rejects.toMatchObject({ errno: 'ETIMEDOUT' });
    expect(clock.pendingTimers).toBe(0);
  });

  test('matches answers of any order with their requests, by ids that wrap', async () => {
    const reads = Array.from({ length: 4 }, (_, index) => client.read(`x${index}`));
    expect(daemon.requests.map(({ requestId }) => requestId)).toEqual([0xfffffffe, 0xffffffff, 0, 1]);
    for (const index of [2, 0, 3, 1]) daemon.emit(answerTo(daemon.requests[index], `value ${index}`));
    expect(await Promise.all(reads)).toEqual(['value 0', 'value 1', 'value 2', 'value 3']);
  });

  const violations: [name: string, act: () => void][] = [
    ['an unknown id', () => daemon.answer({ ...messageOf(XsType.read), requestId: 4711 }, 'x')],
    [
      'another type',
      () => daemon.emit(answerTo({ ...messageOf(XsType.write), requestId: 0xfffffffe }, 'OK')),
    ],
    ['an event without a token', () => daemon.answer(messageOf(XsType.watchEvent), 'path')],
    [
      'too long a message',
      () => daemon.emit(Uint8Array.from([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255])),
    ],
  ];
  test.each(violations)('ends the connection for %s', async (_, act) => {
    const pending = [client.read('a'), client.write('b', ''), client.watch('c', () => {})];
    act();
    for (const request of pending) await expect(request).rejects.toMatchObject({ code: 'ERR_VSND_PROTOCOL' });
    await expect(client.read('a')).rejects.toMatchObject({ code: 'ERR_VSND_PROTOCOL' });
    const sent = daemon.requests.length;
    for (const request of daemon.requests) daemon.emit(answerTo(request, 'late'));
    daemon.lose(new Error('late'));
    await expect(client.read('a')).rejects.toMatchObject({ code: 'ERR_VSND_PROTOCOL' });
    expect(daemon.requests).toHaveLength(sent);
    await client.close();
    expect(daemon.closed).toBe(1);
  });

  test('takes an answer twice as a violation of the second', async () => {
    const read = client.read('a');
    const other = client.read('b');
    const bytes = answerTo(daemon.requests[0], 'x');
    daemon.emit(Buffer.concat([bytes, bytes]));
    expect(await read).toBe('x');
    await expect(other).rejects.toMatchObject({ code: 'ERR_VSND_PROTOCOL' });
  });

  test('rejects one request whose sending fails, and no other', async () => {
    const read = client.read('a');
    daemon.send = () => {
      throw new VsndError('ERR_VSND_XENSTORE', 'write', { errno: 'E2BIG' });
    };
    await expect(client.watch('b', () => {})).rejects.toMatchObject({
      code: 'ERR_VSND_XENSTORE',
      errno: 'E2BIG',
      path: 'b',
    });
    daemon.emit(answerTo(daemon.requests[0], 'x'));
    expect(await read).toBe('x');
  });

  test('ignores events of watches that it does not know', async () => {
    daemon.answer(messageOf(XsType.watchEvent), 'path', 'token');
    expect(client.isOpen).toBe(true);
  });

  test('refuses a transaction, a path or a part without content', async () => {
    const code = 'ERR_VSND_PROTOCOL';
    const transaction = client.transaction(async () => {});
    daemon.answer(daemon.requests[0], '0');
    await expect(transaction).rejects.toMatchObject({ code });
    const path = client.domainPath(1);
    daemon.answer(daemon.requests[1]);
    await expect(path).rejects.toMatchObject({ code });
    const list = client.directory('a');
    daemon.emit(encodeXsMessage({ ...messageOf(XsType.error, 0), payload: encodeXsStrings('E2BIG') }));
    await new Promise((resolve) => setImmediate(resolve));
    daemon.answer(daemon.requests[3], '17');
    await expect(list).rejects.toMatchObject({ code });
  });

  test('whatever arrives, a request has the answer that came first, or else an error of ours', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 })), fc.nat(5), async (chunks, answered) => {
        const daemon = new Daemon();
        const client = new XenStoreClient(daemon, new ManualClock());
        const requests = Array.from({ length: 5 }, (_, index) => client.read(`x${index}`));
        const outcomes = Promise.allSettled(requests);
        for (const request of daemon.requests.slice(0, answered)) daemon.emit(answerTo(request, 'x'));
        for (const chunk of chunks) daemon.emit(chunk);
        await client.close();
        for (const [index, outcome] of (await outcomes).entries()) {
          if (index < answered) expect(outcome).toEqual({ status: 'fulfilled', value: 'x' });
          else if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(VsndError);
        }
      }),
    );
  });
});

function messageOf(type: number, requestId = 0): XsMessage {
  return { type, requestId, transactionId: 0, payload: new Uint8Array(0) };
}

function answerTo(request: XsMessage | undefined, value: string): Uint8Array {
  if (request === undefined) throw new Error('there is no such request');
  return encodeXsMessage({ ...request, payload: Buffer.from(value) });
}
