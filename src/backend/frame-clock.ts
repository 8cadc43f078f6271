import type { Clock } from '../clock.ts';
import type { DeviceParams } from './pcm-device.ts';

/** Rounding of clock times, frames: a frame is due a little before its exact time. */
const TOLERANCE = 1e-3;

/** Periods a second where the frontend has none: it paces itself with READ. */
const DEFAULT_PERIODS = 100;

/** Frames that a capturing device gives at once. */
export function capturePeriod(params: DeviceParams): number {
  const { rate, periodBytes, frameBytes } = params;
  const wished = Math.floor(periodBytes / frameBytes) || Math.ceil(rate / DEFAULT_PERIODS);
  return Math.max(wished, leastPeriod(params));
}

/** Frames of a millisecond, a timer's shortest time: a device that is asked for less costs this domain more than it plays. */
export function leastPeriod({ rate }: Pick<DeviceParams, 'rate'>): number {
  return Math.ceil(rate / 1000);
}

/** Bytes that a device plays or captures at once: to scale those of a whole buffer would keep everybody waiting. */
export const LARGEST_PIECE = 65_536;

/** The same in frames. */
export function longestPiece({ frameBytes }: Pick<DeviceParams, 'frameBytes'>): number {
  return Math.max(1, Math.floor(LARGEST_PIECE / frameBytes));
}

/** Says how many frames an unbroken run at a steady rate has brought. */
export class FrameClock {
  readonly #clock: Clock;
  readonly #rate: number;
  /** The time at which this run began, ns. */
  #origin = 0;
  /** Frames of this run. */
  #counted = 0;

  /** `rate`: Hz. */
  constructor(clock: Clock, rate: number) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** A new run begins now. */
  restart(): void {
    this.#origin = this.#clock.now();
    this.#counted = 0;
  }

  /** Frames whose time has passed, and that have not been counted. */
  get due(): number {
    const elapsed = Math.floor(((this.#clock.now() - this.#origin) * this.#rate) / 1e9 + TOLERANCE);
    return Math.max(0, elapsed - this.#counted);
  }

  count(frames: number): void {
    this.#counted += frames;
  }

  /** ns from now until `frames` more are due than have been counted. */
  timeUntil(frames: number): number {
    const time = this.#origin + ((this.#counted + frames) * 1e9) / this.#rate;
    return Math.max(0, time - this.#clock.now());
  }
}
