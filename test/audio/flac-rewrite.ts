import { crc8, crc16 } from '../../src/audio/crc.ts';

/** What of a FLAC frame's header a test can change. */
export interface FlacFrameFields {
  /** 1: the number counts frames of sound. */
  isVariable: number;
  rateCode: number;
  bitsCode: number;
  number: number;
  /** Frames of sound in it. */
  readonly frames: number;
}

/** Where the frames of a FLAC stream begin. */
function audioStart(bytes: Buffer): number {
  let start = 4;
  for (let isLast = false; !isLast; ) {
    isLast = ((bytes[start] as number) & 0x80) !== 0;
    start += 4 + bytes.readUIntBE(start + 1, 3);
  }
  return start;
}

/** A stream of frames of 1152 with numbers below 128, as flac --blocksize=1152 makes it, with its frames changed, and their checksums right. */
export function withFlacFrames(
  bytes: Buffer,
  change: (frame: FlacFrameFields, index: number) => void,
  changeInfo: (streamInfo: Buffer) => void = () => {},
): Buffer {
  const start = audioStart(bytes);
  const head = Buffer.from(bytes.subarray(0, start));
  changeInfo(head.subarray(8, 8 + 34));
  return Buffer.concat([head, ...flacFrames(bytes).map((frame, index) => rewrite(frame, index, change))]);
}

/** The frames of the stream. */
export function flacFrames(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let begin = audioStart(bytes), end = begin + 1; begin < bytes.length; end++) {
    const isNext = bytes[end] === 0xff && bytes[end + 1] === 0xf8 && bytes[end + 4] === frames.length + 1;
    if (end < bytes.length && !(isNext && crc16Of(bytes.subarray(begin, end)) === 0)) continue;
    frames.push(bytes.subarray(begin, end));
    begin = end;
  }
  return frames;
}

function rewrite(
  frame: Buffer,
  index: number,
  change: (frame: FlacFrameFields, index: number) => void,
): Buffer {
  const [, , third = 0, fourth = 0] = frame;
  const sizeCode = third >> 4;
  const sizeBytes = sizeCode === 6 ? 1 : sizeCode === 7 ? 2 : 0;
  const frames =
    sizeCode === 6
      ? (frame[5] as number) + 1
      : sizeCode === 7
        ? frame.readUInt16BE(5) + 1
        : 576 << (sizeCode - 2);
  const fields = { isVariable: 0, rateCode: third & 15, bitsCode: (fourth >> 1) & 7, number: index, frames };
  change(fields, index);
  const header = Buffer.concat([
    Buffer.of(
      0xff,
      0xf8 | fields.isVariable,
      (third & 0xf0) | fields.rateCode,
      (fourth & 0xf1) | (fields.bitsCode << 1),
    ),
    Buffer.from(String.fromCodePoint(fields.number)), // numbers are coded as UTF-8 codes characters
    frame.subarray(5, 5 + sizeBytes),
  ]);
  const checked = Buffer.concat([header, Buffer.of(crc8(header)), frame.subarray(5 + sizeBytes + 1, -2)]);
  const crc = crc16Of(checked);
  return Buffer.concat([checked, Buffer.of(crc >> 8, crc & 0xff)]);
}

function crc16Of(bytes: Uint8Array): number {
  return bytes.reduce(crc16, 0);
}
