import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readTags } from '../../src/audio/read-tags.ts';
import { useDirectory } from '../wav/files.ts';
import { fixture } from './contents.ts';
import { withPages } from './ogg-pages.ts';

const files = useDirectory();

const u32le = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u32be = (value: number) => u32le(value).reverse();
const synchsafe = (value: number) => Buffer.from([21, 14, 7, 0].map((shift) => (value >> shift) & 0x7f));

/** An ID3v2 tag of a version, with these frames: their names, and what they hold. */
function id3v2(version: 2 | 3 | 4, frames: readonly (readonly [string, Buffer])[]): Buffer {
  const body = frames.map(([name, data]) => {
    const size =
      version === 2
        ? u32be(data.length).subarray(1)
        : version === 3
          ? u32be(data.length)
          : synchsafe(data.length);
    return Buffer.concat([Buffer.from(name), size, Buffer.alloc(version === 2 ? 0 : 2), data]);
  });
  const frame = Buffer.concat([...body, Buffer.alloc(64)]);
  return Buffer.concat([Buffer.from('ID3'), Buffer.of(version, 0, 0), synchsafe(frame.length), frame]);
}

const latin = (text: string) => Buffer.from(`\0${text}`, 'latin1');
const utf16 = (text: string) =>
  Buffer.concat([Buffer.of(1, 0xff, 0xfe), Buffer.from(`${text}\0`, 'utf16le')]);
const utf8 = (text: string) => Buffer.from(`\x03${text}`);
const picture = Buffer.alloc(100_000, 1);

function comments(...entries: string[]): Buffer {
  const texts = ['an encoder', ...entries].map((text) => Buffer.from(text));
  const [vendor = Buffer.alloc(0), ...rest] = texts.map((text) => Buffer.concat([u32le(text.length), text]));
  return Buffer.concat([vendor, u32le(rest.length), ...rest]);
}

/** Metadata blocks of FLAC: a kind, and what it holds. */
function flac(...blocks: [number, Buffer][]): Buffer {
  const parts = blocks.map(([kind, data], index) => {
    const last = index === blocks.length - 1 ? 0x80 : 0;
    return Buffer.concat([Buffer.of(kind | last), u32be(data.length).subarray(1), data]);
  });
  return Buffer.concat([Buffer.from('fLaC'), ...parts]);
}

function chunk(id: string, data: Buffer, size = u32le): Buffer {
  return Buffer.concat([Buffer.from(id), size(data.length), data, Buffer.alloc(data.length % 2)]);
}

function id3v1(title: string, artist: string): Buffer {
  const tag = Buffer.alloc(128);
  tag.write(`TAG${title}`, 0, 'latin1');
  tag.write(artist, 33, 'latin1');
  return tag;
}

const text = (value: string) => Buffer.from(`${value}\0`);
const wave = (...chunks: Buffer[]) => chunk('RIFF', Buffer.concat([Buffer.from('WAVE'), ...chunks]));
const info = Buffer.concat([Buffer.from('INFO'), chunk('IART', text('Anna')), chunk('INAM', text('Lied'))]);
const aiff = Buffer.concat([
  Buffer.from('AIFF'),
  chunk('NAME', Buffer.from('Lied'), u32be),
  chunk('AUTH', Buffer.from('Anna'), u32be),
]);
const sound = Buffer.alloc(1000, 0x55);

describe('title and artist of', () => {
  test.each<[string, Buffer]>([
    [
      'ID3v2.2',
      id3v2(2, [
        ['TT2', latin('Lied')],
        ['TP1', latin('Anna')],
      ]),
    ],
    [
      'ID3v2.3, behind a picture',
      id3v2(3, [
        ['APIC', picture],
        ['TIT2', utf16('Lied')],
        ['TPE1', utf16('Anna')],
      ]),
    ],
    [
      'ID3v2.4, several artists',
      id3v2(4, [
        ['TPE1', utf8('Anna\0Otto')],
        ['TIT2', utf8('Lied')],
      ]),
    ],
    ['ID3v1', Buffer.concat([sound, id3v1('Lied', 'Anna')])],
    [
      'FLAC, behind a picture',
      flac([0, Buffer.alloc(34)], [6, picture], [4, comments('ALBUM=x', 'TITLE=Lied', 'artist=Anna')]),
    ],
    [
      'FLAC behind ID3v2',
      Buffer.concat([id3v2(3, []), flac([4, comments('TITLE=Lied', 'ARTIST=Anna', 'ARTIST=Otto')])]),
    ],
    ['WAV', wave(chunk('data', sound), chunk('LIST', info))],
    ['WAV behind ID3v2', Buffer.concat([id3v2(3, []), wave(chunk('data', sound), chunk('LIST', info))])],
    ['AIFF', chunk('FORM', aiff, u32be)],
  ])('%s', async (_, bytes) => {
    expect(await readTags(files.put('song', bytes))).toEqual({ title: 'Lied', artist: 'Anna' });
  });

  test.each([
    ['tones.opus', 'ENCODER=', 'opusenc from opus-tools 0.2'],
    ['noise16.oga', 'WAVEFORMATEXTENSIBLE_CHANNEL_MASK=', '0x0003'],
  ])('%s, one of whose comments becomes a title', async (name, comment, value) => {
    const title = 'TITLE='.padEnd(comment.length, '.');
    const bytes = withPages(readFileSync(fixture(name)), ([, page]) => {
      page?.bytes.write(title, page.bytes.indexOf(comment), 'latin1');
    });
    expect(await readTags(files.put('song', bytes))).toEqual({
      title: `${title.slice('TITLE='.length)}${value}`,
      artist: undefined,
    });
  });

  test('Ogg Vorbis that has none', async () => {
    expect(await readTags(fixture('tones.ogg'))).toEqual({ title: undefined, artist: undefined });
  });
});

describe('no tag is a reason not to play', () => {
  test.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['noise', Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 7919) & 0xff))],
    ['a tag that is cut off', id3v2(3, [['TIT2', utf16('Lied')]]).subarray(0, 15)],
    [
      'a tag that promises more than there is',
      Buffer.concat([Buffer.from('ID3\x03\0\0'), synchsafe(0xfffffff)]),
    ],
    ['comments of four milliards of bytes', flac([4, Buffer.concat([u32le(0xffff_ffff), Buffer.alloc(40)])])],
    [
      'comments that overlap',
      flac([4, Buffer.concat([u32le(0), u32le(9), u32le(0xffff_fff0), Buffer.from('TITLE=x')])]),
    ],
    ['chunks of no length', wave(...new Array<Buffer>(2000).fill(chunk('junk', Buffer.alloc(0))))],
  ])('%s', async (_, bytes) => {
    expect(await readTags(files.put('song', bytes))).toEqual({ title: undefined, artist: undefined });
  });

  test('no file', async () => {
    expect(await readTags(files.path('none'))).toEqual({});
  });

  test('a title that is as long as a book is cut', async () => {
    const { title } = await readTags(files.put('song', flac([4, comments(`TITLE=${'x'.repeat(5000)}`)])));
    expect(title).toHaveLength(200);
  });
});
