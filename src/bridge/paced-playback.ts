import type { PlaybackStream } from '../frontend/playback-stream.ts';
import { bufferOf, endStream, formatOf, relayEvents } from './card-stream.ts';
import type { Fifo } from './fifo.ts';
import { FrameReader } from './fifo-frames.ts';
import {
  IDLE_TIME,
  mostBufferFrames,
  type Path,
  type PathContext,
  type PathStatistics,
  PERIODS,
} from './path.ts';
import { silenceOf } from './silence.ts';

/**
 * From a sink's FIFO into the card, where whoever reads is the server's clock (PulseAudio): takes what the backend has
 * played, and no more, as it is. While nothing comes, silence keeps the card's stream from running dry; after
 * {@link IDLE_TIME} the stream is closed, and the event loop waits for the FIFO alone.
 */
export class PacedPlayback implements Path {
  readonly #fifo: Fifo;
  readonly #context: PathContext;
  /** Frames that are to wait at the card. */
  readonly #targetFrames: number;
  /** As many wait there at least, be it silence: a late event loop must not be heard. */
  readonly #leastFrames: number;
  readonly #silence: Uint8Array;
  readonly #reader: FrameReader;
  #stream: PlaybackStream | undefined;
  /** Frames that have been written to the stream, silence included. */
  #written = 0;
  /** Frames from the FIFO, in all. */
  #frames = 0;
  /** The event loop waits for the FIFO. */
  #isWaiting = false;
  #isUsed = false;
  /** Nobody has the other end any more. */
  #isGone = false;
  /** Silence was needed since the last frame from the FIFO. */
  #isDry = false;
  /** And a program has been playing all the time. */
  #isLate = false;
  /** When there was something in the FIFO last, ns. */
  #lastData = 0;
  #xruns = 0;
  #closed: Promise<void> | undefined;

  /** `bufferFrames`: how many frames are to wait at the card, as far as the card can. Owns `fifo`. */
  constructor(fifo: Fifo, bufferFrames: number, context: PathContext) {
    const { frameBytes } = context.spec;
    this.#fifo = fifo;
    this.#context = context;
    this.#targetFrames = Math.min(bufferFrames, mostBufferFrames('playback', context));
    this.#leastFrames = Math.ceil(this.#targetFrames / 2);
    this.#silence = silenceOf(context.spec, this.#leastFrames * frameBytes);
    this.#reader = new FrameReader(fifo, frameBytes, this.#targetFrames * frameBytes);
    this.#wait();
  }

  get statistics(): PathStatistics {
    const { frameBytes, rate } = this.#context.spec;
    const waiting = this.#closed ? 0 : Math.floor(this.#fifo.waiting() / frameBytes);
    const latencyFrames = waiting + this.#outstanding;
    return {
      frames: this.#frames,
      active: this.#stream !== undefined,
      xruns: this.#xruns,
      slips: 0,
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

  /** Frames that have been written and not been played. */
  get #outstanding(): number {
    return this.#stream === undefined ? 0 : this.#written - this.#stream.position;
  }

  #wait(): void {
    if (this.#isWaiting || this.#isGone || this.#closed) return;
    this.#isWaiting = true;
    this.#fifo.start(() => this.#pump());
  }

  #stopWaiting(): void {
    this.#isWaiting = false;
    this.#fifo.stop();
  }

  /** Takes what there is room for; then waits for more, or for a position to make room. */
  #pump(): void {
    if (this.#closed || this.#isGone) return;
    const stream = this.#stream ?? this.#openForSound();
    while (stream !== undefined && this.#roomIn(stream) > 0) {
      if (!this.#carry(stream)) return;
    }
    this.#stopWaiting();
  }

  /** The FIFO is ready: with nothing to read, because its other end has gone. */
  #openForSound(): PlaybackStream | undefined {
    if (this.#fifo.waiting() > 0) return this.#open();
    this.#handleGone();
    return undefined;
  }

  /** Reads once. False where there was nothing. */
  #carry(stream: PlaybackStream): boolean {
    const bytes = this.#reader.read(this.#roomIn(stream));
    if (bytes === 'gone') this.#handleGone();
    else if (bytes === undefined) this.#keepGoing(stream);
    else this.#play(stream, bytes);
    return bytes instanceof Buffer;
  }

  /** Frames; none before the backend has opened the stream. */
  #roomIn(stream: PlaybackStream): number {
    return stream.destroyed ? 0 : Math.min(this.#targetFrames, stream.bufferFrames) - this.#outstanding;
  }

  #play(stream: PlaybackStream, bytes: Buffer): void {
    const { clock, events } = this.#context;
    this.#lastData = clock.now();
    this.#isDry = false;
    if (this.#isLate) {
      this.#isLate = false;
      this.#xruns++;
      events.handleXrun(this.#xruns);
    }
    const frames = bytes.length / this.#context.spec.frameBytes;
    this.#frames += frames;
    this.#write(stream, bytes, frames);
  }

  #handleGone(): void {
    this.#isGone = true;
    this.#stopWaiting();
    this.#stream?.destroy();
    this.#context.events.handleServerGone('the sink has been removed from the sound server');
  }

  /** The FIFO is empty. */
  #keepGoing(stream: PlaybackStream): void {
    if (this.#context.clock.now() - this.#lastData >= IDLE_TIME) {
      stream.destroy(); // what it still had is silence
      return;
    }
    const missing = Math.min(this.#leastFrames, stream.bufferFrames) - this.#outstanding;
    if (missing > 0) {
      this.#isLate = this.#isDry ? this.#isLate : this.#isUsed;
      this.#isDry = true;
      const { frameBytes } = this.#context.spec;
      this.#write(stream, this.#silence.subarray(0, missing * frameBytes), missing);
    }
    this.#wait();
  }

  #write(stream: PlaybackStream, bytes: Uint8Array, frames: number): void {
    this.#written += frames;
    stream.write(bytes);
  }

  /** The stream starts with its first frame: the pipe was full of more when that came. */
  #open(): PlaybackStream | undefined {
    const { card, device, spec, events, clock } = this.#context;
    const stream = this.#tryToCreate(() =>
      card.createPlaybackStream({
        ...formatOf(spec),
        device,
        ...bufferOf(spec, this.#targetFrames),
        periodFrames: Math.floor(this.#targetFrames / PERIODS),
        startThresholdFrames: 1,
        reconnect: true,
      }),
    );
    if (stream === undefined) return undefined;
    this.#stream = stream;
    this.#written = 0;
    this.#lastData = clock.now();
    this.#stopWaiting();
    relayEvents(stream, events);
    stream
      .on('open', () => this.#pump())
      .on('position', () => this.#pump())
      .on('reconnect', () => this.#pump())
      .on('underrun', () => {
        this.#xruns++;
        events.handleXrun(this.#xruns);
        this.#pump();
      })
      .on('close', () => this.#handleClose());
    events.handleStart();
    return stream;
  }

  #tryToCreate(create: () => PlaybackStream): PlaybackStream | undefined {
    try {
      return create();
    } catch (error) {
      this.#context.events.handleFailure(error as Error);
      return undefined;
    }
  }

  #handleClose(): void {
    this.#stream = undefined;
    this.#isDry = false;
    this.#isLate = false;
    this.#context.events.handleStop();
    this.#wait();
  }
}
