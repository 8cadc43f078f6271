import { VsndError } from '../errors.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';

/** A WAV file's fields as its header gives them. */
export interface WavHeader {
  format: PcmFormatName;
  /** Frames a second, Hz. */
  rate: number;
  channels: number;
  /** Bytes of one sample in the file: 3 for s24_le, which takes 4 in memory. */
  containerBytes: number;
  /** Where the first frame stands, in bytes from the file's start. */
  dataOffset: number;
  /** Bytes of sound; undefined where the writer streamed and did not know: up to the end of the file. */
  dataBytes: number | undefined;
  /** The highest byte of a sample comes first: RIFX. */
  isBigEndian?: true;
  /** What is wrong with the header, though the sound can be read. */
  warning?: string | undefined;
}

/** Bytes of a file that a parser asks for; the answer is shorter where the file ends. */
export interface FileRange {
  offset: number;
  length: number;
}

interface Encoding {
  format: PcmFormatName;
  tag: number;
  containerBytes: number;
}

const PCM = 0x0001; // WAVE_FORMAT_PCM
const IEEE_FLOAT = 0x0003; // WAVE_FORMAT_IEEE_FLOAT
const ALAW = 0x0006; // WAVE_FORMAT_ALAW
const MULAW = 0x0007; // WAVE_FORMAT_MULAW
const EXTENSIBLE = 0xfffe; // WAVE_FORMAT_EXTENSIBLE

const ENCODINGS: readonly Encoding[] = [
  { format: 'u8', tag: PCM, containerBytes: 1 },
  { format: 's16_le', tag: PCM, containerBytes: 2 },
  { format: 's24_le', tag: PCM, containerBytes: 3 },
  { format: 's32_le', tag: PCM, containerBytes: 4 },
  { format: 'float_le', tag: IEEE_FLOAT, containerBytes: 4 },
  { format: 'float64_le', tag: IEEE_FLOAT, containerBytes: 8 },
  { format: 'a_law', tag: ALAW, containerBytes: 1 },
  { format: 'mu_law', tag: MULAW, containerBytes: 1 },
];

/** The formats that a WAV file can hold. */
export const WAV_FORMATS: readonly PcmFormatName[] = ENCODINGS.map(({ format }) => format);

const READABLE = 'PCM of 8, 16, 24 or 32 bits, float of 32 or 64 bits, A-law or mu-law';

/** What follows the format tag in KSDATAFORMAT_SUBTYPE_* GUIDs, and in those of Ambisonics, whose samples lie no otherwise. */
const SUBTYPE_TAIL = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];
const AMBISONIC_TAIL = [0, 0, 0x21, 0x07, 0xd3, 0x11, 0x86, 0x44, 0xc8, 0xc1, 0xca, 0, 0, 0];

/** A size field that says "not known" (a stream) or "see ds64" (RF64). */
const NO_SIZE = 0xffff_ffff;
const DS64_BYTES = 28;

/** Chunks before the sound: more than any program writes. */
const MOST_CHUNKS = 4096;

/**
 * Finds the sound in a WAV file that begins at the byte `start`: yields the ranges that it wants to see, and returns the
 * header. `name` is the file's, for errors: ERR_VSND_FILE for anything but RIFF, RIFX or RF64 WAVE with a fmt and a
 * data chunk.
 */
export function* parseWavHeader(name: string, start = 0): Generator<FileRange, WavHeader, Uint8Array> {
  const head = yield { offset: start, length: 12 };
  if (head.length === 0) throw notWavError(name, 'it is empty');
  const magic = ascii(head, 0);
  if (
    !['RIFF', 'RIFX', 'RF64', 'BW64'].includes(magic) ||
    (head.length === 12 && ascii(head, 8) !== 'WAVE')
  ) {
    throw notWavError(name, `it begins with "${printable(head)}" instead of RIFF or RF64, a size, and WAVE`);
  }
  if (head.length < 12) throw damagedError(name, 'it ends within its first 12 bytes');
  const isLittle = magic !== 'RIFX';
  const riffBytes = u32(head, 4, isLittle);

  let format: WavFields | undefined;
  let data: WavData | undefined;
  let ds64DataBytes: number | undefined;
  for (let offset = start + 12, chunks = 0; ; chunks++) {
    if (format && data) return yield* withContainer({ ...format, ...data });
    if (chunks === MOST_CHUNKS)
      throw damagedError(name, `it has no data among its first ${MOST_CHUNKS} chunks`);
    const chunk = yield { offset, length: 8 };
    if (chunk.length < 8) throw damagedError(name, `it ends without a ${format ? 'data' : 'fmt'} chunk`);
    const id = ascii(chunk, 0);
    const size = u32(chunk, 4, isLittle);
    const body = offset + 8;
    if (id === 'fmt ') {
      format = parseFormat(name, yield { offset: body, length: Math.min(size, 40) }, isLittle);
    } else if (id === 'ds64' && magic !== 'RIFF') {
      ds64DataBytes = parseDs64(name, yield { offset: body, length: Math.min(size, DS64_BYTES) });
    } else if (id === 'data') {
      const streamed = size === 0 && (riffBytes === NO_SIZE || start + riffBytes + 8 <= body);
      data = { dataOffset: body, dataBytes: size === NO_SIZE ? ds64DataBytes : streamed ? undefined : size };
      if (format === undefined && data.dataBytes === undefined)
        throw damagedError(name, 'it has no fmt chunk before its data');
    } else if (!/^[ -~]{4}$/.test(id)) {
      throw damagedError(
        name,
        `at byte ${offset} stands "${printable(chunk.subarray(0, 4))}", which is no chunk`,
      );
    }
    offset = body + size + (size & 1);
  }
}

/** What the fmt chunk says. */
type WavFields = Omit<WavHeader, 'dataOffset' | 'dataBytes'> & {
  /** The bytes of a sample, as the size of a frame has them. */
  sampleBytes: number;
};

type WavData = Pick<WavHeader, 'dataOffset' | 'dataBytes'>;

function parseFormat(name: string, body: Uint8Array, isLittle: boolean): WavFields {
  if (body.length < 16)
    throw damagedError(name, `its fmt chunk has ${body.length} bytes; allowed: 16 or more`);
  let tag = u16(body, 0, isLittle);
  const channels = u16(body, 2, isLittle);
  const rate = u32(body, 4, isLittle);
  const blockBytes = u16(body, 12, isLittle);
  const bits = u16(body, 14, isLittle);
  if (tag === EXTENSIBLE) {
    if (body.length < 40) {
      throw damagedError(name, `its extensible fmt chunk has ${body.length} bytes; allowed: 40 or more`);
    }
    const tails = [SUBTYPE_TAIL, AMBISONIC_TAIL];
    if (!tails.some((tail) => tail.every((byte, index) => body[26 + index] === byte))) {
      throw unsupportedError(name, `the sub-format ${Buffer.from(body.subarray(24, 40)).toString('hex')}`);
    }
    tag = u16(body, 24, isLittle);
  }
  if (channels === 0) throw damagedError(name, 'it has 0 channels; allowed: 1 or more');
  if (rate === 0) throw damagedError(name, 'its rate is 0 Hz; allowed: 1 or more');
  // Fewer bits than the container has stand at its top, with zeros below: the container's format is right for
  // them.
  const containerBytes = Math.ceil(bits / 8);
  const encoding = ENCODINGS.find((entry) => entry.tag === tag && entry.containerBytes === containerBytes);
  if (encoding === undefined || (tag !== PCM && bits % 8 !== 0)) {
    throw unsupportedError(name, `format 0x${tag.toString(16).padStart(4, '0')} with ${bits} bits a sample`);
  }
  const { format } = encoding;
  const sampleBytes = blockBytes / channels;
  return { format, rate, channels, containerBytes, sampleBytes, ...(isLittle ? {} : { isBigEndian: true }) };
}

/** Bytes of sound that show how 24 bits lie in a frame whose size has room for 32. */
const SHOWN_BYTES = 64 * 1024;

/** The header of sound whose frames take the bytes that it says, or that its channels and bits do. */
function* withContainer({
  sampleBytes,
  ...header
}: WavFields & WavData): Generator<FileRange, WavHeader, Uint8Array> {
  const { channels, containerBytes, dataOffset, dataBytes = SHOWN_BYTES, isBigEndian } = header;
  if (sampleBytes === containerBytes) return header;
  if (containerBytes === 3 && sampleBytes === 4 && !isBigEndian) {
    const sound = yield { offset: dataOffset, length: Math.min(dataBytes, SHOWN_BYTES) };
    const format = formatOf24In32(sound);
    if (format !== undefined) return { ...header, format, containerBytes: 4 };
  }
  const bytes = channels * containerBytes;
  const warning = `gives its frames ${sampleBytes * channels} bytes, where its channels and bits take ${bytes}: these count`;
  return { ...header, warning };
}

/** What 32 bits hold of which 24 count: at their top, with zeros below, or at their bottom, with the sign above. */
function formatOf24In32(sound: Uint8Array): PcmFormatName | undefined {
  const samples = new Int32Array(new Uint8Array(sound.subarray(0, sound.length - (sound.length % 4))).buffer);
  if (samples.every((sample) => (sample & 0xff) === 0)) return 's32_le';
  return samples.every((sample) => (sample << 8) >> 8 === sample) ? 's24_le' : undefined;
}

/** The size of the data; undefined where it too was streamed. */
function parseDs64(name: string, body: Uint8Array): number | undefined {
  if (body.length < DS64_BYTES) {
    throw damagedError(name, `its ds64 chunk has ${body.length} bytes; allowed: ${DS64_BYTES} or more`);
  }
  const size = view(body).getBigUint64(8, true);
  return size === 0n || size === 0xffff_ffff_ffff_ffffn ? undefined : Number(size);
}

/** How the sound of a WAV file is laid out. */
export interface WavFormat {
  /** One that WAV can hold; others are refused with ERR_VSND_NOT_SUPPORTED. */
  format: PcmFormatName;
  /** Hz. */
  rate: number;
  /** Channels of a frame. */
  channels: number;
}

/** Bytes of one sample in a WAV file; undefined for a format that WAV cannot hold. */
export function wavContainerBytes(format: PcmFormatName): number | undefined {
  return ENCODINGS.find((entry) => entry.format === format)?.containerBytes;
}

/**
 * The bytes before the first frame of a WAV file with `dataBytes` bytes of sound, or with a number of them that
 * is not known: up to the end of the file. How many they are depends on the format alone, so that they can be
 * written again when the size is known: the place of RF64's ds64 chunk, which a file of 4 GiB or more needs, is
 * held by a JUNK chunk. Throws ERR_VSND_NOT_SUPPORTED for a format that WAV cannot hold.
 */
export function encodeWavHeader(
  { format, rate, channels }: WavFormat,
  dataBytes: number | undefined,
): Uint8Array {
  const encoding = ENCODINGS.find((entry) => entry.format === format);
  if (encoding === undefined) {
    throw new VsndError(
      'ERR_VSND_NOT_SUPPORTED',
      `a WAV file cannot hold ${format}; allowed: ${WAV_FORMATS.join(', ')}`,
    );
  }
  const { tag, containerBytes } = encoding;
  const blockBytes = channels * containerBytes;
  // Microsoft asks for the extensible form where there are more than 16 bits or two channels.
  const extensible = channels > 2 || (tag === PCM && containerBytes > 2);
  const formatBytes = extensible ? 40 : tag === PCM ? 16 : 18;
  const headerBytes = 12 + 8 + DS64_BYTES + 8 + formatBytes + (tag === PCM ? 0 : 12) + 8;
  const knownBytes = dataBytes ?? 0;
  const riffBytes = headerBytes - 8 + knownBytes + (knownBytes & 1);
  const frames = Math.floor(knownBytes / blockBytes);
  const large = riffBytes >= NO_SIZE;
  const sized = dataBytes !== undefined && !large;

  const out = new FieldWriter(headerBytes);
  out.ascii(large ? 'RF64' : 'RIFF').u32(sized ? riffBytes : NO_SIZE);
  out
    .ascii('WAVE')
    .ascii(large ? 'ds64' : 'JUNK')
    .u32(DS64_BYTES);
  if (large) out.u64(riffBytes).u64(knownBytes).u64(frames).u32(0);
  else out.skip(DS64_BYTES);
  out.ascii('fmt ').u32(formatBytes);
  out
    .u16(extensible ? EXTENSIBLE : tag)
    .u16(channels)
    .u32(rate);
  out
    .u32(rate * blockBytes)
    .u16(blockBytes)
    .u16(containerBytes * 8);
  // The channel mask stays 0: sndif gives channels no places in a room.
  if (extensible)
    out
      .u16(22)
      .u16(containerBytes * 8)
      .u32(0)
      .u16(tag)
      .data(SUBTYPE_TAIL);
  else if (tag !== PCM) out.u16(0);
  if (tag !== PCM)
    out
      .ascii('fact')
      .u32(4)
      .u32(sized ? frames : NO_SIZE);
  out.ascii('data').u32(sized ? knownBytes : NO_SIZE);
  return out.bytes;
}

/** Little-endian fields, one after the other. */
class FieldWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.#view = view(this.bytes);
  }

  u16(value: number): this {
    this.#view.setUint16(this.#offset, value, true);
    return this.skip(2);
  }

  u32(value: number): this {
    this.#view.setUint32(this.#offset, value, true);
    return this.skip(4);
  }

  u64(value: number): this {
    this.#view.setBigUint64(this.#offset, BigInt(value), true);
    return this.skip(8);
  }

  data(values: ArrayLike<number>): this {
    this.bytes.set(values, this.#offset);
    return this.skip(values.length);
  }

  ascii(text: string): this {
    return this.data(Buffer.from(text, 'latin1'));
  }

  skip(count: number): this {
    this.#offset += count;
    return this;
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function u16(bytes: Uint8Array, offset: number, isLittle: boolean): number {
  return view(bytes).getUint16(offset, isLittle);
}

function u32(bytes: Uint8Array, offset: number, isLittle: boolean): number {
  return view(bytes).getUint32(offset, isLittle);
}

function ascii(bytes: Uint8Array, offset: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + 4));
}

function printable(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes).replace(/[^ !#-~]/g, '.');
}

function notWavError(name: string, reason: string): VsndError {
  return new VsndError('ERR_VSND_FILE', `${name} is not a WAV file: ${reason}`);
}

function damagedError(name: string, reason: string): VsndError {
  return new VsndError('ERR_VSND_FILE', `${name} is a damaged WAV file: ${reason}`);
}

function unsupportedError(name: string, what: string): VsndError {
  return new VsndError('ERR_VSND_FILE', `${name} holds ${what}; allowed: ${READABLE}`);
}
