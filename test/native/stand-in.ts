import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { encodeXsMessage, XsMessageDecoder } from '../../src/wire/xenstore.ts';
import type { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import type { Hypervisor } from '../../src/xen/hypervisor.ts';
import { openLinuxHypervisor } from '../../src/xen/linux/hypervisor.ts';

/** The addon under test. */
export const ADDON =
  process.env['VSND_TEST_ADDON'] ??
  fileURLToPath(new URL(`../../prebuilds/${process.platform}-${process.arch}/vsnd.node`, import.meta.url));

/** Why the tests that need the devices of stand-in.c cannot run here; undefined where they can. */
export const SKIP_REASON = !existsSync(ADDON)
  ? 'the addon has not been built: npm run test:native'
  : (process.env['LD_PRELOAD'] ?? '').includes('stand-in')
    ? undefined
    : 'the devices need stand-in.c in LD_PRELOAD: npm run test:native';

/** A test's name, with the reason for which it is skipped. */
export const named = (name: string): string => (SKIP_REASON ? `${name} (skipped: ${SKIP_REASON})` : name);

const ROOT = '/xen-stand-in';

export const devicesOf = (domid: number): string => `${ROOT}/${domid}`;

export function openDomain(
  domid: number,
  { sys = '/sys', threaded = false }: { sys?: string; threaded?: boolean } = {},
): Promise<Hypervisor> {
  const claims = join(tmpdir(), `vsnd-claims-${process.pid}-${domid}`);
  writeFileSync(claims, ''); // the stand-in's xenbus is a socket, which cannot be locked
  return openLinuxHypervisor({ devices: devicesOf(domid), addon: ADDON, sys, claims, threaded });
}

/** What the stand-in's devices have given out: pages, mappings, entries of gntdev, ports, open devices. */
export function held(): Record<string, number> {
  const lines = readFileSync(`${ROOT}/state`, 'utf8').trim().split('\n');
  return Object.fromEntries(
    lines.map((line) => line.split(' ')).map(([name = '', count]) => [name, Number(count)]),
  );
}

export const NOTHING = { pages: 0, local: 0, foreign: 0, entries: 0, ports: 0, devices: 0 };

const ERRNOS = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  ENOMEM: 12,
  EACCES: 13,
  EEXIST: 17,
  EINVAL: 22,
  EMFILE: 24,
  ENOSPC: 28,
} as const;

/** Lets the next such operation fail: 'open:evtchn', 'ioctl:ALLOC_GREF', 'mmap:gntdev', 'read:xenbus', ... */
export function failNext(operation: string, errno: keyof typeof ERRNOS): void {
  readFileSync(`${ROOT}/fail/${operation}/${ERRNOS[errno]}`);
}

/** The domain's queue of notified ports overflows; what was in it is lost. */
export function overflow(domid: number): void {
  readFileSync(`${ROOT}/overflow/${domid}`);
}

/** `xl save`, `xl restore`: the domain's ports are dead, and what its kernel does with them may be a BUG. */
export function restore(domid: number): void {
  readFileSync(`${ROOT}/restore/${domid}`);
}

/** What is at the other end of the stand-in's xenbus devices, each connection being led by a domid. */
export class StoreSocket {
  readonly #server: Server;
  readonly #connections = new Set<Promise<void>>();
  readonly #sockets = new Set<Socket>();

  static async open(
    serve: (domid: number, socket: Socket, first: Buffer) => Promise<void>,
  ): Promise<StoreSocket> {
    const path = join(tmpdir(), `vsnd-store-${process.pid}-${performance.now()}.sock`);
    process.env['VSND_STAND_IN_XENSTORE'] = path;
    const store = new StoreSocket(serve);
    await new Promise<void>((resolve) => store.#server.listen(path, resolve));
    return store;
  }

  private constructor(serve: (domid: number, socket: Socket, first: Buffer) => Promise<void>) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.once('data', (chunk) => {
        const served = serve(chunk.readUInt32LE(), socket, chunk.subarray(4));
        this.#connections.add(served);
      });
    });
  }

  /** Ends every connection, as a daemon does that ends; the next one is served as before. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  async close(): Promise<void> {
    delete process.env['VSND_STAND_IN_XENSTORE'];
    const closed = new Promise((resolve) => this.#server.close(resolve));
    await Promise.all(this.#connections);
    this.drop();
    await closed;
  }
}

/** The store of an emulated machine, for the stand-in's xenbus devices. */
export function serveStore(machine: EmulatedMachine): Promise<StoreSocket> {
  return StoreSocket.open(async (domid, socket, first) => {
    const domain = machine.startProcess(domid);
    const transport = await domain.openXenStore();
    transport.onData((chunk) => socket.write(chunk));
    const decoder = new XsMessageDecoder();
    const take = (chunk: Uint8Array): void => {
      for (const message of decoder.push(chunk)) transport.send(encodeXsMessage(message));
    };
    take(first);
    try {
      for await (const chunk of socket) take(chunk);
    } catch {
      // the connection was dropped
    }
    await transport.close();
    await domain.close();
  });
}

/** Long enough for bytes to pass a socket, several times. */
export async function settleSockets(machine?: EmulatedMachine): Promise<void> {
  for (let round = 0; round < 4; round++) {
    await wait(5);
    await machine?.settle();
  }
}
