import { addAbortSignal } from 'node:stream';
import { CapturePacing } from '../pcm/capture-pacing.ts';
import type { CaptureEngine, StreamPort } from './engine.ts';
import { isLoss } from './loss.ts';
import { NativeCapture } from './native-engine.ts';
import { CORE, PcmReadable } from './pcm-stream.ts';
import { ScriptCapture } from './script-engine.ts';
import type { OpenSession } from './session.ts';
import { StreamCore, type StreamSlot } from './stream-core.ts';
import { emitLater } from './stream-events.ts';
import {
  checkStreamOptions,
  DEFAULT_HIGH_WATER_MARK,
  type StreamOptions,
  shapeOf,
  stagingBytesFor,
} from './stream-options.ts';

/** What a capture stream can be created with. */
export type CaptureStreamOptions = StreamOptions;

/**
 * Gives what the card captures: interleaved frames in the stream's format, copied out, each chunk of whole frames. Asks
 * the backend only for what its position says it has. Begins with the first reader; has no end of its own: `finish()`
 * ends it after what has been captured so far, `destroy()` and leaving a `for await` loop at once.
 */
export class CaptureStream extends PcmReadable {
  /** Which way its frames go. */
  readonly type = 'capture';
  readonly #core: StreamCore;
  readonly #pacing: CapturePacing;
  #engine: CaptureEngine | undefined;
  /** Another addon takes the frames, and nobody reads. */
  #isPorted = false;
  /** What a session that is lost has left for it. */
  #unread: Uint8Array | undefined;
  #overruns = 0;
  #estimatedOverruns = 0;

  /** @internal Users have `card.createCaptureStream()`. Throws ERR_VSND_INVALID_ARG, ERR_VSND_NOT_SUPPORTED. */
  constructor(slot: StreamSlot, options: CaptureStreamOptions) {
    const spec = checkStreamOptions(options, slot.config);
    const { signal, highWaterMark = DEFAULT_HIGH_WATER_MARK, softwareVolume = false } = options;
    super({ highWaterMark });
    this.#pacing = new CapturePacing(spec.frameBytes, spec.rate);
    this.#core = new StreamCore(slot, spec, options, softwareVolume, {
      pacing: this.#pacing,
      stuckMessage: "the backend's position does not move: from now on it is asked for a period at a time",
      handleOpen: (open) => this.#handleOpen(open),
      proceed: () => this.#proceed(),
      refresh: () => this.#engine?.refresh(),
      attend: (duration) => this.#engine?.attend(duration),
      handleSessionEnd: () => this.#closeEngine(),
      handleRead: () => this.#engine?.answer(),
      handleXrun: () => this.#handleOverrun(this.#pacing.restart()),
      handleHole: (frames) => this.#handleHole(frames),
      handleDrainStalled: () => {}, // playback's
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

  /** Frames that have been captured, and that nobody has taken or asked for. */
  get latency(): number {
    this.#core.attend();
    return this.#pacing.latency + (this.#engine?.staged ?? 0) / this.frameBytes;
  }

  /** How often frames have been lost because nobody read them. */
  get overruns(): number {
    return this.#overruns;
  }

  /** How often the host has lost frames between two positions, as far as their times tell. */
  get estimatedOverruns(): number {
    return this.#estimatedOverruns;
  }

  /** Ends capturing: what has been captured so far can still be read, then comes 'end'. Idempotent. */
  finish(): void {
    this.#core.settle();
    const lost = this.#pacing.finish(this.#elapsed);
    if (lost > 0) this.#handleOverrun(lost);
    this.#proceed();
  }

  override destroy(error?: Error): this {
    this.#core.abandon();
    return super.destroy(error);
  }

  /** @internal */
  override _read(): void {
    this.#pacing.want();
    this.#proceed();
  }

  #handleOpen({ params, buffer }: OpenSession): void {
    this.#pacing.open(params);
    const parts = { channel: this.#core.channel, buffer, substream: this.#core };
    const { engine } = this.#core.slot;
    this.#engine = engine
      ? new NativeCapture(this.#pacing, {
          ...parts,
          engine,
          shape: shapeOf(params),
          stagingBytes: stagingBytesFor(this.readableHighWaterMark, this.frameBytes),
          user: this.#core,
        })
      : new ScriptCapture(this.#pacing, parts);
    if (this.#isPorted) this.#usePort();
  }

  #openPort(): StreamPort | undefined {
    const port = this.#usePort();
    if (port === undefined) return undefined;
    this.#proceed();
    return { port, written: 0 };
  }

  #usePort(): unknown {
    const port = this.#engine?.openPort();
    if (port === undefined) return undefined;
    this.#isPorted = true;
    if (this.#unread) this.#engine?.stage(this.#unread);
    this.#unread = undefined;
    this.#pacing.want();
    return port;
  }

  #closeEngine(): void {
    this.#engine?.close();
    this.#engine = undefined;
  }

  /** What there is is asked for, and what is due by the numbers is done. */
  #proceed(): void {
    this.#deliver();
    this.#ask();
    this.#engine?.rest();
    if (this.#engine?.isCarried) return;
    for (let due = this.#pacing.due(this.#core.state); due; due = this.#pacing.due(this.#core.state)) {
      if (due !== 'end') this.#pacing.start();
      else if (this.#pacing.latency > 0) this.#handleOverrun(this.#pacing.restart()); // run over meanwhile
      void this.#core.apply(due);
      if (due === 'end') this.#pushEnd();
    }
  }

  /** Asks for what has been captured: as much as the reader takes at once, or all of it at the end. */
  #ask(): void {
    if (this.#engine?.isCarried) return;
    const room = this.#engine?.portRoom ?? 0;
    if (this.#isPorted && room === 0) return;
    const most = this.#isPorted ? room : this.readableHighWaterMark;
    const length = this.#pacing.readable(most, this.#elapsed, this.#core.state);
    if (length > 0) this.#engine?.ask(length);
  }

  /** Bytes' time since the position was last known to move. */
  get #elapsed(): number {
    return (this.#core.sinceMoved * this.rate * this.frameBytes) / 1e9;
  }

  #deliver(): void {
    const frames = this.#engine?.take();
    if (frames === undefined) return;
    if (this.#pacing.deliver()) this.#core.noteMoved(false);
    if (this.#isPorted) {
      this.#engine?.stage(frames);
      this.#pacing.want();
      return;
    }
    this.push(this.#core.volume.apply(frames));
  }

  #handleOverrun(lost: number): void {
    this.#overruns++;
    emitLater(this, 'overrun', { lost, frames: this.position, count: this.#overruns });
  }

  #handleHole(lost: number): void {
    this.#estimatedOverruns++;
    const count = this.#estimatedOverruns;
    emitLater(this, 'overrun', { lost, frames: this.position, count, estimated: true });
  }

  /** When the backend has let go, and has not said on its way out that its device failed. */
  #pushEnd(): void {
    this.#core.closed.catch(ignoreIfGone).then(
      () => this.destroyed || this.push(null),
      (error: Error) => this.destroy(error),
    );
  }

  #handleDrop(): void {
    this.#pacing.drop();
    this.#proceed();
  }

  #handleLoss(): void {
    const unread = this.#engine?.unread();
    if (this.#isPorted) this.#unread = unread;
    else if (unread) this.push(this.#core.volume.apply(unread));
    this.#pacing.leave();
    this.#proceed();
  }
}

/** Nothing was still to come from that backend. */
function ignoreIfGone(error: unknown): void {
  if (!isLoss(error)) throw error;
}
