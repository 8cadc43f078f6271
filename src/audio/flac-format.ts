import { VsndError } from '../errors.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import { crc8, crc16 } from './crc.ts';

/** What STREAMINFO says of all frames (RFC 9639, 8.2). */
export interface FlacInfo {
  /** Frames of sound in a FLAC frame, of which the last may have less; 0 where the encoder did not know. */
  readonly blockFrames: number;
  /** In the smallest one; another number where they vary. */
  readonly leastBlockFrames: number;
  /** Whether the numbers of FLAC frames count frames of sound though their headers do not say so: before FLAC 1.2. */
  readonly isVariable: boolean;
  /** Hz */
  readonly rate: number;
  readonly channels: number;
  /** Of one sample. */
  readonly bits: number;
  /** Frames of sound in all; undefined where the encoder did not know. */
  readonly totalFrames: number | undefined;
}

/** The header of a FLAC frame (RFC 9639, 9.1). */
export interface FlacHeader {
  /** Bytes of the header. */
  readonly headerBytes: number;
  /** As it stands there. */
  readonly number: number;
  /** Whether the number is that of a frame of sound, as the header says. */
  readonly isVariable: boolean;
  /** The number of its first frame of sound. */
  readonly first: number;
  /** Frames of sound in it. */
  readonly frames: number;
  readonly rate: number;
  readonly channels: number;
  readonly bits: number;
}

export const STREAMINFO_BYTES = 34;
/** The longest header there is. */
export const MAX_HEADER_BYTES = 16;

/** How samples of so many bits are given: the bytes of the file that was compressed. The decoder knows no others, or not exactly. */
export const FLAC_FORMATS: ReadonlyMap<number, PcmFormatName> = new Map([
  [8, 'u8'],
  [16, 's16_le'],
  [24, 's24_le'],
]);

/** Throws ERR_VSND_FILE; `name` is the recording's. */
export function parseStreamInfo(name: string, block: Uint8Array): FlacInfo {
  if (block.length < STREAMINFO_BYTES)
    throw new VsndError('ERR_VSND_FILE', `${name} is a damaged FLAC file: it ends within its STREAMINFO`);
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const packed = view.getUint32(10); // 20 bits of rate, 3 of channels, 5 of bits, 4 of the total
  const totalFrames = (packed & 0xf) * 2 ** 32 + view.getUint32(14);
  const info = {
    leastBlockFrames: view.getUint16(0),
    blockFrames: view.getUint16(2),
    isVariable: false,
    rate: packed >>> 12,
    channels: ((packed >>> 9) & 7) + 1,
    bits: ((packed >>> 4) & 31) + 1,
    totalFrames: totalFrames === 0 ? undefined : totalFrames,
  };
  return info;
}

/** Throws ERR_VSND_FILE for what cannot be decoded. */
export function checkFlacInfo(name: string, { rate, bits }: FlacInfo): void {
  if (rate === 0) throw new VsndError('ERR_VSND_FILE', `${name} is a damaged FLAC file: its rate is 0 Hz`);
  if (FLAC_FORMATS.has(bits)) return;
  const allowed = [...FLAC_FORMATS.keys()].join(', ');
  throw new VsndError('ERR_VSND_FILE', `${name} holds FLAC with ${bits} bits a sample; allowed: ${allowed}`);
}

/** Bits a sample, and Hz, by their codes in a frame's header; 0 means STREAMINFO's. */
const BITS = [undefined, 8, 12, undefined, 16, 20, 24, 32];
const RATES = [
  undefined,
  88_200,
  176_400,
  192_000,
  8000,
  16_000,
  22_050,
  24_000,
  32_000,
  44_100,
  48_000,
  96_000,
];

/** The header of a frame of this stream at the start of `bytes`, or undefined: no such thing is there, or not all of it. */
export function parseFlacHeader(bytes: Uint8Array, info: FlacInfo): FlacHeader | undefined {
  const header = parseAnyFlacHeader(bytes, info);
  const isOwn = header?.rate === info.rate && header.channels === info.channels && header.bits === info.bits;
  return isOwn ? header : undefined;
}

/** As {@link parseFlacHeader}, of any stream: `info` is for what the header leaves to STREAMINFO. */
export function parseAnyFlacHeader(data: Uint8Array, info: FlacInfo): FlacHeader | undefined {
  const at = (index: number): number => data[index] ?? 0;
  if (at(0) !== 0xff || (at(1) & 0xfe) !== 0xf8) return undefined;
  const isVariable = (at(1) & 1) === 1; // numbers count frames of sound, not FLAC frames
  const [sizeCode, rateCode, channelCode, bitsCode] = [at(2) >> 4, at(2) & 15, at(3) >> 4, (at(3) >> 1) & 7];
  if (sizeCode === 0 || rateCode === 15 || channelCode > 10 || (at(3) & 1) === 1) return undefined;
  const bits = bitsCode === 0 ? info.bits : BITS[bitsCode];
  const channels = channelCode < 8 ? channelCode + 1 : 2;

  const number = parseNumber(data, 4);
  if (number === undefined) return undefined;
  let end = number.end;
  const field = (bytes: number): number => {
    let value = 0;
    for (const stop = end + bytes; end < stop; end++) value = value * 256 + at(end);
    return value;
  };
  const frames = sizeCode === 6 ? field(1) + 1 : sizeCode === 7 ? field(2) + 1 : blockFrames(sizeCode);
  const rates: Readonly<Record<number, () => number>> = {
    0: () => info.rate,
    12: () => field(1) * 1000,
    13: () => field(2),
    14: () => field(2) * 10,
  };
  const rate = rates[rateCode]?.() ?? RATES[rateCode];
  if (!rate || !bits || end >= data.length || crc8(data.subarray(0, end)) !== at(end)) return undefined;
  const first = isVariable || info.isVariable ? number.value : number.value * info.blockFrames;
  return { headerBytes: end + 1, number: number.value, isVariable, first, frames, rate, channels, bits };
}

function blockFrames(code: number): number {
  return code === 1 ? 192 : code < 6 ? 576 << (code - 2) : 256 << (code - 8);
}

/** A number coded as UTF-8 codes characters, of up to 36 bits. */
function parseNumber(bytes: Uint8Array, offset: number): { value: number; end: number } | undefined {
  const lead = bytes[offset] ?? 0xff;
  const length = lead < 0x80 ? 1 : Math.clz32(~lead << 24);
  if (length > 7 || (length === 1 && lead >= 0x80)) return undefined;
  let value = length === 1 ? lead : lead & (0x7f >> length);
  const end = offset + length;
  for (let index = offset + 1; index < end; index++) {
    const byte = bytes[index] ?? 0;
    if ((byte & 0xc0) !== 0x80) return undefined;
    value = value * 64 + (byte & 0x3f);
  }
  return { value, end };
}

/** Bytes that a frame can take at most: its samples as they are, and what stands around them. */
export function maxFrameBytes(frames: number, { channels, bits }: FlacInfo): number {
  return MAX_HEADER_BYTES + 2 + channels * (8 + Math.ceil((frames * (bits + 1)) / 8));
}

/** Codes of a frame's header for the bits that it can have here. */
const BITS_CODES: ReadonlyMap<number, number> = new Map([
  [8, 1],
  [16, 4],
  [24, 6],
]);
/** 44.1 kHz: any will do, for who only decodes. */
const SOME_RATE_CODE = 9;

/** The frame so that it can be decoded without STREAMINFO: `flacFrame` itself, where its header says all that the decoder asks for. */
export function selfContained(
  flacFrame: Uint8Array,
  { headerBytes }: FlacHeader,
  info: FlacInfo,
): Uint8Array {
  const [, second = 0, third = 0, fourth = 0] = flacFrame;
  const hasAll =
    (third & 0x0f) !== 0 && (fourth & 0x0e) !== 0 && (second & 1) === Number(info.isVariable || second & 1);
  if (hasAll) return flacFrame;
  const bytes = new Uint8Array(flacFrame);
  bytes[1] = second | Number(info.isVariable);
  if ((third & 0x0f) === 0) bytes[2] = third | SOME_RATE_CODE;
  if ((fourth & 0x0e) === 0) bytes[3] = fourth | ((BITS_CODES.get(info.bits) ?? 0) << 1);
  bytes[headerBytes - 1] = crc8(bytes.subarray(0, headerBytes - 1));
  new DataView(bytes.buffer).setUint16(bytes.length - 2, bytes.subarray(0, -2).reduce(crc16, 0));
  return bytes;
}
