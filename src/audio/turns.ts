import { nextTurn } from '../clock.ts';

/** Octets that are looked at before whatever waits for the event loop has its turn. */
const OCTETS_A_TURN = 64 * 1024;

/** Octets that one look counts as, beside those that it looks at: junk comes in small pieces, too. */
const OCTETS_A_LOOK = 256;

/** Lets the event loop have its turn every so often, however much of a recording is in memory, and in whatever pieces. */
export class Turns {
  #looked = 0;

  /** After, or before, a look at so many octets. */
  async take(octets: number): Promise<void> {
    this.#looked += OCTETS_A_LOOK + octets;
    if (this.#looked < OCTETS_A_TURN) return;
    this.#looked = 0;
    await nextTurn();
  }
}
