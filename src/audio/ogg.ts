import { VsndError } from '../errors.ts';
import type { AudioSource } from './audio-source.ts';
import { Cursor } from './cursor.ts';
import type { Octets } from './octets.ts';
import { firstGranule, nextOggLink, type OggLink } from './ogg-link.ts';
import { OggLinkReader, type Span } from './ogg-link-reader.ts';
import { lastOggPages, nextOggPage, type OggPage } from './ogg-pages.ts';
import { sourceOf } from './source.ts';
import { ENDS_EARLY, Warnings } from './warnings.ts';

/** Octets in which a page is looked for by going from one to the next. */
const NEAR_BYTES = 16 * 1024;

/** Opens an Ogg recording of Vorbis, Opus or FLAC. Rejects with ERR_VSND_FILE. */
export async function openOgg(octets: Octets): Promise<AudioSource> {
  const first = await firstLink(octets);
  const { codec, serial, audioStart } = first;
  const warnings = new Warnings();
  const start = await firstGranule(octets, first);
  const origin = Math.max(0, start) + codec.preSkip;
  const end = octets.size === undefined ? undefined : await lastGranule(octets, octets.size);
  const frames = end === undefined ? undefined : Math.max(0, end - origin);

  /** Undefined where another link follows. */
  async function lastGranule(octets: Octets, size: number): Promise<number | undefined> {
    const { last, ofStream } = await lastOggPages(new Cursor(octets, audioStart), serial, audioStart, size);
    if (last && !first.serials.includes(last.serial)) return undefined;
    if (!ofStream?.isLast) warnings.add(ENDS_EARLY);
    return ofStream?.granule ?? origin;
  }

  /** A cursor from which decoding comes to `granule` with all that it needs. */
  async function seek(granule: number): Promise<Cursor> {
    const cursor = new Cursor(octets, audioStart);
    let low = audioStart;
    for (let high = octets.size ?? 0; high - low > NEAR_BYTES; ) {
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

  async function* read(from: number): AsyncGenerator<Uint8Array> {
    const isChain = frames === undefined;
    const goal = origin + from;
    const cursor = from === 0 ? new Cursor(octets, audioStart) : await seek(goal - codec.preRoll);
    const position = cursor.position === audioStart ? start : undefined;
    yield* readLink(cursor, first, { position, from: goal, to: end ?? Number.POSITIVE_INFINITY });
    if (!isChain) return;
    for (let next = await nextOggLink(cursor); next; next = await nextOggLink(cursor)) {
      const { kind, rate, channels } = next.codec;
      if (kind !== codec.kind || rate !== codec.rate || channels !== codec.channels) {
        warnings.add(`goes on as ${kind}, ${rate} Hz, ${channels} channels, which is left out`);
        return;
      }
      yield* readLink(cursor, next, { position: undefined, from: undefined, to: Number.POSITIVE_INFINITY });
    }
  }

  async function* readLink(cursor: Cursor, link: OggLink, span: Span): AsyncGenerator<Uint8Array> {
    const decoder = await link.codec.createDecoder();
    try {
      yield* new OggLinkReader(link, decoder, span, warnings).read(cursor);
    } finally {
      decoder.free();
    }
  }

  return sourceOf(octets, {
    ...codec,
    frames,
    isSeekable: frames !== undefined,
    warnings: warnings.texts,
    read,
  });
}

async function firstLink(octets: Octets): Promise<OggLink> {
  const link = await nextOggLink(new Cursor(octets, 0));
  if (link) return link;
  throw new VsndError('ERR_VSND_FILE', `${octets.name} is a damaged Ogg file: it has no first page`);
}

async function nextPageWithGranule(cursor: Cursor, serial: number): Promise<OggPage | undefined> {
  let page = await nextOggPage(cursor);
  while (page && (page.serial !== serial || page.granule === undefined)) page = await nextOggPage(cursor);
  return page;
}
