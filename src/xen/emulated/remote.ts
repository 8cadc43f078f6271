/**
 * A domain of an emulated machine that is used from another thread: memory directly, all else by messages.
 */

import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import { VsndError, type VsndErrorCode, type VsndErrorDetails } from '../../errors.ts';
import type {
  DeviceClaim,
  EventChannels,
  EventPort,
  GrantAccess,
  GrantAllocator,
  GrantedPages,
  GrantMapper,
  Hypervisor,
  Pages,
  XenStoreTransport,
} from '../hypervisor.ts';
import type { EmulatedDomain } from './domain.ts';
import type { EmulatedPort } from './event-channels.ts';
import { Lease } from './lease.ts';
import type { Activity } from './machine.ts';
import { EmulatedGrantedPages, EmulatedPages, type PageFrame } from './pages.ts';
import { checkDeviceWrite } from './store-transport.ts';

type Call =
  | { call: 'describe' }
  | { call: 'grant'; domid: number; pageCount: number; access: GrantAccess }
  | { call: 'map'; domid: number; grefs: readonly number[]; access: GrantAccess }
  | { call: 'bindUnbound'; domid: number }
  | { call: 'bindInterdomain'; domid: number; port: number }
  | { call: 'forgetIfRestored' }
  | { call: 'openXenStore' }
  | { call: 'claim'; device: string }
  | { call: 'release'; handle: number }
  | { call: 'close' };

/** What a call results in; the fields that mean nothing for it are empty. */
interface Result {
  handle: number;
  port: number;
  grefs: readonly number[];
  frames: readonly PageFrame[];
  description: string;
  /** Handles of ports. */
  forgotten: readonly number[];
}

interface ErrorImage extends VsndErrorDetails {
  code: VsndErrorCode;
  message: string;
}

type ToMachine =
  | { kind: 'call'; id: number; call: Call }
  | { kind: 'notify'; handle: number }
  | { kind: 'send'; handle: number; message: Uint8Array }
  /** So many messages have been handled, and a turn has passed since; the notifications among them, by port. */
  | { kind: 'handled'; count: number; ports: readonly HandledPort[] };

interface HandledPort {
  readonly handle: number;
  /** The notification led to nothing. */
  readonly isIdle: boolean;
}

type FromMachine =
  | { kind: 'result'; id: number; result: Result }
  | { kind: 'error'; id: number; error: ErrorImage }
  | { kind: 'event'; handle: number }
  | { kind: 'data'; handle: number; chunk: Uint8Array }
  | { kind: 'lost'; handle: number; error: ErrorImage };

/** What the other thread has by a handle. */
interface Held {
  release(): Promise<void>;
  notify?(): void;
  handled?(isIdle: boolean): void;
  send?(message: Uint8Array): void;
}

const NOTHING: Result = { handle: 0, port: 0, grefs: [], frames: [], description: '', forgotten: [] };

/**
 * Serves a new process of `domain` to whoever has the other end of `port`; when that closes, the process
 * exits. The machine settles only when the other thread has handled what was sent to it.
 */
export function serveDomain(domain: EmulatedDomain, port: MessagePort): void {
  new ServedProcess(domain.machine.startProcess(domain.domid), port);
}

/** A process of an emulated machine in another thread. Resolves when {@link serveDomain} answers. */
export async function connectDomain(port: MessagePort, { clock }: { clock: Clock }): Promise<Hypervisor> {
  const link = new Link(port);
  const { description } = await link.call({ call: 'describe' });
  return new RemoteDomain(link, description, clock);
}

class ServedProcess {
  readonly #process: EmulatedDomain;
  readonly #port: MessagePort;
  readonly #held = new Map<number, Held>();
  readonly #unhandled: Activity[] = [];
  #nextHandle = 1;
  #closed = false;

  constructor(process: EmulatedDomain, port: MessagePort) {
    this.#process = process;
    this.#port = port;
    port.on('message', (message: ToMachine) => this.#receive(message));
    port.on('close', () => this.#exit());
  }

  #receive(message: ToMachine): void {
    switch (message.kind) {
      case 'call':
        void this.#answer(message.id, message.call);
        break;
      case 'notify':
      case 'send':
        this.#use(message);
        break;
      case 'handled':
        for (const { handle, isIdle } of message.ports) this.#held.get(handle)?.handled?.(isIdle);
        for (const activity of this.#unhandled.splice(0, message.count)) activity.end();
    }
  }

  #use(message: ToMachine & { kind: 'notify' | 'send' }): void {
    const held = this.#held.get(message.handle);
    try {
      if (message.kind === 'notify') held?.notify?.();
      else held?.send?.(message.message);
    } catch {
      // The domain has died, and the other thread cannot know yet: nobody is there to be told.
    }
  }

  async #answer(id: number, call: Call): Promise<void> {
    const activity = this.#process.machine.activity();
    try {
      this.#send({ kind: 'result', id, result: { ...NOTHING, ...(await this.#perform(call)) } });
    } catch (error) {
      this.#send({ kind: 'error', id, error: imageOf(error) });
    }
    activity.end();
  }

  async #perform(call: Call): Promise<Partial<Result>> {
    const { grants, mapper, eventChannels, description } = this.#process;
    switch (call.call) {
      case 'describe':
        return { description };
      case 'grant': {
        const pages = await grants.grant(call.domid, call.pageCount, call.access);
        return { handle: this.#keep(pages), grefs: pages.grefs, frames: framesOf(pages) };
      }
      case 'map': {
        const pages = await mapper.map(call.domid, call.grefs, call.access);
        return { handle: this.#keep(pages), frames: framesOf(pages) };
      }
      case 'bindUnbound':
        return this.#keepPort(await eventChannels.bindUnbound(call.domid));
      case 'bindInterdomain':
        return this.#keepPort(await eventChannels.bindInterdomain(call.domid, call.port));
      case 'forgetIfRestored':
        return { forgotten: await this.#forgetIfRestored() };
      case 'openXenStore':
        return this.#keepTransport(await this.#process.openXenStore());
      case 'claim':
        return { handle: this.#keep(await this.#process.claim(call.device)) };
      case 'release': {
        const held = this.#held.get(call.handle);
        this.#held.delete(call.handle);
        await held?.release();
        return {};
      }
      case 'close':
        await this.#process.close();
        return {};
    }
  }

  /** The handles of those that have been. */
  async #forgetIfRestored(): Promise<number[]> {
    const ports = [...this.#held].filter(([, { notify }]) => notify !== undefined);
    const forgotten = await this.#process.eventChannels.forgetIfRestored();
    return forgotten ? ports.map(([handle]) => handle) : [];
  }

  #keep(held: Held): number {
    const handle = this.#nextHandle++;
    this.#held.set(handle, held);
    return handle;
  }

  #keepPort(port: EmulatedPort): Partial<Result> {
    const handle = this.#keep({
      release: () => port.unbind(),
      notify: () => port.notify(),
      handled: (isIdle) => port.handled({ isIdle }),
    });
    port.onNotifyUntilHandled(() => this.#send({ kind: 'event', handle }));
    return { handle, port: port.port };
  }

  #keepTransport(transport: XenStoreTransport): Partial<Result> {
    const handle = this.#keep({
      release: () => transport.close(),
      send: (message) => transport.send(message),
    });
    transport.onData((chunk) => this.#send({ kind: 'data', handle, chunk: new Uint8Array(chunk) }));
    transport.onClose((error) => this.#send({ kind: 'lost', handle, error: imageOf(error) }));
    return { handle };
  }

  #send(message: FromMachine): void {
    if (this.#closed) return;
    this.#unhandled.push(this.#process.machine.activity());
    this.#port.postMessage(message);
  }

  #exit(): void {
    this.#closed = true;
    this.#process.exit();
    for (const activity of this.#unhandled.splice(0)) activity.end();
  }
}

/** The other thread's end: calls and their results, and what comes without being asked for. */
class Link {
  readonly #port: MessagePort;
  readonly #calls = new Map<number, { resolve: (result: Result) => void; reject: (error: Error) => void }>();
  readonly #receivers = new Map<number, (message: FromMachine) => void>();
  readonly #leases = new Map<number, Lease>();
  #nextId = 1;
  #handled = 0;
  #handledPorts: HandledPort[] = [];
  #isReporting = false;
  #holds = 0;
  #closed = false;

  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (message: FromMachine) => this.#receive(message));
    port.on('close', () => this.#fail());
    port.unref();
  }

  get closed(): boolean {
    return this.#closed;
  }

  call(call: Call): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new VsndError('ERR_VSND_INVALID_STATE', 'the process in this domain has ended');
      const id = this.#nextId++;
      this.#calls.set(id, { resolve, reject });
      this.#port.ref();
      this.post({ kind: 'call', id, call });
    });
  }

  post(message: ToMachine): void {
    if (!this.#closed) this.#port.postMessage(message);
  }

  /** Registers who gets what is sent to `handle`. */
  receive(handle: number, receiver: (message: FromMachine) => void): void {
    this.#receivers.set(handle, receiver);
  }

  /** A notification has been handled. */
  portHandled(port: HandledPort): void {
    this.#handledPorts.push(port);
    this.#reportSoon();
  }

  lease(handle: number): Lease {
    const lease = new Lease(async () => {
      this.#leases.delete(handle);
      this.#receivers.delete(handle);
      if (!this.#closed) await this.call({ call: 'release', handle });
    });
    this.#leases.set(handle, lease);
    return lease;
  }

  /** Gives back what has this handle, if there is still something. */
  async end(handle: number): Promise<void> {
    await this.#leases.get(handle)?.end();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const closing = this.call({ call: 'close' });
    this.#closed = true;
    for (const lease of this.#leases.values()) void lease.end();
    await closing;
    this.#port.close();
  }

  ref(): void {
    this.#holds += 1;
    this.#port.ref();
  }

  unref(): void {
    this.#holds = Math.max(0, this.#holds - 1);
    this.#unrefIfIdle();
  }

  #unrefIfIdle(): void {
    if (this.#holds === 0 && this.#calls.size === 0) this.#port.unref();
  }

  #receive(message: FromMachine): void {
    this.#handled += 1;
    this.#reportSoon();
    if (message.kind !== 'result' && message.kind !== 'error') {
      this.#receivers.get(message.handle)?.(message);
      return;
    }
    const call = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    this.#unrefIfIdle();
    if (message.kind === 'result') call?.resolve(message.result);
    else call?.reject(errorOf(message.error));
  }

  /** A turn later, so that whatever the message leads to is on its way before the machine hears of it. */
  #reportSoon(): void {
    if (this.#isReporting) return;
    this.#isReporting = true;
    setImmediate(() => {
      this.#isReporting = false;
      this.post({ kind: 'handled', count: this.#handled, ports: this.#handledPorts });
      this.#handled = 0;
      this.#handledPorts = [];
    });
  }

  #fail(): void {
    this.#closed = true;
    const error = new VsndError('ERR_VSND_HYPERVISOR', 'the emulated machine is gone', { errno: 'EIO' });
    for (const { reject } of this.#calls.values()) reject(error);
    this.#calls.clear();
    for (const [handle, receive] of this.#receivers) receive({ kind: 'lost', handle, error: imageOf(error) });
  }
}

class RemoteDomain implements Hypervisor {
  readonly description: string;
  readonly clock: Clock;
  readonly grants: GrantAllocator = { grant: (...args) => this.#grant(...args) };
  readonly mapper: GrantMapper = { map: (...args) => this.#map(...args) };
  readonly eventChannels: EventChannels = {
    bindUnbound: (domid) => this.#bind({ call: 'bindUnbound', domid }),
    bindInterdomain: (domid, port) => this.#bind({ call: 'bindInterdomain', domid, port }),
    forgetIfRestored: () => this.#forgetIfRestored(),
  };
  readonly leaving = new Map<string, Promise<void>>();
  readonly #link: Link;

  constructor(link: Link, description: string, clock: Clock) {
    this.#link = link;
    this.description = description;
    this.clock = clock;
  }

  async openXenStore(): Promise<XenStoreTransport> {
    const { handle } = await this.#link.call({ call: 'openXenStore' });
    return new RemoteTransport(this.#link, handle);
  }

  async claim(device: string): Promise<DeviceClaim> {
    const { handle } = await this.#link.call({ call: 'claim', device });
    const lease = this.#link.lease(handle);
    return { release: () => lease.end() };
  }

  ref(): void {
    this.#link.ref();
  }

  unref(): void {
    this.#link.unref();
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  async #grant(domid: number, pageCount: number, access: GrantAccess = 'read-write'): Promise<GrantedPages> {
    const { handle, grefs, frames } = await this.#link.call({ call: 'grant', domid, pageCount, access });
    return new EmulatedGrantedPages(frames, grefs, this.#link.lease(handle));
  }

  async #map(domid: number, grefs: readonly number[], access: GrantAccess = 'read-write'): Promise<Pages> {
    const { handle, frames } = await this.#link.call({ call: 'map', domid, grefs, access });
    return new EmulatedPages(frames, access, this.#link.lease(handle));
  }

  async #forgetIfRestored(): Promise<boolean> {
    if (this.#link.closed) return false;
    const { forgotten } = await this.#link.call({ call: 'forgetIfRestored' });
    await Promise.all(forgotten.map((handle) => this.#link.end(handle)));
    return forgotten.length > 0;
  }

  async #bind(call: Call): Promise<EventPort> {
    const { handle, port } = await this.#link.call(call);
    return new RemotePort(this.#link, handle, port);
  }
}

class RemotePort implements EventPort {
  readonly port: number;
  readonly #link: Link;
  readonly #handle: number;
  readonly #lease: Lease;
  #handler: (() => void) | undefined;
  #pending = false;
  #isIdle = false;

  constructor(link: Link, handle: number, port: number) {
    this.port = port;
    this.#link = link;
    this.#handle = handle;
    this.#lease = link.lease(handle);
    link.receive(handle, () => this.#event());
  }

  notify(): void {
    this.#check();
    this.#link.post({ kind: 'notify', handle: this.#handle });
  }

  onNotify(handler: () => void): void {
    this.#check();
    this.#handler = handler;
    if (this.#pending) setImmediate(() => this.#event());
    this.#pending = false;
  }

  idle(): void {
    this.#isIdle = true;
  }

  unbind(): Promise<void> {
    return this.#lease.end();
  }

  #event(): void {
    if (!this.#lease.active) return;
    this.#pending = this.#handler === undefined;
    if (this.#pending) return;
    this.#isIdle = false;
    try {
      this.#handler?.();
    } finally {
      this.#link.portHandled({ handle: this.#handle, isIdle: this.#isIdle });
    }
  }

  #check(): void {
    if (this.#lease.active) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `event channel port ${this.port} has been unbound`);
  }
}

class RemoteTransport implements XenStoreTransport {
  readonly #link: Link;
  readonly #handle: number;
  readonly #lease: Lease;
  #early: FromMachine[] = [];
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #onClose: ((error: Error) => void) | undefined;

  constructor(link: Link, handle: number) {
    this.#link = link;
    this.#handle = handle;
    this.#lease = link.lease(handle);
    link.receive(handle, (message) => this.#receive(message));
  }

  send(message: Uint8Array): void {
    if (!this.#lease.active) {
      throw new VsndError('ERR_VSND_INVALID_STATE', 'the XenStore connection has been closed');
    }
    checkDeviceWrite(message.length);
    this.#link.post({ kind: 'send', handle: this.#handle, message: new Uint8Array(message) });
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    this.#onData = handler;
    this.#replay();
  }

  onClose(handler: (error: Error) => void): void {
    this.#onClose = handler;
    this.#replay();
  }

  close(): Promise<void> {
    return this.#lease.end();
  }

  #receive(message: FromMachine): void {
    if (!this.#lease.active) return;
    if (message.kind === 'data' && this.#onData !== undefined) this.#onData(message.chunk);
    else if (message.kind === 'lost' && this.#onClose !== undefined) this.#onClose(errorOf(message.error));
    else this.#early.push(message);
  }

  /** What came before there was a handler for it. */
  #replay(): void {
    const early = this.#early;
    this.#early = [];
    if (early.length === 0) return;
    setImmediate(() => {
      for (const message of early) this.#receive(message);
    });
  }
}

function framesOf(pages: Pages): PageFrame[] {
  if (!(pages instanceof EmulatedPages)) return [];
  return pages.frames.map(({ buffer, offset }) => ({ buffer, offset }));
}

function imageOf(error: unknown): ErrorImage {
  const { message } = error as Error;
  if (!(error instanceof VsndError)) return { code: 'ERR_VSND_HYPERVISOR', message };
  const { code, errno, status, path, pid } = error;
  const details = Object.entries({ errno, status, path, pid }).filter(([, value]) => value !== undefined);
  return { code, message, ...Object.fromEntries(details) };
}

function errorOf({ code, message, ...details }: ErrorImage): VsndError {
  return new VsndError(code, message, details);
}
