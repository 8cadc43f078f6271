import type { Readable } from 'node:stream';
import type { Clock, Timer } from '../clock.ts';
import { ClockedCapture } from './clocked-capture.ts';
import { silence } from './devices.ts';
import { capturePeriod, FrameClock } from './frame-clock.ts';
import type { CaptureFeed, CaptureVoice, DeviceParams } from './pcm-device.ts';

/** What a device's own clock may be ahead of ours: more is data that was there before. */
const FASTEST = 1.01;

/** Periods that may be taken at once where they were late. */
const MOST_PERIODS = 2;

export interface ReadableVoiceOptions {
  readonly clock: Clock;
  /** What comes while the stream does not run is thrown away, as with a microphone; else it is held back. */
  readonly isLive: boolean;
}

/**
 * A device behind a Readable, whose data is the clock; what comes faster than 1 % above the rate is left in the
 * Readable. Where that ends, silence follows.
 */
export class ReadableVoice implements CaptureVoice {
  readonly #params: DeviceParams;
  readonly #feed: CaptureFeed;
  readonly #readable: Readable;
  readonly #clock: Clock;
  /** The fastest that a device can be. */
  readonly #limit: FrameClock;
  readonly #periodFrames: number;
  readonly #isLive: boolean;
  #running = false;
  #timer: Timer | undefined;
  /** Takes over at the end of the data. */
  #silence: CaptureVoice | undefined;

  constructor(
    params: DeviceParams,
    feed: CaptureFeed,
    readable: Readable,
    { clock, isLive }: ReadableVoiceOptions,
  ) {
    this.#params = params;
    this.#feed = feed;
    this.#readable = readable;
    this.#clock = clock;
    this.#limit = new FrameClock(clock, params.rate * FASTEST);
    this.#periodFrames = capturePeriod(params);
    this.#isLive = isLive;
    readable.on('readable', () => (this.#running ? this.#capture() : this.#idle()));
    readable.on('end', () => this.#fallSilent());
    readable.on('error', (error) => {
      this.stop();
      feed.failed(error);
    });
  }

  start(): void {
    this.#running = true;
    this.#limit.restart();
    this.#silence?.start();
    this.#capture();
  }

  pause(): void {
    this.#halt();
    this.#silence?.pause();
    this.#idle();
  }

  resume(): void {
    this.start();
  }

  stop(): void {
    this.#halt();
    this.#silence?.stop();
  }

  async close(): Promise<void> {
    this.stop();
  }

  #idle(): void {
    if (this.#isLive) this.#readable.read();
  }

  #halt(): void {
    this.#running = false;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Captures what has come, as far as the limit allows, and comes back for the rest. */
  #capture(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { frameBytes } = this.#params;
    while (this.#running) {
      const waiting = Math.floor(this.#readable.readableLength / frameBytes);
      const frames = Math.min(waiting, this.#allowance());
      if (waiting > 0 && frames === 0) {
        const next = this.#limit.timeUntil(Math.min(waiting, this.#periodFrames));
        this.#timer = this.#clock.after(next, () => this.#capture());
        return;
      }
      // To ask for a frame that is not there makes 'readable' come when it is, or 'end'.
      const bytes: Uint8Array | null = this.#readable.read(Math.max(frames, 1) * frameBytes);
      if (bytes === null) return;
      this.#limit.count(frames);
      this.#feed.captured(this.#wholeFrames(bytes));
    }
  }

  /** Frames that may be taken now. */
  #allowance(): number {
    const most = MOST_PERIODS * this.#periodFrames;
    const { due } = this.#limit;
    if (due > most) this.#limit.count(due - most);
    return Math.min(due, most);
  }

  /** Only at the end of the data is there a part of a frame: silence completes it. */
  #wholeFrames(bytes: Uint8Array): Uint8Array {
    const { frameBytes, format } = this.#params;
    const rest = bytes.length % frameBytes;
    if (rest === 0) return bytes;
    const frames = new Uint8Array(bytes.length - rest + frameBytes);
    silence(format).fill(frames);
    frames.set(bytes);
    return frames;
  }

  #fallSilent(): void {
    this.#silence = new ClockedCapture(this.#params, this.#feed, this.#clock, silence(this.#params.format));
    if (this.#running) this.#silence.start();
  }
}
