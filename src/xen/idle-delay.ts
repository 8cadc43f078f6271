/** So many notifications in a row that lead to nothing cost no delay: one may cross with the work that it announces. */
const FREE = 4;

/** ns: the first delay, which doubles from one to the next, and the longest. */
const FIRST_DELAY = 1e6;
const LONGEST_DELAY = 256e6;

/**
 * For how long a port stays masked after notifications that lead to nothing: ever longer, until one leads to something. So a
 * peer that notifies without end keeps nobody busy, as with Linux's drivers since XSA-332.
 */
export class IdleDelay {
  #isIdle = false;
  #inARow = 0;

  /** The notification that is being handled leads to nothing. */
  idle(): void {
    this.#isIdle = true;
  }

  /** Forgets the notifications that have led to nothing: others deal with those that lead to something. */
  reset(): void {
    this.#inARow = 0;
  }

  /** A notification has been handled: ns for which its port is to stay masked. */
  afterHandling(): number {
    this.#inARow = this.#isIdle ? this.#inARow + 1 : 0;
    this.#isIdle = false;
    return this.#inARow <= FREE ? 0 : Math.min(FIRST_DELAY * 2 ** (this.#inARow - FREE - 1), LONGEST_DELAY);
  }
}
