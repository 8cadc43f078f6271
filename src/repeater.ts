import { nextTurn } from './clock.ts';

/** Work that is done once more, and only once, however often it is asked for meanwhile. */
export class Repeater {
  readonly #work: () => Promise<void>;
  #isDue = false;
  #running: Promise<void> | undefined;
  #ended = false;

  /** `work` must not reject. */
  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Whether it has been asked for since it was last begun. */
  get isDue(): boolean {
    return this.#isDue;
  }

  /** Begins in the next turn of the event loop: all that asks for it in this one is one. */
  ask(): void {
    this.#isDue = true;
    this.#running ??= this.#run();
  }

  /** What is under way is done, and nothing any more after it. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isDue) {
      await nextTurn();
      if (this.#ended) break;
      this.#isDue = false;
      await this.#work();
    }
    this.#running = undefined;
  }
}
