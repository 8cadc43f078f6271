import type { SharedMemory } from '../../src/wire/memory.ts';

/** Memory that takes only what the interface allows: aligned accesses of u32 values, within it. */
export class ArrayMemory implements SharedMemory {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** A copy of `contents`, or a page of zeros. */
  constructor(contents: Uint8Array = new Uint8Array(4096)) {
    this.bytes = Uint8Array.from(contents);
    this.#view = new DataView(this.bytes.buffer);
  }

  get byteLength(): number {
    return this.bytes.length;
  }

  load32(offset: number): number {
    this.#check(offset, 4, 4);
    return this.#view.getUint32(offset, true);
  }

  store32(offset: number, value: number): void {
    this.#check(offset, 4, 4);
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw new RangeError(`store32 of ${value}, which is no u32`);
    }
    this.#view.setUint32(offset, value, true);
  }

  copyIn(offset: number, source: Uint8Array): void {
    this.#check(offset, source.length, 1);
    this.bytes.set(source, offset);
  }

  copyOut(offset: number, target: Uint8Array): void {
    this.#check(offset, target.length, 1);
    target.set(this.bytes.subarray(offset, offset + target.length));
  }

  #check(offset: number, length: number, alignment: number): void {
    if (!Number.isInteger(offset) || offset < 0 || offset + length > this.byteLength || offset % alignment) {
      throw new RangeError(`an access of ${length} bytes at ${offset} of ${this.byteLength}`);
    }
  }
}

/** Calls `before` with 'load 4', 'store 0', 'in 64' or 'out 64' before each access to `memory`. */
export function traced(memory: SharedMemory, before: (access: string) => void): SharedMemory {
  return {
    byteLength: memory.byteLength,
    load32(offset) {
      before(`load ${offset}`);
      return memory.load32(offset);
    },
    store32(offset, value) {
      before(`store ${offset}`);
      memory.store32(offset, value);
    },
    copyIn(offset, source) {
      before(`in ${offset}`);
      memory.copyIn(offset, source);
    },
    copyOut(offset, target) {
      before(`out ${offset}`);
      memory.copyOut(offset, target);
    },
  };
}
