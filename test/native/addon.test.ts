import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import type { Addon, EventChannelDevice, Mapping } from '../../src/xen/linux/addon.ts';
import {
  ADDON,
  devicesOf,
  failNext,
  held,
  NOTHING,
  named,
  restore,
  SKIP_REASON,
  StoreSocket,
} from './stand-in.ts';

const load = (): Addon => createRequire(import.meta.url)(ADDON);

describe.skipIf(SKIP_REASON)(named('the addon'), () => {
  afterEach(() => {
    expect(held()).toEqual(NOTHING);
  });

  describe('a mapping', () => {
    function withMapping(use: (memory: Mapping) => void, writable = true): void {
      const addon = load();
      const alloc = new addon.GrantAllocDevice(`${devicesOf(1)}/gntalloc`);
      const map = new addon.GrantMapDevice(`${devicesOf(2)}/gntdev`);
      const { grefs, memory } = alloc.grant(2, 2, true);
      const mapping = map.map(1, grefs, writable);
      try {
        use(mapping);
      } finally {
        mapping.release();
        memory.release();
        alloc.close();
        map.close();
      }
    }

    test('takes no offset, value or buffer that is out of place, whatever the caller has checked', () => {
      withMapping((memory) => {
        const anyway = memory as unknown as Record<keyof Mapping, (...args: unknown[]) => unknown>;
        const offsets = [-1, -4, 1, 2, 8189, 8192, 2 ** 31, 2 ** 32 - 4, 2 ** 32, 2 ** 53, 1e300, 0.5];
        const nonsense = [
          Number.NaN,
          Number.POSITIVE_INFINITY,
          '0',
          null,
          undefined,
          {},
          [],
          4n,
          Symbol('x'),
        ];
        for (const offset of [...offsets, ...nonsense]) {
          expect(() => anyway.load32(offset), String(offset)).toThrow();
          expect(() => anyway.store32(offset, 0), String(offset)).toThrow();
        }
        for (const value of [-1, 2 ** 32, 0.5, ...nonsense]) expect(() => anyway.store32(0, value)).toThrow();
        const bytes = new Uint8Array(8);
        for (const offset of [-1, 8185, 8192, 2 ** 32 - 1, 2 ** 32, ...nonsense]) {
          expect(() => anyway.copyIn(offset, bytes), String(offset)).toThrow();
          expect(() => anyway.copyOut(offset, bytes), String(offset)).toThrow();
        }
        const buffers = [
          undefined,
          null,
          'text',
          8,
          [],
          {},
          new ArrayBuffer(8),
          new DataView(new ArrayBuffer(8)),
        ];
        for (const buffer of [...buffers, new Uint16Array(4), new Int8Array(8), new Uint8Array(8193)]) {
          expect(() => anyway.copyIn(0, buffer)).toThrow();
          expect(() => anyway.copyOut(0, buffer)).toThrow();
        }
        expect(() => anyway.load32()).toThrow();
        expect(memory.load32(8188)).toBe(0);
      });
    });

    test('takes empty, detached, shared and whole-size buffers', () => {
      withMapping((memory) => {
        memory.copyIn(8192, new Uint8Array(0));
        memory.copyOut(8192, new Uint8Array(0));
        const detached = new Uint8Array(16);
        structuredClone(detached.buffer, { transfer: [detached.buffer] });
        memory.copyIn(0, detached);
        memory.copyOut(0, detached);
        const all = Uint8Array.from({ length: 8192 }, (_, index) => index % 251);
        memory.copyIn(0, all);
        const shared = new Uint8Array(new SharedArrayBuffer(8194), 1, 8192);
        memory.copyOut(0, shared);
        expect(Buffer.compare(all, shared)).toBe(0);
        memory.store32(4, 0xffffffff);
        expect(memory.load32(4)).toBe(0xffffffff);
        expect(memory.load32(0)).toBe(0x03020100);
      });
    });

    test('throws after release, which may be repeated', () => {
      withMapping((memory) => {
        memory.release();
        memory.release();
        expect(() => memory.load32(0)).toThrow('released');
        expect(() => memory.store32(0, 0)).toThrow('released');
        expect(() => memory.copyIn(0, new Uint8Array(1))).toThrow('released');
        expect(() => memory.copyOut(0, new Uint8Array(1))).toThrow('released');
        expect(() => memory.copyOut(0, new Uint8Array(0))).toThrow('released');
      });
    });

    test('for reading only cannot be written to', () => {
      withMapping((memory) => {
        expect(memory.load32(0)).toBe(0);
        expect(() => memory.store32(0, 1)).toThrow('read-only');
        expect(() => memory.copyIn(0, new Uint8Array(1))).toThrow('read-only');
      }, false);
    });

    test('cannot be made up, and its methods take no other object', () => {
      withMapping((memory) => {
        const Class = memory.constructor as new (...args: unknown[]) => Mapping;
        expect(() => new Class().load32(0)).toThrow('released');
        expect(() => new Class(memory, 4096).load32(0)).toThrow('released');
        new Class().release();
        const pipe = new (load().GrantAllocDevice)(`${devicesOf(1)}/gntalloc`);
        for (const other of [{}, pipe, Object.create(memory), undefined, 5]) {
          expect(() => memory.load32.call(other as Mapping, 0)).toThrow();
        }
        pipe.close();
      });
    });

    test('that nobody has any more is unmapped, and so are forgotten devices closed', () => {
      const path = fileURLToPath(new URL('./forget.js', import.meta.url));
      const { stdout, status } = spawnSync(process.execPath, ['--expose-gc', path, ADDON], {
        encoding: 'utf8',
      });
      expect(stdout.trim()).toBe('pages 0 local 0 foreign 0 entries 0 ports 0 devices 0');
      expect(status).toBe(0);
    });
  });

  describe('devices', () => {
    test('say what they cannot do, on which device and why', () => {
      const addon = load();
      const path = `${devicesOf(1)}/evtchn`;
      failNext('open:evtchn', 'EACCES');
      expect(() => new addon.EventChannelDevice(path)).toThrow(
        expect.objectContaining({
          message: `cannot open ${path}: EACCES`,
          code: 'EACCES',
          operation: 'open',
          device: path,
        }),
      );
      expect(() => new addon.XenbusDevice('/nowhere/xenbus')).toThrow('cannot open /nowhere/xenbus: ENOENT');
      expect(() => new addon.GrantMapDevice(7 as unknown as string)).toThrow(TypeError);
    });

    test('that are closed do nothing, and may be closed again', () => {
      const addon = load();
      const evtchn = new addon.EventChannelDevice(`${devicesOf(1)}/evtchn`);
      const alloc = new addon.GrantAllocDevice(`${devicesOf(1)}/gntalloc`);
      const map = new addon.GrantMapDevice(`${devicesOf(1)}/gntdev`);
      for (const device of [evtchn, alloc, map, evtchn, alloc, map]) device.close();
      const attempts = [
        () => evtchn.read(new Uint8Array(4)),
        () => evtchn.write(new Uint8Array(4)),
        () => evtchn.start(() => {}),
        () => evtchn.bindUnbound(0),
        () => evtchn.bindInterdomain(0, 1),
        () => evtchn.notify(1),
        () => evtchn.unbind(1),
        () => evtchn.reset(),
        () => alloc.grant(0, 1, true),
        () => map.map(0, [8], true),
      ];
      for (const attempt of attempts) {
        expect(attempt, String(attempt)).toThrow(expect.objectContaining({ code: 'EBADF' }));
      }
    });

    test('check what they are given', () => {
      const addon = load();
      const evtchn = new addon.EventChannelDevice(`${devicesOf(1)}/evtchn`);
      const alloc = new addon.GrantAllocDevice(`${devicesOf(1)}/gntalloc`);
      const map = new addon.GrantMapDevice(`${devicesOf(1)}/gntdev`);
      const attempts = [
        () => evtchn.bindUnbound(65_536),
        () => evtchn.notify(-1),
        () => evtchn.start(5 as unknown as () => void),
        () => evtchn.read('text' as unknown as Uint8Array),
        () => evtchn.write('text' as unknown as Uint8Array),
        () => alloc.grant(0, 0, true),
        () => alloc.grant(0, 2 ** 32 - 1, true),
        () => alloc.grant(0, 1, 1 as unknown as boolean),
        () => map.map(0, [], true),
        () => map.map(0, [1.5], true),
        () => map.map(0, [8, '9'] as unknown as number[], true),
        () => map.map(0, new Array(2 ** 20).fill(8), true),
        () => map.map(0, [8, 9, 10, 2 ** 32 - 1], true),
      ];
      for (const attempt of attempts) expect(attempt, String(attempt)).toThrow();
      for (const device of [evtchn, alloc, map]) device.close();
    });

    test('may be closed, and started anew, by the handler that they call', async () => {
      const addon = load();
      const [a, b] = [1, 2].map((domid) => new addon.EventChannelDevice(`${devicesOf(domid)}/evtchn`)) as [
        EventChannelDevice,
        EventChannelDevice,
      ];
      const portA = a.bindUnbound(2);
      const portB = b.bindInterdomain(1, portA);
      const first = new Uint32Array(2);
      const bytes = await new Promise((resolve) => {
        a.start(() => {
          a.start(() => {
            resolve(a.read(new Uint8Array(first.buffer)));
            a.close();
          });
        });
        b.notify(portB);
      });
      expect(bytes).toBe(4);
      expect([...first]).toEqual([portA, 0]);
      b.close();
    });

    test('leave nothing behind a grant or a mapping that fails half-way', () => {
      const addon = load();
      const alloc = new addon.GrantAllocDevice(`${devicesOf(1)}/gntalloc`);
      const map = new addon.GrantMapDevice(`${devicesOf(2)}/gntdev`);
      for (const [operation, message] of [
        ['ioctl:ALLOC_GREF', 'cannot grant pages of'],
        ['mmap:gntalloc', 'cannot map pages of'],
      ] as const) {
        failNext(operation, 'ENOMEM');
        expect(() => alloc.grant(2, 2, true)).toThrow(message);
        expect(held()).toEqual({ ...NOTHING, devices: 2 });
      }
      const { grefs, memory } = alloc.grant(2, 2, true);
      for (const operation of ['ioctl:MAP_GRANT_REF', 'mmap:gntdev']) {
        failNext(operation, 'ENOMEM');
        expect(() => map.map(1, grefs, true)).toThrow('ENOMEM');
        expect(held()).toEqual({ ...NOTHING, devices: 2, pages: 2, local: 2 });
      }
      memory.release();
      alloc.close();
      map.close();
    });

    test('that are closed keep what is mapped through them', () => {
      const addon = load();
      const alloc = new addon.GrantAllocDevice(`${devicesOf(1)}/gntalloc`);
      const map = new addon.GrantMapDevice(`${devicesOf(2)}/gntdev`);
      const { grefs, memory } = alloc.grant(2, 1, true);
      const mapping = map.map(1, grefs, true);
      alloc.close();
      map.close();
      memory.store32(0, 5);
      expect(mapping.load32(0)).toBe(5);
      mapping.release();
      memory.release();
    });
  });

  describe('event channels of a domain', () => {
    const open = (domid = 1) => new (load().EventChannelDevice)(`${devicesOf(domid)}/evtchn`);
    const errno = (code: string) => expect.objectContaining({ code });

    /** Two ports; with `gap` above a number that is free. */
    function bindTwo(gap: boolean): { device: EventChannelDevice; ports: number[] } {
      const [below, device] = [open(), open()];
      if (gap) below.bindUnbound(2);
      const ports = [device.bindUnbound(2), device.bindUnbound(2)];
      below.close();
      return { device, ports };
    }

    describe.each([
      ['with the lowest numbers', false],
      ['above a free number', true],
    ])('%s', (_, gap) => {
      test('that lives on are left as they are', () => {
        const { device, ports } = bindTwo(gap);
        const all = held();
        for (let round = 0; round < 300; round++) expect(device.forgetIfRestored()).toBe(false);
        expect(held()).toEqual(all);
        for (const port of ports) device.notify(port);
        for (const port of ports) device.unbind(port);
        expect(device.forgetIfRestored()).toBe(false);
        expect(() => device.unbind(ports[0] ?? 0)).toThrow(errno('ENOTCONN'));
        device.close();
        expect(device.forgetIfRestored()).toBe(false);
      });

      test('that has been restored are forgotten, and none is bound beside them', () => {
        const { device, ports } = bindTwo(gap);
        restore(1);
        for (const port of ports) device.notify(port);
        for (let round = 0; round < 3; round++) {
          expect(() => device.bindUnbound(2)).toThrow(errno('EEXIST'));
          expect(() => device.bindInterdomain(2, 1)).toThrow(errno('EEXIST'));
          expect(device.forgetIfRestored()).toBe(true);
        }
        for (const port of [...ports, ...ports]) {
          device.notify(port);
          device.unbind(port);
        }
        expect(held()).toEqual({ ...NOTHING, devices: 1 });
        device.close();
        device.close();
        expect(device.forgetIfRestored()).toBe(true);
        const next = open();
        expect([next.bindUnbound(2), next.bindUnbound(2)]).toEqual([1, 2]);
        expect(next.forgetIfRestored()).toBe(false);
        next.close();
      });

      test('may be given back without asking', () => {
        const unbound = bindTwo(gap);
        restore(1);
        for (const port of unbound.ports) unbound.device.unbind(port);
        unbound.device.close();
        const closed = bindTwo(gap);
        restore(1);
        closed.device.close();
      });

      test('that cannot be looked at are not touched', () => {
        const { device, ports } = bindTwo(gap);
        restore(1);
        const fail = () => failNext('ioctl:BIND_UNBOUND_PORT', 'ENOSPC');
        for (const attempt of [
          () => device.forgetIfRestored(),
          () => device.unbind(ports[0] ?? 0),
          () => device.bindInterdomain(2, 1),
        ]) {
          fail();
          expect(attempt).toThrow(errno('ENOSPC'));
        }
        expect(device.forgetIfRestored()).toBe(true);
        device.close();
      });
    });

    test('are told apart from those of another one, in one process', () => {
      const [one, two] = [open(1), open(2)];
      const port = one.bindUnbound(2);
      const peer = two.bindInterdomain(1, port);
      restore(1);
      expect(two.forgetIfRestored()).toBe(false);
      two.notify(peer);
      expect(one.forgetIfRestored()).toBe(true);
      for (const device of [one, two]) device.close();
    });

    test('of several devices are forgotten one by one', () => {
      const devices = [bindTwo(false), bindTwo(false), bindTwo(false)].map(({ device }) => device);
      restore(1);
      for (const device of devices.reverse()) expect(device.forgetIfRestored()).toBe(true);
      expect(held()).toEqual({ ...NOTHING, devices: 3 });
      for (const device of devices) device.close();
    });

    test('are found where others have taken some of their numbers since', () => {
      const [one, between] = [open(), open()];
      one.bindUnbound(2);
      between.bindUnbound(2);
      one.bindUnbound(2);
      restore(1);
      between.close();
      const other = open();
      expect(other.bindUnbound(2)).toBe(1);
      expect(one.forgetIfRestored()).toBe(true);
      for (const device of [one, other]) device.close();
    });

    test('are not looked for where there is none', () => {
      const device = open();
      device.unbind(device.bindUnbound(2));
      failNext('ioctl:BIND_UNBOUND_PORT', 'ENOSPC');
      expect(device.forgetIfRestored()).toBe(false);
      expect(() => device.bindUnbound(2)).toThrow(errno('ENOSPC'));
      device.close();
    });

    test('are forgotten when binding one meets with the restore itself', () => {
      const { device, ports } = bindTwo(false);
      failNext('ioctl:BIND_INTERDOMAIN', 'EEXIST');
      expect(() => device.bindInterdomain(2, 1)).toThrow(errno('EEXIST'));
      expect(device.forgetIfRestored()).toBe(true);
      for (const port of ports) device.unbind(port);
      device.close();
    });

    test('need a file for the gaps', () => {
      const { device } = bindTwo(true);
      failNext('open:evtchn', 'EMFILE');
      expect(() => device.forgetIfRestored()).toThrow(
        expect.objectContaining({
          message: 'cannot look for a restore with /xen-stand-in/1/evtchn: EMFILE',
          operation: 'look for a restore with',
        }),
      );
      expect(device.forgetIfRestored()).toBe(false);
      device.close();
    });

    describe('that has been restored', () => {
      function run(mode: string) {
        const path = fileURLToPath(new URL('./restored.js', import.meta.url));
        const { status, signal, stdout, stderr } = spawnSync(process.execPath, [path, ADDON, mode], {
          encoding: 'utf8',
          timeout: 20_000,
        });
        return { status, signal, stdout, bug: /kernel BUG: .*/.exec(stderr)?.[0] };
      }

      test.each(['end', 'exit', 'close', 'unbind', 'terminate', 'main-exit'])(
        "are harmless in a process that ends with '%s'",
        (mode) => {
          expect(run(mode)).toEqual({ status: 0, signal: null, stdout: 'done\n', bug: undefined });
        },
      );

      test('are harmless in a process that ends with an exception', () => {
        expect(run('throw')).toEqual({ status: 1, signal: null, stdout: 'done\n', bug: undefined });
      });

      test('stay open to the end where nothing can be found out', () => {
        const bug = 'kernel BUG: process exit of port 2 after a restore';
        expect(run('blind')).toMatchObject({ signal: 'SIGABRT', stdout: 'done\n', bug });
      });

      test('stay open to the end where the kernel does not forget them', () => {
        const stdout = 'done\nlook for a restore with EEXIST\nunbind a port of EEXIST\n';
        const bug = 'kernel BUG: process exit of port 2 after a restore';
        expect(run('tidy')).toMatchObject({ signal: 'SIGABRT', stdout, bug });
      });
    });
  });

  describe('an environment that ends', () => {
    const openFiles = () => readdirSync('/proc/self/fd').length;
    const mapsOfRam = () =>
      readFileSync('/proc/self/maps', 'utf8')
        .split('\n')
        .filter((line) => line.includes('memfd:ram')).length;

    const launch = (mode: string) =>
      new Worker(new URL('./worker-thread.js', import.meta.url), { workerData: { addon: ADDON, mode } });

    async function start(mode: string): Promise<Worker> {
      const worker = launch(mode);
      await once(worker, 'message');
      return worker;
    }

    test.each(['idle', 'busy', 'spin'])('a worker terminated while it is %s leaves nothing', async (mode) => {
      const store = await StoreSocket.open(async () => {});
      await (await start(mode)).terminate();
      const files = openFiles();
      for (let round = 0; round < 10; round++) {
        const worker = await start(mode);
        await wait(round);
        expect(held()['devices']).toBe(5);
        await worker.terminate();
        expect(held()).toEqual(NOTHING);
        expect(mapsOfRam()).toBe(0);
      }
      await store.close();
      expect(openFiles()).toBeLessThanOrEqual(files);
    });

    test('a worker that ends by itself leaves nothing', async () => {
      const worker = await start('exit');
      await once(worker, 'exit');
      expect(held()).toEqual(NOTHING);
    });

    test("a handler's exception ends its worker as any other does, and leaves nothing", async () => {
      const worker = launch('throw');
      const [error] = await once(worker, 'error');
      expect(error).toMatchObject({ message: 'a handler that throws' });
      await worker.terminate();
      expect(held()).toEqual(NOTHING);
    });

    test('workers side by side do not disturb each other', async () => {
      const workers = await Promise.all(['busy', 'busy', 'idle'].map(start));
      expect(held()['devices']).toBe(12);
      await Promise.all(workers.map((worker) => worker.terminate()));
      expect(held()).toEqual(NOTHING);
    });

    test('a process that only waits for its devices ends', () => {
      const path = fileURLToPath(new URL('./waiting.js', import.meta.url));
      const { status, stdout } = spawnSync(process.execPath, [path, ADDON], {
        encoding: 'utf8',
        timeout: 10_000,
      });
      expect({ status, stdout }).toEqual({ status: 0, stdout: 'open\n' });
    });
  });

  test('gives a pipe the room asked for, and says how much that is', () => {
    const path = fileURLToPath(new URL('./pipe.js', import.meta.url));
    const { stdout } = spawnSync('sh', ['-c', '"$0" "$1" "$2" | cat', process.execPath, path, ADDON], {
      encoding: 'utf8',
    });
    expect(stdout).toBe('4096 16384 EBADF\n');
  });
});
