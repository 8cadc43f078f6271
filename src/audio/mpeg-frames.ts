import type { Cursor } from './cursor.ts';
import { beginningAt } from './magic.ts';
import { HEADER_BYTES, isAlike, type MpegHeader, parseMpegHeader, parseMpegTag } from './mpeg-format.ts';
import { behindTags, isTag } from './tag-bytes.ts';

/** An MPEG frame. */
export interface MpegFrame extends MpegHeader {
  /** In the recording. */
  readonly offset: number;
  /** All of it. Valid until the cursor is used again. */
  readonly data: Uint8Array;
}

/** Frames in a row that are enough to believe that MPEG begins where a recording does, and that it does elsewhere. */
const CONVINCING_FRAMES = 3;
const CONVINCING_FRAMES_ELSEWHERE = 12;

/** Bytes in which the next candidate is looked for. */
const WINDOW_BYTES = 1024;

/**
 * The first frame of a recording that is MPEG, at most `reach` bytes from the cursor, which is then behind it. What merely looks
 * like MPEG is in most programs and pictures: that frames follow each other to the end, or many of them do, is rare.
 */
export async function firstMpegFrame(cursor: Cursor, reach: number): Promise<MpegFrame | undefined> {
  const start = cursor.position;
  const isFirst = async (header: MpegHeader): Promise<boolean> => {
    const isAtStart = cursor.position === start;
    if (!isAtStart && header.layer === 1) return false; // nobody has it; tables of programs look like it
    const enough = isAtStart ? CONVINCING_FRAMES : CONVINCING_FRAMES_ELSEWHERE;
    const { frames, isToEnd } = await run(cursor, header, enough);
    if (frames >= enough) return true;
    if (!isAtStart) return isToEnd && frames >= CONVINCING_FRAMES;
    return frames > 0 && (isToEnd || parseMpegTag(await cursor.peek(header.bytes), header) !== undefined);
  };
  const header = await findHeader(cursor, isFirst, start + reach);
  return header && (await frameAt(cursor, header));
}

/**
 * The next frame like `like` at or after the cursor, which is then behind it. Undefined where there is none, or where another
 * recording begins first: the cursor is there then.
 */
export async function nextMpegFrame(cursor: Cursor, like: MpegHeader): Promise<MpegFrame | undefined> {
  const isNext = (header: MpegHeader | undefined) => header !== undefined && isAlike(header, like);
  const here = parseMpegHeader(await cursor.peek(HEADER_BYTES));
  if (here && isNext(here)) return await frameAt(cursor, here);
  cursor.position = await behindTags(cursor.bytes, cursor.position);
  if ((await beginningAt(cursor.bytes, cursor.position)) !== undefined) return undefined;
  const isBelievable = async (header: MpegHeader): Promise<boolean> => {
    const enough = isNext(header) ? 2 : CONVINCING_FRAMES;
    const { frames, isToEnd } = await run(cursor, header, enough);
    return frames >= enough || (isToEnd && frames > 0 && isNext(header));
  };
  const header = await findHeader(cursor, isBelievable, Number.POSITIVE_INFINITY);
  return header && isNext(header) ? await frameAt(cursor, header) : undefined;
}

/** The frame at the cursor, which is then behind it; undefined where it is cut. */
async function frameAt(cursor: Cursor, header: MpegHeader): Promise<MpegFrame | undefined> {
  const bytes = await cursor.peek(header.bytes);
  if (bytes.length < header.bytes) return undefined;
  const offset = cursor.position;
  cursor.position += header.bytes;
  return { ...header, offset, data: bytes };
}

/** Moves the cursor to the next header that `isIt`, with the cursor at it; undefined where none begins up to the byte `stop`. */
async function findHeader(
  cursor: Cursor,
  isIt: (header: MpegHeader) => Promise<boolean>,
  stop: number,
): Promise<MpegHeader | undefined> {
  // At first no more than a header: it is most often right here, and a stream may be slow.
  for (let length = HEADER_BYTES; cursor.position <= stop; length = WINDOW_BYTES) {
    const window = new Uint8Array(await cursor.peek(length));
    const start = cursor.position;
    for (let at = window.indexOf(0xff); at !== -1 && start + at <= stop; at = window.indexOf(0xff, at + 1)) {
      const header = parseMpegHeader(window.subarray(at));
      if (header === undefined) continue;
      cursor.position = start + at;
      if (await isIt(header)) return header;
    }
    if (window.length < length) return undefined;
    cursor.position = start + length - HEADER_BYTES + 1;
  }
  return undefined;
}

/** How many whole frames follow each other at the cursor, at most `most`, and whether nothing but a tag is behind them. */
async function run(
  cursor: Cursor,
  first: MpegHeader,
  most: number,
): Promise<{ frames: number; isToEnd: boolean }> {
  let end = 0;
  for (let frames = 0, header: MpegHeader | undefined = first; ; frames++) {
    const bytes = await cursor.peek(end + header.bytes + HEADER_BYTES);
    if (bytes.length < end + header.bytes) return { frames, isToEnd: true };
    end += header.bytes;
    if (frames + 1 === most) return { frames: most, isToEnd: false };
    const rest = bytes.subarray(end);
    header = parseMpegHeader(rest);
    if (header === undefined || !isAlike(header, first))
      return { frames: frames + 1, isToEnd: rest.length < HEADER_BYTES || isTag(rest) };
  }
}
