/**
 * Called with the path of something that has changed, or may have: read it again. Relative where the watch
 * is.
 */
export type WatchHandler = (path: string) => void | Promise<void>;

/** A watch on a path and all below it. */
export interface Watch {
  readonly path: string;
  /** Idempotent. The handler is not called any more. */
  close(): Promise<void>;
}

/** As many changed paths are told apart; with more, the handler is called once for the watch's own path. */
const DISTINCT_PATHS = 64;

/** The events of one watch that its handler has not had yet. While it runs, equal ones become one. */
export class WatchQueue {
  readonly path: string;
  /** Whether XenStore has taken the watch. */
  isSet = false;
  readonly #handler: WatchHandler;
  readonly #due = new Set<string>();
  #running = false;

  constructor(path: string, handler: WatchHandler) {
    this.path = path;
    this.#handler = handler;
  }

  add(path: string): void {
    if (this.#due.size >= DISTINCT_PATHS && !this.#due.has(path)) {
      this.#due.clear();
      this.#due.add(this.path);
    } else {
      this.#due.add(path);
    }
    if (!this.#running) void this.#run();
  }

  /** What is due is dropped; nothing may be added any more. */
  close(): void {
    this.#due.clear();
  }

  /** A handler that throws is an unhandled rejection, as an event listener's would be. */
  async #run(): Promise<void> {
    this.#running = true;
    // All events of one chunk are in before the first of them is handled.
    await Promise.resolve();
    try {
      for (const path of this.#due) {
        this.#due.delete(path);
        await this.#handler(path);
      }
    } finally {
      this.#running = false;
    }
  }
}
