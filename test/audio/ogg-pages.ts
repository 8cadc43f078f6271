/** A page of an Ogg stream, in a form that a test can change. */
export interface OggPageFields {
  granule: bigint;
  serial: number;
  /** The packets on it, as they lie there. */
  readonly body: Buffer;
  /** All of it, as it was. */
  readonly bytes: Buffer;
}

const HEADER_BYTES = 27;

/** The pages of a stream without damage. */
export function oggPages(bytes: Uint8Array): OggPageFields[] {
  const all = Buffer.from(bytes);
  const pages: OggPageFields[] = [];
  for (let at = 0; at < all.length; ) {
    const segments = all[at + 26] as number;
    const table = all.subarray(at + HEADER_BYTES, at + HEADER_BYTES + segments);
    const bodyStart = at + HEADER_BYTES + segments;
    const end = bodyStart + table.reduce((sum, lacing) => sum + lacing, 0);
    pages.push({
      granule: all.readBigInt64LE(at + 6),
      serial: all.readUInt32LE(at + 14),
      body: all.subarray(bodyStart, end),
      bytes: all.subarray(at, end),
    });
    at = end;
  }
  return pages;
}

/** The stream with its pages changed, and their checksums right. */
export function withPages(bytes: Uint8Array, change: (pages: OggPageFields[]) => void): Buffer {
  const pages = oggPages(bytes);
  change(pages);
  return Buffer.concat(
    pages.map(({ granule, serial, bytes }) => {
      bytes.writeBigInt64LE(granule, 6);
      bytes.writeUInt32LE(serial, 14);
      bytes.writeUInt32LE(0, 22);
      bytes.writeUInt32LE(checksum(bytes), 22);
      return bytes;
    }),
  );
}

/** The stream with all pages from the third on made one, as live encoders that spare bytes do; no packet may go over pages. */
export function withOnePage(bytes: Uint8Array): Buffer {
  const pages = oggPages(bytes);
  const [first, last] = [pages[2], pages.at(-1)];
  if (first === undefined || last === undefined) throw new Error('no page with sound');
  const rest = pages.slice(2);
  const tables = rest.map(({ bytes }) => bytes.subarray(HEADER_BYTES, HEADER_BYTES + (bytes[26] as number)));
  const table = Buffer.concat(tables);
  if (table.length > 255) throw new Error(`${table.length} segments do not fit in a page`);
  const head = Buffer.from(first.bytes.subarray(0, HEADER_BYTES));
  head[5] = last.bytes[5] as number;
  head[26] = table.length;
  head.writeBigInt64LE(last.granule, 6);
  const page = Buffer.concat([head, table, ...rest.map(({ body }) => body)]);
  return withPages(Buffer.concat([...pages.slice(0, 2).map(({ bytes }) => bytes), page]), () => {});
}

/** Bit by bit, as RFC 3533 defines it. */
function checksum(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1;
  }
  return crc >>> 0;
}
