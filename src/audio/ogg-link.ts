import { VsndError } from '../errors.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import type { Bytes } from './bytes.ts';
import { Cursor } from './cursor.ts';
import { OGG_FLAC } from './flac-in-ogg.ts';
import { decoderOf, type OggCodec, type OggMapping } from './ogg-codec.ts';
import { nextOggPage, type OggPage, PacketAssembler } from './ogg-pages.ts';
import { OPUS } from './opus.ts';
import { Turns } from './turns.ts';
import { VORBIS } from './vorbis.ts';

/** Seconds of sound that wait for a page which says where they belong: every page should. */
export const LONGEST_WAIT = 60;

/** Streams that begin together, and headers of one: as many as anybody needs. */
const MOST_STREAMS = 255;
const MOST_HEADERS = 1024;

const MAPPINGS: readonly OggMapping[] = [VORBIS, OPUS, OGG_FLAC];

/** One stream of packets: an Ogg recording is a chain of these, mostly of one. */
export interface OggLink {
  readonly codec: OggCodec;
  /** Bytes of one frame. */
  readonly frameBytes: number;
  readonly serial: number;
  /** Of all streams that begin together with it: pictures, subtitles. */
  readonly serials: readonly number[];
  /** The byte behind the last of its headers. */
  readonly audioStart: number;
}

/**
 * The headers of the next link at or after the cursor, which is then behind them; undefined where there is none. Rejects
 * with ERR_VSND_FILE where it holds nothing that vsnd can decode.
 */
export async function nextOggLink(cursor: Cursor): Promise<OggLink | undefined> {
  const { name } = cursor.bytes;
  let page = await nextOggPage(cursor);
  while (page && !page.isFirst) page = await nextOggPage(cursor);
  if (page === undefined) return undefined;

  const first: OggPage[] = [];
  for (; page?.isFirst; page = await nextOggPage(cursor)) {
    if (first.push(page) > MOST_STREAMS)
      throw damagedError(name, `more than ${MOST_STREAMS} streams begin at once`);
  }
  const recognise = ({ pieces: [packet = new Uint8Array(0)] }: OggPage) =>
    MAPPINGS.find(({ recognises }) => recognises(packet));
  const begin = first.find((candidate) => recognise(candidate) !== undefined);
  const mapping = begin && recognise(begin);
  if (begin === undefined || mapping === undefined) {
    throw new VsndError(
      'ERR_VSND_FILE',
      `${name} holds nothing in its Ogg pages that can be played; allowed: Vorbis, Opus, FLAC`,
    );
  }

  const { serial } = begin;
  const assembler = new PacketAssembler();
  const headers = assembler.take(begin).packets;
  while (!mapping.isComplete(headers)) {
    if (page === undefined)
      throw new VsndError('ERR_VSND_FILE', `${name} ends within the headers of its Ogg stream`);
    if (page.serial === serial) headers.push(...assembler.take(page).packets);
    if (headers.length > MOST_HEADERS)
      throw damagedError(name, `its stream has more than ${MOST_HEADERS} headers`);
    if (mapping.isComplete(headers)) break;
    page = await nextOggPage(cursor);
  }
  const codec = mapping.codec(name, headers);
  const frameBytes = codec.channels * (pcmFormat(codec.format).sampleBytes ?? 1);
  return {
    codec,
    frameBytes,
    serial,
    serials: first.map((each) => each.serial),
    audioStart: cursor.position,
  };
}

/**
 * The granule of the first frame that is decoded: 0, less where an encoder wants some dropped, more where the recording was
 * cut out of another one.
 */
export async function firstGranule(
  bytes: Bytes,
  { codec, frameBytes, serial, audioStart }: OggLink,
): Promise<number> {
  const cursor = new Cursor(bytes, audioStart);
  const assembler = new PacketAssembler();
  const turns = new Turns();
  const decoder = decoderOf(codec);
  try {
    let decoded = 0;
    for (let page = await nextOggPage(cursor); page && !page.isFirst; page = await nextOggPage(cursor)) {
      if (page.serial !== serial) continue;
      if (decoded > LONGEST_WAIT * codec.rate) break;
      for (const packet of assembler.take(page).packets) {
        const soundBytes = (await decoder.decode(packet))?.length ?? 0;
        decoded += soundBytes / frameBytes;
        await turns.take(soundBytes);
      }
      if (page.granule !== undefined) return beginning(page, page.granule, decoded);
    }
    return 0;
  } finally {
    decoder.free();
  }
}

/** The granule before the `decoded` frames up to the end of `page`; at the end of a stream too many of them are normal. */
export function beginning(page: OggPage, granule: number, decoded: number): number {
  return page.isLast ? Math.max(0, granule - decoded) : granule - decoded;
}

function damagedError(name: string, reason: string): VsndError {
  return new VsndError('ERR_VSND_FILE', `${name} is a damaged Ogg file: ${reason}`);
}
