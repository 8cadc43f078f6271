import type { Clock } from '../clock.ts';

/** Something that has happened, and to whom. */
export interface BackendLogEntry {
  /** What happened. */
  readonly message: string;
  /** The guest. */
  readonly domid?: number | undefined;
  /** The card's number in the guest; undefined where it is of no card. */
  readonly devid?: number | undefined;
  /** '<PCM device>/<stream>' */
  readonly stream?: string | undefined;
}

/** A line for people: '1/0: stream 0/0: ...'. */
export function formatLogEntry({ domid, devid, stream, message }: BackendLogEntry): string {
  const guest = domid === undefined ? '' : devid === undefined ? `${domid}: ` : `${domid}/${devid}: `;
  return `${guest}${stream === undefined ? '' : `stream ${stream}: `}${message}`;
}

/** ns */
const WINDOW = 60e9;

/** Characters: what a guest has written may be in a message. */
const LONGEST_MESSAGE = 500;

/** Bytes of a line beside its entry: the time. */
const TIME_BYTES = 40;

export interface LogBudgetOptions {
  readonly bytesPerMinute: number;
  readonly clock: Clock;
  log(entry: BackendLogEntry): void;
}

/** Keeps what one guest can cause within so many bytes a minute: it must not fill a disk by failing for ever. */
export class LogBudget {
  readonly #options: LogBudgetOptions;
  #start: number;
  #bytes = 0;
  #leftOut = 0;

  constructor(options: LogBudgetOptions) {
    this.#options = options;
    this.#start = options.clock.now();
  }

  /** Says whether there was room for it. */
  log(entry: BackendLogEntry): boolean {
    const { bytesPerMinute, clock, log } = this.#options;
    if (clock.now() - this.#start >= WINDOW) this.#beginWindow(entry);
    const line = { ...entry, message: shortened(entry.message) };
    // As JSON, in which control characters take most.
    this.#bytes += Buffer.byteLength(JSON.stringify(line)) + TIME_BYTES;
    if (this.#bytes <= bytesPerMinute) {
      log(line);
      return true;
    }
    this.#leftOut += 1;
    if (this.#leftOut === 1) {
      const message = `more than ${bytesPerMinute} bytes in a minute: what follows is left out (--limit log-bytes-per-minute)`;
      log({ domid: entry.domid, message });
    }
    return false;
  }

  #beginWindow({ domid }: BackendLogEntry): void {
    if (this.#leftOut > 0) this.#options.log({ domid, message: `${this.#leftOut} lines were left out` });
    this.#start = this.#options.clock.now();
    this.#bytes = 0;
    this.#leftOut = 0;
  }
}

function shortened(message: string): string {
  return message.length <= LONGEST_MESSAGE ? message : `${message.slice(0, LONGEST_MESSAGE - 1)}…`;
}
