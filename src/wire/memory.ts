/**
 * Memory that two domains see at once. Both 32-bit accesses are sequentially consistent, with each other and with
 * the copies: what was copied in before a store is seen by whoever has loaded the stored value.
 */
export interface SharedMemory {
  readonly byteLength: number;
  /** Loads the u32 (little-endian, as every Xen machine) at `offset` bytes, a multiple of 4. */
  load32(offset: number): number;
  /** Stores the u32 at `offset` bytes, a multiple of 4. */
  store32(offset: number, value: number): void;
  /** Copies `source` to `offset` bytes. */
  copyIn(offset: number, source: Uint8Array): void;
  /** Fills `target` from `offset` bytes. */
  copyOut(offset: number, target: Uint8Array): void;
}
