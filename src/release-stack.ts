/** Undoes acquisitions: each is pushed as soon as it is made, and the last is undone first. */
export class ReleaseStack {
  readonly #releases: (() => void | Promise<void>)[] = [];
  #runs: Promise<void> = Promise.resolve();

  push(release: () => void | Promise<void>): void {
    this.#releases.push(release);
  }

  /**
   * Runs every release, also after one that failed; then throws the first failure. Idempotent; a second call
   * waits for the first, so that nothing is undone out of order, and all is undone when either has settled.
   */
  releaseAll(): Promise<void> {
    const run = this.#runs.then(() => this.#releaseEach());
    this.#runs = run.catch(() => {});
    return run;
  }

  async #releaseEach(): Promise<void> {
    const failures: unknown[] = [];
    for (let release = this.#releases.pop(); release !== undefined; release = this.#releases.pop()) {
      try {
        await release();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
