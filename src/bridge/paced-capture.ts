import type { CaptureStream } from '../frontend/capture-stream.ts';
import { endStream, formatOf, relayEvents } from './card-stream.ts';
import type { Fifo } from './fifo.ts';
import { drain } from './fifo-frames.ts';
import { mostBufferFrames, type Path, type PathContext, type PathStatistics, PERIODS } from './path.ts';

/** Bytes (PIPE_BUF): so many or less go into a pipe whole, or not at all. PulseAudio aborts where a frame is cut. */
const MOST_AT_ONCE = 4096;

/**
 * From the card into a source's FIFO, where whoever writes is the server's clock (PulseAudio): hands on what has been
 * captured, as it is, while somebody records; the card's stream is open no longer than that.
 */
export class PacedCapture implements Path {
  readonly #fifo: Fifo;
  readonly #openReader: () => Fifo;
  readonly #bufferFrames: number;
  readonly #context: PathContext;
  #stream: CaptureStream | undefined;
  /** Chunks of whole frames that had no room in the pipe. */
  #waiting: Buffer[] = [];
  #frames = 0;
  #xruns = 0;
  #isUsed = false;
  /** Nobody has the other end any more. */
  #isGone = false;
  #closed: Promise<void> | undefined;

  /**
   * Owns `fifo`. `openReader`: its other end, for taking back what nobody has recorded. `latency`, ms: of which the card's
   * buffer is to hold no more.
   */
  constructor(fifo: Fifo, openReader: () => Fifo, latency: number, context: PathContext) {
    this.#fifo = fifo;
    this.#openReader = openReader;
    this.#bufferFrames = Math.min(
      Math.ceil((context.spec.rate * latency) / 1000),
      mostBufferFrames('capture', context),
    );
    this.#context = context;
  }

  get statistics(): PathStatistics {
    const { frameBytes, rate } = this.#context.spec;
    const inPipe = this.#closed ? 0 : this.#fifo.waiting();
    const bytes = this.#waiting.reduce((sum, chunk) => sum + chunk.length, inPipe);
    const stream = this.#stream;
    const read = stream === undefined ? 0 : stream.readableLength / frameBytes + stream.latency;
    const latencyFrames = Math.floor(bytes / frameBytes + read);
    return {
      frames: this.#frames,
      active: stream !== undefined,
      xruns: this.#xruns,
      slips: 0,
      latencyFrames,
      latency: (latencyFrames / rate) * 1000,
    };
  }

  setUsed(isUsed: boolean): void {
    this.#isUsed = isUsed;
    if (!isUsed) this.#stream?.destroy();
    else this.#open();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#fifo.close();
    await endStream(this.#stream);
  }

  #open(): void {
    if (this.#stream !== undefined || this.#isGone || this.#closed) return; // one that is closing is followed by the next
    const { card, device, spec, events } = this.#context;
    try {
      drain(this.#openReader);
      this.#stream = card.createCaptureStream({
        ...formatOf(spec),
        device,
        bufferFrames: this.#bufferFrames,
        periodFrames: Math.floor(this.#bufferFrames / PERIODS),
        reconnect: true,
      });
    } catch (error) {
      events.handleFailure(error as Error);
      return;
    }
    relayEvents(this.#stream, events);
    this.#stream
      .on('data', (bytes: Buffer) => this.#take(bytes))
      .on('overrun', () => {
        this.#xruns++;
        events.handleXrun(this.#xruns);
      })
      .on('close', () => this.#handleClose());
    events.handleStart();
  }

  #take(bytes: Buffer): void {
    if (this.#closed || this.#isGone || !this.#isUsed) return;
    const most = MOST_AT_ONCE - (MOST_AT_ONCE % this.#context.spec.frameBytes);
    for (let at = 0; at < bytes.length; at += most) this.#waiting.push(bytes.subarray(at, at + most));
    this.#handOn();
  }

  /** Waits for room only while something waits for it. */
  #handOn(): void {
    try {
      while (this.#waiting[0] !== undefined) {
        const count = this.#fifo.write(this.#waiting[0]);
        if (count === 0) break;
        this.#frames += count / this.#context.spec.frameBytes;
        this.#waiting.shift();
      }
    } catch {
      this.#isGone = true;
      this.#waiting = [];
      this.#fifo.stop();
      this.#stream?.destroy();
      this.#context.events.handleServerGone('the source has been removed from the sound server');
      return;
    }
    if (this.#waiting.length === 0) {
      this.#fifo.stop();
      this.#stream?.resume();
    } else {
      this.#stream?.pause();
      this.#fifo.start(() => this.#handOn());
    }
  }

  #handleClose(): void {
    this.#stream = undefined;
    this.#waiting = [];
    this.#context.events.handleStop();
    if (this.#closed || this.#isGone) return;
    this.#fifo.stop();
    if (this.#isUsed) this.#open();
    else drain(this.#openReader);
  }
}
