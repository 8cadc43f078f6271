import type { Fifo } from './fifo.ts';

/** Bytes: more than a FIFO holds. */
const DRAIN_BYTES = 1 << 20;

/** Reads whole frames out of a FIFO: of one that has come in part, the rest is waited for. */
export class FrameReader {
  readonly #fifo: Fifo;
  readonly #frameBytes: number;
  readonly #buffer: Uint8Array;
  /** Bytes of an incomplete frame at the beginning of the buffer. */
  #carried = 0;

  /** `most`: bytes of one read. */
  constructor(fifo: Fifo, frameBytes: number, most: number) {
    this.#fifo = fifo;
    this.#frameBytes = frameBytes;
    this.#buffer = new Uint8Array(most);
  }

  /** At most `frames` frames, which the caller may keep; undefined where there is none, 'gone' where the other end is closed. */
  read(frames = Number.POSITIVE_INFINITY): Buffer | 'gone' | undefined {
    const count = this.#fifo.read(this.#buffer.subarray(this.#carried, frames * this.#frameBytes));
    if (count === undefined) return undefined;
    if (count === 0) return 'gone';
    const length = this.#carried + count;
    this.#carried = length % this.#frameBytes;
    const bytes = Buffer.from(this.#buffer.subarray(0, length - this.#carried));
    this.#buffer.copyWithin(0, length - this.#carried, length);
    return bytes;
  }
}

/** Takes back what a recorder has left in the pipe: it would be the next one's first sound. */
export function drain(openReader: () => Fifo): void {
  const reader = openReader();
  reader.read(new Uint8Array(DRAIN_BYTES));
  reader.close();
}
