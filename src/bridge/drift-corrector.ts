import { Varispeed } from '../audio/varispeed.ts';
import type { PcmSpec } from '../pcm/hw-params.ts';
import type { ClockReading } from '../pcm/position-clock.ts';
import { type FillController, RateController, SlipController } from './rate-controller.ts';

/** s: what waits too long by more than this is not waited for, but dropped. */
const MOST_EXCESS = 0.25;

/** What waits to be played when frames come, and who plays it. */
export interface Waiting {
  /** ns */
  readonly time: number;
  readonly frames: number;
  /** Of the clock at which it is played, against that at which it comes. */
  readonly clock: Pick<ClockReading, 'deviation' | 'deviationError'>;
}

/**
 * Keeps what waits between two clocks near its target: resamples what comes in, or, where that is not wanted, drops and
 * repeats whole quanta of it.
 */
export class DriftCorrector {
  readonly #spec: PcmSpec;
  readonly #quantumFrames: number;
  readonly #varispeed: Varispeed | undefined;
  #targetFrames = 0;
  #controller: FillController;
  #slips = 0;
  /** Frames still to be dropped. */
  #surplus = 0;

  /** Rejects with ERR_VSND_NOT_SUPPORTED for a format that has no samples, unless it is to be exact. */
  static async create(spec: PcmSpec, quantumFrames: number, exact: boolean): Promise<DriftCorrector> {
    return new DriftCorrector(spec, quantumFrames, exact ? undefined : await Varispeed.create(spec));
  }

  private constructor(spec: PcmSpec, quantumFrames: number, varispeed: Varispeed | undefined) {
    this.#spec = spec;
    this.#quantumFrames = quantumFrames;
    this.#varispeed = varispeed;
    this.#controller = this.#newController();
  }

  /** Times that frames were dropped or repeated. */
  get slips(): number {
    return this.#slips;
  }

  /** Frames that came in and are still to come out. */
  get pendingFrames(): number {
    return this.#varispeed?.pendingFrames ?? 0;
  }

  /** Begins anew: `targetFrames` wait from now on. */
  restart(targetFrames: number): void {
    if (targetFrames === this.#targetFrames) this.#controller.restart();
    else {
      this.#targetFrames = targetFrames;
      this.#controller = this.#newController();
    }
    this.#surplus = 0;
  }

  /** Takes whole frames, before which so much has waited, and gives those that are to be played. */
  correct(octets: Uint8Array, { time, frames, clock }: Waiting): Uint8Array {
    const fillFrames = frames + this.pendingFrames;
    if (fillFrames > this.#targetFrames + MOST_EXCESS * this.#spec.rate) this.#catchUp(fillFrames);
    const phase = this.#varispeed?.phase ?? 0;
    const { ratio, slipFrames } = this.#controller.correct({ time, fillFrames, clock, phase });
    const slipped = this.#slip(octets, slipFrames);
    return this.#varispeed?.process(slipped, ratio) ?? slipped;
  }

  /** What has been kept back: nothing follows for now. */
  end(): Uint8Array {
    return this.#varispeed?.end() ?? new Uint8Array(0);
  }

  /** Idempotent. */
  close(): void {
    this.#varispeed?.close();
  }

  #newController(): FillController {
    const { rate } = this.#spec;
    const options = { rate, quantumFrames: this.#quantumFrames, targetFrames: this.#targetFrames };
    return this.#varispeed ? new RateController(options) : new SlipController(options);
  }

  /** Far too much waits: whole quanta of what comes are dropped until that is mended. */
  #catchUp(fillFrames: number): void {
    if (this.#surplus > 0) return;
    const quanta = Math.floor((fillFrames - this.#targetFrames) / this.#quantumFrames);
    this.#surplus = quanta * this.#quantumFrames;
    this.#slips++;
    this.#controller.restart();
  }

  #slip(octets: Uint8Array, slipFrames: number): Uint8Array {
    if (slipFrames !== 0) this.#slips++;
    this.#surplus += Math.max(0, -slipFrames);
    const { frameBytes } = this.#spec;
    const dropped = Math.min(octets.length / frameBytes, this.#surplus);
    this.#surplus -= dropped;
    const kept = octets.subarray(dropped * frameBytes);
    return slipFrames > 0 ? Buffer.concat([kept, kept.subarray(-slipFrames * frameBytes)]) : kept;
  }
}
