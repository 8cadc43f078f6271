import type { Fifo } from '../../src/bridge/fifo.ts';

/** Both ends of a FIFO in memory, of which the test has the other one. */
export class FakeFifo implements Fifo {
  /** Octets that it holds. */
  capacity = 16_384;
  isClosed = false;
  /** Whoever had the other end is gone. */
  isBroken = false;
  #octets = Buffer.alloc(0);
  #onReady: (() => void) | undefined;

  /** Whether somebody waits for it. */
  get isPolled(): boolean {
    return this.#onReady !== undefined;
  }

  /** The other end writes, and the event loop looks until nobody waits or there is nothing more. */
  put(octets: Uint8Array): void {
    this.#octets = Buffer.concat([this.#octets, octets]);
    this.turn();
  }

  /** The other end reads: all that is there, or no more than so many octets. */
  take(most = this.#octets.length): Buffer {
    const octets = this.#octets.subarray(0, most);
    this.#octets = this.#octets.subarray(octets.length);
    return octets;
  }

  breakOff(): void {
    this.isBroken = true;
    this.turn();
  }

  /** What the event loop does with an end that is ready. `writable`: it is the end that writes. */
  turn({ writable = false } = {}): void {
    for (let calls = 0; this.#onReady && this.#isReady(writable); calls++) {
      if (calls > 1000) throw new Error('polled again and again, and nothing is done');
      this.#onReady();
    }
  }

  start(onReady: () => void): void {
    this.#onReady = onReady;
  }

  stop(): void {
    this.#onReady = undefined;
  }

  read(into: Uint8Array): number | undefined {
    if (this.#octets.length === 0) return this.isBroken ? 0 : undefined;
    const count = this.#octets.copy(into);
    this.#octets = this.#octets.subarray(count);
    return count;
  }

  write(octets: Uint8Array): number {
    if (this.isBroken) throw Object.assign(new Error('cannot write to it: EPIPE'), { code: 'EPIPE' });
    if (this.#octets.length + octets.length > this.capacity) return 0;
    this.#octets = Buffer.concat([this.#octets, octets]);
    return octets.length;
  }

  waiting(): number {
    return this.#octets.length;
  }

  setSize(octets: number): number {
    this.capacity = octets;
    return octets;
  }

  close(): void {
    this.isClosed = true;
    this.#onReady = undefined;
  }

  #isReady(writable: boolean): boolean {
    if (this.isBroken) return true;
    return writable ? this.#octets.length < this.capacity : this.#octets.length > 0;
  }
}
