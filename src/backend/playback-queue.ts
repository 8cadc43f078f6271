import type { SharedMemory } from '../wire/memory.ts';
import { ByteRing } from './byte-ring.ts';
import { Refusal } from './refusal.ts';

/** What a frontend has written and the device has not played, within one shared buffer. */
export interface PlaybackQueue {
  /** Bytes waiting. */
  readonly available: number;
  /** Takes in a range of the shared buffer; false where it has no room. Throws {@link Refusal} where it is one of too many. */
  write(offset: number, length: number): boolean;
  /** Takes out up to `most` bytes; valid until the next call of any method. */
  take(most: number): Uint8Array;
  clear(): void;
}

/** When the bytes leave the shared buffer. */
export type QueueMode =
  /** At WRITE, into a host buffer as large as the shared one: as the reference backend does. */
  | 'copy'
  /** When they are played, as a DMA engine would. */
  | 'direct';

/** Copies at WRITE: the frontend may overwrite its buffer at once, and need not be trusted afterwards. */
export class CopyingQueue extends ByteRing implements PlaybackQueue {
  readonly #shared: SharedMemory;

  /** `bufferBytes`: the size of the shared buffer, and the bound of this one. */
  constructor(shared: SharedMemory, bufferBytes: number) {
    super(bufferBytes);
    this.#shared = shared;
  }

  write(offset: number, length: number): boolean {
    return this.putFrom(this.#shared, offset, length);
  }
}

/** An honest frontend has two: up to the buffer's end, and from its beginning. */
const MAX_SPANS = 64;

/** Reads the shared pages only when they are played: whatever the frontend overwrites before that is heard. */
export class DirectQueue implements PlaybackQueue {
  readonly #shared: SharedMemory;
  readonly #bufferBytes: number;
  #spans: { offset: number; length: number }[] = [];
  #available = 0;

  constructor(shared: SharedMemory, bufferBytes: number) {
    this.#shared = shared;
    this.#bufferBytes = bufferBytes;
  }

  get available(): number {
    return this.#available;
  }

  write(offset: number, length: number): boolean {
    if (length > this.#bufferBytes - this.#available) return false;
    const last = this.#spans.at(-1);
    if (last && last.offset + last.length === offset) last.length += length;
    else if (this.#spans.length < MAX_SPANS) this.#spans.push({ offset, length });
    else throw new Refusal('ENOSPC', `${MAX_SPANS} ranges that do not follow each other wait to be played`);
    this.#available += length;
    return true;
  }

  take(most: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(most, this.#available));
    for (let at = 0; at < bytes.length; ) {
      const span = this.#spans[0];
      if (span === undefined) break;
      const length = Math.min(span.length, bytes.length - at);
      this.#shared.copyOut(span.offset, bytes.subarray(at, at + length));
      at += length;
      span.offset += length;
      span.length -= length;
      if (span.length === 0) this.#spans.shift();
    }
    this.#available -= bytes.length;
    return bytes;
  }

  clear(): void {
    this.#spans = [];
    this.#available = 0;
  }
}

export function createQueue(mode: QueueMode, shared: SharedMemory, bufferBytes: number): PlaybackQueue {
  return mode === 'copy' ? new CopyingQueue(shared, bufferBytes) : new DirectQueue(shared, bufferBytes);
}
