/** Octets in the order in which they came, as many as there is room for. */
export class OctetRing {
  readonly #octets: Uint8Array;
  /** Octets that have ever been put in, and taken out. */
  #put = 0;
  #taken = 0;

  constructor(size: number) {
    this.#octets = new Uint8Array(size);
  }

  get available(): number {
    return this.#put - this.#taken;
  }

  get room(): number {
    return this.#octets.length - this.available;
  }

  /** Where the next `length` octets go, for which there is room: two places, the second often empty. */
  put(length: number): [Uint8Array, Uint8Array] {
    const places = this.#places(this.#put, length);
    this.#put += length;
    return places;
  }

  /** Where the oldest `length` octets are, which must be available; valid until more are put in. */
  take(length: number): [Uint8Array, Uint8Array] {
    const places = this.#places(this.#taken, length);
    this.#taken += length;
    return places;
  }

  clear(): void {
    this.#taken = this.#put;
  }

  #places(count: number, length: number): [Uint8Array, Uint8Array] {
    const at = count % this.#octets.length;
    const first = this.#octets.subarray(at, at + length);
    return [first, this.#octets.subarray(0, length - first.length)];
  }
}
