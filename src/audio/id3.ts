import { type Bytes, readBytes } from './bytes.ts';
import { tagBytes } from './tag-bytes.ts';
import { decodeText, textBeforeZero } from './text.ts';
import type { Tags } from './title-tags.ts';

/** Frames of ID3v2 by their names, of 2.2 and of what came after. */
const FIELDS: Readonly<Record<string, keyof Tags>> = {
  TT2: 'title',
  TIT2: 'title',
  TP1: 'artist',
  TPE1: 'artist',
};

/** Frames that are looked at, and bytes of one that is text. */
const MOST_FRAMES = 500;
const MOST_TEXT = 4096;

/** The tag at a recording's start. */
export async function readId3v2(bytes: Bytes): Promise<Tags> {
  const head = await readBytes(bytes, 0, 10);
  const [i, , , version = 0xff, , flags = 0] = head;
  const end = i === 0x49 ? tagBytes(head) : undefined; // those of other kinds begin with other letters
  const isWhole = (flags & 0xc0) === 0; // no unsynchronisation, no extended header: nobody writes them for text
  return end !== undefined && isWhole ? await framesOf(bytes, version, end) : {};
}

async function framesOf(bytes: Bytes, version: number, end: number): Promise<Tags> {
  const found: { title?: string; artist?: string } = {};
  const [nameBytes, headBytes] = version === 2 ? [3, 6] : [4, 10];
  for (let at = 10, count = 0; at + headBytes < end && count < MOST_FRAMES; count++) {
    const head = await readBytes(bytes, at, headBytes);
    const name = String.fromCharCode(...head.subarray(0, nameBytes));
    if (!/^[A-Z0-9]+$/.test(name)) break; // padding
    const size = [...head.subarray(nameBytes, 2 * nameBytes)];
    const length = version === 4 ? synchsafe(size) : size.reduce((sum, byte) => sum * 256 + byte, 0);
    const field = FIELDS[name];
    if (field !== undefined && length > 1) {
      const text = frameText(await readBytes(bytes, at + headBytes, Math.min(length, MOST_TEXT)));
      if (text) found[field] ??= text;
    }
    at += headBytes + length;
  }
  return found;
}

/** A byte that says the encoding, then text; where there are several, the first. */
function frameText([encoding, ...bytes]: Uint8Array): string {
  const text = Uint8Array.from(bytes);
  const name = { 1: text[0] === 0xfe ? 'utf-16be' : 'utf-16le', 2: 'utf-16be', 3: 'utf-8' }[encoding ?? 0];
  const decoded = name === undefined ? decodeText(text) : new TextDecoder(name).decode(text);
  return decoded.split('\0')[0] ?? '';
}

/** The tag at its end. */
export async function readId3v1(bytes: Bytes): Promise<Tags> {
  const tag = await readBytes(bytes, Math.max(0, (bytes.size ?? 0) - 128), 128);
  if (tag.length < 128 || String.fromCharCode(...tag.subarray(0, 3)) !== 'TAG') return {};
  return {
    title: textBeforeZero(tag.subarray(3, 33)) || undefined,
    artist: textBeforeZero(tag.subarray(33, 63)) || undefined,
  };
}

function synchsafe(bytes: readonly number[]): number {
  return bytes.reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0);
}
