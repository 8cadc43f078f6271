import { EVENT_SIZE, EventConsumer } from '../../src/wire/event-page.ts';
import { FrontRing, RING_ENTRY_SIZE } from '../../src/wire/ring.ts';
import {
  type CurPosEvent,
  decodeEvent,
  decodeResponse,
  directoryPageCount,
  encodeDirectory,
  encodeRequest,
  type OpenRequest,
  type SndifRequest,
  type SndifResponse,
  type SndifTriggerName,
} from '../../src/wire/sndif.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import { type EventPort, type GrantedPages, PAGE_SIZE } from '../../src/xen/hypervisor.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';

/** What a stream's node says of its channel, as text: a test may change any of it before it is published. */
export interface Transport {
  'ring-ref': string;
  'event-channel': string;
  'evt-ring-ref': string;
  'evt-event-channel': string;
}

/** A frontend that can say anything: it does what a test tells it, and knows no rules. */
export class RawFrontend {
  readonly domain: EmulatedDomain;
  readonly xenstore: XenStoreClient;
  /** The frontend's node of the card. */
  readonly path: string;
  readonly backendPath: string;
  readonly #releases: (() => Promise<void>)[] = [];

  static async create(domain: EmulatedDomain, devid = 0): Promise<RawFrontend> {
    return new RawFrontend(domain, await XenStoreClient.open(domain), devid);
  }

  private constructor(domain: EmulatedDomain, xenstore: XenStoreClient, devid: number) {
    this.domain = domain;
    this.xenstore = xenstore;
    this.path = `/local/domain/${domain.domid}/device/vsnd/${devid}`;
    this.backendPath = `/local/domain/0/backend/vsnd/${domain.domid}/${devid}`;
    this.#releases.push(() => xenstore.close());
  }

  /** The backend's state, as it is in XenStore; undefined where there is none. */
  async backendState(): Promise<string | undefined> {
    await this.settle();
    return await this.xenstore.readIfPresent(`${this.backendPath}/state`);
  }

  /** Writes our own state, and lets everybody have his say. */
  async setState(state: string): Promise<void> {
    await this.writeState(state);
    await this.settle();
  }

  /** As {@link setState}, without waiting for what follows from it. */
  async writeState(state: string): Promise<void> {
    await this.xenstore.write(`${this.path}/state`, state);
  }

  /** The nodes of one stream's channel; a value of undefined is left out, or removed. */
  async publish(stream: string, transport: Partial<Transport>): Promise<void> {
    await this.xenstore.transaction(async (transaction) => {
      for (const name of ['ring-ref', 'event-channel', 'evt-ring-ref', 'evt-event-channel'] as const) {
        const path = `${this.path}/${stream}/${name}`;
        const value = transport[name];
        if (value !== undefined) await transaction.write(path, value);
        else if ((await transaction.readIfPresent(path)) !== undefined) await transaction.remove(path);
      }
    });
  }

  /** Goes through the whole handshake with these streams; whether it worked, `backendState()` says. */
  async connect(streams: readonly string[] = ['0/0']): Promise<RawChannel[]> {
    await this.setState('1');
    const channels: RawChannel[] = [];
    for (const stream of streams) {
      const channel = await this.createChannel();
      await this.publish(stream, channel.transport);
      channels.push(channel);
    }
    await this.setState('3');
    return channels;
  }

  /** As {@link connect}, for the card's only stream. */
  async connectOne(): Promise<RawChannel> {
    const [channel] = await this.connect();
    if (channel === undefined) throw new Error('no channel');
    await this.setState('4');
    return channel;
  }

  /** Ring, event page and two ports for the backend. */
  async createChannel(): Promise<RawChannel> {
    const ringPage = await this.grant(1);
    const eventPage = await this.grant(1);
    const ringPort = await this.bindUnbound();
    const eventPort = await this.bindUnbound();
    return new RawChannel(this, ringPage, eventPage, ringPort, eventPort);
  }

  /** A shared buffer with its directory. */
  async createBuffer(data: number): Promise<RawBuffer> {
    const pages = await this.grant(Math.ceil(data / PAGE_SIZE));
    const directory = await this.grant(directoryPageCount(pages.grefs.length));
    for (const [index, bytes] of encodeDirectory(pages.grefs, directory.grefs).entries()) {
      directory.copyIn(index * PAGE_SIZE, bytes);
    }
    return new RawBuffer(pages, directory);
  }

  async grant(
    pageCount: number,
    { domid = 0, access = 'read-write' }: { domid?: number; access?: 'read-write' | 'read-only' } = {},
  ): Promise<GrantedPages> {
    const pages = await this.domain.grants.grant(domid, pageCount, access);
    this.#releases.push(() => pages.release());
    return pages;
  }

  async bindUnbound(domid = 0): Promise<EventPort> {
    const port = await this.domain.eventChannels.bindUnbound(domid);
    this.#releases.push(() => port.unbind());
    return port;
  }

  async settle(): Promise<void> {
    await this.domain.xen.settle();
  }

  /** Lets go of everything, without a word to the backend. Idempotent. */
  async release(): Promise<void> {
    for (const release of this.#releases.splice(0).reverse()) await release();
  }
}

/** The frontend's end of one stream. */
export class RawChannel {
  readonly frontend: RawFrontend;
  readonly ring: FrontRing;
  readonly ringPage: GrantedPages;
  readonly eventPage: GrantedPages;
  readonly ringPort: EventPort;
  readonly eventPort: EventPort;
  readonly transport: Transport;
  /** How often the backend has notified us of responses, and of events. */
  readonly notified = { ring: 0, events: 0 };
  readonly #events: EventConsumer;
  #nextId = 0;

  constructor(
    frontend: RawFrontend,
    ringPage: GrantedPages,
    eventPage: GrantedPages,
    ringPort: EventPort,
    eventPort: EventPort,
  ) {
    this.frontend = frontend;
    this.ringPage = ringPage;
    this.eventPage = eventPage;
    this.ringPort = ringPort;
    this.eventPort = eventPort;
    this.ring = new FrontRing(ringPage);
    this.#events = new EventConsumer(eventPage);
    this.transport = {
      'ring-ref': String(ringPage.grefs[0]),
      'event-channel': String(ringPort.port),
      'evt-ring-ref': String(eventPage.grefs[0]),
      'evt-event-channel': String(eventPort.port),
    };
    ringPort.onNotify(() => {
      this.notified.ring += 1;
    });
    eventPort.onNotify(() => {
      this.notified.events += 1;
    });
  }

  /** Publishes requests, with ids counted from 0, and does not wait. Says whether it had to notify. */
  send(...requests: SndifRequest[]): boolean {
    return this.sendBytes(...requests.map((request) => encodeRequest(this.#nextId++ & 0xffff, request)));
  }

  /** Publishes entries of any 64 bytes. */
  sendBytes(...entries: Uint8Array[]): boolean {
    for (const entry of entries) this.ring.put(entry);
    const wanted = this.ring.publish();
    if (wanted) this.ringPort.notify();
    return wanted;
  }

  /** The responses that have come since the last time. */
  takeResponses(): SndifResponse[] {
    const entry = new Uint8Array(RING_ENTRY_SIZE);
    const responses: SndifResponse[] = [];
    do {
      while (this.ring.take(entry)) responses.push(decodeResponse(entry));
    } while (this.ring.rearm());
    return responses;
  }

  /** The one answer to one request; throws where there is none without the clock being moved. */
  async ask(request: SndifRequest): Promise<SndifResponse> {
    this.send(request);
    return await this.takeOne();
  }

  async askBytes(entry: Uint8Array): Promise<SndifResponse> {
    this.sendBytes(entry);
    return await this.takeOne();
  }

  /** The status of the one answer. */
  async status(request: SndifRequest): Promise<number> {
    return (await this.ask(request)).status;
  }

  write(offset: number, length: number): Promise<number> {
    return this.status({ op: 'write', offset, length });
  }

  read(offset: number, length: number): Promise<number> {
    return this.status({ op: 'read', offset, length });
  }

  trigger(trigger: SndifTriggerName): Promise<number> {
    return this.status({ op: 'trigger', trigger });
  }

  close(): Promise<number> {
    return this.status({ op: 'close' });
  }

  /** OPEN of 48 kHz, stereo, s16_le: frames of 4 bytes, a buffer of 8192, a period of 1024 (256 frames). */
  open(buffer: RawBuffer, changes: Partial<OpenRequest> = {}): Promise<number> {
    return this.status(openRequest(buffer, changes));
  }

  /** The events that have come since the last time. */
  takeEvents(): CurPosEvent[] {
    const entry = new Uint8Array(EVENT_SIZE);
    const events: CurPosEvent[] = [];
    while (this.#events.take(entry) === 'event') events.push(decodeEvent(entry));
    return events;
  }

  /** Only the positions of {@link takeEvents}. */
  takePositions(): number[] {
    return this.takeEvents().map(({ position }) => Number(position));
  }

  async takeOne(): Promise<SndifResponse> {
    await this.frontend.settle();
    const [response, ...more] = this.takeResponses();
    if (response === undefined || more.length > 0) throw new Error(`${more.length} more answers than one`);
    return response;
  }
}

/** The shared buffer of an OPEN. */
export class RawBuffer {
  readonly pages: GrantedPages;
  readonly directory: GrantedPages;

  constructor(pages: GrantedPages, directory: GrantedPages) {
    this.pages = pages;
    this.directory = directory;
  }

  get directoryGref(): number {
    return this.directory.grefs[0] ?? 0;
  }

  put(offset: number, bytes: Uint8Array): void {
    this.pages.copyIn(offset, bytes);
  }

  /** What stands in a range at this moment. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.pages.copyOut(offset, bytes);
    return bytes;
  }
}

export const BUFFER_BYTES = 8192;
/** 256 frames */
export const PERIOD_BYTES = 1024;
export const S16_LE = 2;

export function openRequest(buffer: RawBuffer, changes: Partial<OpenRequest> = {}): OpenRequest {
  return {
    op: 'open',
    rate: 48_000,
    format: S16_LE,
    channels: 2,
    bufferBytes: BUFFER_BYTES,
    directoryGref: buffer.directoryGref,
    periodBytes: PERIOD_BYTES,
    ...changes,
  };
}
