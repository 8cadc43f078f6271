import { addAbortSignal, Readable } from 'node:stream';
import { CapturePosition, type Span } from '../pcm/position.ts';
import type { ClockReading } from '../pcm/position-clock.ts';
import { PositionCounter } from '../pcm/position-counter.ts';
import type { StreamState } from '../pcm/substream.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import { Lifecycle, type StreamSlot, type StreamTrigger } from './lifecycle.ts';
import { isLoss } from './loss.ts';
import type { OpenSession } from './session.ts';
import {
  checkStreamOptions,
  DEFAULT_HIGH_WATER_MARK,
  emitLater,
  type StreamEvents,
  type StreamOptions,
  type StreamWarning,
} from './stream-options.ts';

export type CaptureStreamOptions = StreamOptions;

export interface CaptureStreamEvents extends StreamEvents {
  /** The backend has reported a new position: frames captured since the stream was created. */
  position: [{ frames: number }];
  /**
   * Frames were captured for which there was no room. `lost`: how many, as far as the position tells; `frames`: where
   * capture goes on; `count`: how often that has happened so far. With `estimated` it was the host that lost them, between
   * two positions, as their times show some seconds later: about as many; `count` is of these alone.
   */
  overrun: [{ lost: number; frames: number; count: number; estimated?: true }];
}

/** Seconds of sound that may lie between two positions. */
const LONGEST_LEAP = 60;

/**
 * Gives what the card captures: interleaved frames in the stream's format, copied out, each chunk of whole frames. Asks
 * the backend only for what its position says it has. Begins with the first reader; has no end of its own: `finish()`
 * ends it after what has been captured so far, `destroy()` and leaving a `for await` loop at once.
 */
export class CaptureStream extends Readable {
  readonly type = 'capture';
  /** The PCM device's index, and the stream's in it. */
  readonly device: number;
  readonly stream: number;
  /** Hz */
  readonly rate: number;
  readonly channels: number;
  readonly format: PcmFormatName;
  /** Octets of one frame */
  readonly frameBytes: number;

  readonly #life: Lifecycle;
  #position: CapturePosition;
  #counter = new PositionCounter(0);
  /** Frames captured in earlier sessions, and before overruns. */
  #capturedBefore = 0;
  /** The reader has room. */
  #isWanted = false;
  /** Somebody has read, or asked for START: captures whenever it can. */
  #hasBegun = false;
  /** READs are under way. */
  #isReading = false;
  /** START has not been answered: what positions say is of before. */
  #isStarting = false;
  /** The backend's position does not move: a READ is answered when it has been captured. */
  #isPacedByReads = false;
  #isFinishing = false;
  #stillReports = 0;
  #overruns = 0;
  #estimatedOverruns = 0;
  #positionReports = 0;

  /** Not for users: `card.createCaptureStream()`. Throws ERR_VSND_INVALID_ARG, ERR_VSND_NOT_SUPPORTED. */
  constructor(slot: StreamSlot, options: CaptureStreamOptions) {
    const spec = checkStreamOptions(options, slot.config);
    const { signal, highWaterMark = DEFAULT_HIGH_WATER_MARK, softwareVolume = false } = options;
    super({ highWaterMark });
    this.device = slot.device;
    this.stream = slot.config.index;
    this.rate = spec.rate;
    this.channels = spec.channels;
    this.format = spec.format;
    this.frameBytes = spec.frameBytes;
    this.#position = new CapturePosition(spec.frameBytes, spec.frameBytes);
    const stream = this;
    this.#life = new Lifecycle(slot, spec, options, softwareVolume, {
      get progress() {
        return stream.#position.hwPtr;
      },
      get position() {
        return stream.position;
      },
      timeToPlay: 0,
      handleOpen: (open) => this.#handleOpen(open),
      handleReady: () => this.#handleReady(),
      handleStart: () => this.#begin(),
      handleStarted: () => this.#handleStarted(),
      handlePosition: (position) => this.#handlePosition(position),
      handleCaughtUp: () => this.#goOn(),
      handleStandstill: () => this.#paceByReads(),
      handleXrun: () => {}, // told where the loss is known
      handleHole: (frames) => this.#handleHole(frames),
      handleDrainStalled: () => {}, // playback's
      handleDrop: () => this.#handleDrop(),
      handleLoss: () => this.#handleLoss(),
      emit: (event, ...args) => emitLater(this, event, ...args),
      fail: (error) => void this.destroy(error),
    });
    if (signal) addAbortSignal(signal, this); // which may destroy it at once
  }

  /** Frames of the shared buffer; 0 before 'open'. */
  get bufferFrames(): number {
    return this.#life.params?.bufferFrames ?? 0;
  }

  /** Frames between two reports of the position; 0 before 'open'. */
  get periodFrames(): number {
    return this.#life.params?.periodFrames ?? 0;
  }

  /** Frames captured since the stream was created, lost ones included, as the backend last reported; never estimated. */
  get position(): number {
    return this.#capturedBefore + Math.floor(this.#position.hwPtr / this.frameBytes);
  }

  /** Frames that have been captured and not been asked for. */
  get latency(): number {
    return Math.floor(this.#position.available / this.frameBytes);
  }

  /** The position against the monotonic clock, at this moment: interpolated between reports, never backwards. */
  get clock(): ClockReading {
    return this.#life.reading(Number.POSITIVE_INFINITY);
  }

  /** How often frames have been lost because nobody read them. */
  get overruns(): number {
    return this.#overruns;
  }

  /** How often the host has lost frames between two positions, as far as their times tell. */
  get estimatedOverruns(): number {
    return this.#estimatedOverruns;
  }

  /** XENSND_EVT_CUR_POS events received. */
  get positionReports(): number {
    return this.#positionReports;
  }

  get state(): StreamState {
    return this.#life.publicState;
  }

  /**
   * Sends a trigger to the backend (XENSND_OP_TRIGGER). 'start': captures before anybody reads. 'pause': nothing is captured
   * until 'resume'. 'stop': throws away what has been captured and not been read; capturing begins anew with the next
   * read. Resolves when the backend has answered; at once where there is nothing to do. Throws ERR_VSND_INVALID_ARG;
   * rejects with ERR_VSND_STATUS, ERR_VSND_INVALID_STATE.
   */
  trigger(trigger: StreamTrigger): Promise<void> {
    return this.#life.trigger(trigger);
  }

  /** Ends capturing: what has been captured so far can still be read, then comes 'end'. Idempotent. */
  finish(): void {
    this.#isFinishing = true;
    if (this.#mayHaveRunOver) this.#loseUnread();
    this.#fetch();
    this.#endIfRead();
  }

  /** dB, one a channel. Waits for 'open'. Rejects with ERR_VSND_NOT_SUPPORTED where the backend has no volume. */
  getVolume(): Promise<number[]> {
    return this.#life.volume.get(this.#life.whenOpen);
  }

  /** dB, for all channels or one a channel, in steps of 0.001. Throws ERR_VSND_INVALID_ARG; rejects as {@link getVolume}. */
  setVolume(volume: number | readonly number[]): Promise<void> {
    return this.#life.volume.set(volume, this.#life.whenOpen);
  }

  /** Silences all channels, or those with these numbers. Throws ERR_VSND_INVALID_ARG; rejects as {@link getVolume}. */
  mute(channels?: readonly number[]): Promise<void> {
    return this.#life.volume.setMuted(true, channels, this.#life.whenOpen);
  }

  /** The opposite of {@link mute}. */
  unmute(channels?: readonly number[]): Promise<void> {
    return this.#life.volume.setMuted(false, channels, this.#life.whenOpen);
  }

  /** Which channels have been muted here; a backend does not say what it was told by others. */
  get muted(): readonly boolean[] {
    return this.#life.volume.muted;
  }

  override destroy(error?: Error): this {
    this.#life.abandon();
    return super.destroy(error);
  }

  override _construct(callback: (error?: Error | null) => void): void {
    this.#life.start().then(
      () => callback(),
      (error: Error) => callback(this.destroyed ? null : error), // one error is enough: the first
    );
  }

  override _read(): void {
    this.#isWanted = true;
    this.#begin();
    this.#fetch();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    void this.#life.leave().then(() => callback(error));
  }

  #handleOpen({ params, buffer }: OpenSession): void {
    this.#position = new CapturePosition(buffer.audioBytes, params.frameBytes);
    this.#counter = new PositionCounter(params.periodFrames * params.frameBytes);
    this.#isPacedByReads = false;
  }

  #handleReady(): void {
    if (this.#hasBegun) this.#begin();
    this.#goOn();
  }

  #begin(): void {
    this.#hasBegun = true;
    if (this.#life.state !== 'prepared') return;
    this.#isStarting = true;
    this.#life.apply('start');
  }

  /** Positions of before are still in the event page: they were sent before START was answered. */
  #handleStarted(): void {
    this.#life.poll();
    this.#stillReports = 0;
    this.#isStarting = false;
  }

  #handlePosition(position: bigint): void {
    const { state } = this.#life;
    if (this.#isFinishing || this.#isStarting || (state !== 'running' && state !== 'paused')) return;
    this.#positionReports++;
    if (this.#isPacedByReads) return;
    const captured = this.#counter.read(position, { possible: this.#possible });
    if (this.#hasNeverMoved(captured)) {
      this.#paceByReads();
      return;
    }
    this.#advanceTo(captured);
  }

  /** Octets that can have been captured: a first position beyond is not ours alone, a later one makes no sense. */
  get #possible(): number {
    const isFirst = this.#counter.count === 0;
    const more = isFirst ? this.bufferFrames + 2 * this.periodFrames : LONGEST_LEAP * this.rate;
    return this.#counter.count + more * this.frameBytes;
  }

  #advanceTo(captured: number): void {
    if (this.#position.report(captured) === 0) return;
    this.#life.report(this.position, !this.#isPacedByReads);
    if (this.listenerCount('position') > 0) this.#emitLater('position', { frames: this.position });
  }

  #hasNeverMoved(captured: number): boolean {
    if (captured > 0 || this.#life.state !== 'running' || this.#life.params === undefined) return false;
    this.#stillReports++;
    return this.#stillReports > this.#life.params.bufferFrames / this.#life.params.periodFrames + 2;
  }

  #goOn(): void {
    if (this.#isOverrun && this.#life.state === 'running') this.#restart();
    else this.#fetch();
  }

  /** A counter that falls is the reference backend's sign: a READ would now block it for 10 s. */
  get #isOverrun(): boolean {
    return this.#position.isOverrun || this.#counter.hasFallen;
  }

  /** The buffer may have run over since the last report: the next one says. */
  get #mayHaveRunOver(): boolean {
    const since = (this.#life.sinceMoved * this.rate * this.frameBytes) / 1e9;
    return this.#position.available + since > this.#position.bufferBytes;
  }

  /** Bytes that a READ gets at once. */
  get #readable(): number {
    return this.#isOverrun || this.#mayHaveRunOver ? 0 : this.#position.available;
  }

  /** STOP and START: what was captured and not read is lost. */
  #restart(): void {
    this.#isStarting = true;
    this.#life.apply('overrun');
    this.#loseUnread();
  }

  #loseUnread(): void {
    const lost = this.latency;
    this.#overruns++;
    this.#beginAnew();
    this.#emitLater('overrun', { lost, frames: this.position, count: this.#overruns });
  }

  #handleHole(lost: number): void {
    this.#estimatedOverruns++;
    const count = this.#estimatedOverruns;
    this.#emitLater('overrun', { lost, frames: this.position, count, estimated: true });
  }

  #beginAnew(): void {
    this.#capturedBefore = this.position;
    const { bufferBytes } = this.#position;
    this.#position = new CapturePosition(bufferBytes, this.frameBytes);
    this.#counter = new PositionCounter(this.periodFrames * this.frameBytes);
  }

  /** Asks for what has been captured: as much as the reader takes at once, or all of it at the end. */
  #fetch(): void {
    const { state, open } = this.#life;
    const isOpen = open !== undefined && (state === 'running' || state === 'paused');
    if (!isOpen || this.#isReading || !(this.#isWanted || this.#isFinishing)) return;
    const length = this.#fetchLength();
    if (length === 0) return;
    this.#isReading = true;
    const where = this.#position.dequeue(length);
    let unanswered = where.length;
    for (const span of where) {
      this.#life.request(
        (session) => session.transfer('read', span),
        () => {
          unanswered--;
          if (unanswered === 0) this.#deliver(open, where);
        },
      );
    }
  }

  /** Octets, whole frames, at most what the reader takes at once. */
  #fetchLength(): number {
    const most = Math.max(this.readableHighWaterMark, this.frameBytes);
    const whole = most - (most % this.frameBytes);
    if (this.#isPacedByReads && !this.#isFinishing) {
      const frames = Math.min(this.periodFrames, this.rate); // a second: a request must not take longer than three
      return Math.min(frames * this.frameBytes, whole);
    }
    return Math.min(this.#readable, whole);
  }

  #deliver({ buffer }: OpenSession, where: readonly Span[]): void {
    this.#isReading = false;
    if (this.#isPacedByReads) this.#advanceTo(this.#position.applPtr);
    const octets = this.#life.volume.apply(buffer.read(where));
    this.#isWanted = false;
    this.push(octets);
    this.#fetch();
    this.#endIfRead();
  }

  #endIfRead(): void {
    if (!this.#isFinishing || this.#isReading || !this.#life.knows('end')) return;
    this.#life.apply('end');
    this.#life.closed.catch(ignoreIfGone).then(
      () => this.destroyed || this.push(null),
      (error: Error) => this.destroy(error),
    );
  }

  #paceByReads(): void {
    if (this.#isPacedByReads) return;
    this.#isPacedByReads = true;
    const message = "the backend's position does not move: from now on it is asked for a period at a time";
    this.#warn('VSND_POSITION_STUCK', message);
    this.#fetch();
  }

  /** Who waits for data still does. */
  #handleDrop(): void {
    this.#hasBegun = this.#isWanted;
    this.#leaveSession();
  }

  #handleLoss(): void {
    this.#leaveSession();
  }

  /** What the backend had captured and was not asked for, or has not answered, is lost with it. */
  #leaveSession(): void {
    this.#isReading = false;
    this.#beginAnew();
    this.#endIfRead();
  }

  #warn(code: StreamWarning['code'], message: string): void {
    this.#emitLater('warning', { code, message });
  }

  #emitLater<E extends keyof CaptureStreamEvents>(event: E, ...args: CaptureStreamEvents[E]): void {
    emitLater(this, event, ...args);
  }
}

/** Nothing was still to come from that backend. */
function ignoreIfGone(error: unknown): void {
  if (!isLoss(error)) throw error;
}
