import { invalidArgError, VsndError } from '../../errors.ts';
import type { Holding } from '../../release-stack.ts';
import { type GrantAccess, type GrantedPages, PAGE_SIZE } from '../hypervisor.ts';
import type { Mapping } from './addon.ts';

/** Pages that the kernel has mapped into this process. The addon checks once more what is checked here. */
export class MappedPages implements GrantedPages {
  readonly grefs: readonly number[];
  readonly byteLength: number;
  /** For an engine, which uses them beside JavaScript. */
  readonly mapping: Mapping;
  readonly #writable: boolean;
  readonly #holding: Holding;

  /** `holding` ends the mapping. */
  constructor(memory: Mapping, grefs: readonly number[], access: GrantAccess, holding: Holding) {
    this.grefs = grefs;
    this.byteLength = grefs.length * PAGE_SIZE;
    this.mapping = memory;
    this.#writable = access === 'read-write';
    this.#holding = holding;
  }

  load32(offset: number): number {
    this.#check(offset, 4, 4);
    return this.mapping.load32(offset);
  }

  store32(offset: number, value: number): void {
    this.#check(offset, 4, 4);
    this.#checkWritable();
    this.mapping.store32(offset, value >>> 0);
  }

  copyIn(offset: number, source: Uint8Array): void {
    this.#check(offset, source.length, 1);
    this.#checkWritable();
    this.mapping.copyIn(offset, source);
  }

  copyOut(offset: number, target: Uint8Array): void {
    this.#check(offset, target.length, 1);
    this.mapping.copyOut(offset, target);
  }

  release(): Promise<void> {
    return this.#holding.end();
  }

  #check(offset: number, length: number, alignment: number): void {
    if (!this.#holding.active)
      throw new VsndError('ERR_VSND_INVALID_STATE', 'these pages have been released');
    const last = this.byteLength - length;
    if (!Number.isInteger(offset) || offset < 0 || offset > last || offset % alignment !== 0) {
      throw invalidArgError('offset', offset, `multiples of ${alignment} from 0 to ${last}`);
    }
  }

  #checkWritable(): void {
    if (this.#writable) return;
    throw new VsndError('ERR_VSND_HYPERVISOR', 'these pages are mapped read-only', { errno: 'EACCES' });
  }
}
