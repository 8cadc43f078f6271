import { type Bytes, readBytes } from './bytes.ts';
import { Cursor } from './cursor.ts';
import { findMark } from './flac-frames.ts';
import { beginningAt } from './magic.ts';
import { firstMpegFrame } from './mpeg-frames.ts';
import { nextOggPage } from './ogg-pages.ts';
import { behindTags } from './tag-bytes.ts';

/**
 * Where at `offset`, or behind tags there, a recording begins: `cat` joins files, and what joins them is a tag at most.
 * Undefined where none does.
 */
export async function nextBeginning(bytes: Bytes, offset: number): Promise<number | undefined> {
  const start = await behindTags(bytes, offset);
  if ((await beginningAt(bytes, start)) !== undefined) return start;
  return (await firstMpegFrame(new Cursor(bytes, start), 0)) && start;
}

/**
 * Where a recording begins, within the first `reach` bytes behind `start`, that says so beyond doubt: the first page of an Ogg
 * stream, whose checksum is right, or FLAC's mark before a block of STREAMINFO. Undefined where none does.
 */
export async function beginningBehindJunk(
  bytes: Bytes,
  start: number,
  reach: number,
): Promise<number | undefined> {
  const window = Buffer.from(await readBytes(bytes, start, reach));
  for (let at = window.indexOf('OggS'); at !== -1; at = window.indexOf('OggS', at + 1)) {
    const page = await nextOggPage(new Cursor(bytes, start + at));
    if (page?.offset === start + at && page.isFirst) return start + at;
  }
  const mark = findMark(window);
  return mark === -1 ? undefined : start + mark;
}
