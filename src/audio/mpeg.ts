import { VsndError } from '../errors.ts';
import type { FrameFormat } from './audio-source.ts';
import { nextBeginning } from './beginnings.ts';
import type { Bytes } from './bytes.ts';
import { Cursor } from './cursor.ts';
import { MpegDecoder } from './mpeg-decoder.ts';
import { isFreeFormat, parseMpegTag } from './mpeg-format.ts';
import { firstMpegFrame, type MpegFrame } from './mpeg-frames.ts';
import { MpegIndex } from './mpeg-index.ts';
import { MpegPart } from './mpeg-part.ts';
import type { Recording } from './recording.ts';
import { ENDS_EARLY, HAS_HOLES, Warnings } from './warnings.ts';

/** Frames of sound that a decoder of layer 3 puts before the first one. */
const DECODER_DELAY = 529;

/** MPEG frames before one that is entered at: its bytes may lie in several of them, and it overlaps the last. */
const PRE_ROLL = 24;

/** Of the shortest and the longest frame of layer 3, which alone has tags. */
const LEAST_FRAME_BYTES = 24;
const MOST_FRAME_BYTES = 1441;

/** MPEG frames that are decoded at once. A stream's are decoded one by one: the next may be late. */
const FRAMES_AT_ONCE = 16;

/** Opens MPEG audio that begins at most `reach` bytes behind `start`; undefined where none does. Rejects with ERR_VSND_FILE. */
export async function openMpeg(bytes: Bytes, start: number, reach: number): Promise<Recording | undefined> {
  const opening = new Cursor(bytes, start);
  const first = await firstMpegFrame(opening, reach);
  if (first) return await openFrom(bytes, first);
  opening.position = start;
  if (isFreeFormat(await opening.peek(4)) && (await isFreeFormatAgain(opening)))
    throw freeFormatError(bytes.name);
  return undefined;
}

async function openFrom(bytes: Bytes, first: MpegFrame): Promise<Recording> {
  const { size } = bytes;
  const format: FrameFormat = { format: 'float_le', rate: first.rate, channels: first.channels };
  const frameBytes = 4 * format.channels;
  const warnings = new Warnings();
  const tag = parseMpegTag(first.data, first);
  const part = new MpegPart(first, tag);
  const index = new MpegIndex(bytes, part);
  /** Frames of sound before the first one of the recording, and behind its last one, where the tag has counted right. */
  const skip = tag?.delay === undefined ? 0 : tag.delay + DECODER_DELAY;
  const cut = Math.max(0, (tag?.delay ?? 0) + (tag?.padding ?? 0) - skip);

  const promised = tag?.mpegFrames === undefined ? undefined : framesOf(tag.mpegFrames, true);
  if (size !== undefined && (part.promisedEnd ?? 0) > size) warnings.add(ENDS_EARLY);
  const frames = size === undefined || (await isTagRight(size)) ? promised : await count();

  function framesOf(mpegFrames: number, isWhole: boolean): number {
    return Math.max(0, mpegFrames * first.frames - skip - (isWhole ? cut : 0));
  }

  /** Whether the recording ends where its tag says that it does. */
  async function isTagRight(size: number): Promise<boolean> {
    const { promisedEnd } = part;
    if (tag?.mpegFrames === undefined || promisedEnd === undefined || promisedEnd > size) return false;
    const meanBytes = (promisedEnd - first.offset) / (tag.mpegFrames + 1);
    if (meanBytes < LEAST_FRAME_BYTES || meanBytes > MOST_FRAME_BYTES) return false;
    return (await nextBeginning(bytes, promisedEnd)) === undefined;
  }

  /** Undefined where something else follows. */
  async function count(): Promise<number | undefined> {
    const { mpegFrames, end, next } = await index.count();
    return next === undefined ? framesOf(mpegFrames, part.isWhole(mpegFrames, end)) : undefined;
  }

  async function* read(from: number): AsyncGenerator<Uint8Array, number | undefined> {
    const entry =
      from === 0 ? part.start : await index.find(Math.floor((from + skip) / first.frames) - PRE_ROLL);
    const cursor = new Cursor(bytes, entry.offset);
    const decoder = new MpegDecoder(format, first.frames);
    const atOnce = size === undefined ? 1 : FRAMES_AT_ONCE;
    let { number, offset: end } = entry;
    const tail = new Tail(cut * frameBytes);
    try {
      for (;;) {
        const batch = await part.next(cursor, number, atOnce);
        if (batch.length === 0) break;
        end = cursor.position;
        const { sound, hasHoles } = await decoder.decode(batch);
        const begin = number * first.frames - skip;
        number += batch.length;
        const wanted = sound.subarray(Math.max(0, from - begin) * frameBytes);
        if (hasHoles && wanted.length > 0) warnings.add(HAS_HOLES);
        yield* tail.push(wanted);
      }
      const isWhole = part.isWhole(number, end);
      if (!isWhole) yield* tail.rest();
      if (!isWhole && number < (tag?.mpegFrames ?? 0)) warnings.add(ENDS_EARLY);
      return await nextBeginning(bytes, cursor.position);
    } finally {
      decoder.free();
    }
  }

  return { kind: `MP${first.layer}`, ...format, frames, warnings, read };
}

/** Keeps the last bytes of sound back: at the end it is known whether an encoder has added them. */
class Tail {
  readonly #most: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Gives what is not among the last bytes any more. */
  *push(piece: Uint8Array): Generator<Uint8Array> {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    while (this.#bytes > this.#most) {
      const [oldest = piece] = this.#pieces;
      const given = oldest.subarray(0, this.#bytes - this.#most);
      this.#bytes -= given.length;
      if (given.length === oldest.length) this.#pieces.shift();
      else this.#pieces[0] = oldest.subarray(given.length);
      yield given;
    }
  }

  rest(): Iterable<Uint8Array> {
    return this.#pieces;
  }
}

/** Bytes in which another frame of free format follows a first one. */
const FREE_FORMAT_BYTES = 8192;

/** Whether two more frames of free format follow the one at the cursor, as far from each other. */
async function isFreeFormatAgain(cursor: Cursor): Promise<boolean> {
  const bytes = await cursor.peek(FREE_FORMAT_BYTES);
  const isAt = (at: number) => isFreeFormat(bytes.subarray(at, at + 4)) && bytes[1] === bytes[at + 1];
  for (let at = 4; at * 2 + 4 < bytes.length; at++) {
    if (isAt(at) && [-1, 0, 1].some((padding) => isAt(2 * at + padding))) return true;
  }
  return false;
}

function freeFormatError(name: string): VsndError {
  const advice = 'which the decoder here does not know; ffmpeg -i FILE -f wav - | vsnd play -';
  return new VsndError('ERR_VSND_FILE', `${name} holds MPEG audio of free format, ${advice}`);
}
