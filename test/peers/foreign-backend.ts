import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import type { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import type { EventPort, Pages } from '../../src/xen/hypervisor.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { ForeignStream, type Manners } from './foreign-stream.ts';

/** Whether a backend that finds its state left at 4 reads ours before it closes that connection, or afterwards. */
export type RestartOrder = 'reads our state first' | 'closes first';

export interface ForeignBackendOptions {
  readonly frontendDomid: number;
  readonly manners: Manners;
  /** By default 'reads our state first'. */
  readonly order?: RestartOrder;
  /** Gives what stream `key`, '<devid>/<pcm>/<stream>', captures next. */
  fill?(key: string, bytes: Buffer): void;
  /** A take of stream `key` begins; what it has played appears in `heard`. */
  opened?(key: string, heard: Buffer[]): void;
}

/**
 * A backend that nobody here wrote, made of nothing but the wire: a process that serves all cards of a guest, each with one
 * watch thread, as real ones have been seen to. What kills those kills it, and `died` says so.
 */
export class ForeignBackend {
  readonly process: EmulatedDomain;
  readonly options: ForeignBackendOptions;
  /** Why the whole process has crashed. */
  died: string | undefined;
  /** What it has outlived, and should not have been told. */
  readonly breaches: string[] = [];
  hasEnded = false;
  readonly #cards: ForeignCard[] = [];

  static async start(machine: EmulatedMachine, options: ForeignBackendOptions): Promise<ForeignBackend> {
    const backend = new ForeignBackend(machine.startProcess(0), options);
    const xenstore = await XenStoreClient.open(backend.process);
    const home = `/local/domain/0/backend/vsnd/${options.frontendDomid}`;
    for (const devid of await xenstore.directory(home)) {
      const card = new ForeignCard(backend, xenstore, devid);
      backend.#cards.push(card);
      await card.start();
    }
    return backend;
  }

  private constructor(process: EmulatedDomain, options: ForeignBackendOptions) {
    this.process = process;
    this.options = options;
  }

  /** Why a watch thread has ended: its card is never served again. */
  get endedThreads(): string[] {
    return this.#cards.map(({ ended }) => ended).filter((why) => why !== undefined);
  }

  /** Whether a host device is open. */
  get isInUse(): boolean {
    return this.#cards.some(({ streams }) => streams.some(({ isOpen }) => isOpen));
  }

  crash(why: string): void {
    if (this.hasEnded) return;
    this.died = why;
    this.kill();
  }

  /** SIGKILL. */
  kill(): void {
    this.hasEnded = true;
    for (const { streams } of this.#cards) for (const stream of streams) stream.abandon();
    this.process.exit();
  }
}

class ForeignCard {
  streams: ForeignStream[] = [];
  ended: string | undefined;
  readonly #backend: ForeignBackend;
  readonly #xenstore: XenStoreClient;
  readonly #devid: string;
  readonly #path: string;
  readonly #frontend: string;
  #state = 1;
  #thread: Promise<void> = Promise.resolve();

  constructor(backend: ForeignBackend, xenstore: XenStoreClient, devid: string) {
    const domid = backend.options.frontendDomid;
    this.#backend = backend;
    this.#xenstore = xenstore;
    this.#devid = devid;
    this.#path = `/local/domain/0/backend/vsnd/${domid}/${devid}`;
    this.#frontend = `/local/domain/${domid}/device/vsnd/${devid}`;
  }

  async start(): Promise<void> {
    const left = await this.#xenstore.readIfPresent(`${this.#path}/state`);
    const first = await this.#readFrontend();
    if (left !== '1') for (const state of [5, 6, 1]) await this.#write(state);
    if (this.#backend.options.order === 'closes first') await this.#awaitReaction();
    else this.#do(() => this.#handle(first));
    await this.#xenstore.watch(`${this.#frontend}/state`, () =>
      this.#do(async () => this.#handle(await this.#readFrontend())),
    );
  }

  /** Until the frontend has answered what it saw of us. */
  async #awaitReaction(): Promise<void> {
    for (let looks = 0; looks < 100 && (await this.#readFrontend()) === '4'; looks++);
  }

  /** On the watch thread, behind what it does now. */
  #do(work: () => Promise<void>): void {
    this.#thread = this.#thread.then(async () => {
      if (this.ended !== undefined || this.#backend.hasEnded) return;
      try {
        await work();
      } catch (error) {
        if (this.#backend.hasEnded) return;
        this.ended = (error as Error).message;
        await this.#write(6);
      }
    });
  }

  async #readFrontend(): Promise<string | undefined> {
    return await this.#xenstore.readIfPresent(`${this.#frontend}/state`);
  }

  async #handle(value: string | undefined): Promise<void> {
    if (value === undefined) return;
    if (!/^\d+$/.test(value)) throw new Error(`the frontend's state is "${value}"`);
    const state = Number(value);
    const isConnected = this.#state === 3 || this.#state === 4;
    if ((state === 1 || state === 5 || state === 6) && isConnected) {
      await this.#write(5);
      await this.#tearDown();
      await this.#write(6);
      await this.#write(2);
    } else if (state === 1 && this.#state !== 2) {
      await this.#write(2);
    } else if ((state === 3 || state === 4) && (this.#state === 1 || this.#state === 2)) {
      await this.#connect();
      await this.#write(4);
    }
  }

  /** Every contiguous stream of the card, used or not; one missing node, port or page ends it all. */
  async #connect(): Promise<void> {
    const { process, options } = this.#backend;
    const domid = options.frontendDomid;
    for (let pcm = 0; await this.#has(`${pcm}/0/type`); pcm++) {
      for (let index = 0; await this.#has(`${pcm}/${index}/type`); index++) {
        const read = async (name: string) => {
          const value = await this.#xenstore.read(`${this.#frontend}/${pcm}/${index}/${name}`);
          if (!/^\d+$/.test(value)) throw new Error(`${name} is "${value}"`);
          return Number(value);
        };
        const bind = async (name: string): Promise<EventPort> =>
          await process.eventChannels.bindInterdomain(domid, await read(name));
        const map = async (name: string): Promise<Pages> =>
          await process.mapper.map(domid, [await read(name)]);
        await this.#xenstore.read(`${this.#frontend}/${pcm}/${index}/unique-id`);
        const type =
          (await this.#xenstore.read(`${this.#frontend}/${pcm}/${index}/type`)) === 'c' ? 'c' : 'p';
        const key = `${this.#devid}/${pcm}/${index}`;
        const wire = {
          type,
          domid,
          ringPort: await bind('event-channel'),
          eventPort: await bind('evt-event-channel'),
          ringPage: await map('ring-ref'),
          eventPage: await map('evt-ring-ref'),
        } as const;
        const stream = new ForeignStream(wire, {
          hypervisor: process,
          manners: options.manners,
          fill: (bytes) => options.fill?.(key, bytes),
          opened: (heard) => options.opened?.(key, heard),
          crash: (why) => this.#backend.crash(why),
          breach: (what) => this.#backend.breaches.push(what),
        });
        this.streams.push(stream);
        void stream.serve(); // a port that was just bound is pending
      }
    }
  }

  async #tearDown(): Promise<void> {
    for (const stream of this.streams.splice(0)) await stream.tearDown();
  }

  async #has(node: string): Promise<boolean> {
    return (await this.#xenstore.readIfPresent(`${this.#frontend}/${node}`)) !== undefined;
  }

  async #write(state: number): Promise<void> {
    this.#state = state;
    await this.#xenstore.write(`${this.#path}/state`, String(state));
  }
}
