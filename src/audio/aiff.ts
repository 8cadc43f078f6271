import { VsndError } from '../errors.ts';
import { fromBigEndian, widenS24 } from '../wav/repack.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import { type Bytes, readBytes } from './bytes.ts';
import { openPcm } from './pcm.ts';
import type { Recording } from './recording.ts';

/** How samples lie in the file. */
interface Encoding {
  readonly format: PcmFormatName;
  readonly containerBytes: number;
  readonly convert?: ((samples: Uint8Array) => Uint8Array) | undefined;
}

/** What the COMM chunk says. */
interface Common extends Encoding {
  readonly channels: number;
  readonly rate: number;
}

const INTEGERS: readonly PcmFormatName[] = ['s8', 's16_le', 's24_le', 's32_le'];

/** Big-endian integers of 1 to 4 bytes; undefined for others. */
function integers(containerBytes: number): Encoding | undefined {
  const format = INTEGERS[containerBytes - 1];
  return format && { format, containerBytes, convert: fromBigEndian(containerBytes) };
}

function littleEndian(containerBytes: number): Encoding | undefined {
  const format = INTEGERS[containerBytes - 1];
  return format && { format, containerBytes, convert: containerBytes === 3 ? widenS24 : undefined };
}

/** AIFC's compression types that compress nothing, or no more than G.711 does. */
const ENCODINGS: Readonly<Record<string, (containerBytes: number) => Encoding | undefined>> = {
  NONE: integers,
  twos: integers,
  in24: () => integers(3),
  in32: () => integers(4),
  sowt: littleEndian,
  'raw ': (bytes) => (bytes === 1 ? { format: 'u8', containerBytes: 1 } : undefined),
  fl32: () => ({ format: 'float_le', containerBytes: 4, convert: fromBigEndian(4) }),
  fl64: () => ({ format: 'float64_le', containerBytes: 8, convert: fromBigEndian(8) }),
  ulaw: () => ({ format: 'mu_law', containerBytes: 1 }),
  alaw: () => ({ format: 'a_law', containerBytes: 1 }),
};

/** Opens an AIFF or AIFC file without compression that begins at `start`. Rejects with ERR_VSND_FILE. */
export async function openAiff(bytes: Bytes, start: number): Promise<Recording> {
  const { name } = bytes;
  let common: Common | undefined;
  let data: { offset: number; bytes: number } | undefined;
  for (let offset = start + 12; common === undefined || data === undefined; ) {
    const head = await readBytes(bytes, offset, 8);
    if (head.length < 8) throw damagedError(name, `it ends without a ${common ? 'SSND' : 'COMM'} chunk`);
    const id = ascii(head, 0);
    if (id.includes('.')) throw damagedError(name, `at byte ${offset} stands "${id}", which is no chunk`);
    const size = view(head).getUint32(4);
    if (id === 'COMM') common = parseCommon(name, await readBytes(bytes, offset + 8, Math.min(size, 22)));
    if (id === 'SSND') {
      const head = await readBytes(bytes, offset + 8, 4);
      if (head.length < 4) throw damagedError(name, 'it ends within its SSND chunk');
      const skip = 8 + view(head).getUint32(0);
      data = { offset: offset + 8 + skip, bytes: Math.max(0, size - skip) };
    }
    offset += 8 + size + (size & 1);
  }
  return await openPcm(bytes, {
    ...common,
    kind: 'AIFF',
    dataOffset: data.offset,
    dataBytes: data.bytes,
    chunks: 'big-endian',
  });
}

function parseCommon(name: string, body: Uint8Array): Common {
  if (body.length < 18)
    throw damagedError(name, `its COMM chunk has ${body.length} bytes; allowed: 18 or more`);
  const channels = view(body).getUint16(0);
  const bits = view(body).getUint16(6);
  const rate = extended(body, 8);
  const type = body.length < 22 ? 'NONE' : ascii(body, 18);
  const encoding = (ENCODINGS[type] ?? ENCODINGS[type.toLowerCase()])?.(Math.ceil(bits / 8));
  if (encoding === undefined) {
    const allowed = Object.keys(ENCODINGS).join(', ');
    throw new VsndError(
      'ERR_VSND_FILE',
      `${name} holds AIFF of type "${type}" with ${bits} bits a sample; allowed: ${allowed}`,
    );
  }
  if (channels === 0) throw damagedError(name, 'it has 0 channels; allowed: 1 or more');
  if (!(rate >= 1 && rate <= 0xffff_ffff))
    throw damagedError(name, `its rate is ${rate} Hz; allowed: 1 or more`);
  return { ...encoding, channels, rate: Math.round(rate) };
}

/** A number of 80 bits: sign and exponent in 16, and a mantissa of 64 whose first bit is the integer. */
function extended(bytes: Uint8Array, offset: number): number {
  const exponent = view(bytes).getUint16(offset) - 16_383;
  return Number(view(bytes).getBigUint64(offset + 2)) * 2 ** (exponent - 63);
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function ascii(bytes: Uint8Array, offset: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + 4)).replace(/[^ -~]/g, '.');
}

function damagedError(name: string, reason: string): VsndError {
  return new VsndError('ERR_VSND_FILE', `${name} is a damaged AIFF file: ${reason}`);
}
