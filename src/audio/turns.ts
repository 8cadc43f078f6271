import { nextTurn } from '../clock.ts';

/** Bytes that are looked at before whatever waits for the event loop has its turn. */
const BYTES_A_TURN = 64 * 1024;

/** Bytes that one look counts as, beside those that it looks at: junk comes in small pieces, too. */
const BYTES_A_LOOK = 256;

/** Lets the event loop have its turn every so often, however much of a recording is in memory, and in whatever pieces. */
export class Turns {
  #looked = 0;

  /** After, or before, a look at so many bytes. */
  async take(bytes: number): Promise<void> {
    this.#looked += BYTES_A_LOOK + bytes;
    if (this.#looked < BYTES_A_TURN) return;
    this.#looked = 0;
    await nextTurn();
  }
}
