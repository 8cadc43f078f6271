import type { SharedMemory } from '../wire/memory.ts';

/** Views that are kept: a stream's periods come back to the same places. */
const KEPT_VIEWS = 16;

/** Bytes in the order in which they came, as many as there is room for. */
export class ByteRing {
  readonly #bytes: Uint8Array;
  /** Of places that were copied to or from. */
  readonly #views: Uint8Array[] = [];
  /** Where what lies around the end is put together. */
  #joined = new Uint8Array(0);
  /** Bytes that have ever been put in, and taken out. */
  #put = 0;
  #taken = 0;

  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
  }

  get available(): number {
    return this.#put - this.#taken;
  }

  get room(): number {
    return this.#bytes.length - (this.#put - this.#taken);
  }

  /** Puts in `bytes`, for which there is room. */
  put(bytes: Uint8Array): void {
    const at = this.#put % this.#bytes.length;
    const first = Math.min(bytes.length, this.#bytes.length - at);
    this.#bytes.set(first === bytes.length ? bytes : bytes.subarray(0, first), at);
    if (first < bytes.length) this.#bytes.set(bytes.subarray(first));
    this.#put += bytes.length;
  }

  /** Puts in the `length` bytes that lie at `offset` of `memory`; false where there is no room for them. */
  putFrom(memory: SharedMemory, offset: number, length: number): boolean {
    if (length > this.#bytes.length - (this.#put - this.#taken)) return false;
    const at = this.#put % this.#bytes.length;
    const first = Math.min(length, this.#bytes.length - at);
    memory.copyOut(offset, this.#view(at, first));
    if (first < length) memory.copyOut(offset + first, this.#view(0, length - first));
    this.#put += length;
    return true;
  }

  /** Takes out up to `most` bytes, the oldest ones, in one piece; valid until the next call of any method. */
  take(most: number): Uint8Array {
    const length = Math.min(most, this.#put - this.#taken);
    const at = this.#taken % this.#bytes.length;
    const first = Math.min(length, this.#bytes.length - at);
    this.#taken += length;
    if (first === length) return this.#view(at, length);
    if (this.#joined.length < length) this.#joined = new Uint8Array(length);
    this.#joined.set(this.#view(at, first));
    this.#joined.set(this.#view(0, length - first), first);
    return this.#joined.subarray(0, length);
  }

  /** Takes out the oldest `length` bytes, which must be available, to `offset` of `memory`. */
  takeInto(memory: SharedMemory, offset: number, length: number): void {
    const at = this.#taken % this.#bytes.length;
    const first = Math.min(length, this.#bytes.length - at);
    memory.copyIn(offset, this.#view(at, first));
    if (first < length) memory.copyIn(offset + first, this.#view(0, length - first));
    this.#taken += length;
  }

  /** Takes out the oldest `length` bytes, which must be available, for nobody. */
  drop(length: number): void {
    this.#taken += length;
  }

  clear(): void {
    this.#taken = this.#put;
  }

  #view(at: number, length: number): Uint8Array {
    const index = Math.floor(at / length) % KEPT_VIEWS || 0; // of no bytes: any
    const kept = this.#views[index];
    if (kept?.byteOffset === at && kept.length === length) return kept;
    const view = this.#bytes.subarray(at, at + length);
    this.#views[index] = view;
    return view;
  }
}
