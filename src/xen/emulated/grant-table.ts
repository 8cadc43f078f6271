import { VsndError } from '../../errors.ts';
import { type GrantAccess, PAGE_SIZE } from '../hypervisor.ts';
import type { PageFrame } from './pages.ts';

/** The entries below belong to Xen itself (GNTTAB_NR_RESERVED_ENTRIES). */
const FIRST_GREF = 8;

/** One page that a domain gives to another one. */
export interface Grant extends PageFrame {
  readonly gref: number;
  readonly domid: number;
  readonly access: GrantAccess;
}

/**
 * The pages that one domain grants. References are never used again, so that a stale one is always noticed.
 */
export class GrantTable {
  readonly #limit: number;
  readonly #grants = new Map<number, Grant>();
  /** How often each is mapped: its page is not free before the last one has gone, even when the grant has. */
  readonly #mappings = new Map<Grant, number>();
  #nextGref = FIRST_GREF;
  #pages = 0;

  /** `limit` as gntalloc's module parameter, in pages. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Zeroed pages in one run. Throws ERR_VSND_HYPERVISOR with ENOSPC beyond the limit. */
  grant(domid: number, pageCount: number, access: GrantAccess): Grant[] {
    if (this.#pages + pageCount > this.#limit) {
      const message = `cannot grant ${pageCount} pages: ${this.#pages} of at most ${this.#limit} are in use`;
      throw new VsndError('ERR_VSND_HYPERVISOR', message, { errno: 'ENOSPC' });
    }
    this.#pages += pageCount;
    const buffer = new SharedArrayBuffer(pageCount * PAGE_SIZE);
    return Array.from({ length: pageCount }, (_, index) => {
      const offset = index * PAGE_SIZE;
      const grant = { gref: this.#nextGref++, domid, access, buffer, offset };
      this.#grants.set(grant.gref, grant);
      return grant;
    });
  }

  end(grants: readonly Grant[]): void {
    for (const grant of grants) {
      this.#grants.delete(grant.gref);
      if (!this.#mappings.has(grant)) this.#pages -= 1;
    }
  }

  /**
   * Maps pages into the domain `mapper`. Throws ERR_VSND_HYPERVISOR, with nothing mapped, if any is refused.
   */
  map(mapper: number, grefs: readonly number[], access: GrantAccess): Grant[] {
    const grants = grefs.map((gref) => this.#permitted(mapper, gref, access));
    for (const grant of grants) this.#mappings.set(grant, this.#mappingsOf(grant) + 1);
    return grants;
  }

  unmap(grants: readonly Grant[]): void {
    for (const grant of grants) {
      const mappings = this.#mappingsOf(grant);
      if (mappings > 1) this.#mappings.set(grant, mappings - 1);
      else if (this.#mappings.delete(grant) && !this.#grants.has(grant.gref)) this.#pages -= 1;
    }
  }

  /** The domain has been restored: nobody can map what was granted before, and who has it mapped keeps nothing from it. */
  abandon(): void {
    this.#grants.clear();
    this.#mappings.clear();
  }

  #mappingsOf(grant: Grant): number {
    return this.#mappings.get(grant) ?? 0;
  }

  #permitted(mapper: number, gref: number, access: GrantAccess): Grant {
    const grant = this.#grants.get(gref);
    if (grant === undefined) throw mapError(gref, 'there is no such grant', 'EINVAL'); // GNTST_bad_gntref
    if (grant.domid !== mapper) {
      // GNTST_permission_denied
      throw mapError(gref, `it is granted to domain ${grant.domid}, not ${mapper}`, 'EPERM');
    }
    if (access === 'read-write' && grant.access === 'read-only') {
      throw mapError(gref, 'it is granted for reading only', 'EACCES');
    }
    return grant;
  }
}

function mapError(gref: number, reason: string, errno: string): VsndError {
  return new VsndError('ERR_VSND_HYPERVISOR', `cannot map grant ${gref}: ${reason}`, { errno });
}
