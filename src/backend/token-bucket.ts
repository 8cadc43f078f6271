/** Lets things happen at a steady pace, with a reserve for bursts; what comes faster has to wait, ever longer. */
export class TokenBucket {
  readonly #rate: number;
  readonly #size: number;
  readonly #longest: number;
  /** What is left; less than 0 where some wait for theirs. */
  #tokens: number;
  #at: number;

  /** `rate`: a second; `size`: how many may come at once; `longest`: ns that one may have to wait. Time begins at `now`, ns. */
  constructor({ rate, size, longest, now }: { rate: number; size: number; longest: number; now: number }) {
    this.#rate = rate;
    this.#size = size;
    this.#longest = longest;
    this.#tokens = size;
    this.#at = now;
  }

  /** ns from `now` until one more may happen; undefined where that is too long: then it must not happen at all. */
  take(now: number): number | undefined {
    this.#tokens = Math.min(this.#size, this.#tokens + ((now - this.#at) * this.#rate) / 1e9);
    this.#at = now;
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    const wait = ((1 - this.#tokens) * 1e9) / this.#rate;
    if (!(wait <= this.#longest)) return undefined;
    this.#tokens -= 1;
    return wait;
  }
}
