import { invalidArgError, VsndError } from '../../errors.ts';
import { type GrantAccess, type GrantedPages, PAGE_SIZE, type Pages } from '../hypervisor.ts';
import type { Lease } from './lease.ts';

/** One page of memory, wherever its buffer begins; can be sent to another thread as it is. */
export interface PageFrame {
  readonly buffer: SharedArrayBuffer;
  /** In octets, a multiple of PAGE_SIZE. */
  readonly offset: number;
}

interface Run {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
}

/**
 * Page frames in a row. Where they follow each other in one buffer they are one run, otherwise a run each.
 */
export class EmulatedPages implements Pages {
  readonly byteLength: number;
  readonly #lease: Lease;
  readonly #writable: boolean;
  #frames: readonly PageFrame[] = [];
  #runBytes = 0;
  #runs: readonly Run[] = [];

  constructor(frames: readonly PageFrame[], access: GrantAccess, lease: Lease) {
    this.byteLength = frames.length * PAGE_SIZE;
    this.#lease = lease;
    this.#writable = access === 'read-write';
    this.#place(frames);
  }

  get frames(): readonly PageFrame[] {
    return this.#frames;
  }

  load32(offset: number): number {
    return Atomics.load(this.#run(offset, 4, 4).words, (offset % this.#runBytes) / 4);
  }

  store32(offset: number, value: number): void {
    this.#checkWritable();
    Atomics.store(this.#run(offset, 4, 4).words, (offset % this.#runBytes) / 4, value);
  }

  copyIn(offset: number, source: Uint8Array): void {
    this.#checkWritable();
    this.#eachPart(offset, source, (memory, part) => memory.set(part));
  }

  copyOut(offset: number, target: Uint8Array): void {
    this.#eachPart(offset, target, (memory, part) => part.set(memory));
  }

  release(): Promise<void> {
    return this.#lease.end();
  }

  /** Goes on in a copy of the memory: who has the same frames shares nothing with these pages any more. */
  detach(): void {
    const buffer = new SharedArrayBuffer(this.byteLength);
    this.copyOut(0, new Uint8Array(buffer));
    this.#place(this.#frames.map((_, index) => ({ buffer, offset: index * PAGE_SIZE })));
  }

  #place(frames: readonly PageFrame[]): void {
    this.#frames = frames;
    this.#runBytes = isOneRun(frames) ? this.byteLength : PAGE_SIZE;
    this.#runs = frames.slice(0, this.byteLength / this.#runBytes).map(({ buffer, offset }) => ({
      words: new Uint32Array(buffer, offset, this.#runBytes / 4),
      bytes: new Uint8Array(buffer, offset, this.#runBytes),
    }));
  }

  /** Takes `bytes` apart at the runs' borders. */
  #eachPart(offset: number, bytes: Uint8Array, copy: (memory: Uint8Array, part: Uint8Array) => void): void {
    this.#run(offset, bytes.length, 1);
    for (let done = 0; done < bytes.length; ) {
      const start = (offset + done) % this.#runBytes;
      const part = bytes.subarray(done, done + this.#runBytes - start);
      copy(this.#run(offset + done, 1, 1).bytes.subarray(start, start + part.length), part);
      done += part.length;
    }
  }

  /** The run in which `offset` is, after all checks of an access to `length` octets there. */
  #run(offset: number, length: number, alignment: number): Run {
    if (!this.#lease.active) throw new VsndError('ERR_VSND_INVALID_STATE', 'these pages have been released');
    const last = this.byteLength - length;
    if (!Number.isInteger(offset) || offset < 0 || offset > last || offset % alignment !== 0) {
      throw invalidArgError('offset', offset, `multiples of ${alignment} from 0 to ${last}`);
    }
    const run = this.#runs[Math.floor(offset / this.#runBytes)] ?? this.#runs.at(-1);
    if (run === undefined) throw invalidArgError('offset', offset, 'none, there are no pages');
    return run;
  }

  #checkWritable(): void {
    if (this.#writable || !this.#lease.active) return;
    throw new VsndError('ERR_VSND_HYPERVISOR', 'these pages are mapped read-only', { errno: 'EACCES' });
  }
}

export class EmulatedGrantedPages extends EmulatedPages implements GrantedPages {
  readonly grefs: readonly number[];

  constructor(frames: readonly PageFrame[], grefs: readonly number[], lease: Lease) {
    super(frames, 'read-write', lease);
    this.grefs = grefs;
  }
}

function isOneRun(frames: readonly PageFrame[]): boolean {
  return frames.every(
    ({ buffer, offset }, index) =>
      buffer === frames[0]?.buffer && offset === (frames[0]?.offset ?? 0) + index * PAGE_SIZE,
  );
}
