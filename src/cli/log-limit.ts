import type { BackendLogEntry } from '../backend/backend.ts';
import type { Clock } from '../clock.ts';

/** ns */
const WINDOW = 60e9;

/** Lines that one guest can cause in a window: it must not fill a disk by connecting and failing for ever. */
const MAX_LINES = 300;

/** Leaves lines out where a guest causes too many, and says how many when its window is over. */
export class LogLimit {
  readonly #clock: Clock;
  readonly #log: (entry: BackendLogEntry) => void;
  readonly #counts = new Map<number, number>();
  #start: number;

  constructor(clock: Clock, log: (entry: BackendLogEntry) => void) {
    this.#clock = clock;
    this.#log = log;
    this.#start = clock.now();
  }

  log(entry: BackendLogEntry): void {
    if (this.#clock.now() - this.#start >= WINDOW) this.#beginWindow();
    if (entry.domid === undefined || this.#count(entry.domid) <= MAX_LINES) this.#log(entry);
  }

  #count(domid: number): number {
    const count = (this.#counts.get(domid) ?? 0) + 1;
    this.#counts.set(domid, count);
    return count;
  }

  #beginWindow(): void {
    for (const [domid, count] of this.#counts) {
      if (count <= MAX_LINES) continue;
      this.#log({ message: `domain ${domid}: ${count - MAX_LINES} lines were left out` });
    }
    this.#counts.clear();
    this.#start = this.#clock.now();
  }
}
