import { nextBeginning } from './beginnings.ts';
import { type Bytes, readBytes } from './bytes.ts';
import { beginningAt, HEAD_BYTES } from './magic.ts';

/** Chunks behind the sound: more than any program writes. */
const MOST_CHUNKS = 4096;

/** A chunk behind the sound of a stream is not longer than that: of a file, it is not longer than the file. */
const MOST_CHUNK_BYTES = 1 << 24;

/** Bytes behind the sound that are no sound: what else programs leave there. */
const MOST_JUNK_BYTES = 64 * 1024;

/** Chunks that may stand behind the sound. */
export interface Chunks {
  readonly isBigEndian: boolean;
  /** A byte stands before the first of them. */
  readonly isPadded: boolean;
}

/** What stands where sound should end. */
export interface BehindSound {
  /** The header has too small a size: the sound goes on. */
  readonly goesOn: boolean;
  /** Where another recording begins. */
  readonly next: number | undefined;
  /** Another chunk of the same sound. */
  readonly more: SoundChunk | undefined;
}

export interface SoundChunk {
  readonly dataOffset: number;
  readonly dataBytes: number;
}

/**
 * Looks at what stands at the byte `end`, where the sound ends as a header says. That is so where chunks, another recording or
 * no more than junk follows: a size that has wrapped at 4 GiB, or was never written, has the sound go on there. `isSure`:
 * whether the header can be believed at all; `chunks`: what may follow, if chunks may.
 */
export async function behindSound(
  bytes: Bytes,
  end: number,
  isSure: boolean,
  chunks: Chunks | undefined,
): Promise<BehindSound> {
  const { behind, more } = chunks ? await behindChunks(bytes, end, chunks) : NO_CHUNKS;
  if (more) return { goesOn: false, next: undefined, more };
  const next = await nextBeginning(bytes, behind ?? end);
  const goesOn =
    behind === undefined &&
    next === undefined &&
    (await reaches(bytes, end + (isSure ? MOST_JUNK_BYTES : 0)));
  return { goesOn, next, more };
}

const NO_CHUNKS = { behind: undefined, more: undefined };

/** Whether there are bytes from `offset` on. */
async function reaches(bytes: Bytes, offset: number): Promise<boolean> {
  return (await readBytes(bytes, offset, 1)).length > 0;
}

/** The byte behind the chunks at `end`, or behind a byte that pads the sound; undefined where none is there. A chunk of sound among them. */
async function behindChunks(
  bytes: Bytes,
  end: number,
  { isPadded, isBigEndian }: Chunks,
): Promise<{ behind: number | undefined; more: SoundChunk | undefined }> {
  const start = isPadded ? end + 1 : end;
  let offset = start;
  for (let count = 0; count < MOST_CHUNKS; count++) {
    const head = await readBytes(bytes, offset, HEAD_BYTES);
    const most = bytes.size === undefined ? MOST_CHUNK_BYTES : bytes.size - offset - 8;
    if (!isChunkId(head) || (await beginningAt(bytes, offset)) !== undefined) break;
    const size = new DataView(head.buffer, head.byteOffset).getUint32(4, !isBigEndian);
    if (size > most) break;
    if (isSound(head)) return { behind: offset, more: { dataOffset: offset + 8, dataBytes: size } };
    offset += 8 + size + (size & 1);
  }
  const isBeginning = (await beginningAt(bytes, offset)) !== undefined;
  return { behind: offset > start || isBeginning ? offset : undefined, more: undefined };
}

function isChunkId(head: Uint8Array): boolean {
  return head.length >= 8 && /^[A-Za-z0-9_ ]{4}$/.test(String.fromCharCode(...head.subarray(0, 4)));
}

/** Whether a WAV file's chunk of sound begins with `head`: some writers begin another one where they were stopped. */
function isSound(head: Uint8Array): boolean {
  return String.fromCharCode(...head.subarray(0, 4)) === 'data';
}
