import { crc16 } from './crc.ts';
import type { Cursor } from './cursor.ts';
import { FlacDecoder } from './flac-decoder.ts';
import {
  type FlacHeader,
  type FlacInfo,
  MAX_HEADER_BYTES,
  maxFrameBytes,
  parseFlacHeader,
  STREAMINFO_BYTES,
} from './flac-format.ts';
import { beginningOf } from './magic.ts';
import { isTag } from './tag-bytes.ts';

/** A FLAC frame: its checksums are right, or the header behind it is that of the one that comes next. */
export interface FlacFrame extends FlacHeader {
  /** In the recording. */
  readonly offset: number;
  /** Valid until the cursor is used again. */
  readonly bytes: Uint8Array;
  /** Whether its checksum has been looked at. */
  readonly isSure: boolean;
}

/** Ends of a frame that are tried where nothing behind it shows which is right. */
const MOST_ENDS = 64;

/**
 * The next whole frame at or after the cursor, which is then behind it; undefined where there is none, or another FLAC stream
 * begins first, with the cursor at it. `isSure`: whether to look at its checksum though the next one is right behind it.
 */
export async function nextFlacFrame(
  cursor: Cursor,
  info: FlacInfo,
  isSure = false,
): Promise<FlacFrame | undefined> {
  for (let header = await findHeader(cursor, info); header; header = await findHeader(cursor, info)) {
    const offset = cursor.position;
    const likely = isSure ? undefined : await likelyFrameAt(cursor, header, info);
    const { bytes, looked } = likely ?? (await frameAt(cursor, header, info));
    if (bytes !== undefined) {
      cursor.find(bytes.length);
      cursor.position = offset + bytes.length;
      return { ...header, offset, bytes, isSure: likely === undefined };
    }
    if (!cursor.goOn(looked)) return undefined;
    cursor.position = offset + 1;
  }
  return undefined;
}

/** Moves the cursor to what looks like a header. */
async function findHeader(cursor: Cursor, info: FlacInfo): Promise<FlacHeader | undefined> {
  for (let length = MAX_HEADER_BYTES; ; length = 4096) {
    const window = await cursor.peek(length);
    // The last bytes of a window are the first of the next one, unless there is none.
    const isLast = window.length < length;
    const mark = length === MAX_HEADER_BYTES ? -1 : findMark(window);
    const stop = mark !== -1 ? mark : isLast ? window.length : length - MAX_HEADER_BYTES + 1; // a mark is shorter than a header
    for (let at = window.indexOf(0xff); at !== -1 && at < stop; at = window.indexOf(0xff, at + 1)) {
      const header = parseFlacHeader(window.subarray(at), info);
      if (header === undefined) continue;
      cursor.position += at;
      return header;
    }
    if (mark !== -1) cursor.position += mark;
    if (mark !== -1 || isLast) return undefined;
    cursor.position += stop;
  }
}

/** Where a FLAC stream begins: with its mark, and STREAMINFO, the only block of metadata that is first. */
export function findMark(bytes: Uint8Array): number {
  const { buffer, byteOffset, length } = bytes;
  const all = Buffer.from(buffer, byteOffset, length);
  const hasStreamInfo = (at: number) => (all.readUIntBE(at + 4, 4) & 0x7fff_ffff) === STREAMINFO_BYTES;
  let at = all.indexOf('fLaC');
  while (at !== -1 && !(at + 8 <= length && hasStreamInfo(at))) at = all.indexOf('fLaC', at + 1);
  return at;
}

/** Bytes in which the next frame is looked for: most frames are shorter. */
const LIKELY_BYTES = 32 * 1024;

/** The frame at the cursor up to the header of the very next one, which hardly anything else looks like; undefined where none is near. */
async function likelyFrameAt(
  cursor: Cursor,
  { first, frames, headerBytes }: FlacHeader,
  info: FlacInfo,
): Promise<{ bytes: Uint8Array; looked: number } | undefined> {
  if (cursor.bytes.size === undefined) return undefined; // a stream is asked for no more than it needs
  const window = await cursor.peek(LIKELY_BYTES);
  for (let at = window.indexOf(0xff, headerBytes); at !== -1; at = window.indexOf(0xff, at + 1)) {
    const next = parseFlacHeader(window.subarray(at, at + MAX_HEADER_BYTES), info);
    if (next?.first === first + frames) return { bytes: window.subarray(0, at), looked: at };
  }
  return undefined;
}

/**
 * The bytes of the frame at the cursor, undefined where no end of it fits its checksum; and how many were looked at. An end is
 * sure where a header, a tag or another recording follows, or nothing. Within a quiet frame bytes that fit, with the first ones
 * of a header behind them, are not rare enough: such an end, or any other, counts only where none is sure, and the frame can be
 * decoded.
 */
async function frameAt(
  cursor: Cursor,
  header: FlacHeader,
  info: FlacInfo,
): Promise<{ bytes?: Uint8Array | undefined; looked: number }> {
  const most = maxFrameBytes(header.frames, info);
  let crc = 0;
  let end = 0;
  const ends: number[] = [];
  for (let length = Math.min(most, 16 * 1024); ; length = Math.min(most, length * 2)) {
    const window = await cursor.peek(length + MAX_HEADER_BYTES);
    const isLast = window.length < length + MAX_HEADER_BYTES;
    const stop = Math.min(length, window.length);
    for (; end < stop; end++) {
      if (crc === 0 && end > header.headerBytes) {
        const rest = window.subarray(end, end + MAX_HEADER_BYTES);
        if (parseFlacHeader(rest, info) || isTag(rest) || beginningOf(rest))
          return { bytes: window.subarray(0, end), looked: end };
        if (ends.length < MOST_ENDS) ends.push(end);
      }
      crc = crc16(crc, window[end] as number);
    }
    if (crc === 0 && isLast && end === window.length) return { bytes: window, looked: end };
    if (isLast || length === most) return { bytes: await decodable(window, header, info, ends), looked: end };
  }
}

/** The frame up to the first of `ends` with which it can be decoded. */
async function decodable(
  window: Uint8Array,
  header: FlacHeader,
  info: FlacInfo,
  ends: readonly number[],
): Promise<Uint8Array | undefined> {
  const decoder = new FlacDecoder(info);
  try {
    for (const end of ends) {
      if ((await decoder.decode(window.subarray(0, end), header)) !== undefined)
        return window.subarray(0, end);
    }
    return undefined;
  } finally {
    decoder.free();
  }
}
