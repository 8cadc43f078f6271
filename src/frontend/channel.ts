import { nextTurn, type Timer } from '../clock.ts';
import { protocolError, VsndError } from '../errors.ts';
import type { ReleaseStack } from '../release-stack.ts';
import { EventConsumer } from '../wire/event-page.ts';
import { FrontRing, RING_SIZE } from '../wire/ring.ts';
import {
  type BufferRequest,
  type CurPosEvent,
  decodeEvent,
  decodeResponse,
  encodeRequest,
  newEntry,
  SndifOp,
  type SndifRequest,
  type SndifResponse,
} from '../wire/sndif.ts';
import { describeStatus, xenErrnoName } from '../wire/xen-errno.ts';
import type { EventPort, Hypervisor, Pages } from '../xen/hypervisor.ts';
import type { ChannelStanding, StreamParts } from '../xen/stream-engine.ts';
import { isTrafficWatched, publishPosition, publishRequest, publishResponse } from './diagnostics.ts';
import type { EngineUser } from './engine.ts';

/** The Linux driver gives up after as long (VSND_WAIT_BACK_MS), ns. */
const REQUEST_TIMEOUT = 3e9;

/** So many of a stream's WRITEs or READs are under way at once; what follows waits, and is merged with what it continues. */
const MOST_POSTS = 8;

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

/** What is to be done with an answer. */
interface Settlement {
  resolve(response: SndifResponse, request: SndifRequest): void;
  reject(error: Error): void;
}

interface Pending {
  readonly id: number;
  request: SndifRequest;
  /** ns */
  readonly timeout: number;
  readonly settlement: Settlement;
  /** Its answer is waited for, and wakes us. */
  readonly isUrgent: boolean;
}

interface ChannelParts extends Omit<StreamParts, 'buffer'> {
  readonly ring: Pages;
  readonly events: Pages;
  readonly ringPort: EventPort;
  readonly eventPort: EventPort;
}

/** Carries the ordinary traffic of a channel meanwhile, until the channel is used again. */
export interface Borrower {
  /** Called once: says where the channel stands. */
  giveBack(): ChannelStanding;
}

/** One stream's way to the backend: its request ring, its event page and the two event channels. */
export class StreamChannel {
  readonly transport: TransportParameters;
  /** The stream's node in XenStore. */
  readonly path: string;
  /** What it is made of, for whoever borrows it. */
  readonly parts: ChannelParts;
  readonly #hypervisor: Hypervisor;
  readonly #ring: FrontRing;
  readonly #ringPort: EventPort;
  readonly #events: EventConsumer;
  readonly #outgoing = newEntry();
  readonly #incoming = newEntry();
  /** In the order of the ring, in which today's backends answer. */
  readonly #pending: Pending[] = [];
  /** Those for which the ring had no slot yet. */
  readonly #waiting: Pending[] = [];
  /** Of both, those whose answers are waited for. */
  #urgent = 0;
  /** Of those in the ring, those that were posted. */
  #posted = 0;
  /** Answers to what is posted wake us, too. */
  #isWokenByAnswers = false;
  /** With positions, since the ring's last notification. */
  #hasTakenAnswers = false;
  /** Runs while something is pending: one for all of them. */
  #timer: Timer | undefined;
  /** ns: since when the oldest request has been the oldest. Those behind it wait for it anyway. */
  #oldestSince = 0;
  #nextId = 0;
  /** Something has come that the user has not acted upon. */
  #hasNews = false;
  /** More has come than a turn deals with. */
  #isContinuing = false;
  #expectedEventId = 0;
  #lostEvents = 0;
  #failure: Error | undefined;
  #user: EngineUser | undefined;
  #borrower: Borrower | undefined;
  /** What becomes of answers to what the user posts. */
  #posts: Settlement | undefined;
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
    const parts = { ring: ringPage, events: eventPage, ringPort, eventPort };
    const channel = new StreamChannel(hypervisor, path, parts, transport, onSilence);
    ringPort.onNotify(() => channel.#handleRingNotified());
    eventPort.onNotify(() => channel.#handleEventsNotified(eventPort));
    releases.push(() => channel.fail(new VsndError('ERR_VSND_INVALID_STATE', 'the card has been closed')));
    return channel;
  }

  private constructor(
    hypervisor: Hypervisor,
    path: string,
    parts: ChannelParts,
    transport: TransportParameters,
    onSilence: (error: Error) => void,
  ) {
    this.#hypervisor = hypervisor;
    this.path = path;
    this.parts = parts;
    this.#ringPort = parts.ringPort;
    this.#ring = new FrontRing(parts.ring);
    this.#events = new EventConsumer(parts.events);
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

  /** Sets who is told of positions, answers and the failure, or nobody. What is there already is not for the new one. */
  use(user: EngineUser | undefined): void {
    this.takeBack();
    this.#guard(this.#takeEvents);
    this.#dropUnsent();
    this.#user = user;
    this.#isWokenByAnswers = this.#hasNews = false;
    this.#posts = user && {
      resolve: (_response, request) => user === this.#user && user.handleAnswer(request as BufferRequest),
      reject: (error) => user === this.#user && this.#failure === undefined && user.handleRefusal(error),
    };
  }

  /**
   * Whether answers to what is posted wake us. Without it they are read when a position comes, when something
   * waits to be sent, or with an answer that is waited for.
   */
  wakeForAnswers(isWoken: boolean): void {
    this.takeBack();
    this.#isWokenByAnswers = isWoken;
    if (isWoken) this.#ask();
  }

  /**
   * Lends the channel to whoever carries on with the ordinary: says where it stands, or undefined where more is under way than the
   * user's WRITEs or READs. Whoever uses the channel next takes it back first.
   */
  lend(borrower: Borrower): ChannelStanding | undefined {
    const inCons = this.#events.standing;
    const isPlain = this.#urgent === 0 && this.#waiting.length === 0 && this.#pending.length <= MOST_POSTS;
    const isUsed = this.#user !== undefined && !this.#failure && !this.#isLeaving && !this.#isContinuing;
    if (inCons === undefined || !isPlain || !isUsed || isTrafficWatched()) return undefined;
    this.#borrower = borrower;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#posted = 0;
    return {
      ...this.#ring.standing,
      nextId: this.#nextId,
      inCons,
      expectedEventId: this.#expectedEventId,
      oldestSince: this.#oldestSince,
      posts: this.#pending.splice(0).map(({ id, request }) => ({ id, ...(request as BufferRequest) })),
    };
  }

  /** Ends the loan; says whether there was one. What had come is to be acted upon. */
  takeBack(): boolean {
    const borrower = this.#borrower;
    if (borrower === undefined) return false;
    this.#borrower = undefined;
    const standing = borrower.giveBack();
    this.#ring.continue(standing);
    this.#events.continue(standing.inCons);
    this.#nextId = standing.nextId;
    this.#expectedEventId = standing.expectedEventId;
    this.#oldestSince = standing.oldestSince;
    const op = this.#user?.op ?? 'write';
    for (const { id, offset, length } of standing.posts) {
      if (this.#posts === undefined) break;
      const request: BufferRequest = { op, offset, length };
      this.#pending.push({ id, request, timeout: REQUEST_TIMEOUT, settlement: this.#posts, isUrgent: false });
    }
    this.#posted = this.#pending.length;
    this.#hasNews = this.#hasTakenAnswers = true;
    if (this.#isWakeDue && this.#ring.rearm()) this.#continueSoon(); // the borrower had wishes of its own
    this.#watch();
    return true;
  }

  /** What was lent has come back by itself: it is looked at in a turn of its own. */
  handleParked(): void {
    this.takeBack();
    this.#continueSoon();
  }

  /**
   * Puts a request of the user's behind those that there are, or adds it to the last one, where that has not been sent and ends
   * where this begins; {@link flush} sends it. Nothing happens on a channel that has failed.
   */
  post(request: BufferRequest): void {
    if (this.#posts === undefined || this.#failure || this.#isLeaving) return;
    this.takeBack();
    const last = this.#waiting.at(-1);
    if (last === undefined || !isContinued(last.request, request)) {
      this.#add(request, REQUEST_TIMEOUT, this.#posts, false);
    } else {
      last.request = { ...last.request, length: last.request.length + request.length };
    }
  }

  /** Sends what has been posted: shown to the backend at once, with one notification if it asks for it. */
  flush(): void {
    this.#guard(this.#send);
  }

  /**
   * Sends one request. Rejects with ERR_VSND_STATUS where the backend refuses it, with ERR_VSND_BACKEND_GONE where it
   * does not answer within 3 s, with ERR_VSND_PROTOCOL where its answer makes no sense. Settles exactly once.
   */
  request(request: SndifRequest, { extraTime = 0 }: RequestOptions = {}): Promise<SndifResponse> {
    return new Promise((resolve, reject) => {
      this.takeBack();
      if (this.#failure) return reject(this.#failure);
      if (this.#isLeaving) return reject(new VsndError('ERR_VSND_INVALID_STATE', 'the process is ending'));
      this.#add(request, REQUEST_TIMEOUT + extraTime, { resolve, reject }, true);
      this.#urgent++;
      this.#ask();
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
    this.takeBack();
    this.#dropUnsent();
    this.#user = this.#posts = undefined;
    this.request({ op: 'trigger', trigger: 'stop' }).catch(() => {});
    this.request({ op: 'close' }).catch(() => {});
    this.#isLeaving = true;
    return true;
  }

  /** Looks for answers and events whose notifications may have been lost. */
  poll(): void {
    this.takeBack();
    this.#guard(this.#takeAnswers);
    this.#guard(this.#takeEvents);
    this.#guard(this.#send);
    this.#catchUp();
  }

  /** Ends the channel: everything pending rejects with `error`, and so does everything later. Idempotent. */
  fail(error: Error): void {
    if (this.#failure) return;
    this.takeBack();
    this.#failure = error;
    this.#timer?.cancel();
    const unanswered = [...this.#pending.splice(0), ...this.#waiting.splice(0)];
    for (const { settlement } of unanswered) settlement.reject(error);
    this.#user?.handleFailure(error);
  }

  /** Empties the ring of a channel that has failed, for a backend that may bind it anew. */
  resetRing(): void {
    this.#ring.reset();
  }

  #add(request: SndifRequest, timeout: number, settlement: Settlement, isUrgent: boolean): void {
    this.#waiting.push({ id: this.#nextId, request, timeout, settlement, isUrgent });
    this.#nextId = (this.#nextId + 1) & 0xffff;
  }

  /** Sends what waits; where that is not all of it, answers make room, and wake us. */
  readonly #send = (): void => {
    if (this.#sendWaiting() && this.#takeAnswers()) this.#sendWaiting();
  };

  /** Sends as much as the ring has slots for, and says whether something still waits. */
  #sendWaiting(): boolean {
    let count = 0;
    for (const { isUrgent } of this.#waiting) {
      if (count === this.#ring.free || !(isUrgent || this.#posted < MOST_POSTS)) break;
      if (!isUrgent) this.#posted++;
      count++;
    }
    if (count === 0) return this.#waiting.length > 0;
    if (this.#pending.length === 0) this.#oldestSince = this.#hypervisor.clock.now();
    for (const pending of this.#waiting.splice(0, count)) {
      publishRequest(this.path, pending.id, pending.request);
      this.#ring.put(encodeRequest(pending.id, pending.request, this.#outgoing));
      this.#pending.push(pending);
    }
    if (this.#ring.publish()) this.#ringPort.notify();
    this.#watch();
    return this.#waiting.length > 0;
  }

  /**
   * From now on answers wake us. What there is already is taken, but acted upon in a turn of its own: whoever asks is in the middle
   * of something.
   */
  #ask(): void {
    this.#guard(this.#takeAnswers);
    this.#guard(this.#send);
    if (this.#hasNews) this.#continueSoon();
  }

  /** The user is done with what was never sent. */
  #dropUnsent(): void {
    const kept = this.#waiting.filter(({ isUrgent }) => isUrgent);
    this.#waiting.splice(0, this.#waiting.length, ...kept);
  }

  /** Outside of {@link #guard}: what the user does wrong is not the backend's fault. */
  #catchUp(): void {
    if (!this.#hasNews || this.#failure) return;
    this.#hasNews = false;
    this.#user?.handleCaughtUp();
  }

  #handleRingNotified(): void {
    this.takeBack();
    const isAnswered = this.#guard(this.#takeAnswers) || this.#hasTakenAnswers;
    this.#hasTakenAnswers = false; // an answer for which this was sent may have been taken with a position
    this.#guard(this.#send);
    if (!isAnswered) this.#ringPort.idle();
    this.#catchUp();
  }

  #handleEventsNotified(port: EventPort): void {
    const wasLent = this.takeBack();
    if (!this.#guard(this.#takeEvents) && !wasLent) port.idle();
    this.#catchUp();
  }

  /** Takes what has been answered. Asks to be woken for the next answer only where somebody waits for one. Says whether there was any. */
  readonly #takeAnswers = (): boolean => {
    const [oldest] = this.#pending;
    let answers = 0;
    let looks = 0;
    do {
      for (; this.#ring.take(this.#incoming.bytes); answers++) {
        this.#settle(decodeResponse(this.#incoming.bytes, this.#incoming.view));
      }
      looks += 1;
    } while (this.#isWakeDue && this.#ring.rearm() && looks < RING_SIZE);
    if (looks === RING_SIZE) this.#continueSoon();
    if (oldest !== this.#pending[0]) this.#oldestSince = this.#hypervisor.clock.now();
    if (answers > 0) this.#hasNews = true;
    return answers > 0;
  };

  get #isWakeDue(): boolean {
    return this.#urgent > 0 || this.#isWokenByAnswers || this.#waiting.length > 0;
  }

  #settle(response: SndifResponse): void {
    const index = this.#indexOf(response.id);
    const pending = this.#pending[index];
    if (pending === undefined || response.operation !== SndifOp[pending.request.op]) {
      const asked = pending ? pending.request.op.toUpperCase() : 'nothing';
      throw protocolError(
        `the backend answered operation ${response.operation} with id ${response.id}; asked with that id was ${asked}`,
      );
    }
    if (index === 0) this.#pending.shift();
    else this.#pending.splice(index, 1);
    if (pending.isUrgent) this.#urgent--;
    else this.#posted--;
    publishResponse(this.path, response.id, pending.request, response.status);
    const { settlement, request } = pending;
    if (response.status === 0) settlement.resolve(response, request);
    else settlement.reject(statusError(request, response.status));
  }

  /** Today's backends answer in order. */
  #indexOf(id: number): number {
    return this.#pending[0]?.id === id ? 0 : this.#pending.findIndex((pending) => pending.id === id);
  }

  /** Takes the events there are now: those that come meanwhile are for a later turn. Says whether there was any. */
  readonly #takeEvents = (): boolean => {
    if (this.#pending.length > 0 && this.#takeAnswers()) this.#hasTakenAnswers = true; // a position may rest on what they say
    const { announced } = this.#events;
    for (let left = announced, looks = 0; left > 0; ) {
      const taken = this.#events.take(this.#incoming.bytes);
      if (taken === 'none') break;
      if (taken === 'event') this.#handleEvent(decodeEvent(this.#incoming.bytes, this.#incoming.view));
      else if (++looks <= NOT_LANDED_LOOKS) continue;
      else this.#events.skip(); // its id counts as lost when the next one arrives
      left -= 1;
    }
    if (this.#events.announced > 0) this.#continueSoon();
    if (announced > 0) this.#hasNews = true;
    return announced > 0;
  };

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

  /** One timer looks at the oldest request's age, however many come and go. Whoever waits holds the process, not the timer. */
  #watch(): void {
    const [oldest] = this.#pending;
    if (this.#timer !== undefined || oldest === undefined) return;
    const rest = this.#oldestSince + oldest.timeout - this.#hypervisor.clock.now();
    this.#timer = this.#hypervisor.clock.after(rest, () => this.#look());
    this.#timer.unref();
  }

  /** The answer may be there, and only its notification have been lost, or not been asked for. */
  #look(): void {
    this.#timer = undefined;
    const [oldest] = this.#pending;
    const isOverdue = oldest && this.#hypervisor.clock.now() - this.#oldestSince >= oldest.timeout - 1; // ns: clocks round
    if (isOverdue) this.poll();
    if (isOverdue && oldest === this.#pending[0]) this.#onSilence(silentError(oldest));
    else this.#watch();
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

/** Whether `next` begins where `request` ends, and is of its kind. */
function isContinued(request: SndifRequest, next: BufferRequest): request is BufferRequest {
  return request.op === 'write' && next.op === 'write' && request.offset + request.length === next.offset;
}

function silentError(pending: Pending): VsndError {
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
      return `OPEN of ${request.rate} Hz, ${request.channels} channels, format ${request.format}, buffer ${request.bufferBytes} bytes`;
    case 'trigger':
      return `TRIGGER ${request.trigger.toUpperCase()}`;
    case 'close':
      return 'CLOSE';
    case 'hwParamQuery':
      return 'HW_PARAM_QUERY';
    default:
      return `${request.op.toUpperCase()} of ${request.length} bytes at ${request.offset}`;
  }
}
