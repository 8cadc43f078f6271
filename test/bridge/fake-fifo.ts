import type { Fifo } from '../../src/bridge/fifo.ts';

/** Both ends of a FIFO in memory, of which the test has the other one. */
export class FakeFifo implements Fifo {
  /** Bytes that it holds. */
  capacity = 16_384;
  isClosed = false;
  /** Whoever had the other end is gone. */
  isBroken = false;
  #bytes = Buffer.alloc(0);
  #onReady: (() => void) | undefined;

  /** Whether somebody waits for it. */
  get isPolled(): boolean {
    return this.#onReady !== undefined;
  }

  /** The other end writes, and the event loop looks until nobody waits or there is nothing more. */
  put(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.turn();
  }

  /** The other end reads: all that is there, or no more than so many bytes. */
  take(most = this.#bytes.length): Buffer {
    const bytes = this.#bytes.subarray(0, most);
    this.#bytes = this.#bytes.subarray(bytes.length);
    return bytes;
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
    if (this.#bytes.length === 0) return this.isBroken ? 0 : undefined;
    const count = this.#bytes.copy(into);
    this.#bytes = this.#bytes.subarray(count);
    return count;
  }

  write(bytes: Uint8Array): number {
    if (this.isBroken) throw Object.assign(new Error('cannot write to it: EPIPE'), { code: 'EPIPE' });
    if (this.#bytes.length + bytes.length > this.capacity) return 0;
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    return bytes.length;
  }

  waiting(): number {
    return this.#bytes.length;
  }

  setSize(bytes: number): number {
    this.capacity = bytes;
    return bytes;
  }

  close(): void {
    this.isClosed = true;
    this.#onReady = undefined;
  }

  #isReady(writable: boolean): boolean {
    if (this.isBroken) return true;
    return writable ? this.#bytes.length < this.capacity : this.#bytes.length > 0;
  }
}
