import type { Clock, Timer } from '../clock.ts';
import { capturePeriod, FrameClock, longestPiece } from './frame-clock.ts';
import type { CaptureFeed, CaptureVoice, DeviceParams } from './pcm-device.ts';

/** What there is to be captured. */
export interface FrameSource {
  /** Fills whole frames with what comes next. Throws where it cannot be had. */
  fill(frames: Uint8Array): void;
  /** STOP: what comes next is the beginning again, if there is one. */
  rewind?(): void;
  close?(): void;
}

/** A device that is nothing but a clock: captures at its rate, wakes at each period. */
export class ClockedCapture implements CaptureVoice {
  readonly #params: DeviceParams;
  readonly #feed: CaptureFeed;
  readonly #clock: Clock;
  readonly #source: FrameSource;
  /** Since it began to capture, or to capture again. */
  readonly #run: FrameClock;
  readonly #periodFrames: number;
  /** Where they are captured to, as large as it has had to be. */
  #frames = new Uint8Array(0);
  /** Frames captured since it was opened or stopped. */
  #captured = 0;
  #timer: Timer | undefined;

  constructor(params: DeviceParams, feed: CaptureFeed, clock: Clock, source: FrameSource) {
    this.#params = params;
    this.#feed = feed;
    this.#clock = clock;
    this.#source = source;
    this.#run = new FrameClock(clock, params.rate);
    this.#periodFrames = capturePeriod(params);
  }

  start(): void {
    this.#timer?.cancel();
    this.#run.restart();
    this.#arm();
  }

  pause(): void {
    this.#captureOrFail();
    this.#halt();
  }

  resume(): void {
    this.start();
  }

  stop(): void {
    this.#halt();
    this.#captured = 0;
    this.#source.rewind?.();
  }

  async close(): Promise<void> {
    this.#halt();
    this.#source.close?.();
  }

  #halt(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    const toPeriod = this.#periodFrames - (this.#captured % this.#periodFrames);
    const frames = Math.min(toPeriod, longestPiece(this.#params));
    this.#timer = this.#clock.after(this.#run.timeUntil(frames), this.#wake);
  }

  readonly #wake = (): void => {
    this.#captureOrFail();
    if (this.#timer !== undefined) this.#arm(); // else it failed, or was closed by who heard of the position
  };

  #captureOrFail(): void {
    try {
      this.#captureDue();
    } catch (error) {
      this.#halt();
      this.#feed.failed(error as Error);
    }
  }

  /** Captures what is due, a second at most: what a process missed that stood still for longer is lost. */
  #captureDue(): void {
    const { rate, frameBytes } = this.#params;
    const { due } = this.#run;
    this.#run.count(due);
    const length = Math.min(due, rate) * frameBytes;
    if (this.#frames.length < length) this.#frames = new Uint8Array(length);
    const frames = this.#frames.subarray(0, length);
    this.#source.fill(frames);
    this.#captured += frames.length / frameBytes;
    this.#feed.captured(frames);
  }
}
