import type { PlaybackStream } from '../frontend/playback-stream.ts';
import { bufferOf, endStream, formatOf, relayEvents } from './card-stream.ts';
import type { DriftCorrector } from './drift-corrector.ts';
import type { Fifo } from './fifo.ts';
import { FrameReader } from './fifo-frames.ts';
import { IDLE_TIME, type Path, type PathContext, type PathStatistics } from './path.ts';
import { silenceOf } from './silence.ts';

/** Bytes: what a FIFO holds. */
const READ_BYTES = 65_536;

/** s: no more is kept for a card whose backend does not open its stream. */
const MOST_QUEUED = 1;

/** s: opening the stream may add so much to the latency rather than to move what was first heard. */
const MOST_DELAY = 0.05;

export interface DrivenPlaybackOptions {
  /** Frames that are to wait at the card when the server brings more. */
  readonly targetFrames: number;
  /** Frames that the server brings at a time. */
  readonly quantumFrames: number;
  /** Frames of the card's buffer. */
  readonly bufferFrames: number;
}

/**
 * From a sink's FIFO into the card, where the server's own timer brings the frames (PipeWire): takes all that comes at once,
 * and keeps what waits at the card near its target. A server whose program is silent brings zeros for ever: after
 * {@link IDLE_TIME} of nothing, or of nothing but zeros, the card's stream is closed until there is sound again.
 */
export class DrivenPlayback implements Path {
  readonly #fifo: Fifo;
  readonly #corrector: DriftCorrector;
  readonly #options: DrivenPlaybackOptions;
  readonly #context: PathContext;
  readonly #reader: FrameReader;
  readonly #silence: Buffer;
  #stream: PlaybackStream | undefined;
  /** 'opening': what comes is queued; 'lost': it is dropped; 'dry': there is silence at the card, if anything. */
  #state: 'opening' | 'running' | 'dry' | 'lost' = 'opening';
  #queue: Buffer[] = [];
  /** Frames that have been written to the stream. */
  #written = 0;
  /** Frames from the FIFO that were not dropped as silence. */
  #frames = 0;
  /** When there was something else than zeros last, ns. */
  #lastSound = 0;
  #isUsed = false;
  /** Silence was needed since the last frame, and a program has been playing ever since. */
  #isLate = false;
  #xruns = 0;
  #closed: Promise<void> | undefined;

  /** Owns `fifo`. */
  constructor(fifo: Fifo, corrector: DriftCorrector, options: DrivenPlaybackOptions, context: PathContext) {
    this.#fifo = fifo;
    this.#corrector = corrector;
    this.#options = options;
    this.#context = context;
    const { frameBytes } = context.spec;
    this.#reader = new FrameReader(fifo, frameBytes, READ_BYTES);
    this.#silence = silenceOf(
      context.spec,
      Math.max(READ_BYTES, (options.targetFrames + options.quantumFrames) * frameBytes),
    );
    this.#fifo.start(() => this.#pump());
  }

  get statistics(): PathStatistics {
    const { frameBytes, rate } = this.#context.spec;
    const bytes = this.#closed ? 0 : this.#fifo.waiting() + this.#queuedBytes;
    const latencyFrames = Math.floor(bytes / frameBytes + this.#outstanding);
    return {
      frames: this.#frames,
      active: this.#stream !== undefined,
      xruns: this.#xruns,
      slips: this.#corrector.slips,
      latencyFrames,
      latency: (latencyFrames / rate) * 1000,
    };
  }

  setUsed(isUsed: boolean): void {
    this.#isUsed = isUsed;
    if (!isUsed) this.#isLate = false;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#fifo.close();
    await endStream(this.#stream);
  }

  get #queuedBytes(): number {
    return this.#queue.reduce((sum, { length }) => sum + length, 0);
  }

  /** Frames that have been written and not been played, by the card's clock. */
  get #outstanding(): number {
    return this.#stream === undefined ? 0 : this.#written - this.#stream.clock.frames;
  }

  #pump(): void {
    if (this.#closed) return;
    const bytes = this.#reader.read();
    if (bytes === 'gone') {
      this.#fifo.stop();
      this.#context.events.handleServerGone('the sink has been removed from the sound server');
    } else if (bytes !== undefined) {
      this.#take(bytes);
    }
  }

  #take(bytes: Buffer): void {
    const isSilent = bytes.equals(this.#silence.subarray(0, bytes.length));
    if (!isSilent) this.#lastSound = this.#context.clock.now();
    if (isSilent && (this.#stream === undefined || this.#isIdle)) {
      this.#rest();
      return;
    }
    this.#stream ??= this.#open();
    if (this.#state === 'lost') return;
    this.#frames += bytes.length / this.#context.spec.frameBytes;
    if (this.#state === 'opening') this.#enqueue(bytes);
    else this.#play(bytes);
  }

  get #isIdle(): boolean {
    return this.#context.clock.now() - this.#lastSound >= IDLE_TIME;
  }

  /** Closes the stream: what it still has is silence. What comes from now on is for the next one. */
  #rest(): void {
    if (this.#stream === undefined || this.#stream.destroyed) return;
    this.#state = 'opening';
    this.#stream.destroy();
  }

  #enqueue(bytes: Buffer): void {
    this.#queue.push(bytes);
    const { rate, frameBytes } = this.#context.spec;
    while (this.#queuedBytes > MOST_QUEUED * rate * frameBytes) this.#queue.shift();
  }

  #play(bytes: Buffer): void {
    const { clock } = this.#context;
    const stream = this.#stream;
    if (stream === undefined) return;
    if (this.#state === 'dry') {
      this.#noteIfLate();
      this.#begin(bytes, this.#options.targetFrames);
      return;
    }
    const frames = this.#outstanding;
    this.#write(this.#corrector.correct(bytes, { time: clock.now(), frames }));
  }

  /** Begins to play, behind as much silence as is needed for so many frames to wait when the next ones come. */
  #begin(bytes: Buffer, targetFrames: number): void {
    const waiting = Math.ceil(this.#outstanding) + bytes.length / this.#context.spec.frameBytes;
    this.#writeSilence(targetFrames + this.#options.quantumFrames - waiting);
    this.#write(bytes);
    this.#corrector.restart(targetFrames);
    this.#state = 'running';
  }

  #handleOpen(): void {
    const { rate, frameBytes } = this.#context.spec;
    const { targetFrames, quantumFrames } = this.#options;
    const bytes = Buffer.concat(this.#queue);
    this.#queue = [];
    const waiting = bytes.length / frameBytes - quantumFrames;
    this.#begin(bytes, Math.min(Math.max(targetFrames, waiting), targetFrames + MOST_DELAY * rate));
  }

  #noteIfLate(): void {
    if (!this.#isLate) return;
    this.#isLate = false;
    this.#xruns++;
    this.#context.events.handleXrun(this.#xruns);
  }

  /** The card has played a period. Where nothing has come for it to go on with, it gets silence. */
  #handlePosition(): void {
    if (this.#isIdle) this.#rest();
    const { targetFrames, quantumFrames } = this.#options;
    const least = Math.min(targetFrames / 2, targetFrames - 2 * quantumFrames);
    if (this.#state === 'opening' || this.#state === 'lost' || this.#outstanding >= least) return;
    if (this.#state === 'running') {
      this.#isLate = this.#isUsed;
      this.#state = 'dry';
    }
    this.#writeSilence(Math.ceil(targetFrames - this.#outstanding));
  }

  #writeSilence(frames: number): void {
    const { frameBytes } = this.#context.spec;
    if (frames > 0) this.#write(this.#silence.subarray(0, frames * frameBytes));
  }

  #write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#written += bytes.length / this.#context.spec.frameBytes;
    this.#stream?.write(bytes);
  }

  #open(): PlaybackStream | undefined {
    const { card, device, spec, events } = this.#context;
    const { bufferFrames, quantumFrames } = this.#options;
    try {
      const stream = card.createPlaybackStream({
        ...formatOf(spec),
        device,
        ...bufferOf(spec, bufferFrames),
        periodFrames: quantumFrames,
        startThresholdFrames: 1,
        reconnect: true,
      });
      this.#follow(stream);
      events.handleStart();
      return stream;
    } catch (error) {
      this.#fifo.stop();
      events.handleFailure(error as Error);
      return undefined;
    }
  }

  #follow(stream: PlaybackStream): void {
    const { events } = this.#context;
    this.#written = 0;
    this.#state = 'opening';
    relayEvents(stream, events);
    stream
      .on('open', () => this.#handleOpen())
      .on('position', () => this.#handlePosition())
      .on('disconnect', () => {
        this.#state = 'lost';
        this.#queue = [];
      })
      .on('reconnect', () => {
        this.#state = 'dry';
      })
      .on('underrun', (underrun: { estimated?: boolean }) => {
        if (this.#state === 'running' && !underrun.estimated) this.#state = 'dry'; // else it has gone on since
        this.#xruns++;
        events.handleXrun(this.#xruns);
      })
      .on('close', () => this.#handleClose());
  }

  /** Sound that came while it closed is played by the next one. */
  #handleClose(): void {
    this.#stream = undefined;
    this.#isLate = false;
    this.#context.events.handleStop();
    if (this.#queue.length > 0 && !this.#closed) this.#stream = this.#open();
  }
}
