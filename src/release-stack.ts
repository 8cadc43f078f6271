/** One thing that was acquired, until it is given back. */
export class Holding {
  /** What it is, a line each, for whoever looks for what was left behind. */
  readonly describe: () => string[];
  readonly #giveBack: () => void | Promise<void>;
  /** False from the moment in which it is given back. A field: each access to memory asks. */
  readonly active: boolean = true;
  #ended: Promise<void> | undefined;

  /** `giveBack` is called once. */
  constructor(giveBack: () => void | Promise<void>, describe: () => string[] = () => []) {
    this.#giveBack = giveBack;
    this.describe = describe;
  }

  /** Gives it back. Idempotent. */
  async end(): Promise<void> {
    await this.release();
  }

  /** As {@link end}; a promise only where giving back takes time. */
  release(): Promise<void> | undefined {
    if (this.active) {
      (this as { active: boolean }).active = false;
      this.#ended = this.#giveBack() ?? undefined;
    }
    return this.#ended;
  }
}

/** What was acquired: each is pushed as soon as it is, and given back alone or with all others, the last one first. */
export class ReleaseStack {
  readonly #held = new Set<Holding>();
  #running: Promise<void> | undefined;

  /** What has not been given back yet, the last one first. */
  get held(): Holding[] {
    return [...this.#held].reverse();
  }

  push(release: () => void | Promise<void>, describe?: () => string[]): Holding {
    const holding = new Holding(() => {
      this.#held.delete(holding);
      return release();
    }, describe);
    this.#held.add(holding);
    return holding;
  }

  /**
   * Runs every release, also after one that failed; then throws the first failure. Those that take no time run at once.
   * Idempotent; a second call waits for the first, so that nothing is undone out of order, and all is undone when either
   * has settled.
   */
  releaseAll(): Promise<void> {
    const run = this.#running?.then(() => this.#releaseEach()) ?? this.#releaseEach();
    const running = run
      .catch(() => {})
      .then(() => {
        if (this.#running === running) this.#running = undefined;
      });
    this.#running = running;
    return run;
  }

  async #releaseEach(): Promise<void> {
    const failures: unknown[] = [];
    for (let [last] = this.held; last !== undefined; [last] = this.held) {
      try {
        const released = last.release();
        if (released !== undefined) await released;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
