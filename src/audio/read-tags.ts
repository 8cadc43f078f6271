import { type Bytes, openFile, readBytes } from './bytes.ts';
import { Cursor } from './cursor.ts';
import { readId3v1, readId3v2 } from './id3.ts';
import { nextOggPage } from './ogg-pages.ts';
import { behindTags } from './tag-bytes.ts';
import { decodeText, textBeforeZero } from './text.ts';
import type { Tags } from './title-tags.ts';

/** Bytes of comments that are looked at: pictures may stand among them. */
const MOST_COMMENTS = 64 * 1024;

/** Characters of a title, or of an artist. */
const LONGEST = 200;

/** What stands before the comments in a packet of an Ogg stream; in that of FLAC it is a metadata block. */
const COMMENT_HEADS: readonly (readonly [mark: string, bytes: number])[] = [
  ['\x03vorbis', 7],
  ['OpusTags', 8],
  ['\x04', 4],
  ['\x84', 4],
];

/** Parts of a file, at most, that are passed on the way to its tags. */
const MOST_CHUNKS = 1000;

/** The title and the artist that a file names; nothing where it does not, or cannot be read: it is played all the same. */
export async function readTags(path: string): Promise<Tags> {
  let bytes: Bytes | undefined;
  try {
    bytes = await openFile(path);
    return shortened(await tagsIn(bytes));
  } catch {
    return {};
  } finally {
    await bytes?.close();
  }
}

async function tagsIn(bytes: Bytes): Promise<Tags> {
  const tags = await readId3v2(bytes);
  const start = await behindTags(bytes, 0);
  const head = latin1(await readBytes(bytes, start, 12));
  if (head.startsWith('fLaC')) return { ...tags, ...(await flacTags(bytes, start)) };
  if (head.startsWith('OggS')) return { ...tags, ...(await oggTags(bytes, start)) };
  if (/^RIFF....WAVE/s.test(head)) return { ...tags, ...(await chunkTags(bytes, start + 12, 'LIST')) };
  if (/^FORM....AIF[FC]/s.test(head)) return { ...tags, ...(await chunkTags(bytes, start + 12, 'NAME')) };
  return { ...(await readId3v1(bytes)), ...tags };
}

/** VORBIS_COMMENT among the metadata blocks (RFC 9639, 8.6). */
async function flacTags(bytes: Bytes, start: number): Promise<Tags> {
  let at = start + 4;
  for (let block = 0; block < MOST_CHUNKS; block++) {
    const [kind = 0x80, ...size] = await readBytes(bytes, at, 4);
    const length = size.reduce((sum, byte) => sum * 256 + byte, 0);
    if ((kind & 0x7f) === 4) return comments(await readBytes(bytes, at + 4, Math.min(length, MOST_COMMENTS)));
    if (kind & 0x80) break;
    at += 4 + length;
  }
  return {};
}

/** The second packet of a stream, whatever its codec; of a chain or of several streams, the first. */
async function oggTags(bytes: Bytes, start: number): Promise<Tags> {
  const cursor = new Cursor(bytes, start);
  const first = await nextOggPage(cursor);
  const pieces: Uint8Array[] = [];
  for (let length = 0; first && length < MOST_COMMENTS; ) {
    const page = await nextOggPage(cursor);
    if (page === undefined) break;
    if (page.serial !== first.serial) continue;
    const [piece = new Uint8Array(0)] = page.pieces;
    pieces.push(new Uint8Array(piece));
    length += piece.length + 1;
    if (page.pieces.length > 1 || !page.goesOn) break;
  }
  const packet = Buffer.concat(pieces);
  const head = latin1(packet.subarray(0, 8));
  const [, skipped] = COMMENT_HEADS.find(([mark]) => head.startsWith(mark)) ?? [];
  return skipped === undefined ? {} : comments(packet.subarray(skipped));
}

/** Vorbis comments: NAME=text, each behind its length; the first of a name counts. */
function comments(block: Uint8Array): Tags {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const found: Record<string, string> = {};
  const lengthAt = (at: number) => (at + 4 <= block.length ? view.getUint32(at, true) : block.length);
  for (let at = 4 + lengthAt(0) + 4; at + 4 <= block.length; ) {
    const length = lengthAt(at);
    const text = block.subarray(at + 4, at + 4 + length);
    if (text.length < length) break;
    const [, name = '', value = ''] = /^(title|artist)=(.*)$/is.exec(decodeText(text)) ?? [];
    if (value) found[name.toLowerCase()] ??= value;
    at += 4 + length;
  }
  return found;
}

/** Chunks of IFF: a list with INAM and IART in it, or NAME and AUTH. */
async function chunkTags(bytes: Bytes, start: number, kind: 'LIST' | 'NAME'): Promise<Tags> {
  const isLittle = kind === 'LIST';
  let tags: Tags = {};
  for (let at = start, count = 0; count < MOST_CHUNKS; count++) {
    const head = await readBytes(bytes, at, 12);
    if (head.length < 8) break;
    const length = new DataView(head.buffer, head.byteOffset).getUint32(4, isLittle);
    const id = latin1(head.subarray(0, 4));
    if (id === 'LIST' && latin1(head.subarray(8)) === 'INFO')
      return await infoTags(bytes, at + 12, length - 4);
    const field = id === 'NAME' ? 'title' : id === 'AUTH' ? 'artist' : undefined;
    if (!isLittle && field !== undefined) {
      const text = textBeforeZero(await readBytes(bytes, at + 8, Math.min(length, LONGEST)));
      tags = { [field]: text || undefined, ...tags };
    }
    at += 8 + length + (length % 2);
  }
  return tags;
}

async function infoTags(bytes: Bytes, start: number, length: number): Promise<Tags> {
  const list = await readBytes(bytes, start, Math.min(length, MOST_COMMENTS));
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  const found: { title?: string; artist?: string } = {};
  for (let at = 0; at + 8 <= list.length; ) {
    const size = view.getUint32(at + 4, true);
    const id = latin1(list.subarray(at, at + 4));
    const text = textBeforeZero(list.subarray(at + 8, at + 8 + size));
    if (id === 'INAM' && text) found.title ??= text;
    if (id === 'IART' && text) found.artist ??= text;
    at += 8 + size + (size % 2);
  }
  return found;
}

function shortened({ title, artist }: Tags): Tags {
  const short = (text: string | undefined) => text?.trim().slice(0, LONGEST) || undefined;
  return { title: short(title), artist: short(artist) };
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
