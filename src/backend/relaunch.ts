import { type EventEmitter, once } from 'node:events';

/** Resolves when one more program may be started, or `signal` aborts. Rejects where it must not be. */
export type Admit = (signal: AbortSignal) => Promise<void>;

/** One run of a program: 'open' says that it has been started. */
interface Run extends EventEmitter {
  readonly destroyed: boolean;
  /** Resolves when the program is gone. */
  readonly ended: Promise<void>;
}

/** What plays or captures through a run. */
interface Voice {
  start(): void;
  pause(): void;
}

export interface RelaunchOptions<R extends Run, V extends Voice> {
  /** Whether the program may be run anew, and when. By default at once. */
  readonly admit?: Admit | undefined;
  launch(): R;
  voiceOf(run: R): V;
  /** The program must not be run anew. */
  failed(error: Error): void;
}

/**
 * Runs a program, and anew at each START once the last run is gone: one at a time, and one only, however often it is wanted
 * and not wanted meanwhile. A guest may say START and STOP thousands of times a second.
 */
export class Relaunch<R extends Run, V extends Voice> {
  readonly #options: RelaunchOptions<R, V>;
  readonly #hurry = new AbortController();
  #run: R;
  #voice: V;
  #isWanted = false;
  #launching: Promise<void> | undefined;

  /** Starts the program. Rejects as the run does. */
  static async open<R extends Run, V extends Voice>(options: RelaunchOptions<R, V>): Promise<Relaunch<R, V>> {
    const run = options.launch();
    await once(run, 'open');
    return new Relaunch(options, run);
  }

  private constructor(options: RelaunchOptions<R, V>, run: R) {
    this.#options = options;
    this.#run = run;
    this.#voice = options.voiceOf(run);
  }

  /** The last run. */
  get run(): R {
    return this.#run;
  }

  /** That of the last run. */
  get voice(): V {
    return this.#voice;
  }

  start(): void {
    if (this.#run.destroyed) {
      this.#isWanted = true;
      this.#launching ??= this.#relaunch();
    } else this.#voice.start();
  }

  pause(): void {
    this.unwant();
    this.#voice.pause();
  }

  /** Nothing is to be launched that has not been yet. */
  unwant(): void {
    this.#isWanted = false;
  }

  /** Resolves when nothing is under way any more; with `drain`, after what is wanted has been launched. */
  async end({ drain = false } = {}): Promise<void> {
    if (!drain) {
      this.unwant();
      this.#hurry.abort();
    }
    await this.#launching;
  }

  async #relaunch(): Promise<void> {
    const { admit, launch, voiceOf, failed } = this.#options;
    await this.#run.ended;
    try {
      if (this.#isWanted) await admit?.(this.#hurry.signal);
      if (this.#isWanted) {
        this.#run = launch();
        this.#voice = voiceOf(this.#run);
        this.#voice.start();
      }
    } catch (error) {
      failed(error as Error);
    }
    this.#launching = undefined;
  }
}
