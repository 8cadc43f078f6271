import { addAbortSignal } from 'node:stream';
import { invalidArgError, VsndError } from '../errors.ts';
import type { OptionNames } from '../option-names.ts';
import { defaultStartThreshold } from '../pcm/hw-params.ts';
import { PlaybackPacing } from '../pcm/playback-pacing.ts';
import type { PlaybackEngine, StreamPort } from './engine.ts';
import { NativePlayback } from './native-engine.ts';
import { CORE, PcmWritable } from './pcm-stream.ts';
import { ScriptPlayback } from './script-engine.ts';
import type { OpenSession } from './session.ts';
import { StreamCore, type StreamSlot } from './stream-core.ts';
import { emitLater } from './stream-events.ts';
import {
  checkStreamOptions,
  DEFAULT_HIGH_WATER_MARK,
  STREAM_OPTIONS,
  type StreamOptions,
  shapeOf,
  stagedByDefault,
  stagingBytesFor,
} from './stream-options.ts';

/** What a playback stream can be created with. */
export interface PlaybackStreamOptions extends StreamOptions {
  /** Frames to write before playing starts; by default the buffer less a period. */
  startThresholdFrames?: number | undefined;
}

export const PLAYBACK_OPTIONS: OptionNames<PlaybackStreamOptions> = {
  ...STREAM_OPTIONS,
  startThresholdFrames: true,
};

/** What Node has handed over and waits for: pieces of whole frames on their way into the shared buffer. */
interface PendingWrite {
  readonly pieces: readonly Uint8Array[];
  /** Bytes as they were written: what Node counts. */
  readonly written: number;
  /** The piece that is next, and from where in it. */
  piece: number;
  start: number;
  /** Bytes that are not in yet. */
  left: number;
  readonly callback: (error?: Error | null) => void;
}

const NOTHING = Buffer.alloc(0);

/**
 * Plays what is written to it: interleaved frames in the stream's format. Takes data only as the backend reports it
 * played, so `write()` returning false, and 'drain', follow the sound card. 'finish' means that the last frame has been
 * played; 'close' follows once. Chunks need not end at frames. `destroy()` stops at once and throws away what is queued.
 */
export class PlaybackStream extends PcmWritable {
  /** Which way its frames go. */
  readonly type = 'playback';
  readonly #core: StreamCore;
  readonly #pacing: PlaybackPacing;
  readonly #wishedThreshold: number | undefined;
  #engine: PlaybackEngine | undefined;
  /** Bytes of an incomplete frame. */
  #carry = NOTHING;
  /** Bytes that were dropped before Node has handed them over. */
  #dropped = 0;
  #write: PendingWrite | undefined;
  #final: ((error?: Error | null) => void) | undefined;
  #underruns = 0;
  #estimatedUnderruns = 0;

  /** @internal Users have `card.createPlaybackStream()`. Throws ERR_VSND_INVALID_ARG, ERR_VSND_NOT_SUPPORTED. */
  constructor(slot: StreamSlot, options: PlaybackStreamOptions) {
    const spec = checkStreamOptions(options, slot.config);
    checkStartThreshold(options);
    const usual = slot.engine ? stagedByDefault(spec) : DEFAULT_HIGH_WATER_MARK;
    const { signal, highWaterMark = usual, softwareVolume = false } = options;
    super({ highWaterMark });
    this.#wishedThreshold = options.startThresholdFrames;
    this.#pacing = new PlaybackPacing(spec.frameBytes, spec.rate);
    this.#core = new StreamCore(slot, spec, options, softwareVolume, {
      pacing: this.#pacing,
      stuckMessage: "the backend's position does not move: from now on what it has taken counts as played",
      handleOpen: (open) => this.#handleOpen(open),
      proceed: () => this.#proceed(),
      refresh: () => this.#engine?.refresh(),
      attend: (duration) => this.#engine?.attend(duration),
      handleSessionEnd: () => this.#closeEngine(),
      handleRead: () => {}, // capture's
      handleXrun: () => this.#handleUnderrun(),
      handleHole: (frames) => this.#handleHole(frames),
      handleDrainStalled: () => this.#warnStalled(),
      handleDrop: () => this.#handleDrop(),
      handleLoss: () => this.#handleLoss(),
      openPort: () => this.#openPort(),
      hears: (event) => this.listenerCount(event) > 0,
      emit: (event, ...args) => emitLater(this, event, ...args),
      fail: (error) => void this.destroy(error),
    });
    this[CORE] = this.#core;
    if (signal) addAbortSignal(signal, this); // which may destroy it at once
  }

  /** Frames that the engine has taken and that have not been reported as played: in the shared buffer, and staged for it. */
  get latency(): number {
    this.#core.attend();
    return this.#pacing.latency + (this.#engine?.staged ?? 0) / this.frameBytes;
  }

  /** How often nothing was left to play before the end. */
  get underruns(): number {
    return this.#underruns;
  }

  /** How often the host had nothing to play between two positions, as far as their times tell. */
  get estimatedUnderruns(): number {
    return this.#estimatedUnderruns;
  }

  /** Throws away what has been written and not played: trigger('stop'). */
  drop(): Promise<void> {
    return this.#core.trigger('stop');
  }

  override destroy(error?: Error): this {
    this.#core.abandon();
    return super.destroy(error);
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#accept([chunk], chunk.length, callback);
  }

  /** @internal */
  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    const pieces = chunks.map(({ chunk }) => chunk).filter(({ length }) => length > 0);
    this.#accept(pieces, lengthOf(pieces), callback);
  }

  /** @internal */
  override _final(callback: (error?: Error | null) => void): void {
    if (this.#carry.length > 0) {
      const message = `the last ${this.#carry.length} bytes are not a whole frame of ${this.frameBytes}; they were dropped`;
      emitLater(this, 'warning', { code: 'VSND_PARTIAL_FRAME', message });
    }
    this.#final = callback;
    this.#proceed();
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const write = this.#write;
    this.#write = undefined;
    write?.callback(
      error ?? new VsndError('ERR_VSND_INVALID_STATE', 'the stream was destroyed before this was played'),
    );
    super._destroy(error, callback);
  }

  #handleOpen({ params, buffer }: OpenSession): void {
    const startThresholdFrames = this.#wishedThreshold ?? defaultStartThreshold(params);
    this.#pacing.open({ ...params, startThresholdFrames });
    const parts = { channel: this.#core.channel, buffer, substream: this.#core };
    const { engine } = this.#core.slot;
    this.#engine = engine
      ? new NativePlayback(this.#pacing, {
          ...parts,
          engine,
          shape: shapeOf(params),
          stagingBytes: stagingBytesFor(this.writableHighWaterMark, this.frameBytes),
          user: this.#core,
        })
      : new ScriptPlayback(this.#pacing, parts);
  }

  #openPort(): StreamPort | undefined {
    const engine = this.#write || this.#carry.length > 0 ? undefined : this.#engine;
    const port = engine?.openPort();
    engine?.refresh();
    return engine && port ? { port, written: this.#pacing.queued + engine.staged } : undefined;
  }

  #closeEngine(): void {
    this.#engine?.close();
    this.#engine = undefined;
  }

  /** Takes whole frames of what has been carried and of the chunks; carries the rest. */
  #accept(chunks: readonly Uint8Array[], written: number, callback: (error?: Error | null) => void): void {
    const pieces = this.#wholeFrames(chunks);
    if (this.#write) pieces.unshift(...remainderOf(this.#write)); // what a lost connection has left
    const left = lengthOf(pieces);
    if (left === 0) {
      callback();
      return;
    }
    this.#write = { pieces, written, piece: 0, start: 0, left, callback };
    this.#proceed();
  }

  /** The chunks as they are where each is of whole frames; else in one piece. */
  #wholeFrames(chunks: readonly Uint8Array[]): Uint8Array[] {
    const isWhole = (chunk: Uint8Array) => chunk.length % this.frameBytes === 0;
    if (this.#carry.length === 0 && this.#dropped === 0 && chunks.every(isWhole)) {
      return chunks.map((chunk) => this.#core.volume.apply(chunk));
    }
    const all = Buffer.concat([this.#carry, ...this.#withoutDropped(chunks)]);
    const whole = all.length - (all.length % this.frameBytes);
    this.#carry = Buffer.from(all.subarray(whole));
    return whole > 0 ? [this.#core.volume.apply(all.subarray(0, whole))] : [];
  }

  #withoutDropped(chunks: readonly Uint8Array[]): Uint8Array[] {
    return chunks.map((chunk) => {
      const wanted = chunk.subarray(this.#dropped);
      this.#dropped -= chunk.length - wanted.length;
      return wanted;
    });
  }

  /** Frames go in as far as they can. What the numbers say is noted before, as the backend knows no more, and after that. */
  #proceed(): void {
    this.#applyDue();
    this.#fill();
    if (this.#final && this.#write === undefined && (this.#engine?.finish() ?? true)) this.#pacing.finish();
    this.#applyDue();
    if (this.#core.state === 'finished') this.#finish();
  }

  #applyDue(): void {
    if (this.#engine?.isCarried) return;
    for (let due = this.#pacing.due(this.#core.state); due; due = this.#pacing.due(this.#core.state)) {
      if (due === 'end') this.#engine?.silenceRestOfPeriod();
      void this.#core.apply(due);
    }
  }

  /** Copies as much of the pending write as has room by the last reported position, and tells the backend. */
  #fill(): void {
    const [write, engine] = [this.#write, this.#engine];
    if (engine === undefined) return;
    do {
      if (write) handOver(write, engine);
    } while (engine.flush(write !== undefined && write.left > 0) && write !== undefined && write.left > 0);
    if (write === undefined || write.left > 0 || this.#write !== write) return;
    this.#write = undefined;
    write.callback();
  }

  #handleUnderrun(): void {
    this.#underruns++;
    emitLater(this, 'underrun', { frames: this.position, count: this.#underruns });
  }

  #handleHole(missing: number): void {
    this.#estimatedUnderruns++;
    const gap = (missing * 1000) / this.rate;
    emitLater(this, 'underrun', {
      frames: this.position,
      count: this.#estimatedUnderruns,
      estimated: true,
      gap,
    });
  }

  #warnStalled(): void {
    const message = `the backend has stopped reporting positions with ${this.latency} frames left; it was asked to play them out`;
    emitLater(this, 'warning', { code: 'VSND_DRAIN_STALLED', message });
  }

  /** 'finish' means that the backend has let go, and has not said on its way out that its device failed. */
  #finish(): void {
    const final = this.#final;
    this.#final = undefined;
    if (final) this.#core.closed.then(() => final(), final);
  }

  #handleDrop(): void {
    this.#pacing.drop();
    const write = this.#write;
    this.#write = undefined;
    this.#carry = NOTHING;
    this.#dropped = this.writableLength - (write?.written ?? 0);
    write?.callback();
    this.#proceed();
  }

  /** What was in the buffer and has not been played is played first by the next backend. */
  #handleLoss(): void {
    const unplayed = this.#engine?.unplayed() ?? NOTHING;
    this.#closeEngine();
    this.#pacing.leave();
    const write = this.#write;
    const rest = write ? remainderOf(write) : [];
    const pieces = unplayed.length > 0 ? [unplayed, ...rest] : rest;
    const { written = 0, callback = () => {} } = write ?? {};
    this.#write =
      pieces.length > 0
        ? { pieces, written, piece: 0, start: 0, left: lengthOf(pieces), callback }
        : undefined;
  }
}

/** As much of a write as the engine takes now. */
function handOver(write: PendingWrite, engine: PlaybackEngine): void {
  for (let piece = write.pieces[write.piece]; piece; piece = write.pieces[write.piece]) {
    const taken = engine.write(piece, write.start, write.left);
    if (taken === 0) return;
    write.left -= taken;
    write.start += taken;
    if (write.start < piece.length) return;
    write.start = 0;
    write.piece++;
  }
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

/** The pieces that are not in yet, the first one from where it is to go on. */
function remainderOf({ pieces, piece, start }: PendingWrite): Uint8Array[] {
  return pieces.slice(piece).map((bytes, index) => (index === 0 ? bytes.subarray(start) : bytes));
}

function checkStartThreshold({ startThresholdFrames: value }: PlaybackStreamOptions): void {
  if (value !== undefined && (!Number.isInteger(value) || value < 1)) {
    throw invalidArgError('startThresholdFrames', value, 'a whole number of frames, at least 1');
  }
}
