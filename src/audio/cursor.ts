import type { Octets } from './octets.ts';

/** Octets in one read of a file. A stream is asked for no more than is needed: it may be slow. */
const BLOCK_BYTES = 32 * 1024;

/** A place in a recording from which octets are looked at, and passed. */
export class Cursor {
  readonly octets: Octets;
  #block = new Uint8Array(0);
  #blockOffset: number;
  #position: number;

  constructor(octets: Octets, position: number) {
    this.octets = octets;
    this.#blockOffset = position;
    this.#position = position;
  }

  /** Octets before it, in all of the recording. */
  get position(): number {
    return this.#position;
  }

  set position(offset: number) {
    this.#position = offset;
  }

  /** The next `length` octets; fewer only where they end. Valid until the next call. */
  async peek(length: number): Promise<Uint8Array> {
    const known = this.#known();
    if (known.length >= length) return known.subarray(0, length);
    const missing = length - known.length;
    const wanted = this.octets.size === undefined ? missing : Math.max(missing, BLOCK_BYTES);
    const more = await this.octets.read(this.#position + known.length, wanted);
    this.#block = new Uint8Array(known.length + more.length);
    this.#block.set(known);
    this.#block.set(more, known.length);
    this.#blockOffset = this.#position;
    return this.#block.subarray(0, length);
  }

  #known(): Uint8Array {
    const from = this.#position - this.#blockOffset;
    return from < 0 ? new Uint8Array(0) : this.#block.subarray(from);
  }
}
