import { Cursor } from './cursor.ts';
import { beginningOf, HEAD_BYTES } from './magic.ts';
import { firstMpegFrame } from './mpeg-frames.ts';
import { type Octets, readOctets } from './octets.ts';
import { behindTags } from './tags.ts';

/**
 * Where at `offset`, or behind tags there, a recording begins: `cat` joins files, and what joins them is a tag at most.
 * Undefined where none does.
 */
export async function nextBeginning(octets: Octets, offset: number): Promise<number | undefined> {
  const start = await behindTags(octets, offset);
  if (beginningOf(await readOctets(octets, start, HEAD_BYTES)) !== undefined) return start;
  return (await firstMpegFrame(new Cursor(octets, start), 0)) && start;
}
