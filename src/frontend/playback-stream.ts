import { addAbortSignal, Writable } from 'node:stream';
import { invalidArg, VsndError } from '../errors.ts';
import { defaultStartThreshold } from '../pcm/hw-params.ts';
import { PlaybackPosition } from '../pcm/position.ts';
import type { ClockReading } from '../pcm/position-clock.ts';
import { PositionCounter } from '../pcm/position-counter.ts';
import type { StreamState, SubstreamState } from '../pcm/substream.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import { Lifecycle, type StreamSlot, type StreamTrigger } from './lifecycle.ts';
import type { OpenSession } from './session.ts';
import {
  checkStreamOptions,
  DEFAULT_HIGH_WATER_MARK,
  emitLater,
  type StreamEvents,
  type StreamOptions,
  type StreamWarning,
} from './stream-options.ts';

export interface PlaybackStreamOptions extends StreamOptions {
  /** Frames to write before playing starts; by default the buffer less a period. */
  startThresholdFrames?: number | undefined;
}

export interface PlaybackStreamEvents extends StreamEvents {
  /** The backend has reported a new position: frames played since the stream was created. */
  position: [{ frames: number }];
  /**
   * Nothing was left to play: after how many frames, and how often that has happened so far. Playing goes on with the next
   * write. With `estimated` it was the host that had nothing, between two positions, as their times show some seconds
   * later: for about `gap` ms; `count` is of these alone.
   */
  underrun: [
    { frames: number; count: number } | { frames: number; count: number; estimated: true; gap: number },
  ];
}

/** A chunk on its way into the shared buffer. */
interface PendingWrite {
  readonly octets: Uint8Array;
  /** Octets of the chunk as it was written: what Node counts. */
  readonly written: number;
  taken: number;
  unanswered: number;
  readonly callback: (error?: Error | null) => void;
}

/** States in which frames may go into the shared buffer. */
const FILLS: ReadonlySet<SubstreamState> = new Set([
  'prepared',
  'preparedHeld',
  'running',
  'paused',
  'underrun',
]);

/** States in which a position means something: nothing moves before START or after STOP. */
const LISTENS: ReadonlySet<SubstreamState> = new Set(['running', 'paused', 'underrun', 'draining']);

/**
 * Plays what is written to it: interleaved frames in the stream's format. Takes data only as the backend reports it
 * played, so `write()` returning false, and 'drain', follow the sound card. 'finish' means that the last frame has been
 * played; 'close' follows once. Chunks need not end at frames. `destroy()` stops at once and throws away what is queued.
 */
export class PlaybackStream extends Writable {
  readonly type = 'playback';
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
  readonly #wishedThreshold: number | undefined;
  #position: PlaybackPosition;
  #counter = new PositionCounter(0);
  /** Frames played in earlier sessions. */
  #playedBefore = 0;
  /** START was asked for: there is no threshold. */
  #isStartWanted = false;
  /** Octets of an incomplete frame. */
  #carry = Buffer.alloc(0);
  /** Octets that were dropped before Node has handed them over. */
  #dropped = 0;
  #write: PendingWrite | undefined;
  #final: ((error?: Error | null) => void) | undefined;
  /** Where the backend ran out of data and has not been heard of since it has more, octets. */
  #stoodAt: number | undefined;
  /** The backend's position does not move: what it has taken counts as played. */
  #isPacedByWrites = false;
  /** Reports since START that showed no movement at all. */
  #stillReports = 0;
  #underruns = 0;
  #estimatedUnderruns = 0;
  #positionReports = 0;

  /** Not for users: `card.createPlaybackStream()`. Throws ERR_VSND_INVALID_ARG, ERR_VSND_NOT_SUPPORTED. */
  constructor(slot: StreamSlot, options: PlaybackStreamOptions) {
    const spec = checkStreamOptions(options, slot.config);
    checkStartThreshold(options);
    const { signal, highWaterMark = DEFAULT_HIGH_WATER_MARK, softwareVolume = false } = options;
    super({ highWaterMark });
    this.device = slot.device;
    this.stream = slot.config.index;
    this.rate = spec.rate;
    this.channels = spec.channels;
    this.format = spec.format;
    this.frameBytes = spec.frameBytes;
    this.#wishedThreshold = options.startThresholdFrames;
    this.#position = new PlaybackPosition(spec.frameBytes, spec.frameBytes);
    const stream = this;
    this.#life = new Lifecycle(slot, spec, options, softwareVolume, {
      get progress() {
        return stream.#position.hwPtr;
      },
      get position() {
        return stream.position;
      },
      get timeToPlay() {
        return stream.#timeToPlay;
      },
      handleOpen: (open) => this.#handleOpen(open),
      handleReady: () => this.#handleReady(),
      handleStart: () => this.#handleStart(),
      handleStarted: () => {},
      handlePosition: (position) => this.#handlePosition(position),
      handleCaughtUp: () => {}, // each position makes room of its own
      handleStandstill: () => this.#handleStandstill(),
      handleXrun: () => this.#handleUnderrun(),
      handleHole: (frames) => this.#handleHole(frames),
      handleDrainStalled: () => this.#warnStalled(),
      handleDrop: () => this.#handleDrop(),
      handleLoss: (open) => this.#handleLoss(open),
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

  /** Frames played since the stream was created, as the backend last reported; never estimated. */
  get position(): number {
    return this.#playedBefore + Math.floor(this.#position.hwPtr / this.frameBytes);
  }

  /** Frames in the shared buffer that have not been reported as played. */
  get latency(): number {
    return Math.ceil((this.#position.queued - this.#position.hwPtr) / this.frameBytes);
  }

  /** The position against the monotonic clock, at this moment: interpolated between reports, never backwards. */
  get clock(): ClockReading {
    return this.#life.reading(this.#playedBefore + this.#position.queued / this.frameBytes);
  }

  /** How often nothing was left to play before the end. */
  get underruns(): number {
    return this.#underruns;
  }

  /** How often the host had nothing to play between two positions, as far as their times tell. */
  get estimatedUnderruns(): number {
    return this.#estimatedUnderruns;
  }

  /** XENSND_EVT_CUR_POS events received. */
  get positionReports(): number {
    return this.#positionReports;
  }

  get state(): StreamState {
    return this.#life.publicState;
  }

  /**
   * Sends a trigger to the backend (XENSND_OP_TRIGGER). 'start': plays before the start threshold is reached. 'pause': the
   * sound stands still until 'resume'; writing goes on until the buffer is full. 'stop': throws away what has been
   * written and not played; what is written next is played anew. Resolves when the backend has answered; at once where
   * there is nothing to do. Throws ERR_VSND_INVALID_ARG; rejects with ERR_VSND_STATUS, ERR_VSND_INVALID_STATE.
   */
  trigger(trigger: StreamTrigger): Promise<void> {
    return this.#life.trigger(trigger);
  }

  /** Throws away what has been written and not played: trigger('stop'). */
  drop(): Promise<void> {
    return this.#life.trigger('stop');
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

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#accept(chunk, callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    this.#accept(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#carry.length > 0) {
      this.#warn(
        'VSND_PARTIAL_FRAME',
        `the last ${this.#carry.length} octets are not a whole frame of ${this.frameBytes}; they were dropped`,
      );
    }
    this.#final = callback;
    this.#drainIfAllIsIn();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#failWrite(
      error ?? new VsndError('ERR_VSND_INVALID_STATE', 'the stream was destroyed before this was played'),
    );
    void this.#life.leave().then(() => callback(error));
  }

  #handleOpen({ params, buffer }: OpenSession): void {
    this.#position = new PlaybackPosition(buffer.audioBytes, params.frameBytes);
    this.#counter = new PositionCounter(params.periodFrames * params.frameBytes);
    this.#stoodAt = undefined;
    this.#isPacedByWrites = false;
    this.#stillReports = 0;
  }

  /** The stream is open, or goes on after a pause. */
  #handleReady(): void {
    this.#fillBuffer();
    this.#startIfFull();
    this.#drainIfAllIsIn();
    this.#noteIfDry();
  }

  #handleStart(): void {
    this.#isStartWanted = true;
    this.#startIfFull();
  }

  /** Takes whole frames of what has been carried and of `chunk`; carries the rest. */
  #accept(chunk: Buffer, callback: (error?: Error | null) => void): void {
    const wanted = chunk.subarray(this.#dropped);
    this.#dropped -= chunk.length - wanted.length;
    const octets = this.#carry.length > 0 ? Buffer.concat([this.#carry, wanted]) : wanted;
    const whole = octets.length - (octets.length % this.frameBytes);
    this.#carry = Buffer.from(octets.subarray(whole));
    if (whole === 0) {
      callback();
      return;
    }
    const frames = this.#life.volume.apply(octets.subarray(0, whole));
    const before = this.#write?.octets.subarray(this.#write.taken); // what a lost connection has left
    this.#write = {
      octets: before ? Buffer.concat([before, frames]) : frames,
      written: chunk.length,
      taken: 0,
      unanswered: 0,
      callback,
    };
    this.#fillBuffer();
    this.#startIfFull();
  }

  /** Copies as much of the pending write as has room by the last reported position, and tells the backend. */
  #fillBuffer(): void {
    const write = this.#write;
    const buffer = this.#life.open?.buffer;
    if (write === undefined || buffer === undefined || !FILLS.has(this.#life.state)) return;
    const length = Math.min(this.#room, write.octets.length - write.taken);
    if (length === 0) return;
    for (const span of this.#position.enqueue(length)) {
      buffer.write(span.offset, write.octets.subarray(write.taken, write.taken + span.length));
      write.taken += span.length;
      write.unanswered++;
      this.#life.request(
        (session) => session.transfer('write', span),
        () => this.#handleWritten(write, span.length),
      );
    }
    if (this.#life.state === 'underrun') this.#life.apply('refilled');
  }

  /**
   * Octets that may go in now. What the backend has not taken yet is not overwritten, whatever it says of its position.
   * Where WRITEs set the pace there is one at a time, of a second at most: a device may take as long to make room for it.
   */
  get #room(): number {
    const { room, bufferBytes, queued, applPtr } = this.#position;
    if (!this.#isPacedByWrites) return Math.min(room, bufferBytes - (queued - applPtr));
    return queued > applPtr ? 0 : Math.min(room, Math.min(this.periodFrames, this.rate) * this.frameBytes);
  }

  #startIfFull(): void {
    if (this.#life.state !== 'prepared' || this.#life.params === undefined) return;
    const { queued, bufferBytes } = this.#position;
    const frames = this.#isStartWanted
      ? 1
      : (this.#wishedThreshold ?? defaultStartThreshold(this.#life.params));
    if (queued >= Math.min(frames * this.frameBytes, bufferBytes)) this.#life.apply('start');
  }

  #handleWritten(write: PendingWrite, length: number): void {
    this.#position.acknowledge(length);
    write.unanswered--;
    if (this.#write === write && write.unanswered === 0 && write.taken === write.octets.length) {
      this.#write = undefined;
      write.callback();
    }
    if (this.#isPacedByWrites) this.#advanceTo(this.#position.applPtr);
    this.#fillBuffer();
    this.#drainIfAllIsIn();
  }

  #failWrite(error: Error): void {
    const write = this.#write;
    this.#write = undefined;
    write?.callback(error);
  }

  #handlePosition(position: bigint): void {
    if (!LISTENS.has(this.#life.state)) return;
    this.#positionReports++;
    if (this.#isPacedByWrites) return;
    const { queued } = this.#position;
    const played = this.#counter.read(position, { possible: queued, stoodAt: this.#stoodAt });
    if (this.#stoodAt !== undefined && played > this.#stoodAt) this.#stoodAt = undefined;
    if (this.#hasNeverMoved(played)) this.#paceByWrites();
    else this.#advanceTo(played);
  }

  /** A backend that reports, period after period, that nothing has been played of what it has taken. */
  #hasNeverMoved(played: number): boolean {
    if (played > 0 || this.#life.state !== 'running' || this.#life.params === undefined) return false;
    const { bufferFrames, periodFrames } = this.#life.params;
    this.#stillReports++;
    return this.#stillReports > bufferFrames / periodFrames + 2 && this.#position.applPtr > 0;
  }

  #advanceTo(played: number): void {
    const moved = this.#position.report(played);
    if (moved > 0) {
      this.#life.report(this.position, !this.#isPacedByWrites);
      if (this.listenerCount('position') > 0) this.#emitLater('position', { frames: this.position });
    }
    this.#noteIfDry();
    this.#fillBuffer();
    this.#checkPlayed({ stands: moved === 0 });
  }

  #noteIfDry(): void {
    if (this.#life.state !== 'running' || !this.#position.isEmpty || this.#isPacedByWrites) return;
    this.#stoodAt = this.#position.hwPtr;
    this.#life.apply('dry');
  }

  #handleUnderrun(): void {
    this.#underruns++;
    this.#emitLater('underrun', { frames: this.position, count: this.#underruns });
  }

  #handleHole(missing: number): void {
    this.#estimatedUnderruns++;
    const gap = (missing * 1000) / this.rate;
    this.#emitLater('underrun', {
      frames: this.position,
      count: this.#estimatedUnderruns,
      estimated: true,
      gap,
    });
  }

  #handleStandstill(): void {
    if (this.#life.state === 'draining') {
      this.#life.apply('stalled');
      this.#finish();
    } else {
      this.#paceByWrites();
    }
  }

  /** No audio is skipped so: what a backend has answered it has copied, or it would be too late by now anyway. */
  #paceByWrites(): void {
    if (this.#isPacedByWrites) return;
    this.#isPacedByWrites = true;
    const message = "the backend's position does not move: from now on what it has taken counts as played";
    this.#warn('VSND_POSITION_STUCK', message);
    this.#advanceTo(this.#position.applPtr);
  }

  /** Says 'end' once everything that was written is in the buffer; where the stream is held, when it goes on. */
  #drainIfAllIsIn(): void {
    if (this.#final === undefined || this.#write !== undefined) return;
    if (this.#position.queued === 0) {
      if (!this.#life.knows('endEmpty')) return;
      this.#life.apply('endEmpty');
      this.#finish();
    } else if (this.#life.knows('end')) {
      this.#silenceRestOfPeriod();
      this.#life.apply('end');
      this.#checkPlayed({ stands: false });
    }
  }

  /** A backend that reads the buffer as a DMA engine would may read on to the period's end: no old frames there. */
  #silenceRestOfPeriod(): void {
    const periodBytes = this.periodFrames * this.frameBytes;
    for (const span of this.#position.restOfPeriod(periodBytes)) this.#life.open?.buffer.silence(span);
  }

  /** `stands`: the last report did not move the position. Backends round it down: a frame may never be reported. */
  #checkPlayed({ stands }: { stands: boolean }): void {
    if (this.#life.state !== 'draining') return;
    const rest = this.#position.queued - this.#position.hwPtr;
    if (rest === 0) this.#life.apply(this.#isPacedByWrites ? 'playedNearly' : 'played');
    else if (rest <= this.frameBytes && stands) this.#life.apply('playedNearly');
    else return;
    this.#finish();
  }

  #warnStalled(): void {
    this.#warn(
      'VSND_DRAIN_STALLED',
      `the backend has stopped reporting positions with ${this.latency} frames left; it was asked to play them out`,
    );
  }

  /** 'finish' means that the backend has let go, and has not said on its way out that its device failed. */
  #finish(): void {
    const final = this.#final;
    this.#final = undefined;
    this.#life.closed.then(
      () => final?.(),
      (error: Error) => final?.(error),
    );
  }

  #handleDrop(): void {
    this.#beginAnew();
    const write = this.#write;
    this.#write = undefined;
    this.#carry = Buffer.alloc(0);
    this.#dropped = this.writableLength - (write?.written ?? 0);
    this.#isStartWanted = false;
    write?.callback();
    if (this.#life.state === 'finished') this.#finish();
    else this.#drainIfAllIsIn();
  }

  /** What was in the buffer and has not been played is played first by the next backend. */
  #handleLoss({ buffer }: OpenSession): void {
    const unplayed = buffer.read(this.#position.unplayed);
    const write = this.#write;
    this.#beginAnew();
    const octets = write ? Buffer.concat([unplayed, write.octets.subarray(write.taken)]) : unplayed;
    const callback = write?.callback ?? (() => {});
    const written = write?.written ?? 0;
    this.#write = octets.length > 0 ? { octets, written, taken: 0, unanswered: 0, callback } : undefined;
    if (octets.length === 0) callback();
  }

  #beginAnew(): void {
    this.#playedBefore = this.position;
    this.#position = new PlaybackPosition(this.frameBytes, this.frameBytes);
  }

  /** ns; what has been paced by WRITEs may all be still to come. */
  get #timeToPlay(): number {
    const frames = this.#isPacedByWrites ? this.bufferFrames : this.latency;
    return (frames * 1e9) / this.rate;
  }

  #warn(code: StreamWarning['code'], message: string): void {
    this.#emitLater('warning', { code, message });
  }

  #emitLater<E extends keyof PlaybackStreamEvents>(event: E, ...args: PlaybackStreamEvents[E]): void {
    emitLater(this, event, ...args);
  }
}

function checkStartThreshold({ startThresholdFrames: value }: PlaybackStreamOptions): void {
  if (value !== undefined && (!Number.isInteger(value) || value < 1)) {
    throw invalidArg('startThresholdFrames', value, 'a whole number of frames, at least 1');
  }
}
