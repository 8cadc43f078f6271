import { nextTurn } from '../clock.ts';
import type { AudioSource, FrameFormat } from './audio-source.ts';
import { Cursor } from './cursor.ts';
import { attempt, interleave, ready } from './decoders.ts';
import { type MpegHeader, parseMpegTag } from './mpeg-format.ts';
import { firstMpegFrame, type MpegFrame, nextMpegFrame } from './mpeg-frames.ts';
import type { Octets } from './octets.ts';
import { silence } from './silence.ts';
import { sourceOf } from './source.ts';
import { ENDS_EARLY, HAS_HOLES, Warnings } from './warnings.ts';

/** Octets before the first frame that may be something else: the rest of a frame that was cut, padding. */
const REACH_BYTES = 64 * 1024;

/** Frames of sound that a decoder of layer 3 puts before the first one. */
const DECODER_DELAY = 529;

/** MPEG frames before one that is entered at: its octets may lie in several of them, and it overlaps the last. */
const PRE_ROLL = 24;

/** Opens MPEG audio at or after `start`; undefined where none is there. Rejects with ERR_VSND_FILE. */
export async function openMpeg(octets: Octets, start: number): Promise<AudioSource | undefined> {
  const opening = new Cursor(octets, start);
  const first = await firstMpegFrame(opening, REACH_BYTES);
  return first && openFrom(octets, opening, first);
}

async function openFrom(octets: Octets, opening: Cursor, first: MpegFrame): Promise<AudioSource> {
  const tag = parseMpegTag(await opening.peek(first.bytes), first);
  const index = new MpegIndex(octets, tag ? first.offset + first.bytes : first.offset, first);
  const warnings = new Warnings();
  const format: FrameFormat = { format: 'float_le', rate: first.rate, channels: first.channels };
  const frameBytes = 4 * format.channels;

  const isTruncated = octets.size !== undefined && first.offset + (tag?.bytes ?? 0) > octets.size;
  if (isTruncated) warnings.add(ENDS_EARLY);
  const promised = isTruncated ? undefined : tag?.mpegFrames || undefined; // 0: the encoder could not know
  const mpegFrames = promised ?? (octets.size === undefined ? undefined : await index.count());
  /** Frames of sound that are decoded before the first one of the recording. */
  const skip = tag?.delay === undefined ? 0 : tag.delay + DECODER_DELAY;
  const dropped = isTruncated ? skip : Math.max(skip, (tag?.delay ?? 0) + (tag?.padding ?? 0));
  const frames = mpegFrames === undefined ? undefined : Math.max(0, mpegFrames * first.frames - dropped);

  async function* read(from: number): AsyncGenerator<Uint8Array> {
    const entry =
      from === 0 ? index.start : await index.find(Math.floor((from + skip) / first.frames) - PRE_ROLL);
    const cursor = new Cursor(octets, entry.offset);
    const decoder = new MpegDecoder(format);
    const stop = frames ?? Number.POSITIVE_INFINITY;
    try {
      for (let begin = entry.number * first.frames - skip; begin < stop; begin += first.frames) {
        const frame = await nextMpegFrame(cursor, first);
        if (frame === undefined) {
          if (frames !== undefined) warnings.add(ENDS_EARLY);
          return;
        }
        const sound = await decoder.decode(await octetsOf(frame), first.frames);
        const [head, tail] = [Math.max(from - begin, 0), Math.min(stop - begin, first.frames)];
        if (sound === undefined && tail > head) warnings.add(HAS_HOLES);
        if (tail > head) {
          yield (sound ?? silence(format, first.frames)).subarray(head * frameBytes, tail * frameBytes);
        } else {
          await nextTurn();
        }
      }
    } finally {
      decoder.free();
    }

    async function octetsOf({ offset, bytes }: MpegFrame): Promise<Uint8Array> {
      cursor.position = offset;
      const frame = await cursor.peek(bytes);
      cursor.position = offset + bytes;
      return frame;
    }
  }

  return sourceOf(octets, { kind: `MP${first.layer}`, ...format, frames, warnings: warnings.texts, read });
}

/** An MPEG frame by its number, from the first with sound. */
interface Entry {
  readonly number: number;
  readonly offset: number;
}

/** Where MPEG frames are: one of them says only where the next is, so all before it are looked at, once. */
class MpegIndex {
  /** Every so many MPEG frames one is kept. */
  static readonly #STRIDE = 32;
  readonly start: Entry;
  readonly #like: MpegHeader;
  readonly #cursor: Cursor;
  readonly #offsets: number[] = [];
  #count = 0;
  #isComplete = false;

  constructor(octets: Octets, offset: number, like: MpegHeader) {
    this.start = { number: 0, offset };
    this.#like = like;
    this.#cursor = new Cursor(octets, offset);
  }

  /** The last entry at or before the MPEG frame `number`. */
  async find(number: number): Promise<Entry> {
    await this.#extend(number);
    const at = Math.floor(Math.min(Math.max(0, number), this.#count - 1) / MpegIndex.#STRIDE);
    const offset = this.#offsets[at];
    return offset === undefined ? this.start : { number: at * MpegIndex.#STRIDE, offset };
  }

  /** MPEG frames in all. */
  async count(): Promise<number> {
    await this.#extend(Number.POSITIVE_INFINITY);
    return this.#count;
  }

  async #extend(number: number): Promise<void> {
    while (this.#count <= number && !this.#isComplete) {
      const frame = await nextMpegFrame(this.#cursor, this.#like);
      if (frame === undefined) this.#isComplete = true;
      else if (this.#count++ % MpegIndex.#STRIDE === 0) this.#offsets.push(frame.offset);
    }
  }
}

/** Takes MPEG frames one by one, and gives as much sound for each. */
class MpegDecoder {
  readonly #format: FrameFormat;
  #decoder: Awaited<ReturnType<typeof createDecoder>> | undefined;

  constructor(format: FrameFormat) {
    this.#format = format;
  }

  /** The `frames` frames of sound in a frame; undefined where it is damaged. */
  async decode(mpegFrame: Uint8Array, frames: number): Promise<Uint8Array | undefined> {
    this.#decoder ??= await createDecoder();
    const decoder = this.#decoder;
    const decoded = attempt(() => decoder.decodeFrame(mpegFrame));
    if (decoded?.samplesDecoded !== frames || decoded.errors.length > 0) {
      this.free();
      return undefined;
    }
    return interleave(decoded.channelData.slice(0, this.#format.channels), frames); // of mono it gives two
  }

  free(): void {
    const decoder = this.#decoder;
    this.#decoder = undefined;
    attempt(() => decoder?.free());
  }
}

async function createDecoder() {
  const { MPEGDecoder } = await import('mpg123-decoder');
  // What an encoder added is taken off here: mpg123 could not, having been entered in the middle.
  return ready(new MPEGDecoder({ enableGapless: false }));
}
