import { VsndError } from '../errors.ts';
import type { Bytes } from './bytes.ts';
import { Cursor } from './cursor.ts';
import { decoderOf } from './ogg-codec.ts';
import { firstGranule, nextOggLink, type OggLink } from './ogg-link.ts';
import { OggLinkReader } from './ogg-link-reader.ts';
import { lastOggPages, nextOggPage, type OggPage } from './ogg-pages.ts';
import { noFramesError, type Recording } from './recording.ts';
import { ENDS_EARLY, Warnings } from './warnings.ts';

/** Bytes in which a page is looked for by going from one to the next. */
const NEAR_BYTES = 16 * 1024;

/** Opens an Ogg recording of Vorbis, Opus or FLAC: one link; what is chained to it is another recording. Rejects with ERR_VSND_FILE. */
export async function openOgg(bytes: Bytes, beginning: number): Promise<Recording> {
  const link = await firstLink(bytes, beginning);
  const { codec, serial, audioStart } = link;
  const warnings = new Warnings();
  const start = await firstGranule(bytes, link);
  const origin = Math.max(0, start) + codec.preSkip;
  const frames = bytes.size === undefined ? undefined : await count(bytes, bytes.size);

  /** Undefined where another link follows. */
  async function count(bytes: Bytes, size: number): Promise<number | undefined> {
    const tail = await lastOggPages(new Cursor(bytes, audioStart), serial, audioStart, size);
    if (tail.hasLink || (tail.last && !link.serials.includes(tail.last.serial))) return undefined;
    if (tail.last === undefined && size > audioStart) throw noFramesError(bytes.name);
    if (!tail.ofStream?.isLast) warnings.add(ENDS_EARLY);
    return Math.max(0, (tail.ofStream?.granule ?? origin) - origin);
  }

  /** A cursor from which decoding comes to `granule` with all that it needs. */
  async function seek(granule: number): Promise<Cursor> {
    const cursor = new Cursor(bytes, audioStart);
    let low = audioStart;
    for (let high = bytes.size ?? 0; high - low > NEAR_BYTES; ) {
      const middle = Math.floor((low + high) / 2);
      cursor.position = middle;
      const page = await nextPageWithGranule(cursor, serial);
      if (page === undefined || page.offset >= high || (page.granule ?? 0) > granule) high = middle;
      else low = page.offset;
    }
    cursor.position = low;
    let entry = low;
    let page = await nextPageWithGranule(cursor, serial);
    while (page && (page.granule ?? 0) <= granule) {
      entry = page.offset;
      page = await nextPageWithGranule(cursor, serial);
    }
    cursor.position = entry;
    return cursor;
  }

  async function* read(from: number): AsyncGenerator<Uint8Array, number | undefined> {
    const goal = origin + from;
    const cursor = from === 0 ? new Cursor(bytes, audioStart) : await seek(goal - codec.preRoll);
    const position = cursor.position === audioStart ? start : undefined;
    const decoder = decoderOf(codec);
    try {
      const reader = new OggLinkReader(link, decoder, { position, from: goal }, warnings);
      return yield* reader.read(cursor);
    } finally {
      decoder.free();
    }
  }

  return { ...codec, frames, warnings, read };
}

async function firstLink(bytes: Bytes, start: number): Promise<OggLink> {
  const link = await nextOggLink(new Cursor(bytes, start));
  if (link) return link;
  throw new VsndError('ERR_VSND_FILE', `${bytes.name} is a damaged Ogg file: it has no first page`);
}

async function nextPageWithGranule(cursor: Cursor, serial: number): Promise<OggPage | undefined> {
  let page = await nextOggPage(cursor);
  while (page && (page.serial !== serial || page.granule === undefined)) page = await nextOggPage(cursor);
  return page;
}
