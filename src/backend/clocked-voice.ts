import type { Clock, Timer } from '../clock.ts';
import { deferred } from '../deferred.ts';
import type { DeviceParams, PlaybackFeed, PlaybackVoice } from './pcm-device.ts';

/** Rounding of clock times, frames: a frame is due a little before its exact time. */
const TOLERANCE = 1e-3;

/** What is done with the frames at the moment they are played. */
export interface FrameSink {
  /** Whole frames. Throws where they cannot be kept. */
  write(octets: Uint8Array): void;
  close(): void;
}

/** A device that is nothing but a clock: plays at its rate, wakes at each period and where its data ends. */
export class ClockedVoice implements PlaybackVoice {
  readonly #params: DeviceParams;
  readonly #feed: PlaybackFeed;
  readonly #clock: Clock;
  readonly #sink: FrameSink;
  #running = false;
  /** The time at which the first frame of this unbroken run was due, ns. */
  #origin = 0;
  /** Frames played in this run. */
  #counted = 0;
  /** Frames played since the device was opened. */
  #played = 0;
  #timer: Timer | undefined;
  #drained: (() => void) | undefined;

  constructor(params: DeviceParams, feed: PlaybackFeed, clock: Clock, sink: FrameSink) {
    this.#params = params;
    this.#feed = feed;
    this.#clock = clock;
    this.#sink = sink;
  }

  start(): void {
    this.#running = true;
    this.#beginRun();
  }

  pause(): void {
    this.#playOrFail();
    this.#halt();
    // Its timer was late: the run that begins at RESUME would never say that there is nothing left.
    if (this.#feed.available === 0) this.#feed.dry();
  }

  resume(): void {
    this.start();
  }

  stop(): void {
    if (this.#timer !== undefined) this.#playOrFail();
    this.#halt();
    this.#played = 0;
  }

  refilled(): void {
    if (!this.#running) return;
    if (this.#timer === undefined) this.#beginRun();
    else this.#arm();
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
    this.#origin = this.#clock.now();
    this.#counted = 0;
    this.#arm();
  }

  #halt(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#drained?.();
  }

  /** Sets the one timer: for the next period's end, or the end of the data if that comes first. */
  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const available = Math.floor(this.#feed.available / this.#params.frameBytes);
    if (available === 0) return;
    const frames = Math.min(this.#framesToPeriod(), available);
    const due = this.#origin + ((this.#counted + frames) * 1e9) / this.#params.rate;
    this.#timer = this.#clock.after(Math.max(0, due - this.#clock.now()), () => this.#wake());
  }

  #wake(): void {
    this.#playOrFail();
    if (!this.#running) return; // it failed, or was closed by who heard of the position
    this.#arm();
    if (this.#timer !== undefined) return;
    this.#feed.dry();
    this.#drained?.();
  }

  #playOrFail(): void {
    try {
      this.#playDue();
    } catch (error) {
      this.#halt();
      this.#feed.failed(error as Error);
    }
  }

  /** Plays what the time since the run began has brought. */
  #playDue(): void {
    const { rate, frameBytes } = this.#params;
    const elapsed = Math.floor(((this.#clock.now() - this.#origin) * rate) / 1e9 + TOLERANCE);
    const octets = this.#feed.take(Math.max(0, elapsed - this.#counted) * frameBytes);
    if (octets.length === 0) return;
    this.#sink.write(octets);
    const frames = octets.length / frameBytes;
    this.#counted += frames;
    this.#played += frames;
    this.#feed.played(octets.length);
  }

  #framesToPeriod(): number {
    const period = Math.floor(this.#params.periodBytes / this.#params.frameBytes);
    return period === 0 ? this.#params.rate : period - (this.#played % period);
  }
}
