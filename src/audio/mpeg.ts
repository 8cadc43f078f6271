import { VsndError } from '../errors.ts';
import type { FrameFormat } from './audio-source.ts';
import { nextBeginning } from './beginnings.ts';
import { Cursor } from './cursor.ts';
import { MpegDecoder } from './mpeg-decoder.ts';
import { isFreeFormat, parseMpegTag } from './mpeg-format.ts';
import { firstMpegFrame, type MpegFrame } from './mpeg-frames.ts';
import { MpegIndex } from './mpeg-index.ts';
import { MpegPart } from './mpeg-part.ts';
import type { Octets } from './octets.ts';
import type { Recording } from './recording.ts';
import { ENDS_EARLY, HAS_HOLES, Warnings } from './warnings.ts';

/** Frames of sound that a decoder of layer 3 puts before the first one. */
const DECODER_DELAY = 529;

/** MPEG frames before one that is entered at: its octets may lie in several of them, and it overlaps the last. */
const PRE_ROLL = 24;

/** MPEG frames that are decoded at once. A stream's are decoded one by one: the next may be late. */
const FRAMES_AT_ONCE = 16;

/** Opens MPEG audio that begins at most `reach` bytes behind `start`; undefined where none does. Rejects with ERR_VSND_FILE. */
export async function openMpeg(octets: Octets, start: number, reach: number): Promise<Recording | undefined> {
  const opening = new Cursor(octets, start);
  const first = await firstMpegFrame(opening, reach);
  if (first) return await openFrom(octets, first);
  opening.position = start;
  if (isFreeFormat(await opening.peek(4)) && (await isFreeFormatAgain(opening)))
    throw freeFormatError(octets.name);
  return undefined;
}

async function openFrom(octets: Octets, first: MpegFrame): Promise<Recording> {
  const { size } = octets;
  const format: FrameFormat = { format: 'float_le', rate: first.rate, channels: first.channels };
  const frameBytes = 4 * format.channels;
  const warnings = new Warnings();
  const tag = parseMpegTag(first.octets, first);
  const part = new MpegPart(first, tag);
  const index = new MpegIndex(octets, part);
  /** Frames of sound before the first one of the recording, and behind its last one, where the tag has counted right. */
  const skip = tag?.delay === undefined ? 0 : tag.delay + DECODER_DELAY;
  const cut = Math.max(0, (tag?.delay ?? 0) + (tag?.padding ?? 0) - skip);

  const promised = tag?.mpegFrames === undefined ? undefined : framesOf(tag.mpegFrames);
  if (size !== undefined && (part.promisedEnd ?? 0) > size) warnings.add(ENDS_EARLY);
  const frames = size === undefined || (await isTagRight(size)) ? promised : await count();

  function framesOf(mpegFrames: number): number {
    return Math.max(0, mpegFrames * first.frames - skip - (mpegFrames === tag?.mpegFrames ? cut : 0));
  }

  /** Whether the recording ends where its tag says that it does. */
  async function isTagRight(size: number): Promise<boolean> {
    const { promisedEnd } = part;
    if (promised === undefined || promisedEnd === undefined || promisedEnd > size) return false;
    return (await nextBeginning(octets, promisedEnd)) === undefined;
  }

  /** Undefined where something else follows. */
  async function count(): Promise<number | undefined> {
    const { mpegFrames, next } = await index.count();
    return next === undefined ? framesOf(mpegFrames) : undefined;
  }

  async function* read(from: number): AsyncGenerator<Uint8Array, number | undefined> {
    const entry =
      from === 0 ? part.start : await index.find(Math.floor((from + skip) / first.frames) - PRE_ROLL);
    const cursor = new Cursor(octets, entry.offset);
    const decoder = new MpegDecoder(format, first.frames);
    const atOnce = size === undefined ? 1 : FRAMES_AT_ONCE;
    let { number } = entry;
    /** From here on sound is held until it is known whether it is what an encoder has added. */
    let limit = promised ?? Number.POSITIVE_INFINITY;
    let held: Uint8Array[] = [];
    try {
      for (;;) {
        const batch = await part.next(cursor, number, atOnce);
        if (batch.length === 0) break;
        const { sound, hasHoles } = await decoder.decode(batch);
        const begin = number * first.frames - skip;
        number += batch.length;
        if (number > (tag?.mpegFrames ?? Number.POSITIVE_INFINITY)) {
          yield* held;
          held = [];
          limit = Number.POSITIVE_INFINITY;
        }
        const between = (start: number, end: number): Uint8Array =>
          sound.subarray(Math.max(0, start - begin) * frameBytes, Math.max(0, end - begin) * frameBytes);
        const now = between(from, limit);
        if (hasHoles && now.length > 0) warnings.add(HAS_HOLES);
        if (now.length > 0) yield now;
        if (limit < begin + batch.length * first.frames)
          held.push(between(Math.max(from, limit), Number.POSITIVE_INFINITY));
      }
      if (number !== tag?.mpegFrames) yield* held;
      if (number < (tag?.mpegFrames ?? 0)) warnings.add(ENDS_EARLY);
      return await nextBeginning(octets, cursor.position);
    } finally {
      decoder.free();
    }
  }

  return { kind: `MP${first.layer}`, ...format, frames, warnings, read };
}

/** Bytes in which another frame of free format follows a first one. */
const FREE_FORMAT_BYTES = 8192;

/** Whether two more frames of free format follow the one at the cursor, as far from each other. */
async function isFreeFormatAgain(cursor: Cursor): Promise<boolean> {
  const octets = await cursor.peek(FREE_FORMAT_BYTES);
  const isAt = (at: number) => isFreeFormat(octets.subarray(at, at + 4)) && octets[1] === octets[at + 1];
  for (let at = 4; at * 2 + 4 < octets.length; at++) {
    if (isAt(at) && [-1, 0, 1].some((padding) => isAt(2 * at + padding))) return true;
  }
  return false;
}

function freeFormatError(name: string): VsndError {
  const advice = 'which the decoder here does not know; ffmpeg -i FILE -f wav - | vsnd play -';
  return new VsndError('ERR_VSND_FILE', `${name} holds MPEG audio of free format, ${advice}`);
}
