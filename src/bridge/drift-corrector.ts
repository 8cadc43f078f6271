import type { PcmSpec } from '../pcm/hw-params.ts';

/** s: fills scatter with the time at which the process is woken; this is what they are averaged over. */
const AVERAGED = 1;

/** s: what waits too long by more than this is dropped at once. */
const MOST_EXCESS = 0.25;

/** What waits to be played when frames come. */
export interface Waiting {
  /** ns, of the monotonic clock */
  readonly time: number;
  readonly frames: number;
}

/** Keeps what waits between two clocks within a quantum of its target: drops or repeats a whole quantum of what comes in. */
export class DriftCorrector {
  readonly #spec: PcmSpec;
  readonly #quantumFrames: number;
  #targetFrames = 0;
  /** Of the run that began with {@link restart}: fills, averaged, and when it began and was last asked, ns. */
  #run: { average: number; readonly begun: number; time: number; offset: number | undefined } | undefined;
  #slips = 0;
  /** Frames still to be dropped. */
  #surplus = 0;

  constructor(spec: PcmSpec, quantumFrames: number) {
    this.#spec = spec;
    this.#quantumFrames = quantumFrames;
  }

  /** Times that frames were dropped or repeated. */
  get slips(): number {
    return this.#slips;
  }

  /** Begins anew: `targetFrames` wait from now on. */
  restart(targetFrames: number): void {
    this.#targetFrames = targetFrames;
    this.#run = undefined;
    this.#surplus = 0;
  }

  /** Takes whole frames, before which so much has waited, and gives those that are to be played. */
  correct(bytes: Uint8Array, { time, frames }: Waiting): Uint8Array {
    const tooMany = frames - this.#targetFrames;
    const excess =
      tooMany > MOST_EXCESS * this.#spec.rate ? this.#beginAnew(tooMany) : this.#excess(time, frames);
    const quanta = Math.trunc(excess / this.#quantumFrames);
    return quanta === 0 ? this.#drop(bytes) : this.#slip(bytes, quanta * this.#quantumFrames);
  }

  /** Far too much waits: that is fixed at once, and what is measured is another run. */
  #beginAnew(excess: number): number {
    this.#run = undefined;
    return this.#surplus > 0 ? 0 : excess;
  }

  /** Frames by which the fill is above its target, on average. How the clocks of both ends beat, a run's first second shows. */
  #excess(time: number, frames: number): number {
    this.#run ??= { average: frames, begun: time, time, offset: undefined };
    const run = this.#run;
    run.average += (frames - run.average) * (1 - Math.exp(-(time - run.time) / 1e9 / AVERAGED));
    run.time = time;
    const excess = run.average - this.#targetFrames;
    if (run.offset === undefined && (time - run.begun) / 1e9 < AVERAGED) return 0;
    run.offset ??= Math.min(Math.max(excess, -this.#quantumFrames), this.#quantumFrames);
    return excess - run.offset;
  }

  #slip(bytes: Uint8Array, frames: number): Uint8Array {
    this.#slips++;
    if (this.#run) this.#run.average -= frames;
    if (frames > 0) this.#surplus += frames;
    const kept = this.#drop(bytes);
    return frames < 0 ? Buffer.concat([kept, kept.subarray(frames * this.#spec.frameBytes)]) : kept;
  }

  #drop(bytes: Uint8Array): Uint8Array {
    const { frameBytes } = this.#spec;
    const dropped = Math.min(bytes.length / frameBytes, this.#surplus);
    this.#surplus -= dropped;
    return bytes.subarray(dropped * frameBytes);
  }
}
