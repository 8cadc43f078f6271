import type { Fifo } from '../../src/xen/linux/addon.ts';

/** The reading end of a FIFO, without a kernel: what is pushed can be read. */
export class FakeFifo implements Fifo {
  #octets = Buffer.alloc(0);
  #onReady: (() => void) | undefined;
  #isOver = false;

  push(octets: Uint8Array): void {
    this.#octets = Buffer.concat([this.#octets, octets]);
    while (this.#octets.length > 0 && this.#onReady) this.#onReady();
  }

  /** Nobody has the end that writes any more. */
  end(): void {
    this.#isOver = true;
    this.#onReady?.();
  }

  start(onReady: () => void): void {
    this.#onReady = onReady;
  }

  stop(): void {
    this.#onReady = undefined;
  }

  read(into: Uint8Array): number | undefined {
    if (this.#octets.length === 0) return this.#isOver ? 0 : undefined;
    const count = this.#octets.copy(into);
    this.#octets = this.#octets.subarray(count);
    return count;
  }

  write(): number {
    throw new Error('this is the end that reads');
  }

  waiting(): number {
    return this.#octets.length;
  }

  setSize(octets: number): number {
    return octets;
  }

  close(): void {
    this.stop();
  }
}
