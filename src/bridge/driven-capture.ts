import type { CaptureStream } from '../frontend/capture-stream.ts';
import { endStream, formatOf, relayEvents } from './card-stream.ts';
import type { DriftCorrector } from './drift-corrector.ts';
import type { Fifo } from './fifo.ts';
import { drain } from './fifo-frames.ts';
import type { Path, PathContext, PathStatistics } from './path.ts';
import { silenceOf } from './silence.ts';

export interface DrivenCaptureOptions {
  /** Frames that are to wait in the FIFO when the card brings more. */
  readonly targetFrames: number;
  /** Frames that the server takes at a time. */
  readonly quantumFrames: number;
  /** Frames of the card's buffer. */
  readonly bufferFrames: number;
  /** Opens the FIFO's other end, for taking back what nobody has recorded. */
  readonly openReader: () => Fifo;
}

/**
 * From the card into a source's FIFO, where the server's own timer takes the frames, and zeros where there are none (PipeWire
 * before 0.3.80): keeps what waits in the FIFO near its target. The card's stream is open while somebody records.
 */
export class DrivenCapture implements Path {
  readonly #fifo: Fifo;
  readonly #corrector: DriftCorrector;
  readonly #options: DrivenCaptureOptions;
  readonly #context: PathContext;
  readonly #silence: Buffer;
  #stream: CaptureStream | undefined;
  #frames = 0;
  #xruns = 0;
  #isUsed = false;
  /** What waits has been brought to its target once. */
  #isRunning = false;
  #closed: Promise<void> | undefined;

  /** Owns `fifo`. */
  constructor(fifo: Fifo, corrector: DriftCorrector, options: DrivenCaptureOptions, context: PathContext) {
    this.#fifo = fifo;
    this.#corrector = corrector;
    this.#options = options;
    this.#context = context;
    this.#silence = silenceOf(context.spec, options.targetFrames * context.spec.frameBytes);
  }

  get statistics(): PathStatistics {
    const { frameBytes, rate } = this.#context.spec;
    const stream = this.#stream;
    const unread = stream === undefined ? 0 : stream.readableLength / frameBytes + stream.latency;
    const latencyFrames = Math.floor(this.#waiting + unread);
    return {
      frames: this.#frames,
      active: stream !== undefined,
      xruns: this.#xruns,
      slips: this.#corrector.slips,
      latencyFrames,
      latency: (latencyFrames / rate) * 1000,
    };
  }

  setUsed(isUsed: boolean): void {
    this.#isUsed = isUsed;
    if (isUsed) this.#open();
    else this.#stream?.destroy();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#fifo.close();
    await endStream(this.#stream);
  }

  /** Frames in the FIFO. */
  get #waiting(): number {
    return this.#closed ? 0 : this.#fifo.waiting() / this.#context.spec.frameBytes;
  }

  #open(): void {
    if (this.#stream !== undefined || this.#closed) return; // one that is closing is followed by the next
    const { card, device, spec, events } = this.#context;
    const { bufferFrames, quantumFrames } = this.#options;
    try {
      drain(this.#options.openReader);
      this.#isRunning = false;
      this.#stream = card.createCaptureStream({
        ...formatOf(spec),
        device,
        bufferFrames,
        periodFrames: quantumFrames,
        reconnect: true,
      });
    } catch (error) {
      events.handleFailure(error as Error);
      return;
    }
    relayEvents(this.#stream, events);
    this.#stream
      .on('data', (bytes: Buffer) => this.#take(bytes))
      .on('overrun', () => this.#noteXrun())
      .on('close', () => this.#handleClose());
    events.handleStart();
  }

  #noteXrun(): void {
    this.#xruns++;
    this.#context.events.handleXrun(this.#xruns);
  }

  #take(bytes: Buffer): void {
    const stream = this.#stream;
    if (this.#closed || stream === undefined || !this.#isUsed) return;
    const { clock } = this.#context;
    const frames = this.#waiting;
    if (!this.#isRunning || frames === 0) {
      this.#begin(bytes);
      return;
    }
    this.#write(this.#corrector.correct(bytes, { time: clock.now(), frames }));
  }

  /** The server goes through silence first: so much waits from now on. */
  #begin(bytes: Buffer): void {
    if (this.#isRunning) this.#noteXrun();
    this.#isRunning = true;
    this.#write(this.#silence);
    this.#corrector.restart(this.#options.targetFrames);
    this.#write(bytes);
  }

  /** What has no room is lost: the server takes nothing. */
  #write(bytes: Uint8Array): void {
    const { frameBytes } = this.#context.spec;
    try {
      for (let at = 0; at < bytes.length; ) {
        const count = this.#fifo.write(bytes.subarray(at));
        if (count === 0) this.#noteXrun();
        this.#frames += count / frameBytes;
        at = count === 0 ? bytes.length : at + count;
      }
    } catch {
      this.#stream?.pause();
      this.#context.events.handleServerGone('the source has been removed from the sound server');
    }
  }

  #handleClose(): void {
    this.#stream = undefined;
    this.#context.events.handleStop();
    if (this.#closed) return;
    if (this.#isUsed) this.#open();
    else drain(this.#options.openReader);
  }
}
