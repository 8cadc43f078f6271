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
  const header = await findHeader(cursor, parseMpegHeader, CONVINCING_FRAMES - 1, cursor.position + reach);
  return header && { ...header, offset: cursor.position };
}

/** The next frame like `like` at or after the cursor, which is then behind it; undefined where there is none. */
export async function nextMpegFrame(cursor: Cursor, like: MpegHeader): Promise<MpegFrame | undefined> {
  const parse = (octets: Uint8Array) => alike(octets, like);
  const header =
    parse(await cursor.peek(HEADER_BYTES)) ?? (await findHeader(cursor, parse, 1, Number.POSITIVE_INFINITY));
  if (header === undefined) return undefined;
  const offset = cursor.position;
  if ((await cursor.peek(header.bytes)).length < header.bytes) return undefined;
  cursor.position = offset + header.bytes;
  return { ...header, offset };
}

/**
 * Moves the cursor to what `parse` takes for a frame, with `followers` others behind it; undefined where none begins before
 * the octet `stop`.
 */
async function findHeader(
  cursor: Cursor,
  parse: (octets: Uint8Array) => MpegHeader | undefined,
  followers: number,
  stop: number,
): Promise<MpegHeader | undefined> {
  // At first no more than a header: it is most often right here, and a stream may be slow.
  for (let length = HEADER_BYTES; cursor.position < stop; length = WINDOW_BYTES) {
    const window = (await cursor.peek(length)).slice();
    const start = cursor.position;
    for (let at = window.indexOf(0xff); at !== -1; at = window.indexOf(0xff, at + 1)) {
      const header = parse(window.subarray(at));
      if (header === undefined) continue;
      cursor.position = start + at;
      if (await goesOn(cursor, header, followers)) return header;
    }
    if (window.length < length) return undefined;
    cursor.position = start + length - HEADER_BYTES + 1;
  }
  return undefined;
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
