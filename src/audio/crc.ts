/** The remainders of all bytes, for polynomials that take the highest bit first and begin with 0. */
function remainders(bits: 8 | 16 | 32, polynomial: number): Uint32Array {
  const top = 2 ** (bits - 1);
  const mask = 2 ** bits - 1;
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let remainder = (byte << (bits - 8)) >>> 0;
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = (remainder & top) !== 0;
      remainder = ((remainder << 1) & mask) >>> 0;
      if (isOdd) remainder = (remainder ^ polynomial) >>> 0;
    }
    return remainder;
  });
}

const CRC_8 = remainders(8, 0x07);
const CRC_16 = remainders(16, 0x8005);
const CRC_32 = remainders(32, 0x04c1_1db7);

/** Of a FLAC frame's header. */
export function crc8(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) crc = CRC_8[crc ^ byte] as number;
  return crc;
}

/** Of a FLAC frame: one byte more. */
export function crc16(crc: number, byte: number): number {
  return ((crc << 8) & 0xffff) ^ (CRC_16[(crc >> 8) ^ byte] as number);
}

/** Of an Ogg page: one byte more. */
export function crc32(crc: number, byte: number): number {
  return ((crc << 8) ^ (CRC_32[(crc >>> 24) ^ byte] as number)) >>> 0;
}
