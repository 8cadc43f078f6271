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
  /** The mappings of it; its page is not free before the last one has gone, even when the grant has. */
  mappings: number;
  ended: boolean;
}

/**
 * The pages that one domain grants. References are never used again, so that a stale one is always found out.
 */
export class GrantTable {
  readonly #limit: number;
  readonly #grants = new Map<number, Grant>();
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
      const grant = { gref: this.#nextGref++, domid, access, buffer, offset, mappings: 0, ended: false };
      this.#grants.set(grant.gref, grant);
      return grant;
    });
  }

  end(grants: readonly Grant[]): void {
    for (const grant of grants) {
      grant.ended = true;
      this.#grants.delete(grant.gref);
      if (grant.mappings === 0) this.#pages -= 1;
    }
  }

  /**
   * Maps pages into the domain `mapper`. Throws ERR_VSND_HYPERVISOR, with nothing mapped, if any is refused.
   */
  map(mapper: number, grefs: readonly number[], access: GrantAccess): Grant[] {
    const grants = grefs.map((gref) => this.#permitted(mapper, gref, access));
    for (const grant of grants) grant.mappings += 1;
    return grants;
  }

  unmap(grants: readonly Grant[]): void {
    for (const grant of grants) {
      grant.mappings -= 1;
      if (grant.mappings === 0 && grant.ended) this.#pages -= 1;
    }
  }

  #permitted(mapper: number, gref: number, access: GrantAccess): Grant {
    const grant = this.#grants.get(gref);
    if (grant === undefined) throw refused(gref, 'there is no such grant', 'EINVAL'); // GNTST_bad_gntref
    if (grant.domid !== mapper) {
      // GNTST_permission_denied
      throw refused(gref, `it is granted to domain ${grant.domid}, not ${mapper}`, 'EPERM');
    }
    if (access === 'read-write' && grant.access === 'read-only') {
      throw refused(gref, 'it is granted for reading only', 'EACCES');
    }
    return grant;
  }
}

function refused(gref: number, reason: string, errno: string): VsndError {
  return new VsndError('ERR_VSND_HYPERVISOR', `cannot map grant ${gref}: ${reason}`, { errno });
}
