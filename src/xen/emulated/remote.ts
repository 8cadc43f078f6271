/**
 * A domain of an emulated machine that is used from another thread: memory directly, all else by messages.
 */

import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../../clock.ts';
import { VsndError } from '../../errors.ts';
import { type Holding, ReleaseStack } from '../../release-stack.ts';
import type {
  DeviceClaim,
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
import { EventReceiver } from './event-receiver.ts';
import { EmulatedGrantedPages, EmulatedPages, type PageFrame } from './pages.ts';
import { checkDeviceWrite } from './store-transport.ts';
import { type Answered, type ErrorImage, errorOf, imageOf, ThreadCalls } from './thread-calls.ts';

/** The image of what the thread has by a handle, until it releases that. */
interface HeldPages {
  handle: number;
  frames: readonly PageFrame[];
}

interface HeldPort {
  handle: number;
  port: number;
  /** In shared memory, one for each direction: 1 while a notification is on its way, which takes in all that follow. */
  underWay: Int32Array;
}

const TO_MACHINE = 0;
const TO_THREAD = 1;

/** What the thread asks of its process. A notification is a signal: the handle of its port. */
type ProcessCalls = {
  describe(): Promise<string>;
  grant(
    domid: number,
    pageCount: number,
    access?: GrantAccess,
  ): Promise<HeldPages & { grefs: readonly number[] }>;
  map(domid: number, grefs: readonly number[], access?: GrantAccess): Promise<HeldPages>;
  bindUnbound(domid: number): Promise<HeldPort>;
  bindInterdomain(domid: number, port: number): Promise<HeldPort>;
  forgetIfRestored(): Promise<boolean>;
  openXenStore(): Promise<number>;
  send(handle: number, message: Uint8Array): void;
  claim(device: string): Promise<number>;
  release(handle: number): Promise<void>;
  close(): Promise<void>;
};

/** What the machine asks of the thread. A notification is a signal here, too. */
type RemoteCalls = {
  data(handle: number, chunk: Uint8Array): void;
  lost(handle: number, error: ErrorImage): void;
  /** Answered a turn later: whatever the messages before it have led to is on its way then. */
  turn(): Promise<void>;
};

/**
 * Serves a new process of `domain` to whoever has the other end of `port`; when that closes, the process
 * exits. The machine settles only when the other thread has handled what was sent to it.
 */
export function serveDomain(domain: EmulatedDomain, port: MessagePort): void {
  new ServedProcess(domain.startProcess(), port);
}

/** A process of an emulated machine in another thread. Resolves when {@link serveDomain} answers. */
export async function connectDomain(port: MessagePort, { clock }: { clock: Clock }): Promise<Hypervisor> {
  const domain = new RemoteDomain(port, clock);
  await domain.describe();
  return domain;
}

/** What the thread has by a handle. */
interface Held {
  release(): Promise<void>;
  notify?(): void;
  send?(message: Uint8Array): void;
}

class ServedProcess {
  readonly #process: EmulatedDomain;
  readonly #remote: ThreadCalls<ProcessCalls, RemoteCalls>;
  readonly #held = new Map<number, Held>();
  #nextHandle = 1;
  #leave = () => {};

  constructor(process: EmulatedDomain, port: MessagePort) {
    this.#process = process;
    this.#remote = new ThreadCalls(port, this.#calls(), (handle) => this.#held.get(handle)?.notify?.());
    port.on('close', () => {
      this.#leave();
      process.exit();
      this.#remote.fail(new Error('the thread has ended'));
    });
  }

  #calls(): ProcessCalls {
    const { grants, mapper, eventChannels } = this.#process;
    return {
      describe: async () => this.#describe(),
      grant: async (...args) => {
        const pages = await grants.grant(...args);
        return { ...this.#keepPages(pages), grefs: pages.grefs };
      },
      map: async (...args) => this.#keepPages(await mapper.map(...args)),
      bindUnbound: async (...args) => this.#keepPort(await eventChannels.bindUnbound(...args)),
      bindInterdomain: async (...args) => this.#keepPort(await eventChannels.bindInterdomain(...args)),
      forgetIfRestored: () => eventChannels.forgetIfRestored(),
      openXenStore: async () => this.#keepTransport(await this.#process.openXenStore()),
      send: (handle, message) => this.#transmit(handle, message),
      claim: async (device) => this.#keep(await this.#process.claim(device)),
      release: (handle) => this.#release(handle),
      close: () => this.#process.close(),
    };
  }

  /** The first call: from now on there is somebody to wait for. */
  #describe(): string {
    this.#leave = this.#process.xen.settleWith(() => this.#remote.call('turn').catch(() => {}));
    return this.#process.description;
  }

  #keep(held: Held): number {
    const handle = this.#nextHandle++;
    this.#held.set(handle, held);
    return handle;
  }

  #keepPages(pages: Pages): HeldPages {
    return { handle: this.#keep(pages), frames: pages instanceof EmulatedPages ? pages.frames : [] };
  }

  #keepPort(port: EmulatedPort): HeldPort {
    const underWay = new Int32Array(new SharedArrayBuffer(8));
    const notify = () => {
      Atomics.store(underWay, TO_MACHINE, 0);
      this.#process.xen.noteMove();
      port.notifyNow();
    };
    const handle = this.#keep({ release: () => port.unbind(), notify });
    port.passOn(() => {
      if (Atomics.exchange(underWay, TO_THREAD, 1) === 1) return;
      this.#process.xen.noteMove();
      this.#remote.signal(handle);
    });
    return { handle, port: port.port, underWay };
  }

  #keepTransport(transport: XenStoreTransport): number {
    const handle = this.#keep({
      release: () => transport.close(),
      send: (message) => transport.send(message),
    });
    transport.onData((chunk) => this.#remote.tell('data', handle, new Uint8Array(chunk)));
    transport.onClose((error) => this.#remote.tell('lost', handle, imageOf(error)));
    return handle;
  }

  #transmit(handle: number, message: Uint8Array): void {
    try {
      this.#held.get(handle)?.send?.(message);
    } catch {
      // The domain has died, and the other thread cannot know yet: nobody is there to be told.
    }
  }

  async #release(handle: number): Promise<void> {
    const held = this.#held.get(handle);
    this.#held.delete(handle);
    await held?.release();
  }
}

class RemoteDomain implements Hypervisor {
  readonly clock: Clock;
  readonly grants: GrantAllocator = { grant: (...args) => this.#grant(...args) };
  readonly mapper: GrantMapper = { map: (...args) => this.#map(...args) };
  readonly eventChannels = {
    bindUnbound: async (domid: number) => this.#holdPort(await this.#ask('bindUnbound', domid)),
    bindInterdomain: async (domid: number, port: number) =>
      this.#holdPort(await this.#ask('bindInterdomain', domid, port)),
    forgetIfRestored: () => this.#forgetIfRestored(),
  };
  readonly leaving = new Map<string, Promise<void>>();
  readonly #port: MessagePort;
  readonly #process: ThreadCalls<RemoteCalls, ProcessCalls>;
  readonly #releases = new ReleaseStack();
  readonly #ports = new Map<number, RemotePort>();
  readonly #transports = new Map<number, RemoteTransport>();
  #description = '';
  #asked = 0;
  #holds = 0;
  #closed = false;

  constructor(port: MessagePort, clock: Clock) {
    this.#port = port;
    this.clock = clock;
    const calls: RemoteCalls = {
      data: (handle, chunk) => this.#transports.get(handle)?.receive(chunk),
      lost: (handle, error) => this.#transports.get(handle)?.lose(errorOf(error)),
      turn: () => new Promise((resolve) => setImmediate(resolve)),
    };
    this.#process = new ThreadCalls(port, calls, (handle) => this.#ports.get(handle)?.handle());
    port.on('close', () => this.#fail());
    port.unref();
  }

  get description(): string {
    return this.#description;
  }

  async describe(): Promise<void> {
    this.#description = await this.#ask('describe');
  }

  async openXenStore(): Promise<XenStoreTransport> {
    const handle = await this.#ask('openXenStore');
    const holding = this.#hold(handle, () => this.#transports.delete(handle));
    const transport = new RemoteTransport((message) => this.#process.tell('send', handle, message), holding);
    this.#transports.set(handle, transport);
    return transport;
  }

  async claim(device: string): Promise<DeviceClaim> {
    const holding = this.#hold(await this.#ask('claim', device));
    return { release: () => holding.end() };
  }

  ref(): void {
    this.#holds += 1;
    this.#port.ref();
  }

  unref(): void {
    this.#holds = Math.max(0, this.#holds - 1);
    this.#unrefIfIdle();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const closing = this.#ask('close');
    this.#closed = true;
    await this.#releases.releaseAll();
    await closing;
    this.#port.close();
  }

  async #grant(...args: Parameters<GrantAllocator['grant']>): Promise<GrantedPages> {
    const { handle, grefs, frames } = await this.#ask('grant', ...args);
    return new EmulatedGrantedPages(frames, grefs, this.#hold(handle));
  }

  async #map(...args: Parameters<GrantMapper['map']>): Promise<Pages> {
    const { handle, frames } = await this.#ask('map', ...args);
    const [, , access = 'read-write'] = args;
    return new EmulatedPages(frames, access, this.#hold(handle));
  }

  #holdPort({ handle, port, underWay }: HeldPort): EventPort {
    const holding = this.#hold(handle, () => {
      bound.silence();
      this.#ports.delete(handle);
    });
    const bound = new RemotePort(port, holding, this.clock, underWay, () => this.#process.signal(handle));
    this.#ports.set(handle, bound);
    return bound;
  }

  /** Those that are bound while this is under way are new. */
  async #forgetIfRestored(): Promise<boolean> {
    if (this.#closed) return false;
    const ports = [...this.#ports.values()];
    const forgotten = await this.#ask('forgetIfRestored');
    if (forgotten) await Promise.all(ports.map((port) => port.unbind()));
    return forgotten;
  }

  #hold(handle: number, end = () => {}): Holding {
    return this.#releases.push(() => {
      end();
      return this.#closed ? undefined : this.#ask('release', handle);
    });
  }

  /** The port holds the thread meanwhile. */
  async #ask<N extends Answered<ProcessCalls>>(
    name: N,
    ...args: Parameters<ProcessCalls[N]>
  ): Promise<Awaited<ReturnType<ProcessCalls[N]>>> {
    if (this.#closed) throw new VsndError('ERR_VSND_INVALID_STATE', 'the process in this domain has ended');
    this.#asked += 1;
    this.#port.ref();
    try {
      return await this.#process.call(name, ...args);
    } finally {
      this.#asked -= 1;
      this.#unrefIfIdle();
    }
  }

  #unrefIfIdle(): void {
    if (this.#holds === 0 && this.#asked === 0) this.#port.unref();
  }

  #fail(): void {
    this.#closed = true;
    const error = new VsndError('ERR_VSND_HYPERVISOR', 'the emulated machine is gone', { errno: 'EIO' });
    this.#process.fail(error);
    for (const transport of this.#transports.values()) transport.lose(error);
  }
}

class RemotePort implements EventPort {
  readonly port: number;
  readonly #holding: Holding;
  readonly #receiver: EventReceiver;
  readonly #underWay: Int32Array;
  readonly #signal: () => void;

  constructor(port: number, holding: Holding, clock: Clock, underWay: Int32Array, signal: () => void) {
    this.port = port;
    this.#holding = holding;
    this.#receiver = new EventReceiver(clock, setImmediate);
    this.#underWay = underWay;
    this.#signal = signal;
  }

  notify(): void {
    this.#check();
    if (Atomics.exchange(this.#underWay, TO_MACHINE, 1) === 0) this.#signal();
  }

  onNotify(handler: () => void): void {
    this.#check();
    this.#receiver.listen(() => {
      // First: what comes from now on has to lead to another call.
      Atomics.store(this.#underWay, TO_THREAD, 0);
      handler();
    });
  }

  idle(): void {
    this.#receiver.idle();
  }

  unbind(): Promise<void> {
    return this.#holding.end();
  }

  /** A notification has come. */
  handle(): void {
    this.#receiver.raiseNow();
  }

  /** Nothing is called any more. */
  silence(): void {
    this.#receiver.close();
  }

  #check(): void {
    if (this.#holding.active) return;
    throw new VsndError('ERR_VSND_INVALID_STATE', `event channel port ${this.port} has been unbound`);
  }
}

class RemoteTransport implements XenStoreTransport {
  readonly #send: (message: Uint8Array) => void;
  readonly #holding: Holding;
  #early: Uint8Array[] = [];
  #lost: Error | undefined;
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #onClose: ((error: Error) => void) | undefined;

  constructor(send: (message: Uint8Array) => void, holding: Holding) {
    this.#send = send;
    this.#holding = holding;
  }

  send(message: Uint8Array): void {
    if (!this.#holding.active) {
      throw new VsndError('ERR_VSND_INVALID_STATE', 'the XenStore connection has been closed');
    }
    checkDeviceWrite(message.length);
    this.#send(new Uint8Array(message));
  }

  /** What came before there was a handler comes in a turn of its own. */
  onData(handler: (chunk: Uint8Array) => void): void {
    this.#onData = handler;
    if (this.#early.length === 0) return;
    setImmediate(() => {
      for (const chunk of this.#early.splice(0)) this.receive(chunk);
    });
  }

  onClose(handler: (error: Error) => void): void {
    this.#onClose = handler;
    const lost = this.#lost;
    if (lost !== undefined) setImmediate(() => this.lose(lost));
  }

  close(): Promise<void> {
    return this.#holding.end();
  }

  receive(chunk: Uint8Array): void {
    if (!this.#holding.active) return;
    if (this.#onData === undefined || this.#early.length > 0) this.#early.push(chunk);
    else this.#onData(chunk);
  }

  lose(error: Error): void {
    this.#lost = error;
    if (this.#holding.active) this.#onClose?.(error);
  }
}
