import type { Clock, Timer } from '../../src/clock.ts';
import { deferred } from '../../src/deferred.ts';
import { EVENT_RING_SIZE, EVENT_SIZE } from '../../src/wire/event-page.ts';
import { pcmFormatByCode } from '../../src/wire/pcm-format.ts';
import { BackRing, RING_ENTRY_SIZE } from '../../src/wire/ring.ts';
import {
  type BufferRequest,
  decodeRequest,
  encodeCurPos,
  encodeResponse,
  type HwParamRanges,
  type OpenRequest,
  type ReceivedRequest,
  type SndifTriggerName,
} from '../../src/wire/sndif.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import type { EventPort, Hypervisor, Pages } from '../../src/xen/hypervisor.ts';
import { HostCapture, type HostManners, HostPlayback } from './host-device.ts';
import { mapBuffer } from './map-buffer.ts';

/** What a foreign backend does its own way. */
export interface Manners extends HostManners {
  /** Statuses of what it refuses. */
  readonly refusals: {
    readonly startClosed: number;
    readonly startEmpty: number;
    readonly notRunning: number;
    readonly unknown: number;
  };
  /** What of a HW_PARAM_QUERY it says it can do. */
  refine(asked: HwParamRanges): HwParamRanges;
  /** Every so manieth event is announced a while before it lies in its slot; 0: none. */
  readonly lateEvents: number;
}

/** What a stream is bound to. */
export interface StreamWire {
  readonly type: 'p' | 'c';
  readonly domid: number;
  readonly ringPage: Pages;
  readonly eventPage: Pages;
  readonly ringPort: EventPort;
  readonly eventPort: EventPort;
}

/** What the process of a stream gives it, and is told. */
export interface StreamProcess {
  readonly hypervisor: Hypervisor;
  readonly manners: Manners;
  /** Fills in what is captured next. */
  fill(bytes: Buffer): void;
  /** A new take begins. */
  opened(heard: Buffer[]): void;
  /** The whole process ends here. */
  crash(why: string): void;
  /** What a frontend should not do, although this one outlives it. */
  breach(what: string): void;
}

/** Offsets in struct xensnd_event_page. */
const IN_CONS = 0;
const IN_PROD = 4;

/** ns that a host device waits for room before START, and for data. */
const WRITE_TIMEOUT = 390e6;
const READ_TIMEOUT = 10e9;
/** ns after which an event that was announced lies in its slot. */
const LANDING = 0.3e6;
const MS = 1e6;

/** One stream of a foreign backend: a thread for its ring, strictly in order, and a position timer. */
export class ForeignStream {
  readonly #wire: StreamWire;
  readonly #process: StreamProcess;
  readonly #clock: Clock;
  readonly #ring: BackRing;
  #device: HostPlayback | HostCapture | undefined;
  /** HW_PARAM_QUERY has opened the host device, and keeps it. */
  #isHeldByQuery = false;
  #buffer: Pages | undefined;
  #timer: Timer | undefined;
  #periodMs = 0;
  #eventId = 0;
  #isServing = false;
  #isOver = false;

  constructor(wire: StreamWire, process: StreamProcess) {
    this.#wire = wire;
    this.#process = process;
    this.#clock = process.hypervisor.clock;
    this.#ring = new BackRing(wire.ringPage);
    wire.eventPage.store32(IN_PROD, wire.eventPage.load32(IN_CONS));
    wire.ringPort.onNotify(() => void this.serve());
  }

  get isOpen(): boolean {
    return this.#device !== undefined || this.#isHeldByQuery;
  }

  /** Looks for requests. */
  async serve(): Promise<void> {
    if (this.#isServing || this.#isOver) return;
    this.#isServing = true;
    try {
      const entry = new Uint8Array(RING_ENTRY_SIZE);
      do {
        while (!this.#isOver && this.#ring.take(entry)) await this.#answer(decodeRequest(entry));
      } while (!this.#isOver && this.#ring.rearm());
    } catch (error) {
      if (!this.#isOver) this.#process.crash(`its ring makes no sense: ${(error as Error).message}`);
    } finally {
      this.#isServing = false;
    }
  }

  /** The connection ends. */
  async tearDown(): Promise<void> {
    const device = this.#device;
    const queued = device instanceof HostPlayback ? device.queued : (device?.available ?? 0);
    if (this.#timer !== undefined && queued > 0) {
      this.#process.crash('torn down with its position timer running and data queued');
      return;
    }
    if (this.#isHeldByQuery) this.#process.breach('a HW_PARAM_QUERY was left without OPEN or CLOSE');
    this.#isOver = true;
    this.#stopTimer();
    await this.#buffer?.release();
    for (const port of [this.#wire.ringPort, this.#wire.eventPort]) await port.unbind();
    for (const page of [this.#wire.ringPage, this.#wire.eventPage]) await page.release();
  }

  /** The process is no more. */
  abandon(): void {
    this.#isOver = true;
  }

  async #answer({ id, operation, request }: ReceivedRequest): Promise<void> {
    const { refusals, refine } = this.#process.manners;
    const say = (status: number, ranges?: HwParamRanges) => {
      if (this.#isOver) return;
      this.#ring.put(encodeResponse({ id, operation, status, ...(ranges && { ranges }) }));
      if (this.#ring.publish()) this.#wire.ringPort.notify();
    };
    switch (request?.op) {
      case 'open':
        return say(await this.#open(request));
      case 'close':
        return say(await this.#close());
      case 'read':
      case 'write':
        return say(await this.#transfer(request));
      case 'trigger':
        return say(this.#trigger(request.trigger));
      case 'hwParamQuery':
        if (this.#device !== undefined) this.#process.breach('HW_PARAM_QUERY while open');
        this.#isHeldByQuery = true;
        return say(0, refine(request.ranges));
      default:
        return say(refusals.unknown);
    }
  }

  async #open(request: OpenRequest): Promise<number> {
    if (this.#device !== undefined) return 0;
    const { hypervisor, manners, fill } = this.#process;
    const { sampleBytes = 0, name } = pcmFormatByCode(request.format) ?? { name: undefined };
    const frameBytes = sampleBytes * request.channels;
    if (name === undefined || frameBytes === 0) return -XenErrno.EINVAL;
    const periodMs = Math.floor((request.periodBytes / frameBytes / request.rate) * 1000);
    if (periodMs < 1) this.#process.crash(`its timer spins: a period of ${request.periodBytes} bytes`);
    try {
      this.#buffer = await mapBuffer(hypervisor, this.#wire.domid, request);
    } catch {
      return -XenErrno.EINVAL;
    }
    const params = { rate: request.rate, frameBytes, capacity: request.bufferBytes };
    if (this.#wire.type === 'p') {
      const device = new HostPlayback(this.#clock, params, manners);
      this.#process.opened(device.heard);
      this.#device = device;
    } else {
      this.#device = new HostCapture(this.#clock, params, manners, fill);
    }
    this.#isHeldByQuery = false;
    this.#periodMs = periodMs;
    return 0;
  }

  async #close(): Promise<number> {
    this.#isHeldByQuery = false;
    const device = this.#device;
    if (device instanceof HostPlayback && device.isRunning && this.#process.manners.drains) {
      while (!this.#isOver && device.queued > 0) await this.#sleep(MS);
    }
    this.#stopTimer();
    this.#device = undefined;
    await this.#buffer?.release();
    this.#buffer = undefined;
    return 0;
  }

  async #transfer({ op, offset, length }: BufferRequest): Promise<number> {
    const device = this.#device;
    const buffer = this.#buffer;
    if (device === undefined || buffer === undefined) {
      this.#process.crash(`${op.toUpperCase()} while it is not open`);
      return 0;
    }
    if (length === 0 || length % device.params.frameBytes !== 0 || offset + length > device.params.capacity) {
      this.#process.crash(`${op.toUpperCase()} of ${length} bytes at ${offset}`);
      return 0;
    }
    return device instanceof HostPlayback
      ? await this.#write(device, buffer, offset, length)
      : await this.#read(device, buffer, offset, length);
  }

  async #write(device: HostPlayback, buffer: Pages, offset: number, length: number): Promise<number> {
    const begin = this.#clock.now();
    while (device.room < length) {
      if (!device.isRunning && this.#clock.now() - begin > WRITE_TIMEOUT) return -XenErrno.EIO;
      await this.#sleep(MS);
      if (this.#isOver) return 0;
    }
    const bytes = Buffer.alloc(length);
    buffer.copyOut(offset, bytes);
    device.write(bytes);
    return 0;
  }

  async #read(device: HostCapture, buffer: Pages, offset: number, length: number): Promise<number> {
    const begin = this.#clock.now();
    while (device.isOverrun || device.available < length) {
      if (this.#clock.now() - begin > READ_TIMEOUT) return -XenErrno.EIO;
      await this.#sleep(MS);
      if (this.#isOver) return 0;
    }
    buffer.copyIn(offset, device.read(length));
    return 0;
  }

  #trigger(trigger: SndifTriggerName): number {
    const { refusals, runsOn } = this.#process.manners;
    const device = this.#device;
    if (device === undefined) return refusals.startClosed;
    const isDry = device instanceof HostPlayback && device.isDry;
    switch (trigger) {
      case 'start':
        if (device instanceof HostPlayback && device.queued === 0 && !runsOn) return refusals.startEmpty;
        device.start();
        this.#startTimer();
        return 0;
      case 'pause':
        if (!device.isRunning || isDry) return refusals.notRunning;
        device.pause();
        this.#stopTimer();
        return 0;
      case 'resume':
        if (!device.isPaused) return refusals.notRunning;
        device.resume();
        this.#startTimer();
        return 0;
      case 'stop':
        if (this.#timer !== undefined) this.#report(device); // one more comes
        device.stop();
        this.#stopTimer();
        return 0;
    }
  }

  #startTimer(): void {
    this.#stopTimer();
    this.#timer = this.#clock.after(this.#periodMs * MS, () => {
      if (this.#device) this.#report(this.#device);
      this.#startTimer();
    });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** An event that finds the page full is dropped, and has used up its id. */
  #report(device: HostPlayback | HostCapture): void {
    const { eventPage, eventPort } = this.#wire;
    const id = this.#eventId;
    this.#eventId = (id + 1) & 0xffff;
    const event = encodeCurPos({ id, position: BigInt(device.position) });
    const produced = eventPage.load32(IN_PROD);
    const isFull = (produced - eventPage.load32(IN_CONS)) >>> 0 >= EVENT_RING_SIZE;
    if (!isFull) {
      const land = () => eventPage.copyIn(EVENT_SIZE * (1 + (produced % EVENT_RING_SIZE)), event);
      const { lateEvents } = this.#process.manners;
      if (lateEvents > 0 && id % lateEvents === lateEvents - 1) {
        this.#clock.after(LANDING, () => !this.#isOver && land());
      } else {
        land();
      }
      eventPage.store32(IN_PROD, (produced + 1) >>> 0);
    }
    eventPort.notify();
  }

  #sleep(duration: number): Promise<void> {
    const { promise, resolve } = deferred();
    this.#clock.after(duration, resolve);
    return promise;
  }
}
