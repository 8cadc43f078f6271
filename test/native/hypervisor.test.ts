import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { openCard } from '../../src/open-card.ts';
import { encodeXsMessage, encodeXsStrings, XsMessageDecoder, XsType } from '../../src/wire/xenstore.ts';
import { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import type { EventPort, Hypervisor } from '../../src/xen/hypervisor.ts';
import { PAGE_SIZE } from '../../src/xen/hypervisor.ts';
import type { Addon } from '../../src/xen/linux/addon.ts';
import { addonPath, loadAddon } from '../../src/xen/linux/addon.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import {
  ADDON,
  failNext,
  held,
  NOTHING,
  named,
  openDomain,
  overflow,
  restore,
  SKIP_REASON,
  StoreSocket,
  serveStore,
} from './stand-in.ts';

describe('without the addon', () => {
  test('asking for Xen says what was tried, and how to come by it', () => {
    const message = expect.stringMatching(
      /\/nowhere\/vsnd\.node: there is no such file; .*npm run build:native/,
    );
    const error = { code: 'ERR_VSND_NO_XEN', path: '/nowhere/vsnd.node', message };
    expect(() => loadAddon('/nowhere/vsnd.node')).toThrow(expect.objectContaining(error));
  });

  test('VSND_ADDON names it, from the working directory', () => {
    expect(addonPath({ VSND_ADDON: 'lib/vsnd.node' })).toBe('lib/vsnd.node');
    expect(addonPath({ VSND_ADDON: '' })).toBe(addonPath({}));
    const error = { code: 'ERR_VSND_NO_XEN', path: resolve('lib/vsnd.node') };
    expect(() => loadAddon('lib/vsnd.node')).toThrow(expect.objectContaining(error));
  });

  test('an `addon` that is no path is told of', async () => {
    const error = { code: 'ERR_VSND_INVALID_ARG', option: 'addon' };
    await expect(openCard({ addon: '' })).rejects.toMatchObject(error);
  });

  test('a file that is no addon is named, with what the loader says of it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vsnd-addon-'));
    try {
      expect(() => loadAddon(folder)).toThrow(expect.objectContaining({ code: 'ERR_VSND_NO_XEN' }));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe.skipIf(SKIP_REASON)(named('Linux devices'), () => {
  const open: Hypervisor[] = [];

  async function domain(domid: number): Promise<Hypervisor> {
    const hypervisor = await openDomain(domid);
    open.push(hypervisor);
    return hypervisor;
  }

  afterEach(async () => {
    for (const hypervisor of open.splice(0)) await hypervisor.close();
    expect(held()).toEqual(NOTHING);
  });

  async function channel(): Promise<{
    a: EventPort;
    b: EventPort;
    frontend: Hypervisor;
    backend: Hypervisor;
  }> {
    const [frontend, backend] = [await domain(1), await domain(2)];
    const a = await frontend.eventChannels.bindUnbound(2);
    const b = await backend.eventChannels.bindInterdomain(1, a.port);
    return { a, b, frontend, backend };
  }

  describe('that cannot be opened', () => {
    test.each([
      ['EACCES', 'run as root or install the udev rule, see vsnd help guest-setup.md'],
      ['EPERM', 'run as root or install the udev rule, see vsnd help guest-setup.md'],
      [
        'ENOENT',
        'this is not a Xen guest, or a module is missing: modprobe xen-gntalloc; see vsnd help guest-setup.md',
      ],
    ] as const)('with %s say what to do', async (errno, advice) => {
      const hypervisor = await domain(1);
      failNext('open:gntalloc', errno);
      const path = '/xen-stand-in/1/gntalloc';
      await expect(hypervisor.grants.grant(2, 1)).rejects.toMatchObject({
        code: 'ERR_VSND_NO_XEN',
        errno,
        path,
        message: `cannot open ${path}: ${errno}: ${advice}`,
      });
      await (await hypervisor.grants.grant(2, 1)).release();
    });

    test('are one by one, and none before it is needed', async () => {
      const hypervisor = await domain(1);
      expect(held()['devices']).toBe(0);
      const operations = [
        ['evtchn', () => hypervisor.eventChannels.bindUnbound(2)],
        ['evtchn', () => hypervisor.eventChannels.bindInterdomain(2, 1)],
        ['gntdev', () => hypervisor.mapper.map(2, [8])],
        ['xenbus', () => hypervisor.openXenStore()],
      ] as const;
      for (const [device, operation] of operations) {
        failNext(`open:${device}`, 'EACCES');
        await expect(operation()).rejects.toMatchObject({ code: 'ERR_VSND_NO_XEN', errno: 'EACCES' });
        expect(held()['devices']).toBe(0);
      }
    });
  });

  describe('that refuse', () => {
    test("a grant beyond the module's limit name the parameter", async () => {
      const hypervisor = await domain(1);
      const granted = await hypervisor.grants.grant(2, 1000);
      await expect(hypervisor.grants.grant(2, 25)).rejects.toMatchObject({
        code: 'ERR_VSND_HYPERVISOR',
        errno: 'ENOSPC',
        message: expect.stringContaining('echo 4096 > /sys/module/xen_gntalloc/parameters/limit'),
      });
      await granted.release();
      await (await hypervisor.grants.grant(2, 1024)).release();
    });

    test.each(['ioctl:ALLOC_GREF', 'mmap:gntalloc'])('%s leave no page behind', async (operation) => {
      const hypervisor = await domain(1);
      failNext(operation, 'ENOMEM');
      await expect(hypervisor.grants.grant(2, 3)).rejects.toMatchObject({
        code: 'ERR_VSND_HYPERVISOR',
        errno: 'ENOMEM',
      });
      expect(held()).toEqual({ ...NOTHING, devices: 1 });
    });

    test.each(['ioctl:MAP_GRANT_REF', 'mmap:gntdev'])('%s leave no mapping behind', async (operation) => {
      const [frontend, backend] = [await domain(1), await domain(2)];
      const { grefs } = await frontend.grants.grant(2, 3);
      failNext(operation, 'EINVAL');
      await expect(backend.mapper.map(1, grefs)).rejects.toMatchObject({
        code: 'ERR_VSND_HYPERVISOR',
        errno: 'EINVAL',
      });
      expect(held()).toEqual({ ...NOTHING, devices: 2, pages: 3, local: 3 });
    });

    test.each(['BIND_UNBOUND_PORT', 'BIND_INTERDOMAIN'])('%s bind nothing', async (name) => {
      const { frontend, backend } = await channel();
      const ports = held()['ports'];
      failNext(`ioctl:${name}`, 'ENOMEM');
      const bound =
        name === 'BIND_UNBOUND_PORT'
          ? frontend.eventChannels.bindUnbound(2)
          : backend.eventChannels.bindInterdomain(1, 1);
      await expect(bound).rejects.toMatchObject({ code: 'ERR_VSND_HYPERVISOR', errno: 'ENOMEM' });
      expect(held()['ports']).toBe(ports);
    });

    test('an unbind reject, and the port is gone all the same', async () => {
      const { a, b } = await channel();
      failNext('ioctl:UNBIND', 'EIO');
      await expect(a.unbind()).rejects.toMatchObject({ code: 'ERR_VSND_HYPERVISOR', errno: 'EIO' });
      expect(() => a.notify()).toThrow(expect.objectContaining({ code: 'ERR_VSND_INVALID_STATE' }));
      b.notify();
    });
  });

  describe('for event channels', () => {
    test('are one device for all ports, whose handlers run apart from each other', async () => {
      const [frontend, backend] = [await domain(1), await domain(2)];
      const pairs: { a: EventPort; b: EventPort }[] = [];
      for (let index = 0; index < 20; index++) {
        const a = await frontend.eventChannels.bindUnbound(2);
        pairs.push({ a, b: await backend.eventChannels.bindInterdomain(1, a.port) });
      }
      expect(held()).toMatchObject({ devices: 2, ports: 40 });
      const seen = new Set<number>();
      const all = new Promise<void>((resolve) => {
        for (const { a } of pairs) {
          a.onNotify(() => {
            seen.add(a.port);
            if (seen.size === pairs.length) resolve();
          });
        }
      });
      for (const { b } of pairs) b.notify();
      await all;
      await Promise.all(pairs.map(({ a }) => a.unbind()));
      expect(held()['ports']).toBe(20);
    });

    test('that have lost notifications in an overflow call every handler, and go on', async () => {
      const { a, b } = await channel();
      let calls = 0;
      let wake = () => {};
      a.onNotify(() => {
        calls += 1;
        wake();
      });
      const next = () =>
        new Promise<void>((resolve) => {
          wake = resolve;
        });
      for (let round = 1; round <= 3; round++) {
        b.notify();
        const recovered = next();
        overflow(1);
        await recovered;
        const notified = next();
        b.notify();
        await notified;
      }
      expect(calls).toBeGreaterThanOrEqual(6);
    });

    test('ignore a port that has been unbound since it was notified', async () => {
      const { a, b, frontend } = await channel();
      let calls = 0;
      a.onNotify(() => {
        calls += 1;
      });
      b.notify();
      await a.unbind();
      const again = await frontend.eventChannels.bindUnbound(2);
      expect(again.port).toBe(a.port);
      await wait(20);
      expect(calls).toBe(0);
    });
  });

  describe('for event channels of a restored domain', () => {
    test('are closed, and opened anew for the next port', async () => {
      const { a, b, frontend, backend } = await channel();
      a.onNotify(() => expect.unreachable());
      const { eventChannels } = frontend;
      expect(await eventChannels.forgetIfRestored()).toBe(false);
      restore(1);
      a.notify();
      b.notify();
      await expect(eventChannels.bindUnbound(2)).rejects.toMatchObject({
        code: 'ERR_VSND_HYPERVISOR',
        errno: 'EEXIST',
        message: expect.stringContaining('EEXIST: the guest has been restored from a saved state'),
      });
      const [forgotten, next] = await Promise.all([
        eventChannels.forgetIfRestored(),
        eventChannels.bindUnbound(2),
      ]);
      expect(forgotten).toBe(true);
      expect(held()).toMatchObject({ devices: 2, ports: 2 });
      expect(() => a.notify()).toThrow(expect.objectContaining({ code: 'ERR_VSND_INVALID_STATE' }));
      await a.unbind();
      expect(next.port).toBe(a.port);
      const peer = await backend.eventChannels.bindInterdomain(1, next.port);
      const heard = new Promise<void>((resolve) => next.onNotify(resolve));
      peer.notify();
      await heard;
      expect(await eventChannels.forgetIfRestored()).toBe(false);
      expect(await backend.eventChannels.forgetIfRestored()).toBe(false);
    });

    test('are given back by close(), without a word', async () => {
      const { frontend } = await channel();
      restore(1);
      await frontend.close();
      expect(held()).toMatchObject({ devices: 1, ports: 1 });
    });

    test('say where they cannot be looked at', async () => {
      const { frontend } = await channel();
      failNext('ioctl:BIND_UNBOUND_PORT', 'ENOSPC');
      await expect(frontend.eventChannels.forgetIfRestored()).rejects.toMatchObject({
        code: 'ERR_VSND_HYPERVISOR',
        errno: 'ENOSPC',
        path: '/xen-stand-in/1/evtchn',
      });
    });

    test('are not opened to be asked', async () => {
      expect(await (await domain(1)).eventChannels.forgetIfRestored()).toBe(false);
      expect(held()['devices']).toBe(0);
    });
  });

  describe('for XenStore', () => {
    async function withStore(
      use: (hypervisor: Hypervisor, socket: Promise<Socket>) => Promise<void>,
    ): Promise<void> {
      let connected: (socket: Socket) => void = () => {};
      const socket = new Promise<Socket>((resolve) => {
        connected = resolve;
      });
      const store = await StoreSocket.open(async (_domid, other) => connected(other));
      const hypervisor = await domain(1);
      try {
        await use(hypervisor, socket);
      } finally {
        await hypervisor.close();
        await store.close();
      }
    }

    const answer = (requestId: number, payload = new Uint8Array(0)) =>
      encodeXsMessage({ type: XsType.read, requestId, transactionId: 0, payload });

    test('give what arrives in the parts in which it arrives, none before there is a handler', async () => {
      await withStore(async (hypervisor, connected) => {
        const transport = await hypervisor.openXenStore();
        const socket = await connected;
        const chunks: Buffer[] = [];
        const messages = Array.from({ length: 20 }, (_, id) => answer(id, new Uint8Array(2000)));
        const bytes = Buffer.concat(messages);
        socket.write(bytes.subarray(0, 5));
        await wait(20);
        transport.onData((chunk) => chunks.push(Buffer.from(chunk)));
        await wait(20);
        socket.write(bytes.subarray(5));
        while (Buffer.concat(chunks).length < bytes.length) await wait(5);
        expect(chunks[0]).toEqual(bytes.subarray(0, 5));
        expect(Buffer.concat(chunks)).toEqual(bytes);
        expect(Math.max(...chunks.map(({ length }) => length))).toBeLessThanOrEqual(4 * PAGE_SIZE);
      });
    });

    test('have one request under way, and the others wait in their order for its whole answer', async () => {
      await withStore(async (hypervisor, connected) => {
        const transport = await hypervisor.openXenStore();
        const socket = await connected;
        const asked: number[] = [];
        const decoder = new XsMessageDecoder();
        socket.on('data', (chunk) => {
          for (const { requestId } of decoder.push(chunk)) asked.push(requestId);
        });
        const arrived: number[] = [];
        const arriving = new XsMessageDecoder();
        transport.onData((chunk) => {
          for (const { requestId } of arriving.push(chunk)) arrived.push(requestId);
          if (arrived.length === 1) transport.send(answer(4));
        });
        for (const id of [1, 2, 3]) transport.send(answer(id));
        const event = { type: XsType.watchEvent, requestId: 0, transactionId: 0, payload: new Uint8Array(4) };
        socket.write(Buffer.concat([encodeXsMessage(event), answer(1).subarray(0, 7)]));
        await wait(20);
        expect(asked).toEqual([1]);
        socket.write(Buffer.concat([answer(1).subarray(7), encodeXsMessage(event).subarray(0, 9)]));
        await wait(20);
        expect(asked).toEqual([1]);
        socket.write(encodeXsMessage(event).subarray(9));
        for (const id of [2, 3, 4]) {
          while (asked.at(-1) !== id) await wait(2);
          await wait(5);
          expect(asked).toEqual([1, 2, 3, 4].slice(0, id));
          socket.write(answer(id));
        }
      });
    });

    test('answer a waiting request that the kernel refuses in the place of XenStore', async () => {
      await withStore(async (hypervisor, connected) => {
        const transport = await hypervisor.openXenStore();
        const socket = await connected;
        const arrived: unknown[] = [];
        const decoder = new XsMessageDecoder();
        transport.onData((chunk) => arrived.push(...decoder.push(chunk)));
        transport.send(answer(1));
        transport.send(Buffer.alloc(4097, answer(2).subarray(0, 16)));
        transport.send(answer(3));
        socket.write(answer(1));
        while (arrived.length < 2) await wait(2);
        const refused = {
          type: XsType.error,
          requestId: 2,
          payload: new Uint8Array(encodeXsStrings('EINVAL')),
        };
        expect(arrived).toMatchObject([{ requestId: 1 }, refused]);
        socket.write(answer(3));
        while (arrived.length < 3) await wait(2);
      });
    });

    test("throw what the device's limits make of a message, and stay usable", async () => {
      await withStore(async (hypervisor, connected) => {
        const transport = await hypervisor.openXenStore();
        const tooLong = { code: 'ERR_VSND_XENSTORE', errno: 'EINVAL' };
        expect(() => transport.send(new Uint8Array(4097))).toThrow(expect.objectContaining(tooLong));
        const header = Buffer.alloc(16);
        header.writeUInt32LE(4081, 12);
        const announced = { code: 'ERR_VSND_XENSTORE', errno: 'E2BIG' };
        expect(() => transport.send(header)).toThrow(expect.objectContaining(announced));
        const socket = await connected;
        const received = new Promise<Buffer>((resolve) => socket.once('data', resolve));
        transport.send(Buffer.alloc(20));
        expect(await received).toEqual(Buffer.alloc(20));
      });
    });

    test.each(['the end of the stream', 'an error'])('tell once of %s', async (how) => {
      await withStore(async (hypervisor, connected) => {
        const transport = await hypervisor.openXenStore();
        const socket = await connected;
        transport.onData(() => {});
        const lost = new Promise<Error>((resolve) => transport.onClose(resolve));
        if (how === 'an error') {
          failNext('read:xenbus', 'EIO');
          socket.write('x');
        } else socket.end();
        expect(await lost).toMatchObject({ code: 'ERR_VSND_XENSTORE', errno: 'EIO' });
        expect(() => transport.send(new Uint8Array(16))).toThrow();
        await transport.close();
      });
    });
  });

  test('are opened anew by a client with patience, which has its watches then and misses nothing', async () => {
    const machine = new EmulatedMachine();
    const { domid } = machine.createDomain();
    const store = await serveStore(machine);
    const client = await XenStoreClient.open(await domain(domid), { patience: 10e9 });
    const seen: string[] = [];
    let arrived: () => void = () => {};
    await client.watch('data', async () => {
      seen.push((await client.readIfPresent('data/x')) ?? 'nothing');
      arrived();
    });
    for (const value of ['1', '2', '3']) {
      store.drop();
      machine.store.run((view) => view.write(`/local/domain/${domid}/data/x`, Buffer.from(value)));
      while (seen.at(-1) !== value) await new Promise<void>((resolve) => (arrived = resolve));
    }
    expect(client.reconnections).toBe(3);
    await client.close();
    await store.close();
    await machine.close();
  });

  test('hold the process as often as they were asked to, and not by themselves', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const { frontend } = await channel();
    const before = timers();
    frontend.ref();
    frontend.ref();
    expect(timers()).toBe(before + 1);
    frontend.unref();
    expect(timers()).toBe(before + 1);
    frontend.unref();
    frontend.unref();
    expect(timers()).toBe(before);
    frontend.ref();
    await frontend.close();
    expect(timers()).toBe(before);
    frontend.ref();
    expect(timers()).toBe(before);
  });

  test('are given back by close(), the last first, and cannot be had after it', async () => {
    const { a, frontend, backend } = await channel();
    const granted = await frontend.grants.grant(2, 2);
    const mapped = await backend.mapper.map(1, granted.grefs);
    await Promise.all([frontend.close(), backend.close()]);
    expect(held()).toEqual(NOTHING);
    const ended = { code: 'ERR_VSND_INVALID_STATE' };
    expect(() => granted.load32(0)).toThrow(expect.objectContaining(ended));
    expect(() => mapped.load32(0)).toThrow(expect.objectContaining(ended));
    expect(() => a.notify()).toThrow(expect.objectContaining(ended));
    for (const late of [
      () => frontend.grants.grant(2, 1),
      () => frontend.mapper.map(2, [8]),
      () => frontend.eventChannels.bindUnbound(2),
      () => frontend.eventChannels.bindInterdomain(2, 1),
      () => frontend.openXenStore(),
      () => frontend.claim('vsnd/90'),
    ]) {
      await expect(late(), String(late)).rejects.toMatchObject(ended);
    }
    await Promise.all([granted.release(), mapped.release(), a.unbind()]);
  });

  test('of a claim that close() overtakes are free again', async () => {
    const first = await domain(1);
    const claiming = first.claim('vsnd/91');
    const closing = first.close();
    await expect(claiming).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
    await closing;
    const second = await domain(1);
    await (await second.claim('vsnd/91')).release();
  });

  test('refuse arguments that make no sense', async () => {
    const hypervisor = await domain(1);
    const misuse = { code: 'ERR_VSND_INVALID_ARG' };
    for (const count of [0, -1, 1.5, Number.NaN]) {
      await expect(hypervisor.grants.grant(2, count)).rejects.toMatchObject(misuse);
    }
    await expect(hypervisor.mapper.map(2, [])).rejects.toMatchObject(misuse);
  });

  test('load the addon once in a thread, however many there are', () => {
    expect(loadAddon(ADDON)).toBe(createRequire(import.meta.url)(ADDON) as Addon);
  });
});
