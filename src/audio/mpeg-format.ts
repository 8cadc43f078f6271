/** The header of an MPEG audio frame (ISO 11172-3, 2.4.1.3; ISO 13818-3). */
export interface MpegHeader {
  /** 1 to 3: MP3 is layer 3. */
  readonly layer: number;
  /** Hz */
  readonly rate: number;
  readonly channels: number;
  /** Frames of sound in it. */
  readonly frames: number;
  /** Bytes, header included. */
  readonly bytes: number;
  /** Bytes from its start to where an encoder's tag stands, if it has one: behind the side information. */
  readonly tagOffset: number;
}

export const HEADER_BYTES = 4;

const RATES = [44_100, 48_000, 32_000];

/** kbit/s, by version and layer. */
const BITRATES = {
  v1: [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  ],
  v2: [
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  ],
};

/** Whether a frame of free format begins with `bytes`: it does not say how long it is. */
export function isFreeFormat(bytes: Uint8Array): boolean {
  const [sync, second, third = 0xf0, fourth] = bytes;
  return (
    (third & 0xf0) === 0 &&
    parseMpegHeader(Uint8Array.of(sync ?? 0, second ?? 0, third | 0x10, fourth ?? 0)) !== undefined
  );
}

/** The header at the start of `bytes`; undefined where none is, and for free format. */
export function parseMpegHeader(bytes: Uint8Array): MpegHeader | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const [sync = 0, second = 0, third = 0, fourth = 0] = bytes;
  if (sync !== 0xff || second < 0xe0) return undefined;
  const version = (second >> 3) & 3; // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
  const layer = 4 - ((second >> 1) & 3);
  const rate = RATES[(third >> 2) & 3];
  if (version === 1 || layer === 4 || rate === undefined || (fourth & 3) === 2) return undefined;
  const isV1 = version === 3;
  const bitrate = BITRATES[isV1 ? 'v1' : 'v2'][layer - 1]?.[(third >> 4) - 1];
  if (bitrate === undefined) return undefined;

  const hz = rate >> (isV1 ? 0 : version === 2 ? 1 : 2);
  const channels = fourth >> 6 === 3 ? 1 : 2;
  const frames = layer === 1 ? 384 : layer === 3 && !isV1 ? 576 : 1152;
  const slotBytes = layer === 1 ? 4 : 1;
  const padding = (third >> 1) & 1;
  const slots = Math.floor(((frames / 8) * bitrate * 1000) / hz / slotBytes) + padding;
  const sideBytes = isV1 ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17;
  return { layer, rate: hz, channels, frames, bytes: slots * slotBytes, tagOffset: HEADER_BYTES + sideBytes };
}

/** Whether two headers can belong to one recording. */
export function isAlike(a: MpegHeader, b: MpegHeader): boolean {
  return a.layer === b.layer && a.rate === b.rate && a.frames === b.frames;
}

/** What an encoder says in place of the first frame. */
export interface MpegTag {
  /** MPEG frames that follow. */
  readonly mpegFrames: number | undefined;
  /** Bytes from this frame to the end. */
  readonly bytes: number | undefined;
  /** Frames of sound that the encoder put before the first one, and behind the last one. */
  readonly delay: number | undefined;
  readonly padding: number | undefined;
}

const ascii = (bytes: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...bytes.subarray(from, to));

/** Where Fraunhofer's encoder puts its tag, and what it takes. */
const VBRI_OFFSET = 36;
const VBRI_BYTES = 26;

/** The tag of Xing, LAME or Fraunhofer in the frame `bytes`; undefined where it is a frame of sound. */
export function parseMpegTag(bytes: Uint8Array, { tagOffset }: MpegHeader): MpegTag | undefined {
  const [letter, other] = [bytes[tagOffset], bytes[VBRI_OFFSET]];
  if (letter !== 0x58 && letter !== 0x49 && other !== 0x56) return undefined; // X, I, V: nearly all frames end here
  const name = ascii(bytes, tagOffset, tagOffset + 4);
  if (name === 'Xing' || name === 'Info') return parseXingTag(bytes, tagOffset);
  if (bytes.length < VBRI_OFFSET + VBRI_BYTES || ascii(bytes, VBRI_OFFSET, VBRI_OFFSET + 4) !== 'VBRI')
    return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + VBRI_OFFSET, VBRI_BYTES);
  return { bytes: view.getUint32(10), mpegFrames: view.getUint32(14), delay: undefined, padding: undefined };
}

function parseXingTag(data: Uint8Array, tagOffset: number): MpegTag {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let at = tagOffset + 8;
  const flags = at <= data.length ? view.getUint32(at - 4) : 0;
  const field = (flag: number, bytes: number): number | undefined => {
    if ((flags & flag) === 0) return undefined;
    at += bytes;
    return at <= data.length ? view.getUint32(at - bytes) : undefined;
  };
  const mpegFrames = field(1, 4);
  const bytes = field(2, 4);
  field(4, 100); // the table of contents
  field(8, 4); // quality
  const hasGap = at + 24 <= data.length && /^(?:LAME|Lavc|Lavf|GOGO)/.test(ascii(data, at, at + 4));
  const gap = hasGap ? view.getUint32(at + 20) & 0xff_ffff : undefined; // behind 21 bytes of others: 12 bits each
  return {
    mpegFrames: mpegFrames || undefined, // 0: the encoder could not know
    bytes: bytes || undefined,
    delay: gap === undefined ? undefined : gap >>> 12,
    padding: gap === undefined ? undefined : gap & 0xfff,
  };
}
