import { deferred } from '../../src/deferred.ts';
import { EventProducer } from '../../src/wire/event-page.ts';
import { BackRing } from '../../src/wire/ring.ts';
import {
  decodeRequest,
  encodeCurPos,
  encodeResponse,
  type HwParamRanges,
  type ReceivedRequest,
  type SndifRequest,
  type SndifResponse,
} from '../../src/wire/sndif.ts';
import type { EmulatedMachine } from '../../src/xen/emulated/machine.ts';
import type { EventPort, Hypervisor, Pages } from '../../src/xen/hypervisor.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { mapBuffer } from '../peers/map-buffer.ts';

/** What a raw backend answers; undefined: nothing at all. */
export type Answer = Partial<SndifResponse> & { ranges?: HwParamRanges };

/** A backend that is nothing but the wire, for one stream: says whatever a test wants it to, right or wrong. */
export class RawBackend {
  /** Every request, in order. */
  readonly requests: ReceivedRequest[] = [];
  /** What every WRITE had in the buffer at the time, in order. */
  readonly written: Buffer[] = [];
  /** What READs are answered with, in this order; zeros when that is over. */
  toCapture = Buffer.alloc(0);
  /** Decides about each request; by default all are answered with status 0. */
  answer: (request: SndifRequest | undefined) => Answer | undefined = () => ({});
  /** What to do where its own rings make no sense to it any more, because the test has spoilt them. */
  onError: (error: unknown) => void = (error) => {
    throw error;
  };
  readonly #hypervisor: Hypervisor;
  readonly #xenstore: XenStoreClient;
  readonly #path: string;
  readonly #frontend: string;
  readonly #pages: Pages[] = [];
  readonly #ports: EventPort[] = [];
  #ring: BackRing | undefined;
  #events: EventProducer | undefined;
  #eventPage: Pages | undefined;
  #ringPort: EventPort | undefined;
  #eventPort: EventPort | undefined;
  #buffer: Pages | undefined;
  #nextEventId = 0;
  /** What the requests wait for. */
  #gate: Promise<void> = Promise.resolve();

  private constructor(hypervisor: Hypervisor, xenstore: XenStoreClient, path: string, frontend: string) {
    this.#hypervisor = hypervisor;
    this.#xenstore = xenstore;
    this.#path = path;
    this.#frontend = frontend;
  }

  /** Waits in InitWait for the frontend of domain `frontendDomid`, device 0, stream 0/0, and connects to it. */
  static async start(machine: EmulatedMachine, frontendDomid: number): Promise<RawBackend> {
    const hypervisor = machine.dom0;
    const xenstore = await XenStoreClient.open(hypervisor);
    const path = `/local/domain/0/backend/vsnd/${frontendDomid}/0`;
    const frontend = `/local/domain/${frontendDomid}/device/vsnd/0`;
    const backend = new RawBackend(hypervisor, xenstore, path, frontend);
    await backend.say(2);
    await xenstore.watch(`${frontend}/state`, async () => {
      if ((await xenstore.readIfPresent(`${frontend}/state`)) === '3') await backend.#connect(frontendDomid);
    });
    return backend;
  }

  /** The operations asked for, in order: ['hwParamQuery', 'open', 'write', 'trigger start']. */
  get operations(): string[] {
    return this.requests.map(({ request, operation }) =>
      request?.op === 'trigger' ? `trigger ${request.trigger}` : (request?.op ?? `operation ${operation}`),
    );
  }

  /** Writes the backend's own state. */
  async say(state: number | string): Promise<void> {
    await this.#xenstore.write(`${this.#path}/state`, String(state));
  }

  /** The frontend's state. */
  async frontendState(): Promise<string | undefined> {
    return await this.#xenstore.readIfPresent(`${this.#frontend}/state`);
  }

  /** Sends CUR_POS. `id`: the next one by default. */
  sendPosition(bytes: number | bigint, id = this.#nextEventId): void {
    this.putPosition(bytes, id);
    this.#eventPort?.notify();
  }

  /** As {@link sendPosition}, but the notification is still to come. */
  putPosition(bytes: number | bigint, id = this.#nextEventId): void {
    this.#nextEventId = (id + 1) & 0xffff;
    this.#events?.put(encodeCurPos({ id, position: BigInt(bytes) }));
  }

  /** An event is lost: the next one has the number behind it. */
  skipEventId(): void {
    this.#nextEventId = (this.#nextEventId + 1) & 0xffff;
  }

  /** Announces events whose entries have not landed: only the index moves. */
  announceEvents(count: number): void {
    this.#eventPage?.store32(4, (this.#eventPage.load32(4) + count) >>> 0);
    this.#eventPort?.notify();
  }

  /** Puts any bytes at any place of the event page, and notifies. */
  scribbleEvents(offset: number, bytes: Uint8Array): void {
    this.#eventPage?.copyIn(offset, bytes);
    this.#eventPort?.notify();
  }

  /** Puts any bytes at any place of the ring page, and notifies. */
  scribbleRing(offset: number, value: number): void {
    this.#pages[0]?.store32(offset, value);
    this.#ringPort?.notify();
  }

  /** Carries out no request from now on, until the function returned is called. */
  holdRequests(): () => void {
    const { promise, resolve } = deferred();
    this.#gate = promise;
    return resolve;
  }

  /** What stands in the shared buffer now. */
  readBuffer(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    this.#buffer?.copyOut(offset, bytes);
    return bytes;
  }

  /** Puts any bytes at any place of the shared buffer. */
  writeBuffer(offset: number, bytes: Uint8Array): void {
    this.#buffer?.copyIn(offset, bytes);
  }

  /** Lets go of everything. */
  async close(): Promise<void> {
    for (const port of this.#ports) await port.unbind();
    for (const page of this.#pages) await page.release();
    await this.#buffer?.release();
    await this.#xenstore.close();
  }

  async #connect(domid: number): Promise<void> {
    const stream = `${this.#frontend}/0/0`;
    const read = async (name: string) => Number(await this.#xenstore.read(`${stream}/${name}`));
    const map = async (name: string) => {
      const page = await this.#hypervisor.mapper.map(domid, [await read(name)]);
      this.#pages.push(page);
      return page;
    };
    const bind = async (name: string) => {
      const port = await this.#hypervisor.eventChannels.bindInterdomain(domid, await read(name));
      this.#ports.push(port);
      return port;
    };
    const ringPage = await map('ring-ref');
    const ring = new BackRing(ringPage);
    this.#ring = ring;
    this.#eventPage = await map('evt-ring-ref');
    this.#events = new EventProducer(this.#eventPage);
    this.#ringPort = await bind('event-channel');
    this.#eventPort = await bind('evt-event-channel');
    /** A frontend that has lost its connection sets req_prod to 0: nothing is asked any more. */
    const isOver = () => ring !== this.#ring || ringPage.load32(0) === 0;
    this.#ringPort.onNotify(() => this.#serve(ring, isOver, domid).catch((error) => this.onError(error)));
    await this.say(4);
  }

  async #serve(ring: BackRing, isOver: () => boolean, domid: number): Promise<void> {
    const entry = new Uint8Array(64);
    do {
      while (!isOver() && ring.take(entry)) {
        const received = decodeRequest(entry);
        this.requests.push(received);
        await this.#gate;
        await this.#act(received.request, domid);
        const answer = this.answer(received.request);
        if (answer === undefined) continue;
        const { id, operation } = received;
        const echo = received.request?.op === 'hwParamQuery' ? { ranges: received.request.ranges } : {};
        ring.put(encodeResponse({ id, operation, status: 0, ...echo, ...answer }));
        if (ring.publish()) this.#ringPort?.notify();
      }
    } while (!isOver() && ring.rearm());
  }

  async #act(request: SndifRequest | undefined, domid: number): Promise<void> {
    if (request?.op === 'open') {
      await this.#buffer?.release(); // of a connection that was lost
      this.#buffer = await mapBuffer(this.#hypervisor, domid, request);
    }
    if (request?.op === 'write') {
      const bytes = Buffer.alloc(request.length);
      this.#buffer?.copyOut(request.offset, bytes);
      this.written.push(bytes);
    }
    if (request?.op === 'read') {
      const bytes = Buffer.alloc(request.length);
      this.toCapture = this.toCapture.subarray(this.toCapture.copy(bytes));
      this.#buffer?.copyIn(request.offset, bytes);
    }
    if (request?.op === 'close') await this.#buffer?.release();
  }
}
