import { crc16 } from './crc.ts';
import type { Cursor } from './cursor.ts';
import {
  type FlacHeader,
  type FlacInfo,
  MAX_HEADER_BYTES,
  maxFrameBytes,
  parseFlacHeader,
} from './flac-format.ts';

/** A FLAC frame whose checksums are right. */
export interface FlacFrame extends FlacHeader {
  /** In the recording. */
  readonly offset: number;
  /** Valid until the cursor is used again. */
  readonly octets: Uint8Array;
}

/** The first octets of a tag that may follow the last frame: ID3v1, APE. */
const TAGS = /^(?:TAG|APETAGEX)/;

/** The next whole frame at or after the cursor, which is then behind it; undefined where there is none. */
export async function nextFlacFrame(cursor: Cursor, info: FlacInfo): Promise<FlacFrame | undefined> {
  for (let header = await findHeader(cursor, info); header; header = await findHeader(cursor, info)) {
    const offset = cursor.position;
    const { octets, looked } = await frameAt(cursor, header, info);
    if (octets !== undefined) {
      cursor.find(octets.length);
      cursor.position = offset + octets.length;
      return { ...header, offset, octets };
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
    // The last octets of a window are the first of the next one, unless there is none.
    const isLast = window.length < length;
    const stop = isLast ? window.length : length - MAX_HEADER_BYTES + 1;
    for (let at = window.indexOf(0xff); at !== -1 && at < stop; at = window.indexOf(0xff, at + 1)) {
      const header = parseFlacHeader(window.subarray(at), info);
      if (header === undefined) continue;
      cursor.position += at;
      return header;
    }
    if (isLast) return undefined;
    cursor.position += stop;
  }
}

/**
 * The octets of the frame at the cursor, undefined where no end of it fits its checksum; and how many were looked at. Within a quiet frame octets that fit,
 * with the first ones of a header behind them, are not rare enough: those end it only where no whole header is behind any.
 */
async function frameAt(
  cursor: Cursor,
  header: FlacHeader,
  info: FlacInfo,
): Promise<{ octets?: Uint8Array | undefined; looked: number }> {
  const most = maxFrameBytes(header.frames, info);
  let crc = 0;
  let end = 0;
  let likelyEnd: number | undefined;
  for (let length = Math.min(most, 16 * 1024); ; length = Math.min(most, length * 2)) {
    const window = await cursor.peek(length + MAX_HEADER_BYTES);
    const isLast = window.length < length + MAX_HEADER_BYTES;
    const stop = Math.min(length, window.length);
    for (; end < stop; end++) {
      if (crc === 0 && end > header.headerBytes) {
        const rest = window.subarray(end);
        if (parseFlacHeader(rest, info) || isTag(rest))
          return { octets: window.subarray(0, end), looked: end };
        if (isSyncCode(rest)) likelyEnd ??= end; // of a header that is damaged, perhaps
      }
      crc = crc16(crc, window[end] as number);
    }
    if (crc === 0 && isLast && end === window.length) return { octets: window, looked: end };
    if (isLast || length === most) {
      return { octets: likelyEnd === undefined ? undefined : window.subarray(0, likelyEnd), looked: end };
    }
  }
}

function isSyncCode(octets: Uint8Array): boolean {
  return octets[0] === 0xff && ((octets[1] ?? 0) & 0xfe) === 0xf8;
}

function isTag(octets: Uint8Array): boolean {
  return TAGS.test(String.fromCharCode(...octets.subarray(0, 8)));
}
