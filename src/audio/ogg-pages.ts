import { crc32 } from './crc.ts';
import type { Cursor } from './cursor.ts';

/** A page of an Ogg stream (RFC 3533, 6). */
export interface OggPage {
  /** Where it begins in the recording, in bytes. */
  readonly offset: number;
  /** Which of the streams in the recording it belongs to. */
  readonly serial: number;
  readonly sequence: number;
  /** The position at the end of the last packet that ends on it; undefined where none does. */
  readonly granule: number | undefined;
  /** Its first piece goes on with a packet of the page before. */
  readonly isContinued: boolean;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** Its packets, or the parts of them that are on it. */
  readonly pieces: readonly Uint8Array[];
  /** The last piece goes on on the next page. */
  readonly goesOn: boolean;
}

const HEADER_BYTES = 27;
const MAX_PAGE_BYTES = HEADER_BYTES + 255 + 255 * 255;
/** No position is as far as that: 3000 years at 96 kHz. */
const MAX_GRANULE = 2 ** 53;

/** The next page at or after the cursor, which is then behind it; undefined where there is none. */
export async function nextOggPage(cursor: Cursor): Promise<OggPage | undefined> {
  while (await findCapture(cursor)) {
    const { page, looked } = await pageAt(cursor);
    if (page !== undefined) {
      cursor.find(looked);
      return page;
    }
    if (!cursor.goOn(looked)) return undefined;
    cursor.position += 1;
  }
  return undefined;
}

/** Moves the cursor to the next 'OggS'. */
async function findCapture(cursor: Cursor): Promise<boolean> {
  for (let length = 4; ; length = 4096) {
    const window = await cursor.peek(length);
    const at = Buffer.from(window.buffer, window.byteOffset, window.byteLength).indexOf('OggS');
    if (at !== -1) {
      cursor.position += at;
      return true;
    }
    if (window.length < length) return false;
    cursor.position += length - 3;
  }
}

/** The page at the cursor, and past it, if it is whole and its checksum right; and how many bytes were looked at. */
async function pageAt(cursor: Cursor): Promise<{ page?: OggPage; looked: number }> {
  const offset = cursor.position;
  const head = await cursor.peek(HEADER_BYTES);
  if (head.length < HEADER_BYTES || head[4] !== 0) return { looked: head.length };
  const segments = head[26] as number;
  const table = (await cursor.peek(HEADER_BYTES + segments)).slice(HEADER_BYTES);
  const bodyBytes = table.reduce((sum, lacing) => sum + lacing, 0);
  const length = HEADER_BYTES + segments + bodyBytes;
  const bytes = new Uint8Array(await cursor.peek(length));
  if (bytes.length < length) return { looked: bytes.length };
  const view = new DataView(bytes.buffer);
  const checksum = view.getUint32(22, true);
  view.setUint32(22, 0);
  if (bytes.reduce(crc32, 0) !== checksum) return { looked: length };

  cursor.position = offset + length;
  const flags = bytes[5] as number;
  const granule = Number(view.getBigInt64(6, true));
  const page = {
    offset,
    serial: view.getUint32(14, true),
    sequence: view.getUint32(18, true),
    granule: granule >= 0 && granule < MAX_GRANULE ? granule : undefined,
    isContinued: (flags & 1) !== 0,
    isFirst: (flags & 2) !== 0,
    isLast: (flags & 4) !== 0,
    pieces: split(bytes.subarray(HEADER_BYTES + segments), table),
    goesOn: table.at(-1) === 255,
  };
  return { page, looked: length };
}

/** Pieces end with a lacing value below 255. */
function split(body: Uint8Array, table: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let begin = 0;
  let end = 0;
  table.forEach((lacing, index) => {
    end += lacing;
    if (lacing === 255 && index < table.length - 1) return;
    pieces.push(body.subarray(begin, end));
    begin = end;
  });
  return pieces;
}

/** The end of a recording, as far as it was looked at. */
interface OggTail {
  readonly last: OggPage | undefined;
  /** The last page with a position of the stream. */
  readonly ofStream: OggPage | undefined;
  /** Whether another stream begins there. */
  readonly hasLink: boolean;
}

/** The last page of the recording, and the last one with a position of the stream `serial`, which lies behind `start`. */
export async function lastOggPages(
  cursor: Cursor,
  serial: number,
  start: number,
  size: number,
): Promise<OggTail> {
  let last: OggPage | undefined;
  let ofStream: OggPage | undefined;
  let hasLink = false;
  for (let tail = 2 * MAX_PAGE_BYTES; ; tail *= 4) {
    cursor.position = Math.max(start, size - tail);
    for (let page = await nextOggPage(cursor); page; page = await nextOggPage(cursor)) {
      last = page;
      hasLink ||= page.isFirst;
      if (page.serial === serial && page.granule !== undefined) ofStream = page;
    }
    if (ofStream || size - tail <= start || tail > MAX_TAIL_BYTES) return { last, ofStream, hasLink };
  }
}

const MAX_TAIL_BYTES = 4 << 20;

/** The most that a packet may take: a comment with a picture in it. */
const MAX_PACKET_BYTES = 32 << 20;

/** Puts the packets of one stream together, which may go over pages. */
export class PacketAssembler {
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #isOpen = false;
  #sequence: number | undefined;

  /** The packets that end on the page; `hasHole` where some before or among them are lost. */
  take(page: OggPage): { packets: Uint8Array[]; hasHole: boolean } {
    const isNext = this.#sequence === undefined || page.sequence === (this.#sequence + 1) >>> 0;
    let hasHole = !isNext || this.#isOpen !== page.isContinued;
    if (this.#sequence === undefined) hasHole = false;
    this.#sequence = page.sequence;
    if (hasHole || !page.isContinued) this.#clear();

    const packets: Uint8Array[] = [];
    page.pieces.forEach((piece, index) => {
      const isRest = index === 0 && page.isContinued;
      const goesOn = index === page.pieces.length - 1 && page.goesOn;
      if (isRest && !this.#isOpen) return; // its beginning is lost
      this.#parts.push(piece);
      this.#partBytes += piece.length;
      if (this.#partBytes > MAX_PACKET_BYTES) {
        this.#clear();
        hasHole = true;
      } else if (goesOn) {
        this.#isOpen = true;
      } else {
        packets.push(this.#parts.length === 1 ? piece : Buffer.concat(this.#parts));
        this.#clear();
      }
    });
    return { packets, hasHole };
  }

  #clear(): void {
    this.#parts = [];
    this.#partBytes = 0;
    this.#isOpen = false;
  }
}
