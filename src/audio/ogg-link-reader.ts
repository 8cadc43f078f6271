import { nextBeginning } from './beginnings.ts';
import type { Cursor } from './cursor.ts';
import { beginningOf, HEAD_BYTES } from './magic.ts';
import type { PacketDecoder } from './ogg-codec.ts';
import { beginning, LONGEST_WAIT, type OggLink } from './ogg-link.ts';
import { nextOggPage, type OggPage, PacketAssembler } from './ogg-pages.ts';
import { noFramesError } from './recording.ts';
import { fillHole } from './silence.ts';
import { Turns } from './turns.ts';
import { ENDS_EARLY, HAS_HOLES, type Warnings } from './warnings.ts';

/** What of a link is to be read: granules, which count frames from wherever the encoder began. */
export interface Span {
  /** The granule of the next frame that is decoded; undefined: pages will tell. */
  readonly position: number | undefined;
  /** The first frame to give; undefined: the first that there is. */
  readonly from: number | undefined;
}

/** Reads the sound of one link, and keeps every frame at its place: a page says where the last one on it is. */
export class OggLinkReader {
  readonly #link: OggLink;
  readonly #decoder: PacketDecoder;
  readonly #assembler = new PacketAssembler();
  readonly #warnings: Warnings;
  readonly #turns = new Turns();
  /**
   * 'entering': what is decoded comes before what is wanted, from where is not known; 'lost': the next page says where what
   * is held belongs; 'placed': the next frame is at #position.
   */
  #state: 'entering' | 'lost' | 'placed';
  /** Granule of the next frame that is decoded. */
  #position: number | undefined;
  /** Granule of the next frame to give. */
  #next: number | undefined;
  #held: Uint8Array[] = [];
  #heldFrames = 0;
  #hasDecoded = false;

  constructor(link: OggLink, decoder: PacketDecoder, { position, from }: Span, warnings: Warnings) {
    this.#link = link;
    this.#decoder = decoder;
    this.#warnings = warnings;
    this.#state = position !== undefined ? 'placed' : from !== undefined ? 'entering' : 'lost';
    this.#position = position;
    this.#next = from;
  }

  /** From the cursor on. Returns where another link, or another recording, begins behind this one, if one does. */
  async *read(cursor: Cursor): AsyncGenerator<Uint8Array, number | undefined> {
    let last: OggPage | undefined;
    let start: number | undefined;
    for (;;) {
      const isAtPage = beginningOf(await cursor.peek(HEAD_BYTES)) === 'ogg';
      start = isAtPage ? undefined : await nextBeginning(cursor.bytes, cursor.position);
      const page = start === undefined ? await nextOggPage(cursor) : undefined;
      if (page?.isFirst) start = page.offset;
      if (page === undefined || page.isFirst) break;
      if (page.serial !== this.#link.serial) continue;
      yield* this.#readPage(page);
      last = page;
    }
    if (this.#state === 'lost') yield* this.#place(this.#position ?? 0, Number.POSITIVE_INFINITY);
    const hasBytes = cursor.position > this.#link.audioStart || (await cursor.peek(1)).length > 0;
    if (last === undefined && start === undefined && hasBytes) throw noFramesError(cursor.bytes.name);
    if (!last?.isLast) this.#warnings.add(ENDS_EARLY);
    return start;
  }

  async *#readPage(page: OggPage): AsyncGenerator<Uint8Array> {
    const { granule } = page;
    const end = page.isLast && granule !== undefined ? granule : Number.POSITIVE_INFINITY;
    const { packets, hasHole } = this.#assembler.take(page);
    if (hasHole) this.#lose();
    for (const packet of packets) {
      const sound = await this.#decoder.decode(packet);
      await this.#turns.take(sound?.length ?? 0);
      if (sound === undefined) this.#lose();
      else if (this.#state === 'placed') yield* this.#give(sound, end);
      else if (this.#state === 'lost') this.#hold(sound);
      this.#hasDecoded ||= sound !== undefined;
    }
    if (this.#state === 'lost' && granule !== undefined) {
      yield* this.#place(beginning(page, granule, this.#heldFrames), end);
    } else if (this.#state === 'lost' && this.#heldFrames > LONGEST_WAIT * this.#link.codec.rate) {
      yield* this.#place(this.#position ?? 0, end);
    } else if (
      this.#state === 'entering' &&
      granule !== undefined &&
      (this.#hasDecoded || !this.#link.codec.overlaps)
    ) {
      this.#position = granule;
      this.#state = 'placed';
    }
  }

  #lose(): void {
    if (this.#state === 'placed') this.#state = 'lost';
  }

  #hold(sound: Uint8Array): void {
    this.#held.push(sound);
    this.#heldFrames += sound.length / this.#link.frameBytes;
  }

  /** What is held begins at `position`. */
  *#place(position: number, end: number): Generator<Uint8Array> {
    const held = this.#held;
    this.#held = [];
    this.#heldFrames = 0;
    this.#state = 'placed';
    this.#position = position;
    this.#next ??= Math.max(0, position) + this.#link.codec.preSkip;
    for (const sound of held) yield* this.#give(sound, end);
  }

  /** Those of the next frames that are wanted, and not behind `end`. */
  *#give(sound: Uint8Array, end: number): Generator<Uint8Array> {
    const { codec, frameBytes } = this.#link;
    const begin = this.#position ?? 0;
    const next = this.#next ?? 0;
    this.#position = begin + sound.length / frameBytes;
    if (begin > next) {
      this.#warnings.add(HAS_HOLES);
      yield* fillHole(codec, Math.min(begin, end) - next);
    }
    const first = Math.max(begin, next);
    const stop = Math.min(this.#position, end);
    if (stop > first) yield sound.subarray((first - begin) * frameBytes, (stop - begin) * frameBytes);
    this.#next = Math.max(first, stop);
  }
}
