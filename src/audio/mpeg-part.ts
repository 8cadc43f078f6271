import type { Cursor } from './cursor.ts';
import { type MpegTag, parseMpegTag } from './mpeg-format.ts';
import { type MpegFrame, nextMpegFrame } from './mpeg-frames.ts';

/** An MPEG frame by its number, from the first with sound. */
export interface MpegEntry {
  readonly number: number;
  readonly offset: number;
}

/** The frames that belong to one recording, of those that were joined to one file. */
export class MpegPart {
  readonly start: MpegEntry;
  /** The byte behind it, as its tag says. */
  readonly promisedEnd: number | undefined;
  readonly #first: MpegFrame;
  readonly #promisedFrames: number | undefined;

  /** `first`: its first frame, in which `tag` is, if it has one. */
  constructor(first: MpegFrame, tag: MpegTag | undefined) {
    this.start = { number: 0, offset: first.offset + (tag ? first.bytes : 0) };
    this.promisedEnd = tag?.bytes === undefined ? undefined : first.offset + tag.bytes;
    this.#first = first;
    this.#promisedFrames = tag?.mpegFrames;
  }

  /** Whether so many frames, the last of which ends at the byte `end`, are all that the tag promises. */
  isWhole(frames: number, end: number): boolean {
    return frames === this.#promisedFrames || end === this.promisedEnd;
  }

  /** The next `most` frames from the cursor on, the first of which has this number; fewer where the recording ends. */
  async next(cursor: Cursor, number: number, most: number): Promise<Uint8Array[]> {
    const batch: Uint8Array[] = [];
    while (batch.length < most) {
      const frame = await this.nextFrame(cursor, number + batch.length);
      if (frame === undefined) break;
      batch.push(most === 1 ? frame.data : new Uint8Array(frame.data));
    }
    return batch;
  }

  /** The next frame at or after the cursor, with this number; undefined where the recording ends, or another one begins at the cursor. */
  async nextFrame(cursor: Cursor, number: number): Promise<MpegFrame | undefined> {
    if (number === this.#promisedFrames && cursor.position === this.promisedEnd) return undefined;
    const frame = await nextMpegFrame(cursor, this.#first);
    if (frame === undefined || parseMpegTag(frame.data, frame) === undefined) return frame;
    cursor.position = frame.offset;
    return undefined;
  }
}
