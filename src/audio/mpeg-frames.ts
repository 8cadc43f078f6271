import type { Cursor } from './cursor.ts';
import { HEADER_BYTES, isAlike, type MpegHeader, parseMpegHeader } from './mpeg-format.ts';

/** An MPEG frame, all of whose octets are there. */
export interface MpegFrame extends MpegHeader {
  /** In the recording. */
  readonly offset: number;
}

/** Frames in a row that are enough to believe that a recording is MPEG. */
const CONVINCING_FRAMES = 3;

/** Octets in which the next candidate is looked for. */
const WINDOW_BYTES = 1024;

/** The first of some frames in a row, at most `reach` octets from the cursor, which is then at it. */
export async function firstMpegFrame(cursor: Cursor, reach: number): Promise<MpegFrame | undefined> {
  const start = cursor.position;
  let searched = 0;
  // Most begin with a frame: more of a slow stream is waited for only where there is none.
  for (let length = WINDOW_BYTES; ; length = Math.min(2 * length, reach)) {
    cursor.position = start;
    const window = (await cursor.peek(length)).slice();
    for (let at = window.indexOf(0xff, searched); at !== -1; at = window.indexOf(0xff, at + 1)) {
      const header = parseMpegHeader(window.subarray(at));
      if (header === undefined) continue;
      cursor.position = start + at;
      if (await goesOn(cursor, header, CONVINCING_FRAMES - 1)) return { ...header, offset: cursor.position };
    }
    if (window.length < length || length >= reach) return undefined;
    searched = length - HEADER_BYTES + 1;
  }
}

/** The next frame like `like` at or after the cursor, which is then behind it; undefined where there is none. */
export async function nextMpegFrame(cursor: Cursor, like: MpegHeader): Promise<MpegFrame | undefined> {
  let header = alike(await cursor.peek(HEADER_BYTES), like);
  header ??= await findHeader(cursor, like);
  if (header === undefined) return undefined;
  const offset = cursor.position;
  if ((await cursor.peek(header.bytes)).length < header.bytes) return undefined;
  cursor.position = offset + header.bytes;
  return { ...header, offset };
}

/** Moves the cursor to what looks like a frame, with another one behind it. */
async function findHeader(cursor: Cursor, like: MpegHeader): Promise<MpegHeader | undefined> {
  for (;;) {
    const window = (await cursor.peek(WINDOW_BYTES)).slice();
    const start = cursor.position;
    for (
      let at = window.indexOf(0xff);
      at !== -1 && at + HEADER_BYTES <= window.length;
      at = window.indexOf(0xff, at + 1)
    ) {
      const header = alike(window.subarray(at), like);
      if (header === undefined) continue;
      cursor.position = start + at;
      if (await goesOn(cursor, header, 1)) return header;
    }
    if (window.length < WINDOW_BYTES) return undefined;
    cursor.position = start + WINDOW_BYTES - HEADER_BYTES + 1;
  }
}

/** Whether the frame at the cursor is whole, and followed by `count` others like it, or by the end. */
async function goesOn(cursor: Cursor, first: MpegHeader, count: number): Promise<boolean> {
  const octets = await cursor.peek(first.bytes * (count + 1) + HEADER_BYTES);
  let end = first.bytes;
  for (let followers = 0; followers < count && end + HEADER_BYTES <= octets.length; followers++) {
    const header = alike(octets.subarray(end), first);
    if (header === undefined) return String.fromCharCode(...octets.subarray(end, end + 3)) === 'TAG';
    end += header.bytes;
  }
  return first.bytes <= octets.length;
}

function alike(octets: Uint8Array, like: MpegHeader): MpegHeader | undefined {
  const header = parseMpegHeader(octets);
  return header && isAlike(header, like) ? header : undefined;
}
