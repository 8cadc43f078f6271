import { type Bytes, readBytes } from './bytes.ts';

const ID3V1_BYTES = 128;
const APE_HEADER_BYTES = 32;
/** What the longest of the three takes until its length is known. */
const HEAD_BYTES = 16;

/** Where the recording begins, or goes on, behind tags at `offset`: ID3v2, ID3v1, APE. */
export async function behindTags(bytes: Bytes, offset: number): Promise<number> {
  for (let start = offset; ; ) {
    const length = tagBytes(await readBytes(bytes, start, HEAD_BYTES));
    if (length === undefined) return start;
    start += length;
  }
}

/** Whether a tag begins with `head`. */
export function isTag(head: Uint8Array): boolean {
  return tagBytes(head.subarray(0, HEAD_BYTES)) !== undefined;
}

/** Bytes of the tag that begins with `head`; undefined where none does. */
export function tagBytes(head: Uint8Array): number | undefined {
  const text = String.fromCharCode(...head);
  if (text.startsWith('TAG')) return ID3V1_BYTES;
  if (text.startsWith('APETAGEX') && head.length === HEAD_BYTES) {
    return APE_HEADER_BYTES + new DataView(head.buffer, head.byteOffset).getUint32(12, true);
  }
  if (!text.startsWith('ID3') || head.length < 10) return undefined;
  const [version = 0xff, , flags = 0, ...size] = head.subarray(3, 10);
  if (version === 0xff || size.some((byte) => byte > 0x7f)) return undefined;
  return 10 + size.reduce((sum, byte) => sum * 128 + byte, 0) + (flags & 0x10 ? 10 : 0);
}
