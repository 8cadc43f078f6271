/**
 * Noise of a triangular distribution, two steps wide, that takes the place of what rounding would do to the sound. The
 * same seed gives the same noise.
 */
export class Dither {
  /** Of full scale, in 1/65536 of a step of the integers. */
  readonly #unit: number;
  #state: number;

  /** `bits`: of the integers that the samples will be. */
  constructor(bits: number, seed: number) {
    this.#unit = 2 ** (1 - bits) / 0x10000;
    this.#state = seed | 0 || 1; // 0 would stay 0
  }

  /** Adds it to samples of full scale. */
  addTo(samples: Float64Array): void {
    const unit = this.#unit;
    let state = this.#state;
    for (let n = 0; n < samples.length; n++) {
      // Marsaglia's xorshift; its two halves are as good as independent.
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      samples[n] = (samples[n] as number) + ((state >>> 16) - (state & 0xffff)) * unit;
    }
    this.#state = state;
  }
}
