import { protocolError } from '../errors.ts';
import { DIRECTORY_GREFS, decodeDirectoryPage, directoryPageCount } from '../wire/sndif.ts';
import { type GrantMapper, PAGE_SIZE, type Pages } from '../xen/hypervisor.ts';

/**
 * Maps the shared buffer of an OPEN: follows the page directory from `directoryGref` and maps the pages that
 * `bufferBytes` bytes need. Rejects with ERR_VSND_PROTOCOL for a directory that ends early, runs in a circle or names
 * page 0, or one page twice, with ERR_VSND_HYPERVISOR for a page that was not granted.
 */
export async function mapSharedBuffer(
  mapper: GrantMapper,
  frontendDomid: number,
  directoryGref: number,
  bufferBytes: number,
): Promise<Pages> {
  const pageCount = Math.ceil(bufferBytes / PAGE_SIZE);
  const directory = new Set<number>();
  const grefs: number[] = [];
  for (let next = directoryGref; directory.size < directoryPageCount(pageCount); ) {
    if (next === 0)
      throw protocolError(`the page directory ends after ${grefs.length} of ${pageCount} pages`);
    if (directory.has(next)) throw protocolError(`the page directory comes back to its page ${next}`);
    directory.add(next);
    const page = await readDirectoryPage(mapper, frontendDomid, next, pageCount - grefs.length);
    grefs.push(...page.grefs);
    next = page.next;
  }
  const missing = grefs.indexOf(0);
  if (missing !== -1)
    throw protocolError(`the page directory names no page for number ${missing} of ${pageCount}`);
  // Each is mapped here once more: few pages of the guest would cost this domain many.
  if (new Set(grefs).size < grefs.length) throw protocolError('the page directory names a page twice');
  return await mapper.map(frontendDomid, grefs);
}

async function readDirectoryPage(mapper: GrantMapper, domid: number, gref: number, wanted: number) {
  const page = await mapper.map(domid, [gref]);
  try {
    const bytes = new Uint8Array(4 * (1 + Math.min(wanted, DIRECTORY_GREFS)));
    page.copyOut(0, bytes);
    return decodeDirectoryPage(bytes, wanted);
  } finally {
    await page.release();
  }
}
