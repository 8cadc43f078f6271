/** Waits that somebody else may end, one at a time. */
export class Interruptible {
  #reason: Error | undefined;
  #giveUp: (reason: Error) => void = () => {};

  /** Ends the wait, and each one that begins, until {@link clear}; the first reason counts. */
  interrupt(reason: Error): void {
    this.#reason ??= reason;
    this.#giveUp(this.#reason);
  }

  /** The interruption has been dealt with. */
  clear(): void {
    this.#reason = undefined;
  }

  /**
   * Settles as `promise` does, or rejects with the reason of an interruption that comes first. No Promise.race(): a promise
   * that never settles would keep every value that it has raced with.
   */
  wait<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      if (this.#reason) reject(this.#reason);
      promise.then(resolve, reject);
    });
  }
}
