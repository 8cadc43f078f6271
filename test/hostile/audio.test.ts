// Recordings that are made of nothing but what has to be skipped: opening them takes time in proportion to their length,
// and leaves the event loop its turns.
import { createHook } from 'node:async_hooks';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Bytes, StreamBytes } from '../../src/audio/bytes.ts';
import { Cursor } from '../../src/audio/cursor.ts';
import { STREAMINFO_BYTES } from '../../src/audio/flac-format.ts';
import { nextFlacFrame } from '../../src/audio/flac-frames.ts';
import { nextOggPage } from '../../src/audio/ogg-pages.ts';
import { openAudio } from '../../src/audio/open-audio.ts';
import { oggPages, withPages } from '../audio/ogg-pages.ts';
import { ascii, chunk, fmt, riff, useDirectory } from '../wav/files.ts';

const files = useDirectory();
const fixture = (name: string): Buffer => readFileSync(new URL(`../audio/fixtures/${name}`, import.meta.url));

const LENGTH = 1 << 20;

/** `piece` over and over, {@link LENGTH} bytes and a little more. */
function filledWith(piece: Uint8Array): Buffer {
  return Buffer.concat(Array.from({ length: Math.ceil(LENGTH / piece.length) }, () => piece));
}

/** An Ogg page without packets, of no stream's beginning. */
function emptyPage(): Buffer {
  const page = Buffer.alloc(27);
  page.write('OggS');
  page.writeBigInt64LE(-1n, 6);
  return withPages(page, () => {});
}

/** A page that claims 65,025 bytes, and whose checksum is wrong. */
function falsePage(): Buffer {
  const page = Buffer.alloc(27 + 255, 255);
  page.write('OggS\0\0');
  page[26] = 255;
  return page;
}

/** The header of a FLAC fixture's first frame. */
function flacHeader(): Buffer {
  const bytes = fixture('noise16.flac');
  let start = 4;
  for (let isLast = false; !isLast; ) {
    isLast = ((bytes[start] as number) & 0x80) !== 0;
    start += 4 + bytes.readUIntBE(start + 1, 3);
  }
  return bytes.subarray(start, start + 16);
}

const flacStart = Buffer.concat([
  ascii('fLaC'),
  Uint8Array.of(0, 0, 0, STREAMINFO_BYTES),
  fixture('noise16.flac').subarray(8, 8 + STREAMINFO_BYTES),
]);

const emptyTag = Buffer.concat([ascii('ID3'), Uint8Array.of(4, 0, 0, 0, 0, 0, 0)]);
const aiffChunks = (): Buffer => Buffer.concat([ascii('FORM....AIFF'), filledWith(chunk('JUNK', ascii('')))]);
const smallWav = Buffer.from(riff(fmt(), chunk('data', Uint8Array.of(1, 2, 3, 4))));

/** The headers of an Opus stream over and over, each time with a page behind them that has a packet which is damaged. */
function chainedHeaders(hasPacket: boolean): Buffer {
  const [head, tags] = oggPages(fixture('sweep.opus'));
  if (head === undefined || tags === undefined) throw new Error('no headers');
  const page = Buffer.alloc(27 + 1 + 1, 255);
  page.write('OggS\0\0');
  page.writeBigInt64LE(-1n, 6);
  page.fill(1, 26, 28);
  const link = Buffer.concat([head.bytes, tags.bytes, ...(hasPacket ? [page] : [])]);
  return filledWith(
    withPages(link, (pages) => {
      for (const each of pages) each.serial = head.serial;
    }),
  );
}

/** A page of 255 packets of one byte each, behind the headers of a fixture of {@link oggPages}. */
function oneBytePackets(name: string, headers: number): Buffer {
  const first = oggPages(fixture(name)).slice(0, headers);
  const page = Buffer.alloc(27 + 255 + 255, 1);
  page.write('OggS\0\0');
  page.writeBigInt64LE(-1n, 6);
  page.fill(255, 26, 27);
  const rest = filledWith(page).subarray(0, 24 * page.length);
  return withPages(Buffer.concat([...first.map(({ bytes }) => bytes), rest]), (pages) => {
    for (const page of pages) page.serial = first[0]?.serial ?? 0;
  });
}

const JUNK: [string, () => Buffer][] = [
  ['empty ID3 tags', () => filledWith(emptyTag)],
  ['WAV behind ID3 tags', () => Buffer.concat([filledWith(emptyTag), smallWav])],
  ['AIFF chunks of no bytes', aiffChunks],
  ['AIFF chunks behind ID3 tags', () => Buffer.concat([filledWith(emptyTag), aiffChunks()])],
  [
    'AU behind ID3 tags',
    () =>
      Buffer.concat([
        filledWith(emptyTag),
        Buffer.from('2e736e6400000018000000040000000300001f400000000201020304', 'hex'),
      ]),
  ],
  ['small WAV files, one behind the other', () => filledWith(smallWav).subarray(0, 100_000)],
  ['Opus packets of one byte', () => oneBytePackets('sweep.opus', 2)],
  ['Vorbis packets of one byte', () => oneBytePackets('sweep.ogg', 2)],
  ['FLAC metadata of no bytes', () => Buffer.concat([flacStart, filledWith(Uint8Array.of(1, 0, 0, 0))])],
  ['Ogg pages of no bytes', () => filledWith(emptyPage())],
  [
    'what looks like MPEG frames',
    () => Buffer.concat([fixture('untagged.mp3'), filledWith(Uint8Array.of(0xff, 0xfb, 0x90, 0))]),
  ],
];

/** How often whatever waits for the event loop has its turn until `work` is done. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0;
  let isOver = false;
  const count = () => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await work.catch(() => {});
  isOver = true;
  return turns;
}

/** Opens it, and reads all of it that is sound. */
async function openAndRead(input: string | Readable): Promise<void> {
  const source = await openAudio(input);
  onTestFinished(() => source.close());
  for await (const _ of source.read());
}

/** What this thread asks of files while `work` runs: read(2) by the process would count what wakes Node's threads, too. */
async function fileRequestsDuring(work: () => Promise<unknown>): Promise<number> {
  let requests = 0;
  const hook = createHook({
    init(_id, type) {
      if (type === 'FSREQPROMISE') requests += 1;
    },
  }).enable();
  await work().finally(() => hook.disable());
  return requests;
}

describe.each(JUNK)('%s', (_, make) => {
  test('of a stream leave the event loop its turns', async () => {
    const bytes = make();
    const stream = Readable.from([bytes], { objectMode: false });
    expect(await turnsDuring(openAndRead(stream))).toBeGreaterThan(bytes.length / 65_536);
  });

  test('of a file leave it its turns, and are read in blocks', async () => {
    const bytes = make();
    const path = files.put('x', bytes);
    let turns = 0;
    const requests = await fileRequestsDuring(async () => {
      turns = await turnsDuring(openAndRead(path));
    });
    expect(turns).toBeGreaterThan(bytes.length / 65_536);
    expect(requests).toBeGreaterThan(0);
    expect(requests).toBeLessThan(Math.max(bytes.length, LENGTH) / 1024);
  });
});

test('a WAV file of chunks without bytes is given up after 4096 of them', async () => {
  const chunks = filledWith(chunk('JUNK', ascii('')));
  const bytes = Buffer.concat([ascii('RIFF....WAVE'), fmt(), chunks]);
  const opening = openAudio(files.put('x', bytes));
  await expect(opening).rejects.toThrow('is a damaged WAV file: it has no data among its first 4096 chunks');
});

test.each([false, true])(
  'chained Opus headers cost no decoder each; damaged packets: %s',
  async (hasPacket) => {
    const { WebAssembly: wasm } = globalThis as unknown as { WebAssembly: { instantiate(): unknown } };
    const instantiate = vi.spyOn(wasm, 'instantiate');
    onTestFinished(() => instantiate.mockRestore());
    const reading = openAndRead(Readable.from([chainedHeaders(hasPacket)], { objectMode: false }));
    await expect(reading).rejects.toThrow('256 recordings without sound');
    expect(instantiate.mock.calls.length).toBeLessThan(2 * 257 + 3);
    if (!hasPacket) expect(instantiate).not.toHaveBeenCalled();
  },
);

/** Bytes in memory, as those of a file. */
function bytesOf(bytes: Buffer): Bytes {
  return {
    name: 'memory',
    size: bytes.length,
    readInto: async (target, offset) => bytes.copy(target, 0, offset),
    close: async () => {},
  };
}

test('false pages among true ones are not searched through for ever', async () => {
  const group = Buffer.concat([...Array.from({ length: 200 }, falsePage), emptyPage()]);
  const bytes = filledWith(group);
  const cursor = new Cursor(bytesOf(bytes), 0);
  let pages = 0;
  while (await nextOggPage(cursor)) pages += 1;
  expect(pages).toBe(1); // 200 false ones cost 13 MB, and a true one gives back 108 bytes
  expect(cursor.position).toBeLessThan(2 * group.length);
});

test('false FLAC frames are not searched through for ever', async () => {
  const info = {
    leastBlockFrames: 4096,
    blockFrames: 4096,
    isVariable: false,
    rate: 44_100,
    channels: 2,
    bits: 16,
    totalFrames: undefined,
  };
  const bytes = filledWith(flacHeader());
  const cursor = new Cursor(bytesOf(bytes), 0);
  expect(await nextFlacFrame(cursor, info)).toBeUndefined();
  expect(cursor.position).toBeLessThan(16 * 4000); // fewer than 4000, each of which costs what a whole frame would
});

test('a stream that comes byte by byte is read as another one is', async () => {
  const bytes = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, index) => index % 251));
  const data = new StreamBytes(Readable.from(Array.from(bytes, (byte) => Buffer.of(byte))), 'trickle');
  const target = Buffer.alloc(70_000);
  for (const offset of [0, 130_000, 1, 65_535, 65_536, 131_072]) {
    const filled = await data.readInto(target, offset);
    expect(target.subarray(0, filled).equals(bytes.subarray(offset, offset + filled))).toBe(true);
    expect(filled).toBe(Math.min(70_000, bytes.length - offset));
  }
});

test('Opus packets of no bytes are no sound, however many are on a page', async () => {
  const [head, tags] = oggPages(fixture('tones.opus'));
  if (head === undefined || tags === undefined) throw new Error('no headers');
  const empty = Buffer.alloc(27 + 255);
  empty.write('OggS');
  empty.writeBigInt64LE(-1n, 6);
  empty[26] = 255;
  const pages = Buffer.concat([head.bytes, tags.bytes, ...Array.from({ length: 10 }, () => empty)]);
  const { serial } = head;
  const bytes = withPages(pages, (all) => {
    for (const page of all) page.serial = serial;
  });
  const source = await openAudio(Readable.from([bytes], { objectMode: false }));
  onTestFinished(() => source.close());
  let heard = 0;
  for await (const frames of source.read()) heard += frames.length;
  expect(heard).toBe(0);
});
