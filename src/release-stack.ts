/** Undoes acquisitions: each is pushed as soon as it is made, and the last is undone first. */
export class ReleaseStack {
  #releases: (() => void | Promise<void>)[] = [];

  push(release: () => void | Promise<void>): void {
    this.#releases.push(release);
  }

  /** Runs every release, also after one that failed; then throws the first failure. Idempotent. */
  async releaseAll(): Promise<void> {
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
