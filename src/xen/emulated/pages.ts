import { invalidArgError, VsndError } from '../../errors.ts';
import type { Holding } from '../../release-stack.ts';
import { type GrantAccess, type GrantedPages, PAGE_SIZE, type Pages } from '../hypervisor.ts';

/** One page of memory, wherever its buffer begins; can be sent to another thread as it is. */
export interface PageFrame {
  readonly buffer: SharedArrayBuffer;
  /** In bytes, a multiple of PAGE_SIZE. */
  readonly offset: number;
}

interface Run {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  /** Parts that have been copied out, by where they start: who reads a ring reads the same ones again and again. */
  readonly parts: Map<number, Uint8Array>;
}

/** A ring or an event page has half as many entries. */
const MOST_PARTS = 128;

/**
 * Page frames in a row. Where they follow each other in one buffer they are one run, otherwise a run each.
 */
export class EmulatedPages implements Pages {
  readonly byteLength: number;
  readonly #holding: Holding;
  readonly #writable: boolean;
  #frames: readonly PageFrame[] = [];
  #runBytes = 0;
  #runs: readonly Run[] = [];
  /** The one run, where there is one only, as there nearly always is: what lies in it needs no more checks. */
  #only: Run | undefined;

  constructor(frames: readonly PageFrame[], access: GrantAccess, holding: Holding) {
    this.byteLength = frames.length * PAGE_SIZE;
    this.#holding = holding;
    this.#writable = access === 'read-write';
    this.#place(frames);
  }

  get frames(): readonly PageFrame[] {
    return this.#frames;
  }

  load32(offset: number): number {
    const words = this.#holding.active ? this.#only?.words : undefined;
    if (words?.[offset / 4] !== undefined) return Atomics.load(words, offset / 4);
    return Atomics.load(this.#run(offset, 4, 4).words, (offset % this.#runBytes) / 4);
  }

  store32(offset: number, value: number): void {
    const words = this.#writable && this.#holding.active ? this.#only?.words : undefined;
    if (words?.[offset / 4] !== undefined) {
      Atomics.store(words, offset / 4, value);
      return;
    }
    this.#checkWritable();
    Atomics.store(this.#run(offset, 4, 4).words, (offset % this.#runBytes) / 4, value);
  }

  copyIn(offset: number, source: Uint8Array): void {
    const bytes = this.#writable && this.#holding.active ? this.#only?.bytes : undefined;
    if (bytes?.[offset] !== undefined && offset + source.length <= this.byteLength) {
      bytes.set(source, offset);
      return;
    }
    this.#checkWritable();
    const run = this.#run(offset, source.length, 1);
    const start = offset % this.#runBytes;
    if (start + source.length <= this.#runBytes) run.bytes.set(source, start);
    else this.#eachPart(offset, source, (part, at) => this.copyIn(at, part));
  }

  copyOut(offset: number, target: Uint8Array): void {
    const only = this.#holding.active ? this.#only : undefined;
    if (only?.bytes[offset] !== undefined && offset + target.length <= this.byteLength) {
      target.set(partOf(only, offset, target.length));
      return;
    }
    const run = this.#run(offset, target.length, 1);
    const start = offset % this.#runBytes;
    if (start + target.length <= this.#runBytes) target.set(partOf(run, start, target.length));
    else this.#eachPart(offset, target, (part, at) => this.copyOut(at, part));
  }

  release(): Promise<void> {
    return this.#holding.end();
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
      parts: new Map(),
    }));
    this.#only = this.#runs.length === 1 ? this.#runs[0] : undefined;
  }

  /** Takes `bytes` apart at the runs' borders. */
  #eachPart(offset: number, bytes: Uint8Array, copy: (part: Uint8Array, at: number) => void): void {
    for (let done = 0; done < bytes.length; ) {
      const left = this.#runBytes - ((offset + done) % this.#runBytes);
      const part = bytes.subarray(done, done + left);
      copy(part, offset + done);
      done += part.length;
    }
  }

  /** The run in which `offset` is, after all checks of an access to `length` bytes there. */
  #run(offset: number, length: number, alignment: number): Run {
    if (!this.#holding.active)
      throw new VsndError('ERR_VSND_INVALID_STATE', 'these pages have been released');
    const last = this.byteLength - length;
    if (!Number.isInteger(offset) || offset < 0 || offset > last || offset % alignment !== 0) {
      throw invalidArgError('offset', offset, `multiples of ${alignment} from 0 to ${last}`);
    }
    const run = this.#runs[Math.floor(offset / this.#runBytes)] ?? this.#runs.at(-1);
    if (run === undefined) throw invalidArgError('offset', offset, 'none, there are no pages');
    return run;
  }

  #checkWritable(): void {
    if (this.#writable || !this.#holding.active) return;
    throw new VsndError('ERR_VSND_HYPERVISOR', 'these pages are mapped read-only', { errno: 'EACCES' });
  }
}

export class EmulatedGrantedPages extends EmulatedPages implements GrantedPages {
  readonly grefs: readonly number[];

  constructor(frames: readonly PageFrame[], grefs: readonly number[], holding: Holding) {
    super(frames, 'read-write', holding);
    this.grefs = grefs;
  }
}

function partOf({ bytes, parts }: Run, start: number, length: number): Uint8Array {
  const known = parts.get(start);
  if (known?.length === length) return known;
  if (parts.size >= MOST_PARTS) parts.clear();
  const part = bytes.subarray(start, start + length);
  parts.set(start, part);
  return part;
}

function isOneRun(frames: readonly PageFrame[]): boolean {
  return frames.every(
    ({ buffer, offset }, index) =>
      buffer === frames[0]?.buffer && offset === (frames[0]?.offset ?? 0) + index * PAGE_SIZE,
  );
}
