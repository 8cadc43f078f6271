import type { ClockReading } from '../pcm/position-clock.ts';

/** What a controller is told each time the sound server brings frames. */
export interface FillReading {
  /** ns, of the monotonic clock. */
  readonly time: number;
  /** Frames that wait to be played, without those that have just come. */
  readonly fillFrames: number;
  /** What is known of the card's rate, against the same clock. */
  readonly clock: Pick<ClockReading, 'deviation' | 'deviationError'>;
  /** Frames by which the resampled sound lies between two of the untouched frames, -0.5 to 0.5: where it came from. */
  readonly phase: number;
}

/** What is to be done to keep the fill. */
export interface Correction {
  /** Frames to play for one that comes; exactly 1: untouched. */
  readonly ratio: number;
  /** Frames to repeat, or, where negative, to drop: a whole quantum each time. */
  readonly slipFrames: number;
}

/** Something that keeps the frames that wait near their target. */
export interface FillController {
  /** Times never run backwards. */
  correct(reading: FillReading): Correction;
  /** The stream has stopped: the next reading is the first of another run. The card's rate stays known. */
  restart(): void;
}

export interface FillControllerOptions {
  /** Hz */
  rate: number;
  /** Frames that the sound server brings at a time; so far the fill may be off in either direction before anything is done. */
  quantumFrames: number;
  /** Frames that are to wait when others come. */
  targetFrames: number;
}

/** s: readings scatter with the time at which the process is woken; this is what they are averaged over. */
const AVERAGED = 1;

/** s: as fast is a wrong fill mended. Ten times slower than the average, and so without overshoot. */
const MENDING = 10;

/** s: what has to be mended again and again is drift, and is learnt as slowly as this; twice as slow as would just not swing. */
const LEARNING = 8 * MENDING;

/** A wrong fill moves the ratio by no more, or it could not be back in time: 1.7 cents. */
const MOST_MENDING = 1000e-6;

/** No ratio is further from 1. */
const MOST = 5000e-6;

/** The ratio's change in a second: a third of a cent. The ear needs several cents. */
const SLEW = 200e-6;

/** s: a drift that takes longer to cross the dead band is left alone. */
const WORTHWHILE = 600;

/** s: the fill must have been right for so long before the resampler is left. */
const SETTLED = 30;

/** s: how fast the resampled sound moves onto the untouched frames. */
const LANDING = 1;

/** Frames: as near it must come; less than the cross-fade can show. */
const LANDED = 0.01;

/** By how much the fill is above its target, on the average of the last {@link AVERAGED} seconds. */
class Excess {
  readonly #options: FillControllerOptions;
  #average: number | undefined;
  #begun = 0;
  #time = 0;
  /** How the clocks of both ends beat, a run's first second shows: by so much its fill is right although it is not the target. */
  #offset: number | undefined;

  constructor(options: FillControllerOptions) {
    this.#options = options;
  }

  add({ fillFrames, time }: FillReading): { excess: number; elapsed: number } {
    const { targetFrames, quantumFrames } = this.#options;
    if (this.#average === undefined) {
      this.#average = fillFrames;
      this.#begun = this.#time = time;
    }
    const elapsed = (time - this.#time) / 1e9;
    this.#time = time;
    this.#average += (fillFrames - this.#average) * (1 - Math.exp(-elapsed / AVERAGED));
    const excess = this.#average - targetFrames;
    if (this.#offset === undefined && (time - this.#begun) / 1e9 < AVERAGED) return { excess: 0, elapsed };
    this.#offset ??= clamp(excess, -quantumFrames, quantumFrames);
    return { excess: excess - this.#offset, elapsed };
  }

  /** Frames were added, or taken away. */
  shift(by: number): void {
    if (this.#average !== undefined) this.#average += by;
  }
}

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);

/**
 * Keeps the fill by resampling. Nothing is done inside the dead band of a quantum to either side. Once it is left, the ratio
 * follows the drift between the sound server's clock and the card's, so that the fill stays at its target with a steady
 * ratio; only a drift that hardly matters leads back. So it cannot swing in and out of the band.
 */
export class RateController implements FillController {
  readonly #options: FillControllerOptions;
  #excess: Excess;
  #state: 'untouched' | 'correcting' | 'landing' = 'untouched';
  #ratio = 1;
  /** By how much the card is faster than the sound server. */
  #drift = 0;
  /** s: how long the fill has been right. */
  #settled = 0;

  constructor(options: FillControllerOptions) {
    this.#options = options;
    this.#excess = new Excess(options);
  }

  restart(): void {
    this.#excess = new Excess(this.#options);
    this.#state = 'untouched';
    this.#ratio = 1;
  }

  correct(reading: FillReading): Correction {
    const { excess, elapsed } = this.#excess.add(reading);
    if (Math.abs(excess) > this.#options.quantumFrames) this.#state = 'correcting';
    this.#learn(excess, elapsed, reading);
    if (this.#state !== 'untouched') this.#approach(this.#wanted(excess, reading), elapsed);
    this.#step(excess, elapsed, reading);
    return { ratio: this.#ratio, slipFrames: 0 };
  }

  /** The ratio that would be right, if it could be had at once. */
  #wanted(excess: number, { phase }: FillReading): number {
    const { rate } = this.#options;
    if (this.#state === 'landing') return 1 + phase / (LANDING * rate);
    return 1 + clamp(this.#drift - this.#mending(excess), -MOST, MOST);
  }

  /** By how much the ratio must differ from the drift's. */
  #mending(excess: number): number {
    return clamp(excess / (MENDING * this.#options.rate), -MOST_MENDING, MOST_MENDING);
  }

  #approach(wanted: number, elapsed: number): void {
    const step = SLEW * elapsed;
    this.#ratio += clamp(wanted - this.#ratio, -step, step);
  }

  /** The drift is what keeps the fill right, within what the card's clock says that it can be. */
  #learn(excess: number, elapsed: number, { clock }: FillReading): void {
    if (this.#state === 'correcting') this.#drift -= (this.#mending(excess) * elapsed) / LEARNING;
    const { deviation, deviationError } = clock;
    const known = deviation === undefined ? 0 : deviation * 1e-6;
    const error = deviationError === undefined ? MOST : deviationError * 1e-6;
    this.#drift = clamp(this.#drift, known - error, known + error);
  }

  #step(excess: number, elapsed: number, { phase }: FillReading): void {
    const { rate, quantumFrames } = this.#options;
    const isRight = Math.abs(excess) < quantumFrames / 4;
    const isSlow = Math.abs(this.#drift) < quantumFrames / (WORTHWHILE * rate);
    this.#settled = isRight && isSlow ? this.#settled + elapsed : 0;
    if (this.#state === 'correcting' && this.#settled > SETTLED) this.#state = 'landing';
    const hasLanded = Math.abs(phase) < LANDED && Math.abs(this.#ratio - 1) * rate < LANDED;
    if (this.#state === 'landing' && hasLanded) {
      this.#state = 'untouched';
      this.#ratio = 1;
    }
  }
}

/** Keeps the fill without ever resampling: outside the same band a quantum is repeated or dropped. */
export class SlipController implements FillController {
  readonly #options: FillControllerOptions;
  #excess: Excess;

  constructor(options: FillControllerOptions) {
    this.#options = options;
    this.#excess = new Excess(options);
  }

  restart(): void {
    this.#excess = new Excess(this.#options);
  }

  correct(reading: FillReading): Correction {
    const { quantumFrames } = this.#options;
    const { excess } = this.#excess.add(reading);
    const slipFrames = Math.abs(excess) > quantumFrames ? -Math.sign(excess) * quantumFrames : 0;
    this.#excess.shift(slipFrames);
    return { ratio: 1, slipFrames };
  }
}
