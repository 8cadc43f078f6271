import type { Clock, Timer } from '../clock.ts';
import { deferred } from '../deferred.ts';
import { FrameClock, longestPiece } from './frame-clock.ts';
import type { DeviceParams, PlaybackFeed, PlaybackVoice } from './pcm-device.ts';

/** What is done with the frames at the moment they are played. */
export interface FrameSink {
  /** Whole frames. Throws where they cannot be kept. */
  write(bytes: Uint8Array): void;
  close(): void;
}

/** A device that is nothing but a clock: plays at its rate, wakes at each period and where its data ends. */
export class ClockedVoice implements PlaybackVoice {
  readonly #frameBytes: number;
  readonly #periodFrames: number;
  readonly #longestPiece: number;
  readonly #feed: PlaybackFeed;
  readonly #clock: Clock;
  readonly #sink: FrameSink;
  /** Since it began to play, or to play again. */
  readonly #run: FrameClock;
  #running = false;
  /** Frames played since the device was opened. */
  #played = 0;
  #timer: Timer | undefined;
  /** The timer is for the end of the data. */
  #isForDataEnd = false;
  /** More data has come since. */
  #isRefilled = false;
  #drained: (() => void) | undefined;

  constructor(params: DeviceParams, feed: PlaybackFeed, clock: Clock, sink: FrameSink) {
    this.#frameBytes = params.frameBytes;
    this.#periodFrames = Math.floor(params.periodBytes / params.frameBytes) || params.rate;
    this.#longestPiece = longestPiece(params);
    this.#feed = feed;
    this.#clock = clock;
    this.#sink = sink;
    this.#run = new FrameClock(clock, params.rate);
  }

  start(): void {
    this.#running = true;
    this.#beginRun();
  }

  pause(): void {
    this.#playDue();
    this.#halt();
    // Its timer was late: the run that begins at RESUME would never say that there is nothing left.
    if (this.#feed.available === 0) this.#feed.dry();
  }

  resume(): void {
    this.start();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#playDue();
    this.#halt();
    this.#played = 0;
  }

  /** The timer that there is comes early enough: there is more now than when it was set. */
  refilled(): void {
    if (!this.#running) return;
    if (this.#timer === undefined) this.#beginRun();
    else this.#isRefilled = this.#isForDataEnd;
  }

  async close({ drain }: { drain: boolean }): Promise<void> {
    if (drain && this.#timer !== undefined) {
      const { promise, resolve } = deferred();
      this.#drained = resolve;
      await promise;
    }
    this.#halt();
    this.#sink.close();
  }

  #beginRun(): void {
    this.#timer?.cancel();
    this.#run.restart();
    this.#arm();
  }

  #halt(): void {
    this.#running = false;
    this.#isRefilled = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#drained?.();
  }

  /** Sets the one timer: for the next period's end, the end of the data, or of a piece, whichever comes first. */
  #arm(): void {
    const available = Math.floor(this.#feed.available / this.#frameBytes);
    const toPeriod = this.#periodFrames - (this.#played % this.#periodFrames);
    const most = Math.min(toPeriod, this.#longestPiece);
    const frames = Math.min(most, available);
    this.#isForDataEnd = available < most;
    this.#timer = frames > 0 ? this.#clock.after(this.#run.timeUntil(frames), this.#wake) : undefined;
  }

  readonly #wake = (): void => {
    if (this.#isRefilled) {
      this.#isRefilled = false;
      this.#arm(); // nothing ends here any more
      return;
    }
    this.#playDue();
    if (!this.#running) return; // it failed, or was closed by who heard of the position
    this.#arm();
    if (this.#timer !== undefined) return;
    this.#feed.dry();
    this.#drained?.();
  };

  /** Plays what is due, or fails. */
  #playDue(): void {
    try {
      const bytes = this.#feed.take(this.#run.due * this.#frameBytes);
      if (bytes.length === 0) return;
      this.#sink.write(bytes);
      const frames = bytes.length / this.#frameBytes;
      this.#run.count(frames);
      this.#played += frames;
      this.#feed.played(bytes.length);
    } catch (error) {
      this.#halt();
      this.#feed.failed(error as Error);
    }
  }
}
