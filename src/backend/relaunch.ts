/** Resolves when one more program may be started, or `signal` aborts. Rejects where it must not be. */
export type Admit = (signal: AbortSignal) => Promise<void>;

export interface RelaunchOptions {
  readonly admit?: Admit | undefined;
  launch(): void;
  /** The program must not be run anew. */
  failed(error: Error): void;
}

/**
 * Runs a program anew once the last one is gone: one at a time, and one only, however often it is wanted and not wanted
 * meanwhile. A guest may say START and STOP thousands of times a second.
 */
export class Relaunch {
  readonly #options: RelaunchOptions;
  readonly #hurry = new AbortController();
  #isWanted = false;
  #running: Promise<void> | undefined;

  constructor(options: RelaunchOptions) {
    this.#options = options;
  }

  /** `ended`: resolves when the last program is gone. */
  want(ended: Promise<void>): void {
    this.#isWanted = true;
    this.#running ??= this.#run(ended);
  }

  unwant(): void {
    this.#isWanted = false;
  }

  /** Resolves when nothing is under way any more; with `drain`, after what is wanted has been launched. */
  async end({ drain = false } = {}): Promise<void> {
    if (!drain) {
      this.#isWanted = false;
      this.#hurry.abort();
    }
    await this.#running;
  }

  async #run(ended: Promise<void>): Promise<void> {
    await ended;
    try {
      if (this.#isWanted) await this.#options.admit?.(this.#hurry.signal);
      if (this.#isWanted) this.#options.launch();
    } catch (error) {
      this.#options.failed(error as Error);
    }
    this.#running = undefined;
  }
}
