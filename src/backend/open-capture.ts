import { type Deferred, deferred } from '../deferred.ts';
import type { SndifTriggerName } from '../wire/sndif.ts';
import { ByteRing } from './byte-ring.ts';
import { checkRange, type OpenStream, type OpenStreamOptions, statusOf } from './open-stream.ts';
import { awaitClosing, awaitOpening, durationOf, inTime } from './patience.ts';
import type { CaptureFeed, CaptureVoice, PcmDevice } from './pcm-device.ts';
import { PositionReports } from './position-reports.ts';
import { Refusal } from './refusal.ts';
import { type RunningState, stateAfter } from './running-state.ts';
import type { OpenStreamStatus, StreamTotals } from './status.ts';
import type { StreamVolume } from './stream-volume.ts';

/** ns that a READ waits beyond the time of its frames: snd_xen_front, for one, gives up after 3 s in all. */
const READ_PATIENCE = 1e9;

/** ns from one word about overruns to the next. */
const OVERRUN_INTERVAL = 10e9;

/** A READ of more than has been captured. */
interface WaitingRead {
  readonly offset: number;
  readonly length: number;
  readonly done: Deferred<void>;
}

/** A capture stream: the device that captures, what the frontend has not read yet, and how far it is. */
export class OpenCapture implements OpenStream, CaptureFeed {
  readonly #options: OpenStreamOptions;
  readonly #ring: ByteRing;
  readonly #positions: PositionReports;
  #voice: CaptureVoice | undefined;
  #state: RunningState = 'stopped';
  #waiting: WaitingRead | undefined;
  /** Bytes lost since the last word about that, and when the next one may be said, ns. */
  #lost = 0;
  #nextWarning = 0;
  /** Frames are being lost, until some are read. */
  #isOverrun = false;
  #overruns = 0;
  #failure: Error | undefined;
  #isClosed = false;

  /** Opens the host device. Rejects as {@link PcmDevice.openCapture}, with {@link Refusal} where there is none. */
  static async open(device: PcmDevice, options: OpenStreamOptions): Promise<OpenCapture> {
    if (!device.openCapture) throw new Refusal('EOPNOTSUPP', `${device.description}: does not capture`);
    const stream = new OpenCapture(options);
    stream.#voice = await awaitOpening(device.openCapture(options.params, stream), options.clock);
    return stream;
  }

  private constructor(options: OpenStreamOptions) {
    const { bufferBytes, params, clock } = options;
    this.#options = options;
    this.#ring = new ByteRing(bufferBytes - (bufferBytes % params.frameBytes));
    this.#positions = new PositionReports(params.periodBytes, options.sendPosition);
    this.#nextWarning = clock.now();
  }

  get volume(): StreamVolume {
    return this.#options.volume;
  }

  get status(): OpenStreamStatus {
    const { position } = this.#positions;
    const now = { state: this.#state, position, waiting: this.#ring.available, xruns: this.#overruns };
    return statusOf(this.#options, now);
  }

  get totals(): Pick<StreamTotals, 'frames' | 'xruns'> {
    const frames = Math.floor(this.#positions.total / this.#options.params.frameBytes);
    return { frames, xruns: this.#overruns };
  }

  /** READ. What has been captured can be read in any state; only a stream that runs lets it wait for more. */
  transfer(offset: number, length: number): Promise<void> | undefined {
    checkRange(offset, length, this.#options);
    if (length > this.#ring.available) return this.#wait(offset, length);
    this.#copyOut(offset, length);
    return undefined;
  }

  /** STOP leaves what has been captured until START: a capture stream that drains is stopped first, and read then. */
  trigger(trigger: SndifTriggerName): void {
    if (this.#failure && trigger !== 'stop') throw this.#failure;
    this.#state = stateAfter(this.#state, trigger);
    if (trigger === 'start') this.#ring.clear();
    this.#voice?.[trigger]();
    if (trigger === 'stop') this.#positions.rewind();
  }

  /** Nothing is left to drain: what the frontend has not read, it does not want. */
  async close(): Promise<void> {
    const { clock, pages } = this.#options;
    this.#isClosed = true;
    this.#waiting?.done.reject(new Refusal('EBADFD', 'the stream was closed'));
    try {
      if (this.#voice) await awaitClosing(this.#voice.close(), 0, clock);
    } finally {
      this.#positions.end();
      if (this.#lost > 0) this.#warnOfLoss();
      await pages.release();
    }
    if (this.#failure) throw this.#failure;
  }

  captured(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    const frames = this.volume.apply(bytes);
    const room = Math.min(frames.length, this.#ring.room);
    this.#keep(room === frames.length ? frames : frames.subarray(0, room));
    this.#serveWaiting();
    if (room < frames.length) this.#keep(frames.subarray(room));
    this.#positions.advance(frames.length);
  }

  /**
   * No position will follow, and without one the frontend may never ask again. The period that the device owes counts
   * as lost: whoever reads it gets the failure.
   */
  failed(error: Error): void {
    this.#failure = error;
    this.#options.warn(error.message);
    this.#waiting?.done.reject(error);
    if (this.#state !== 'running') return;
    const { frameBytes, periodBytes } = this.#options.params;
    this.#positions.flush();
    this.#positions.advance(Math.ceil(periodBytes / frameBytes) * frameBytes);
  }

  async #wait(offset: number, length: number): Promise<void> {
    if (this.#failure) throw this.#failure;
    const missing = length - this.#ring.available;
    if (this.#state !== 'running') {
      throw new Refusal('EBADFD', `${missing} bytes more than a stream that is ${this.#state} has captured`);
    }
    const { params, clock } = this.#options;
    const waiting = { offset, length, done: deferred() };
    this.#waiting = waiting;
    try {
      await inTime(
        waiting.done.promise,
        durationOf(missing, params) + READ_PATIENCE,
        clock,
        () => new Refusal('ETIMEDOUT', 'the device does not capture anything'),
      );
    } finally {
      this.#waiting = undefined;
    }
  }

  #serveWaiting(): void {
    const waiting = this.#waiting;
    if (waiting === undefined || waiting.length > this.#ring.available) return;
    this.#waiting = undefined;
    this.#copyOut(waiting.offset, waiting.length);
    waiting.done.resolve();
  }

  #copyOut(offset: number, length: number): void {
    this.#isOverrun = false;
    this.#ring.takeInto(this.#options.pages, offset, length);
  }

  /** Puts frames into the ring; where there is no room, the oldest ones make way. */
  #keep(frames: Uint8Array): void {
    const excess = Math.max(0, frames.length - this.#ring.room);
    const overwritten = Math.min(excess, this.#ring.available);
    this.#ring.drop(overwritten);
    this.#ring.put(excess > overwritten ? frames.subarray(excess - overwritten) : frames);
    if (excess > 0) this.#lose(excess);
  }

  #lose(bytes: number): void {
    this.#lost += bytes;
    if (!this.#isOverrun) this.#overruns += 1;
    this.#isOverrun = true;
    if (this.#options.clock.now() >= this.#nextWarning) this.#warnOfLoss();
  }

  #warnOfLoss(): void {
    const { warn, clock, params } = this.#options;
    warn(`overrun: ${this.#lost / params.frameBytes} frames were not read in time, and are lost`);
    this.#lost = 0;
    this.#nextWarning = clock.now() + OVERRUN_INTERVAL;
  }
}
