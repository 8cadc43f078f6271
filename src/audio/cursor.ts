import type { Bytes } from './bytes.ts';
import { Turns } from './turns.ts';

/** Bytes in one read of a file. A stream is asked for no more than is needed: it may be slow. */
const BLOCK_BYTES = 128 * 1024;

/** Bytes that may be looked at in vain, beside as many times those in which something was found. */
const PATIENCE_BYTES = 16 << 20;
const PATIENCE_PER_BYTE = 4;

/** Bytes that a look in vain counts as, at the least. */
const LEAST_IN_VAIN = 4096;

/** A place in a recording from which bytes are looked at, and passed. */
export class Cursor {
  readonly bytes: Bytes;
  /** Bytes before it, in all of the recording. */
  position: number;
  /** The first #length bytes are those of the recording from #offset on. One buffer for all: two hours are long. */
  #block = new Uint8Array(0);
  #offset = 0;
  #length = 0;
  readonly #turns = new Turns();
  #patience = PATIENCE_BYTES;

  constructor(bytes: Bytes, position: number) {
    this.bytes = bytes;
    this.position = position;
  }

  /** The next `length` bytes; fewer only where they end. Valid until the next call. */
  async peek(length: number): Promise<Uint8Array> {
    await this.#turns.take(length);
    const from = this.position - this.#offset;
    if (from < 0 || from + length > this.#length) {
      await this.#fill(length);
      return this.#block.subarray(0, Math.min(length, this.#length));
    }
    return this.#block.subarray(from, from + length);
  }

  /** A frame or a page of that many bytes was found. */
  find(bytes: number): void {
    this.#patience = Math.min(PATIENCE_BYTES, this.#patience + PATIENCE_PER_BYTE * bytes);
  }

  /**
   * What looked like one turned out to be none when so many bytes had been looked at. False where the search is to be given
   * up: else the work would grow with the square of a recording that is made for that.
   */
  goOn(bytes: number): boolean {
    this.#patience -= Math.max(bytes, LEAST_IN_VAIN);
    return this.#patience > 0;
  }

  /** Makes the block begin at the position, with `length` bytes or more. */
  async #fill(length: number): Promise<void> {
    const from = this.position - this.#offset;
    const known =
      from < 0 || from >= this.#length ? new Uint8Array(0) : this.#block.subarray(from, this.#length);
    const wanted = this.bytes.size === undefined ? length : Math.max(length, BLOCK_BYTES);
    if (wanted > this.#block.length) {
      const larger = new Uint8Array(wanted);
      larger.set(known);
      this.#block = larger;
    } else {
      this.#block.copyWithin(0, from, from + known.length);
    }
    this.#offset = this.position;
    this.#length = known.length;
    const rest = this.#block.subarray(known.length, wanted);
    this.#length += await this.bytes.readInto(rest, this.position + known.length);
  }
}
