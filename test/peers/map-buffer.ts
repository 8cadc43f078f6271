import { DIRECTORY_GREFS, decodeDirectoryPage, type OpenRequest } from '../../src/wire/sndif.ts';
import { type Hypervisor, PAGE_SIZE, type Pages } from '../../src/xen/hypervisor.ts';

/** Maps the shared buffer of an OPEN by its directory, as far as that goes. */
export async function mapBuffer(
  hypervisor: Hypervisor,
  domid: number,
  { bufferBytes, directoryGref }: Pick<OpenRequest, 'bufferBytes' | 'directoryGref'>,
): Promise<Pages> {
  const grefs: number[] = [];
  for (let wanted = Math.ceil(bufferBytes / PAGE_SIZE), gref = directoryGref; wanted > 0; ) {
    const directory = await hypervisor.mapper.map(domid, [gref]);
    const bytes = new Uint8Array(PAGE_SIZE);
    directory.copyOut(0, bytes);
    await directory.release();
    const page = decodeDirectoryPage(bytes, wanted);
    grefs.push(...page.grefs);
    wanted -= DIRECTORY_GREFS;
    gref = page.next;
  }
  return await hypervisor.mapper.map(domid, grefs);
}
