import type { StreamConfig } from '../config/card.ts';
import { type Deferred, deferred } from '../deferred.ts';
import { invalidArgError, isVsndError, VsndError } from '../errors.ts';
import { HoleFinder } from '../pcm/hole-finder.ts';
import { type BufferWishes, checkSpec, type HwParams, type PcmSpec } from '../pcm/hw-params.ts';
import type { ReportOutcome } from '../pcm/playback-pacing.ts';
import { type ClockReading, PositionClock } from '../pcm/position-clock.ts';
import {
  knowsEvent,
  type StreamState,
  type SubstreamEffect,
  type SubstreamEvent,
  type SubstreamState,
  streamState,
  substreamTransition,
} from '../pcm/substream.ts';
import type { BufferRequest } from '../wire/sndif.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import type { CountedPosition, StreamEngine } from '../xen/stream-engine.ts';
import { publishState } from './diagnostics.ts';
import type { StreamPort } from './engine.ts';
import { isLoss } from './loss.ts';
import type { CarriedUser } from './native-engine.ts';
import { type OpenSession, Session, type StreamAttachment } from './session.ts';
import type { StreamEvents } from './stream-events.ts';
import { VolumeControl } from './volume-control.ts';
import { Watchdog } from './watchdog.ts';

/** ns: a position that stands still is not looked into before. */
const LEAST_WATCH = 1e9;

/** ns for which positions are counted as they come, once somebody has looked at them. */
const ATTENTION = 2e9;

/** A position that has moved, and then stands still while the backend answers, is given that many times as long. */
const MOST_STANDSTILLS = 5;

/** States in which the position moves. */
const MOVING: ReadonlySet<SubstreamState> = new Set(['running', 'draining']);

/** What a stream needs of its card. */
export interface StreamSlot {
  readonly type: 'playback' | 'capture';
  /** The PCM device's index. */
  readonly device: number;
  readonly hypervisor: Hypervisor;
  /** As it was when the stream was created. */
  readonly config: StreamConfig;
  /** Whether the stream outlives its connection. */
  readonly reconnect: boolean;
  /** What carries the stream beside JavaScript; undefined where nothing does. */
  readonly engine: StreamEngine | undefined;
  /**
   * The stream's place on the connection that stands. Without `signal` rejects where none stands; with it waits for one
   * until it aborts.
   */
  attach(signal?: AbortSignal): Promise<StreamAttachment>;
  /** Gives the stream back to the card. */
  release(): void;
}

/** What both directions have in common of their pacing. */
export interface Pacing {
  /** Frames played or captured since the stream was created, as reported. */
  readonly position: number;
  /** Frames beyond which the position cannot be. */
  readonly end: number;
  /** Bytes played or captured in this session. */
  readonly progress: number;
  /** Frames that the backend may have to play out. */
  readonly unplayedFrames: number;
  readonly isPacedByAnswers: boolean;
  report(position: bigint, state: SubstreamState): ReportOutcome;
  /** Another has counted so many bytes, and put in or asked for so many by then. */
  follow(bytes: number, queued: number): void;
  /** Says whether that moved the position. */
  answer(length: number): boolean;
  /** Says whether that moved the position. */
  paceByAnswers(): boolean;
  /** START was asked for. */
  begin(): void;
  /** START was answered. */
  started(): void;
}

/** One direction's side of a stream. */
export interface StreamOwner {
  readonly pacing: Pacing;
  /** What VSND_POSITION_STUCK says. */
  readonly stuckMessage: string;
  /** OPEN was answered: the first one, or one after a loss or a drop. */
  handleOpen(open: OpenSession): void;
  /** Something has changed: frames flow as far as they can, and what is due by the pacing is applied. */
  proceed(): void;
  /** Positions that were counted beside JavaScript are to be told now. */
  refresh(): void;
  /** The same, of all that have come; and for so many ns they are counted as they come. */
  attend(duration: number): void;
  /** The session is over: its engine must not use the pages any more. */
  handleSessionEnd(): void;
  /** A part of the buffer that was asked for is filled. */
  handleRead(): void;
  handleXrun(): void;
  /** By its positions the device has left out so many frames' time: an xrun at the host, which no event tells. */
  handleHole(frames: number): void;
  handleDrainStalled(): void;
  /** What is queued has been thrown away. */
  handleDrop(): void;
  /** The connection is gone, and the pages are about to go: what is in them can be taken out now. */
  handleLoss(): void;
  /** Has another addon move the frames from now on; undefined where it can't, or not yet. */
  openPort(): StreamPort | undefined;
  /** Whether somebody listens to an event. */
  hears(event: 'position'): boolean;
  /** An event for the user. */
  emit<E extends keyof StreamEvents & string>(event: E, ...args: StreamEvents[E]): void;
  /** The stream cannot go on. */
  fail(error: Error): void;
}

/** What `trigger()` can be told. */
export type StreamTrigger = 'start' | 'pause' | 'resume' | 'stop';

const TRIGGERS: readonly StreamTrigger[] = ['start', 'pause', 'resume', 'stop'];

/** What a PAUSE or RESUME has come to: 'needless' where the backend has run dry, and so has nothing to pause. */
type Told = 'done' | 'needless';

/**
 * What playback and capture have in common: a stream's state, its sessions at the backend, one after the other, what
 * the backend reports, its triggers, its volume and its clock.
 */
export class StreamCore implements CarriedUser {
  readonly spec: PcmSpec;
  readonly volume: VolumeControl;
  readonly slot: StreamSlot;
  readonly #owner: StreamOwner;
  readonly #pacing: Pacing;
  readonly #wishes: BufferWishes;
  readonly #clock: PositionClock;
  readonly #holes: HoleFinder;
  readonly #watchdog: Watchdog;
  readonly #leaving = new AbortController();
  #state: SubstreamState = 'closed';
  #session: Session | undefined;
  #open: OpenSession | undefined;
  #params: HwParams | undefined;
  #positionReports = 0;
  /** ns: when sound was last known to move. */
  #movedAt = 0;
  /** ns: how long it may have moved since then, when it came to stand still. */
  #movedOn = 0;
  /** Until then nobody has to say again that somebody looks at the position, ns. */
  #attended = Number.NEGATIVE_INFINITY;
  /** ns: since when there has been no sound, because of a loss that is to be made good. */
  #silentSince: number | undefined;
  #ready = quietly(deferred<Session>());
  /** The last START. */
  #starting: Promise<void> = Promise.resolve();
  /** The last CLOSE: rejects where the backend refused it. */
  #closing: Promise<void> = Promise.resolve();
  #inquiring = false;
  /** How often in a row nothing had moved when that was looked into. */
  #standstills = 0;

  /** Throws ERR_VSND_NOT_SUPPORTED for a software volume of a format without samples. */
  constructor(
    slot: StreamSlot,
    spec: PcmSpec,
    wishes: BufferWishes,
    softwareVolume: boolean,
    owner: StreamOwner,
  ) {
    this.slot = slot;
    this.#owner = owner;
    this.#pacing = owner.pacing;
    this.#wishes = wishes;
    this.spec = spec;
    this.volume = new VolumeControl(spec, softwareVolume);
    this.#clock = new PositionClock(spec.rate);
    this.#holes = new HoleFinder(spec.rate);
    this.#watchdog = new Watchdog(slot.hypervisor.clock, {
      delay: () => {
        this.#owner.refresh();
        return this.#watchDelay;
      },
      onStall: () => void this.#inquire(),
    });
  }

  get state(): SubstreamState {
    return this.#state;
  }

  /** The state as users are told of it. */
  get publicState(): StreamState {
    return streamState(this.#state);
  }

  /** Frames played or captured since the stream was created. */
  get position(): number {
    this.attend();
    return this.#pacing.position;
  }

  /** The session's channel. Throws ERR_VSND_INVALID_STATE where there is no session. */
  get channel(): Session['channel'] {
    if (this.#session === undefined) throw hasEndedError();
    return this.#session.channel;
  }

  /** What was last agreed on with a backend. */
  get params(): HwParams | undefined {
    return this.#params;
  }

  /** XENSND_EVT_CUR_POS events received that meant something. */
  get positionReports(): number {
    this.#owner.refresh();
    return this.#positionReports;
  }

  /** The session that can be asked for something: now, or when the stream is open. Rejects when it is over. */
  readonly whenOpen = (): Promise<Session> => this.#ready.promise;

  /** Resolves when the backend has let go; rejects where it said on its way out that its device has failed. */
  get closed(): Promise<void> {
    return this.#unlessLost(this.#closing);
  }

  /** Opens the stream at the backend. With `reconnect` waits for one. */
  async start(): Promise<void> {
    for (;;) {
      try {
        return await this.#openOnce();
      } catch (error) {
        if (this.#leaving.signal.aborted || this.#state === 'finished') return; // whoever ended it knows why
        this.#endSession();
        if (!this.#survives(error)) throw error;
      }
    }
  }

  /** Whether the state knows an event. */
  knows(event: SubstreamEvent): boolean {
    return knowsEvent(this.slot.type, this.#state, event);
  }

  /** Takes an event: the only way from one state to the next. Resolves with what PAUSE or RESUME has come to, where it leads to one. */
  apply(event: SubstreamEvent): Promise<Told> | undefined {
    const from = this.#state;
    const { to, effects } = substreamTransition(this.slot.type, from, event);
    publishState(this.slot.config.path, from, event, to);
    this.#state = to;
    if (!MOVING.has(to)) this.#standStill(from);
    else if (!MOVING.has(from) || event === 'overrun') this.#move(from === 'paused' ? this.#movedOn : 0);
    else this.#watchdog.start(); // another time counts now
    let told: Promise<Told> | undefined;
    for (const effect of effects) told = this.#run(effect) ?? told;
    return told;
  }

  /** Throws ERR_VSND_INVALID_ARG for what is none; rejects with ERR_VSND_INVALID_STATE after the end, and as the backend does. */
  trigger(trigger: StreamTrigger): Promise<void> {
    if (!TRIGGERS.includes(trigger)) throw invalidArgError('trigger', trigger, TRIGGERS.join(', '));
    return this.#carryOut(trigger);
  }

  /** ns that the position may have moved since it was last known to. */
  get sinceMoved(): number {
    this.#owner.refresh();
    return MOVING.has(this.#state) ? this.slot.hypervisor.clock.now() - this.#movedAt : this.#movedOn;
  }

  /** Somebody looks at where the stream is, and may look again soon: then positions are counted as they come. */
  attend(): void {
    const now = this.slot.hypervisor.clock.now();
    if (now < this.#attended) {
      this.#owner.refresh();
    } else {
      this.#attended = now + ATTENTION / 2;
      this.#owner.attend(ATTENTION);
    }
  }

  /** The position against the monotonic clock. */
  get reading(): ClockReading {
    this.attend();
    return this.#clock.read(this.slot.hypervisor.clock.now(), this.#pacing.end);
  }

  /** Ends the loan of the channel, if there is one: the numbers are what they are from now on. */
  settle(): void {
    this.#session?.channel.takeBack();
  }

  /**
   * Has another addon move the frames of this session from now on: nothing is written to the stream then, or read from it. Undefined
   * where the engine is JavaScript's, or has not taken all that was written.
   */
  openPort(): StreamPort | undefined {
    return this.#owner.openPort();
  }

  /** Whether it is over, or about to be. */
  get hasLeft(): boolean {
    return this.#leaving.signal.aborted;
  }

  /** The stream waits for no backend any more. */
  abandon(): void {
    this.#leaving.abort();
  }

  /** Ends the stream, wherever it is, and gives everything back. Never rejects. */
  async leave(): Promise<void> {
    this.abandon();
    if (this.knows('destroy')) void this.apply('destroy');
    this.#ready.reject(hasEndedError());
    await this.#closing.catch(() => {}); // on the way out the backend's opinion changes nothing
    this.slot.release();
  }

  handlePosition(position: bigint): void {
    const outcome = this.#pacing.report(position, this.#state);
    if (outcome === 'ignored') return;
    this.#positionReports++;
    if (outcome === 'moved') this.noteMoved(true);
    else if (outcome === 'stuck') this.#paceByAnswers();
  }

  get op(): 'write' | 'read' {
    return this.slot.type === 'playback' ? 'write' : 'read';
  }

  get hearsPositions(): boolean {
    return this.#owner.hears('position');
  }

  get movedAt(): number {
    return this.#movedAt;
  }

  handleCounted({ bytes, time, isLate }: CountedPosition, queued: number): void {
    this.#positionReports++;
    this.#pacing.follow(bytes, queued);
    if (isLate) this.#tellPosition();
    else this.noteMoved(true, time);
  }

  handleAnswer(request: BufferRequest): void {
    if (this.#pacing.answer(request.length)) this.noteMoved(false);
    if (request.op === 'read') this.#owner.handleRead();
  }

  handleRefusal(error: Error): void {
    this.#fail(error);
  }

  handleCaughtUp(): void {
    if (this.#open === undefined) return;
    try {
      this.#owner.proceed();
    } catch (error) {
      throwLater(error);
    }
  }

  /** Before OPEN was answered, the request that fails says it. */
  handleFailure(error: Error): void {
    if (this.#open === undefined) return;
    if (this.#survives(error)) {
      this.#owner.handleLoss();
      this.#silentSince ??= MOVING.has(this.#state) ? this.#movedAt : this.slot.hypervisor.clock.now();
      this.#owner.emit('disconnect', { error, frames: this.#pacing.position });
      this.#endSession();
      void this.apply('lost');
    } else {
      this.#fail(error);
    }
  }

  /** Listeners and callbacks of the user's run in it. */
  #fail(error: Error): void {
    try {
      this.#owner.fail(error);
    } catch (thrown) {
      throwLater(thrown);
    }
  }

  /**
   * Takes note of a position that has moved just now. `isReported`: by the backend; else it is what the backend has
   * answered, which keeps no time. `now`: when, ns.
   */
  noteMoved(isReported: boolean, now = this.slot.hypervisor.clock.now()): void {
    const { position } = this.#pacing;
    this.#standstills = 0;
    if (this.#state === 'draining')
      this.#watchdog.start(); // less is left now
    else this.#watchdog.moved(now);
    this.#movedAt = now;
    this.#movedOn = 0;
    this.#clock.report(position, now);
    const missing = isReported ? this.#holes.report(position, now) : 0;
    if (missing > 0) {
      this.#clock.start(position, now); // another line from now on
      this.#owner.handleHole(missing);
    }
    this.#tellPosition();
  }

  #tellPosition(): void {
    if (this.hearsPositions) this.#owner.emit('position', { frames: this.#pacing.position });
  }

  #paceByAnswers(): void {
    if (this.#pacing.isPacedByAnswers) return;
    const hasMoved = this.#pacing.paceByAnswers();
    this.#owner.emit('warning', { code: 'VSND_POSITION_STUCK', message: this.#owner.stuckMessage });
    if (hasMoved) this.noteMoved(false);
    this.#session?.channel.wakeForAnswers(true);
  }

  async #openOnce(): Promise<void> {
    const { signal } = this.#leaving;
    const attachment = await this.slot.attach(this.slot.reconnect ? signal : undefined);
    if (signal.aborted || this.#state === 'finished') return;
    const spec = checkSpec(this.spec, attachment.config); // another backend may offer less
    const session = new Session(attachment);
    this.#session = session;
    const open = await session.open(spec, this.#wishes);
    if (open === undefined) return;
    session.channel.use(this);
    await this.#restoreVolume(session);
    if (session !== this.#session) return;
    this.#announce(open);
    void this.apply('opened');
    this.#ready.resolve(session);
    this.#owner.proceed();
  }

  #announce(open: OpenSession): void {
    const isFirst = this.#params === undefined;
    this.#open = open;
    this.#params = open.params;
    this.#owner.handleOpen(open);
    if (isFirst) this.#owner.emit('open');
    if (this.#silentSince === undefined) return;
    const gap = (this.slot.hypervisor.clock.now() - this.#silentSince) / 1e6;
    this.#silentSince = undefined;
    this.#owner.emit('reconnect', { frames: this.#pacing.position, gap });
  }

  async #restoreVolume(session: Session): Promise<void> {
    try {
      await this.volume.restore(session);
    } catch (error) {
      if (session.channel.failure) throw error;
      this.#owner.emit('warning', { code: 'VSND_VOLUME_LOST', message: (error as Error).message });
    }
  }

  /** Whether this is a loss that the stream is to outlive. */
  #survives(error: unknown): boolean {
    return this.slot.reconnect && isLoss(error);
  }

  /** Waits for an answer, unless the backend is lost that owes it, and the stream outlives that. */
  async #unlessLost(answer: Promise<void> | undefined): Promise<void> {
    try {
      await answer;
    } catch (error) {
      if (!this.#survives(error)) throw error;
    }
  }

  /** `before`: ns for which it has moved already since it was last known to. */
  #move(before: number): void {
    const now = this.slot.hypervisor.clock.now();
    this.#watchdog.start();
    this.#movedAt = now - before;
    this.#clock.start(this.#pacing.position, now);
    this.#holes.begin(this.#params?.periodFrames ?? 0);
  }

  #standStill(from: SubstreamState): void {
    if (MOVING.has(from)) this.#movedOn = this.slot.hypervisor.clock.now() - this.#movedAt;
    this.#watchdog.stop();
    this.#clock.halt(this.#pacing.position);
  }

  #run(effect: SubstreamEffect): Promise<Told> | undefined {
    switch (effect) {
      case 'triggerStart':
        this.#starting = this.#start();
        return undefined;
      case 'triggerStop':
        this.#session?.trigger('stop').catch(() => {}); // what follows it says more
        return undefined;
      case 'triggerPause':
        return this.#tell('pause');
      case 'triggerResume':
        return this.#tell('resume');
      case 'close':
        this.#endSession();
        return undefined;
      case 'reopen':
        this.#reopen();
        return undefined;
      case 'countXrun':
        this.#owner.handleXrun();
        return undefined;
      case 'warnStalled':
        this.#owner.handleDrainStalled();
        return undefined;
    }
  }

  /** What becomes of it is nobody's business once that session is over. */
  #start(): Promise<void> {
    const session = this.#session;
    if (session === undefined) return Promise.resolve();
    const answer = session.trigger('start');
    answer.then(
      () => session === this.#session && this.#handleStarted(session),
      (error: Error) => session === this.#session && this.#owner.fail(error),
    );
    return answer;
  }

  /** Positions of before are still in the event page: they were sent before START was answered. */
  #handleStarted(session: Session): void {
    session.channel.poll();
    this.#pacing.started();
    this.#owner.proceed();
  }

  #endSession(): void {
    const session = this.#session;
    if (session === undefined) return;
    if (this.#open) this.#ready = quietly(deferred<Session>());
    this.#session = undefined;
    this.#open = undefined;
    session.channel.use(undefined);
    this.#owner.handleSessionEnd();
    this.#closing = session.close({ extraTime: this.#timeToPlay });
    this.#closing.catch(() => {}); // whoever wants to know waits for `closed`
  }

  /** After the last session has let go: its grants may be the last that this guest may give. */
  #reopen(): void {
    this.#closing
      .catch(() => {}) // the next one will say it
      .then(() => this.start())
      .catch((error: Error) => this.#owner.fail(error));
  }

  async #carryOut(trigger: StreamTrigger): Promise<void> {
    if (this.#state === 'finished') throw hasEndedError();
    switch (trigger) {
      case 'start':
        this.#pacing.begin();
        this.#owner.proceed();
        return await this.#unlessLost(this.#starting);
      case 'pause':
        return await this.#pause();
      case 'resume':
        return await this.#resume();
      case 'stop':
        if (!this.knows('drop')) return;
        void this.apply('drop');
        this.#owner.handleDrop();
        return await this.closed;
    }
  }

  /** PAUSE goes to the backend only where it plays: elsewhere holding the data back is enough. */
  async #pause(): Promise<void> {
    if (!this.knows('pause')) return;
    try {
      const told = await this.apply('pause');
      if (told === 'needless' && this.knows('pauseNeedless')) void this.apply('pauseNeedless');
    } catch (error) {
      if (this.knows('pauseRefused')) {
        void this.apply('pauseRefused');
        this.#owner.proceed();
      }
      throw error;
    }
  }

  async #resume(): Promise<void> {
    if (!this.knows('resume')) return;
    const told = this.apply('resume');
    this.#owner.proceed();
    await told;
  }

  async #tell(trigger: 'pause' | 'resume'): Promise<Told> {
    try {
      await this.#unlessLost(this.#session?.trigger(trigger));
      return 'done';
    } catch (error) {
      if (isVsndError(error, 'ERR_VSND_STATUS') && error.errno === 'EBADFD') return 'needless';
      throw error;
    }
  }

  /** ns */
  get #timeToPlay(): number {
    return (this.#pacing.unplayedFrames * 1e9) / this.spec.rate;
  }

  /** ns */
  get #watchDelay(): number {
    if (this.#open === undefined) return LEAST_WATCH;
    const { bufferFrames, periodFrames, rate } = this.#open.params;
    const timeOf = (frames: number) => (frames * 1e9) / rate;
    if (this.#state === 'draining') return this.#timeToPlay + timeOf(2 * periodFrames);
    return Math.max(LEAST_WATCH, timeOf(bufferFrames + 2 * periodFrames));
  }

  /** A position that stands still: was a notification lost, is the backend gone, or does it just not count? */
  async #inquire(): Promise<void> {
    const session = this.#session;
    if (session === undefined || this.#inquiring) return;
    const before = this.#pacing.progress;
    const hasMoved = () => session !== this.#session || this.#pacing.progress !== before;
    session.channel.poll();
    if (hasMoved()) return;
    this.#inquiring = true;
    await session.ping().catch(() => {}); // then the connection is over, and says so itself
    this.#inquiring = false;
    if (hasMoved()) return;
    this.#standstills++;
    const isForGood = before === 0 || this.#standstills >= MOST_STANDSTILLS;
    if (this.#state === 'draining') void this.apply('stalled');
    else if (this.#state === 'running' && isForGood) this.#paceByAnswers();
    else return;
    this.#owner.proceed();
  }
}

/** A callback of the user's that throws is an uncaught exception of his, and no failure of the channel in whose handler it ran. */
function throwLater(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

/** Nobody has to wait for it. */
function quietly<T>(promised: Deferred<T>): Deferred<T> {
  promised.promise.catch(() => {});
  return promised;
}

function hasEndedError(): VsndError {
  return new VsndError('ERR_VSND_INVALID_STATE', 'the stream has ended');
}
