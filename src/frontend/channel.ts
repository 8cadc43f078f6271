import { nextTurn, type Timer } from '../clock.ts';
import { protocolError, VsndError } from '../errors.ts';
import type { ReleaseStack } from '../release-stack.ts';
import { EVENT_SIZE, EventConsumer } from '../wire/event-page.ts';
import { FrontRing, RING_ENTRY_SIZE, RING_SIZE } from '../wire/ring.ts';
import {
  type CurPosEvent,
  decodeEvent,
  decodeResponse,
  encodeRequest,
  SndifOp,
  type SndifRequest,
  type SndifResponse,
} from '../wire/sndif.ts';
import { describeStatus, xenErrnoName } from '../wire/xen-errno.ts';
import type { EventPort, Hypervisor, Pages } from '../xen/hypervisor.ts';
import { publishPosition, publishRequest, publishResponse } from './diagnostics.ts';

/** The Linux driver gives up after as long (VSND_WAIT_BACK_MS), ns. */
const REQUEST_TIMEOUT = 3e9;

/** How often a turn may look again for events that their index has announced. */
const NOT_LANDED_LOOKS = 1000;

/** What XenStore is told of a channel: the transport parameters of sndif.h. */
export interface TransportParameters {
  readonly ringRef: number;
  readonly eventChannel: number;
  readonly evtRingRef: number;
  readonly evtEventChannel: number;
}

/** What the backend may take for one request, beyond the usual. */
export interface RequestOptions {
  /** ns */
  readonly extraTime?: number;
}

/** The stream that uses a channel. */
export interface ChannelUser {
  /** Octets since OPEN, as the backend counts them. */
  handlePosition(position: bigint): void;
  /** All positions that were there have been handed over: what they come to can be acted upon. */
  handleCaughtUp(): void;
  /** Called once; nothing can be asked any more. */
  handleFailure(error: Error): void;
}

interface Pending {
  readonly id: number;
  readonly request: SndifRequest;
  readonly timeout: number;
  resolve(response: SndifResponse): void;
  reject(error: Error): void;
}

/** One stream's way to the backend: its request ring, its event page and the two event channels. */
export class StreamChannel {
  readonly transport: TransportParameters;
  /** The stream's node in XenStore. */
  readonly path: string;
  readonly #hypervisor: Hypervisor;
  readonly #ring: FrontRing;
  readonly #ringPort: EventPort;
  readonly #events: EventConsumer;
  readonly #entry = new Uint8Array(RING_ENTRY_SIZE);
  readonly #event = new Uint8Array(EVENT_SIZE);
  /** In the order of the ring, in which today's backends answer. */
  readonly #pending: Pending[] = [];
  /** Those for which the ring had no slot yet. */
  readonly #waiting: Pending[] = [];
  #timer: Timer | undefined;
  /** The request for which the timer runs. */
  #watched: Pending | undefined;
  #nextId = 0;
  /** More has come than a turn deals with. */
  #isContinuing = false;
  #expectedEventId = 0;
  #lostEvents = 0;
  #failure: Error | undefined;
  #user: ChannelUser | undefined;
  /** {@link leaveNow} was called. */
  #isLeaving = false;
  readonly #onSilence: (error: Error) => void;

  /**
   * Allocates pages and ports for the stream at `path` and `backendDomid`, and pushes their release to `releases`.
   * `onSilence`: what to do where the backend does not answer, which is the only sign of a killed one.
   */
  static async create(
    hypervisor: Hypervisor,
    path: string,
    backendDomid: number,
    releases: ReleaseStack,
    onSilence: (error: Error) => void,
  ): Promise<StreamChannel> {
    const grantPage = async () => {
      const page = await hypervisor.grants.grant(backendDomid, 1);
      releases.push(() => page.release());
      return page;
    };
    const bindPort = async () => {
      const port = await hypervisor.eventChannels.bindUnbound(backendDomid);
      releases.push(() => port.unbind());
      return port;
    };
    const ringPage = await grantPage();
    const eventPage = await grantPage();
    const ringPort = await bindPort();
    const eventPort = await bindPort();
    const transport = {
      ringRef: ringPage.grefs[0] ?? 0,
      eventChannel: ringPort.port,
      evtRingRef: eventPage.grefs[0] ?? 0,
      evtEventChannel: eventPort.port,
    };
    const channel = new StreamChannel(hypervisor, path, ringPort, ringPage, eventPage, transport, onSilence);
    ringPort.onNotify(() => channel.#guard(() => channel.#drainResponses()) || ringPort.idle());
    eventPort.onNotify(() => channel.#guard(() => channel.#drainEvents()) || eventPort.idle());
    releases.push(() => channel.fail(new VsndError('ERR_VSND_INVALID_STATE', 'the card has been closed')));
    return channel;
  }

  private constructor(
    hypervisor: Hypervisor,
    path: string,
    ringPort: EventPort,
    ringPage: Pages,
    eventPage: Pages,
    transport: TransportParameters,
    onSilence: (error: Error) => void,
  ) {
    this.#hypervisor = hypervisor;
    this.path = path;
    this.#ringPort = ringPort;
    this.#ring = new FrontRing(ringPage);
    this.#events = new EventConsumer(eventPage);
    this.transport = transport;
    this.#onSilence = onSilence;
  }

  /** CUR_POS events that the backend numbered and that never arrived. */
  get lostEvents(): number {
    return this.#lostEvents;
  }

  /** Why nothing can be asked any more; undefined while it can. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Sets who is told of positions and of the failure, or nobody. Positions that are there already are not for the new one. */
  use(user: ChannelUser | undefined): void {
    this.#guard(() => this.#drainEvents());
    this.#user = user;
  }

  /**
   * Sends one request. Rejects with ERR_VSND_STATUS where the backend refuses it, with ERR_VSND_BACKEND_GONE where it
   * does not answer within 3 s, with ERR_VSND_PROTOCOL where its answer makes no sense. Settles exactly once.
   */
  request(request: SndifRequest, { extraTime = 0 }: RequestOptions = {}): Promise<SndifResponse> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      if (this.#isLeaving) return reject(new VsndError('ERR_VSND_INVALID_STATE', 'the process is ending'));
      const pending = { id: this.#nextId, request, timeout: REQUEST_TIMEOUT + extraTime, resolve, reject };
      this.#nextId = (this.#nextId + 1) & 0xffff;
      this.#waiting.push(pending);
      this.#guard(() => this.#send());
    });
  }

  /** Whether a request has not been answered yet. */
  get isWaiting(): boolean {
    return this.#pending.length > 0;
  }

  /**
   * Sends STOP and CLOSE, whatever has been asked before, if somebody uses the channel; says whether. They are the last:
   * a position that comes meanwhile must not make anybody send a WRITE, which kills some backends after CLOSE.
   */
  leaveNow(): boolean {
    if (this.#user === undefined) return false;
    this.#user = undefined;
    this.request({ op: 'trigger', trigger: 'stop' }).catch(() => {});
    this.request({ op: 'close' }).catch(() => {});
    this.#isLeaving = true;
    return true;
  }

  /** Looks for answers and events whose notifications may have been lost. */
  poll(): void {
    this.#guard(() => this.#drainResponses());
    this.#guard(() => this.#drainEvents());
  }

  /** Ends the channel: everything pending rejects with `error`, and so does everything later. Idempotent. */
  fail(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#timer?.cancel();
    for (const pending of [...this.#pending.splice(0), ...this.#waiting.splice(0)]) pending.reject(error);
    this.#user?.handleFailure(error);
  }

  /** Empties the ring of a channel that has failed, for a backend that may bind it anew. */
  resetRing(): void {
    this.#ring.reset();
  }

  #send(): void {
    if (this.#waiting.length === 0 || this.#ring.free === 0) return;
    for (const pending of this.#waiting.splice(0, this.#ring.free)) {
      publishRequest(this.path, pending.id, pending.request);
      this.#ring.put(encodeRequest(pending.id, pending.request));
      this.#pending.push(pending);
    }
    if (this.#ring.publish()) this.#ringPort.notify();
    this.#watchOldest();
  }

  /** Takes what has been answered, of what had been asked before; says whether there was anything. */
  #drainResponses(): boolean {
    let answers = 0;
    let looks = 0;
    do {
      for (; this.#ring.take(this.#entry); answers++) this.#settle(decodeResponse(this.#entry));
      looks += 1;
    } while (this.#ring.rearm() && looks < RING_SIZE);
    if (looks === RING_SIZE) this.#continueSoon();
    this.#send();
    this.#watchOldest();
    return answers > 0;
  }

  #settle(response: SndifResponse): void {
    const index = this.#pending.findIndex(({ id }) => id === response.id);
    const pending = this.#pending[index];
    if (pending === undefined || response.operation !== SndifOp[pending.request.op]) {
      const asked = pending ? pending.request.op.toUpperCase() : 'nothing';
      throw protocolError(
        `the backend answered operation ${response.operation} with id ${response.id}; asked with that id was ${asked}`,
      );
    }
    this.#pending.splice(index, 1);
    publishResponse(this.path, response.id, pending.request, response.status);
    if (response.status === 0) pending.resolve(response);
    else pending.reject(statusError(pending.request, response.status));
  }

  /** Takes the events there are now: those that come meanwhile are for a later turn. Says whether there was any. */
  #drainEvents(): boolean {
    const { announced } = this.#events;
    for (let left = announced, looks = 0; left > 0; ) {
      const taken = this.#events.take(this.#event);
      if (taken === 'none') break;
      if (taken === 'event') this.#handleEvent(decodeEvent(this.#event));
      else if (++looks <= NOT_LANDED_LOOKS) continue;
      else this.#events.skip(); // its id counts as lost when the next one arrives
      left -= 1;
    }
    if (this.#events.announced > 0) this.#continueSoon();
    if (announced > 0) this.#user?.handleCaughtUp();
    return announced > 0;
  }

  /** Others have their turn, and then {@link poll} goes on: what is still there may have been notified already. */
  #continueSoon(): void {
    if (this.#isContinuing) return;
    this.#isContinuing = true;
    void nextTurn().then(() => {
      this.#isContinuing = false;
      this.poll();
    });
  }

  #handleEvent(event: CurPosEvent): void {
    this.#lostEvents += (event.id - this.#expectedEventId) & 0xffff;
    this.#expectedEventId = (event.id + 1) & 0xffff;
    publishPosition(this.path, event);
    this.#user?.handlePosition(event.position);
  }

  /** One timer, for the oldest request: those behind it wait for it anyway. */
  #watchOldest(): void {
    const oldest = this.#pending[0];
    if (oldest === this.#watched) return;
    this.#timer?.cancel();
    this.#watched = oldest;
    this.#timer = oldest && this.#hypervisor.clock.after(oldest.timeout, () => this.#handleSilence(oldest));
  }

  /** The answer may be there, and only its notification have been lost. */
  #handleSilence(oldest: Pending): void {
    this.poll();
    if (oldest === this.#watched) this.#onSilence(silent(oldest));
  }

  /** Whatever the peer did wrong ends this channel, and nothing else. Undefined where it has ended. */
  #guard<T>(action: () => T): T | undefined {
    if (this.#failure) return undefined;
    try {
      return action();
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
      return undefined;
    }
  }
}

function silent(pending: Pending): VsndError {
  const seconds = pending.timeout / 1e9;
  return new VsndError(
    'ERR_VSND_BACKEND_GONE',
    `the backend has not answered ${pending.request.op.toUpperCase()} for ${seconds} s`,
    { errno: 'ETIMEDOUT' },
  );
}

function statusError(request: SndifRequest, status: number): VsndError {
  const errno = xenErrnoName(-status);
  return new VsndError(
    'ERR_VSND_STATUS',
    `the backend refused ${describeRequest(request)}: status ${describeStatus(status)}`,
    errno === undefined ? { status } : { status, errno },
  );
}

function describeRequest(request: SndifRequest): string {
  switch (request.op) {
    case 'open':
      return `OPEN of ${request.rate} Hz, ${request.channels} channels, format ${request.format}, buffer ${request.bufferBytes} octets`;
    case 'trigger':
      return `TRIGGER ${request.trigger.toUpperCase()}`;
    case 'close':
      return 'CLOSE';
    case 'hwParamQuery':
      return 'HW_PARAM_QUERY';
    default:
      return `${request.op.toUpperCase()} of ${request.length} octets at ${request.offset}`;
  }
}
