// What a header promises is a hint, what follows is the truth. The kinds are those of public bug reports of players, encoders
// and libraries; beside them stands what gives the right value.
import { closeSync, ftruncateSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/audio/bytes.ts';
import { excerptOf } from '../../src/audio/excerpt.ts';
import { openAudio } from '../../src/audio/open-audio.ts';
import { openWav } from '../../src/audio/wav.ts';
import { ascii, chunk, extensible, fmt, riff, u32, useDirectory } from '../wav/files.ts';
import { contents, fixture, framesFrom, trickle } from './contents.ts';
import { flacFrames, withFlacFrames } from './flac-rewrite.ts';
import { largestDifference } from './likeness.ts';
import { type OggPageFields, oggPages, withPages } from './ogg-pages.ts';
import { SIGNALS } from './recordings.js';

const files = useDirectory();
const bytesOf = (name: string): Buffer => readFileSync(fixture(name));

/** Bytes that are like nothing: no header, no tag, no chunk. */
const noise = (length: number, seed = 1): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, at) => (Math.imul(at + seed, 0x9e37_79b1) >>> 13) & 0x7f));

const id3 = (length: number): Buffer =>
  Buffer.concat([Buffer.of(0x49, 0x44, 0x33, 4, 0, 0, 0, 0, length >> 7, length & 0x7f), noise(length)]);
const id3v1 = Buffer.concat([ascii('TAG'), noise(125)]);
const ape = Buffer.concat([ascii('APETAGEX'), u32(2000, 40, 1, 0xa000_0000, 0, 0), noise(40)]);

const sound = Buffer.from(Uint8Array.from({ length: 4000 }, (_, at) => (at * 167) >>> 3));

/** A WAV file whose sizes are what they are. */
const wav = (dataSize: number, body: Uint8Array = sound, format = fmt(), riffSize = 0xffff_ffff): Buffer =>
  Buffer.concat([ascii('RIFF'), u32(riffSize), ascii('WAVE'), format, ascii('data'), u32(dataSize), body]);

const float80 = Buffer.from('400ebb80000000000000', 'hex'); // 48000

const aiff = (frames: number, ssndSize: number, body: Uint8Array = sound, formSize = 0): Buffer => {
  const be = (value: number, bytes: number) => {
    const field = Buffer.alloc(bytes);
    field.writeUIntBE(value, 0, bytes);
    return field;
  };
  const common = Buffer.concat([ascii('COMM'), be(18, 4), be(2, 2), be(frames, 4), be(16, 2), float80]);
  return Buffer.concat([
    ascii('FORM'),
    be(formSize, 4),
    ascii('AIFF'),
    common,
    ascii('SSND'),
    be(ssndSize, 4),
    Buffer.alloc(8),
    body,
  ]);
};

const au = (size: number, body: Uint8Array = sound): Buffer => {
  const header = Buffer.alloc(24);
  for (const [at, field] of [0x2e73_6e64, 24, size, 3, 48_000, 2].entries())
    header.writeUInt32BE(field, at * 4);
  return Buffer.concat([header, body]);
};

/** From a file, and from a stream. */
async function bothOf(bytes: Buffer) {
  const file = await contents(files.put('x', bytes));
  const stream = await contents(trickle(bytes, 7001));
  expect(stream.bytes.equals(file.bytes), 'a stream is heard as a file is').toBe(true);
  return { file, stream };
}

describe('sizes that mean "not known"', () => {
  // sox -n -r 48000 -c 2 -b 16 -t wav - synth 0.5 sine 300; ffmpeg -f lavfi -i sine=300:d=1 -f aiff -
  test.each<[string, Buffer]>([
    ...[
      0, 0x7fff_0000, 0x7fff_effe, 0x7fff_f000, 0x7fff_ffd8, 0x7fff_ffff, 0x8000_0000, 0xffff_ffd8,
      0xffff_ffff,
    ].map((size): [string, Buffer] => [`WAV, 0x${size.toString(16)}`, wav(size)]),
    ['WAV, 0 in a RIFF of 0', wav(0, sound, fmt(), 0)],
    ['AIFF, 0', aiff(0, 0)],
    ['AIFF, 8', aiff(0, 8)],
    ['AIFF, 0x7fffffff', aiff(0x7fff_ffff, 0x7fff_ffff)],
    ['AIFF, 0xffffffff', aiff(0xffff_ffff, 0xffff_ffff)],
    ['AU, 0', au(0)],
    ['AU, 0x7fffffff', au(0x7fff_ffff)],
    ['AU, 0xffffffff', au(0xffff_ffff)],
  ])('%s: all that comes, no total, no "ends early"', async (_, bytes) => {
    const { file, stream } = await bothOf(bytes);
    expect(file).toMatchObject({ frames: sound.length / 4, warnings: [] });
    expect(file.bytes.length).toBe(sound.length);
    expect(stream).toMatchObject({ frames: undefined, warnings: [] });
  });

  test.each([0x7fff_f000, 0x7fff_ffff, 0x8000_0000])('a pipe longer than %i bytes', async (size) => {
    const header = wav(size, Buffer.alloc(0), fmt({ channels: 8, rate: 192_000 }));
    const end = header.length + 0x8000_0000 + 1_000_000;
    const pipe: Bytes = {
      name: 'pipe',
      size: undefined,
      readInto: async (target, offset) => {
        target.fill(1).set(header.subarray(Math.min(offset, header.length)).subarray(0, target.length));
        return Math.max(0, Math.min(target.length, end - offset));
      },
      close: async () => {},
    };
    const source = await openWav(pipe, 0);
    expect(source.frames).toBeUndefined();
    let heard = 0;
    for await (const piece of source.read(0)) heard += piece.length;
    expect(heard).toBe(Math.floor((end - header.length) / 16) * 16);
    expect(source.warnings.texts).toEqual([]);
  });

  test('WAV of 0 bytes of sound, before another chunk: none', async () => {
    const { file } = await bothOf(Buffer.from(riff(fmt(), chunk('data', ascii('')), chunk('LIST', sound))));
    expect(file).toMatchObject({ frames: 0, warnings: [] });
  });
});

test('an excerpt of a stream begins behind the end that was promised', async () => {
  const part = wav(sound.length, sound, fmt(), sound.length + 36);
  const source = await openAudio(Readable.from([Buffer.concat([part, part])], { objectMode: false }));
  expect(source.frames).toBe(sound.length / 4);
  const start = sound.length / 4 / source.rate;
  const excerpt = excerptOf(source, { start, duration: undefined });
  expect(excerpt.frames).toBeUndefined();
  expect((await buffer(excerpt.read())).equals(sound)).toBe(true);
});

describe('a kind without a decoder is refused wherever a recording may begin', () => {
  const aac = Buffer.concat(Array(4).fill(Buffer.from('fff150800a1ffc'.padEnd(2 * 80, '0'), 'hex')));
  const m4a = Buffer.concat([u32(0x2000_0000), ascii('ftypM4A '), noise(200)]);
  const kinds: [string, Buffer][] = [
    ['AAC', aac],
    ['MPEG-4 audio (M4A)', m4a],
  ];

  test.each(kinds)('%s behind tags', async (kind, bytes) => {
    await expect(openAudio(Buffer.concat([id3(300), ape, bytes]))).rejects.toThrow(`memory holds ${kind}`);
  });

  test.each(kinds)('%s in memory is for a pipe', async (_, bytes) => {
    await expect(openAudio(bytes)).rejects.toThrow('ffmpeg -i - -f wav - | vsnd play -');
  });

  test.each(kinds)('%s behind what is played', async (kind, bytes) => {
    const played = ['cbr.mp3', 'noise16.flac', 'sweep.opus'].map((name) => [name, bytesOf(name)] as const);
    for (const [name, before] of [...played, ['WAV', wav(sound.length)] as const]) {
      const path = files.put('x', Buffer.concat([before, id3(20), bytes]));
      const source = await openAudio(path);
      let heard = 0;
      const reading = async () => {
        for await (const piece of source.read()) heard += piece.length;
      };
      await expect(reading(), name).rejects.toThrow(`${path} holds ${kind}`);
      expect(heard, name).toBeGreaterThan(0);
      await source.close();
    }
  });

  test('two bytes that are like those of AAC are none', async () => {
    const bytes = Buffer.concat([Buffer.of(0xff, 0xf1, 0x50, 0x80), noise(300), bytesOf('untagged.mp3')]);
    expect((await openAudio(bytes)).kind).toBe('MP3');
  });
});

describe('RIFF beyond 4 GiB with a size that wrapped', () => {
  test('a sparse file of 4.5 GB: what is there, with a warning', async () => {
    const dataBytes = 4_500_000_000;
    const path = files.path('large.wav');
    const fd = openSync(path, 'w');
    writeSync(fd, wav(dataBytes % 2 ** 32, Buffer.alloc(0), fmt(), (dataBytes + 36) % 2 ** 32));
    ftruncateSync(fd, 44 + dataBytes);
    closeSync(fd);
    const source = await openAudio(path);
    expect(source).toMatchObject({ frames: dataBytes / 4, isSeekable: true });
    expect(source.warnings).toEqual(['goes on behind the end that its header gives: all of it is played']);
    expect((await framesFrom(source, dataBytes / 4 - 1000)).length).toBe(4000);
    await source.close();
  });

  test.each<[string, (size: number, body: Buffer) => Buffer]>([
    ['WAV', (size, body) => wav(size, body, fmt(), size + 36)],
    ['AIFF', (size, body) => aiff(size / 4, size + 8, body)],
    ['AU', au],
  ])('%s whose size was never written again', async (_, make) => {
    const long = Buffer.concat(Array.from({ length: 30 }, () => sound));
    const { file, stream } = await bothOf(make(4000, long));
    expect(file).toMatchObject({ frames: long.length / 4 });
    expect(file.bytes.length).toBe(long.length);
    for (const { warnings } of [file, stream]) expect(warnings[0]).toContain('goes on behind the end');
    expect(stream.frames).toBeUndefined(); // it was 1000 until more came
  });

  test('what else stands behind the sound is not heard', async () => {
    for (const rest of [
      noise(50),
      noise(20_000),
      id3v1,
      ape,
      chunk('LIST', noise(300)),
      chunk('id3 ', id3(500)),
      Buffer.concat([chunk('bext', noise(70_001)), noise(70)]),
    ]) {
      const { file } = await bothOf(wav(4000, Buffer.concat([sound, rest]), fmt(), 4036));
      expect(file).toMatchObject({ frames: 1000, warnings: [] });
      expect(file.bytes.equals(sound)).toBe(true);
    }
  });
});

describe("the first part's length taken for the whole", () => {
  const opus = bytesOf('sweep.opus');
  const PARTS = [
    'noise16.flac',
    'noise16.oga',
    'cbr.mp3',
    'vbr.mp3',
    'untagged.mp3',
    'layer2.mp2',
    'sweep.ogg',
    'mono.ogg',
    'sweep.opus',
  ];

  /** Frames of all, at the rate of the first. */
  async function framesOf(parts: readonly Buffer[]): Promise<number> {
    const all = await Promise.all(parts.map((part) => contents(part)));
    const rate = all[0]?.rate ?? 1;
    return all.reduce((sum, part) => sum + Math.round(((part.frames ?? 0) * rate) / part.rate), 0);
  }

  // cat a.mp3 b.mp3 | mpg123 -q -w - -
  test.each([
    ['cbr.mp3', 'cbr.mp3'],
    ['vbr.mp3', 'cbr.mp3'],
    ['noise16.flac', 'noise16.flac'],
    ['noise16.oga', 'noise16.oga'],
    ['sweep.ogg', 'sweep.ogg'],
    ['sweep.opus', 'sweep.opus'],
    ['layer2.mp2', 'cbr.mp3'],
    ['cbr.mp3', 'layer2.mp2'],
  ])('cat %s %s: both, gapless', async (first, second) => {
    const { file } = await bothOf(Buffer.concat([bytesOf(first), bytesOf(second)]));
    const [a, b] = [await contents(fixture(first)), await contents(fixture(second))];
    expect(file.bytes.length).toBe(a.bytes.length + b.bytes.length);
    expect(file.bytes.equals(Buffer.concat([a.bytes, b.bytes]))).toBe(true);
    expect(file.warnings).toEqual([]);
  });

  test('any behind any, with tags between them: converted to the format of the first', async () => {
    const pcm: [string, Buffer][] = [
      ['WAV', wav(4000, sound, fmt({ rate: 22_050 }), 4036)],
      ['AIFF', aiff(1000, 4008, sound, 4046)],
      ['AU', au(4000)],
    ];
    const all = [...PARTS.map((name): [string, Buffer] => [name, bytesOf(name)]), ...pcm];
    for (const [index, [first, bytes]] of all.entries()) {
      const [second, rest] = all[(index * 5 + 2) % all.length] as [string, Buffer];
      const joint = Buffer.concat([bytes, id3(300), id3(0), rest, id3v1]);
      const { file } = await bothOf(joint);
      const frames = file.bytes.length / (file.format === 'float_le' ? 4 : 2) / file.channels;
      expect(frames, `${first}, ${second}`).toBe(await framesOf([bytes, rest]));
      expect(file.warnings, `${first}, ${second}`).toEqual([]);
    }
  });

  test('a tag that counts too few, and none in the second part', async () => {
    const whole = bytesOf('cbr.mp3');
    const few = Buffer.from(whole);
    few.writeUInt32BE(20, few.indexOf('Info') + 8);
    const { frames = 0 } = await contents(fixture('cbr.mp3'));
    const all = await contents(few);
    expect(all.bytes.length / 8).toBe(frames);
    const untagged = whole.subarray(whole.indexOf(Buffer.of(0xff, 0xfb), 100));
    const second = await contents(untagged);
    const { file } = await bothOf(Buffer.concat([whole, untagged]));
    expect(file.bytes.length / 8).toBe(frames + (second.frames ?? 0));
  });

  test('cat p.opus p.opus with one serial number, whichever is longer', async () => {
    const pages = oggPages(opus);
    const short = withPages(
      Buffer.concat([...pages.slice(0, 4), pages.at(-1) as OggPageFields].map(({ bytes }) => bytes)),
      (all) => {
        (all.at(-1) as OggPageFields).granule = (all.at(-2) as OggPageFields).granule + 100n;
      },
    );
    for (const parts of [
      [opus, short],
      [short, opus],
      [short, short, opus],
    ]) {
      const { file } = await bothOf(Buffer.concat(parts));
      expect(file.bytes.length / 8).toBe(await framesOf(parts));
    }
  });

  test('a FLAC total smaller than what follows', async () => {
    const whole = await contents(fixture('noise16.flac'));
    for (const total of [1, 2000, 5999]) {
      const few = bytesOf('noise16.flac');
      few.writeUInt32BE(total, 22);
      const { file } = await bothOf(few);
      expect(file).toMatchObject({ frames: whole.frames, warnings: [] });
      expect(file.bytes.equals(whole.bytes)).toBe(true);
    }
  });

  test('a total that is right is shown, and one that is not is not', async () => {
    expect((await openAudio(Buffer.concat([bytesOf('cbr.mp3'), bytesOf('vbr.mp3')]))).frames).toBeUndefined();
    const source = await openAudio(Buffer.concat([bytesOf('noise16.flac'), bytesOf('noise16.flac')]));
    expect(source.frames).toBe(SIGNALS.noise16.frames); // as both end with that number, nothing shows that there are two
    await framesFrom(source, 0);
    expect(source.frames).toBeUndefined();
  });
});

describe('FLAC frames by STREAMINFO', () => {
  const bytes = bytesOf('noise16.flac');
  const whole = contents(fixture('noise16.flac'));

  // flac -d
  test.each<[string, Parameters<typeof withFlacFrames>[1], Parameters<typeof withFlacFrames>[2]]>([
    ['nothing is changed', () => {}, undefined],
    [
      'rate and bits as in STREAMINFO (RFC 9639, 9.1)',
      (frame) => Object.assign(frame, { rateCode: 0, bitsCode: 0 }),
      undefined,
    ],
    [
      'in some frames only',
      (frame, index) => Object.assign(frame, index % 2 ? { rateCode: 0 } : { bitsCode: 0 }),
      undefined,
    ],
    [
      'numbers of samples, and a flag that says so',
      (frame, index) => Object.assign(frame, { isVariable: 1, number: index * 1152 }),
      undefined,
    ],
    [
      'numbers of samples without that flag: before FLAC 1.2',
      (frame, index) => Object.assign(frame, { number: index * 1152 }),
      (info) => info.writeUInt16BE(576, 0),
    ],
    ['block sizes of 0', () => {}, (info) => info.fill(0, 0, 4)],
    ['block sizes that are wrong', () => {}, (info) => info.writeUInt32BE((4096 << 16) | 4096)],
    ['a smallest block that is the last one', () => {}, (info) => info.writeUInt16BE(480, 0)],
    ['numbers that are all 0', (frame) => Object.assign(frame, { number: 0 }), undefined],
    ['no total', () => {}, (info) => info.fill(0, 14, 18)],
  ])('%s: exact', async (_, change, changeInfo) => {
    const { file } = await bothOf(withFlacFrames(bytes, change, changeInfo));
    expect(file.bytes.equals((await whole).bytes)).toBe(true);
    expect(file.warnings.filter((warning) => warning !== 'ends early')).toEqual([]);
  });
});

test('last FLAC frame lost: junk behind it, of any kind and length', async () => {
  const whole = await contents(fixture('noise16.flac'));
  for (const junk of [
    noise(1),
    noise(50),
    noise(50, 77),
    noise(5000),
    Buffer.alloc(50),
    Buffer.alloc(9000),
    Buffer.alloc(50, 0xff),
    ape,
    id3(40),
    Buffer.concat([noise(50), id3v1]),
  ]) {
    const { file } = await bothOf(Buffer.concat([bytesOf('noise16.flac'), junk]));
    expect(file).toMatchObject({ frames: whole.frames, warnings: [] });
    expect(file.bytes.equals(whole.bytes)).toBe(true);
  }
  const [last] = flacFrames(bytesOf('noise16.flac')).slice(-1);
  expect(last?.length).toBeGreaterThan(100);
});

describe("WAV's nBlockAlign wrong", () => {
  // sox x.wav -t raw -
  test.each([
    [0, 2, 16],
    [32, 2, 16],
    [3, 2, 16],
    [24, 1, 24],
    [8, 1, 8],
    [1, 2, 8],
  ])('%i for %i channels of %i bits: these decide, with a warning', async (block, channels, bits) => {
    const format = Buffer.from(fmt({ channels, bits }));
    format.writeUInt16LE(block, 8 + 12);
    const body = sound.subarray(0, 3996);
    const { file } = await bothOf(wav(body.length, body, format, 36 + body.length));
    expect(file.frames).toBe(Math.floor(body.length / ((channels * bits) / 8)));
    const warnings = block === (channels * bits) / 8 ? [] : [expect.stringContaining('these count')];
    expect(file.warnings).toEqual(warnings);
  });

  test.each([
    ['at the top of 32', 's32_le', (value: number) => value << 8],
    ['at the bottom, with their sign', 's24_le', (value: number) => (value << 8) >> 8],
  ])('24 bits %s, by a frame of 4 bytes a sample', async (_, format, place) => {
    const samples = Int32Array.from({ length: 1000 }, (__, at) => place(Math.imul(at - 500, 12_345)));
    const body = Buffer.from(samples.buffer);
    const { file } = await bothOf(wav(4000, body, fmt({ bits: 24, channels: 2, block: 8 }), 4036));
    expect(file).toMatchObject({ format, frames: 500, warnings: [] });
    expect(file.bytes.equals(body)).toBe(true);
  });

  test('24 bits in 3 bytes, whatever the frame', async () => {
    const { file } = await bothOf(
      wav(3996, sound.subarray(0, 3996), fmt({ bits: 24, channels: 2, block: 8 }), 4032),
    );
    expect(file).toMatchObject({ format: 's24_le', frames: 666 });
    expect(file.warnings).toEqual([
      'gives its frames 8 bytes, where its channels and bits take 6: these count',
    ]);
  });
});

test.each<[string, Buffer]>([
  ['WAV', wav(4000, sound, fmt(), 4036)],
  ['AIFF', aiff(1000, 4008, sound, 4046)],
  ['AU', au(4000)],
  ['noise16.flac', bytesOf('noise16.flac')],
  ['noise16.oga', bytesOf('noise16.oga')],
  ['cbr.mp3', bytesOf('cbr.mp3')],
  ['sweep.opus', bytesOf('sweep.opus')],
])('ID3v2 in front of %s, of odd length, twice, and behind it', async (_, bytes) => {
  const { bytes: data, frames } = await contents(bytes);
  const { file } = await bothOf(Buffer.concat([id3(301), id3(20), bytes, id3(33)]));
  expect(file).toMatchObject({ frames, warnings: [] });
  expect(file.bytes.equals(data)).toBe(true);
});

test.each(['noise16.flac', 'noise16.oga', 'sweep.opus', 'sweep.ogg', 'cbr.mp3'])(
  'junk in front of %s',
  async (name) => {
    const { bytes } = await contents(fixture(name));
    for (const junk of [noise(1), noise(300), Buffer.concat([noise(5000), ascii('OggS fLaC')])]) {
      const { file } = await bothOf(Buffer.concat([junk, bytesOf(name)]));
      expect(file.bytes.equals(bytes)).toBe(true);
    }
  },
);

describe('what others read, too', () => {
  // ffmpeg -i x.wav -f s16le -
  test('WAV with its sound in two chunks, and others between them', async () => {
    const list = chunk('LIST', ascii('INFO'));
    const parts = [chunk('data', sound.subarray(0, 1000)), list, chunk('data', sound.subarray(1000)), list];
    const { file } = await bothOf(Buffer.from(riff(fmt(), ...parts)));
    expect(file).toMatchObject({ frames: undefined, warnings: [] });
    expect(file.bytes.equals(sound)).toBe(true);
  });

  test('WAV of Ambisonics', async () => {
    const format = Buffer.from(extensible(1, 2, 48_000, 16));
    format.write('000021', 8 + 26, 'hex');
    format.write('010000002107d3118644c8c1ca000000', 8 + 24, 'hex');
    expect(await contents(wav(4000, sound, format, 4060))).toMatchObject({ frames: 1000, warnings: [] });
  });

  test('FLAC whose STREAMINFO is about another recording: what frames have counts', async () => {
    const bytes = bytesOf('noise16.flac');
    bytes.writeUIntBE(((48_004 << 4) | (0 << 1)) >>> 0, 18, 3); // 48004 Hz, mono
    const { file } = await bothOf(bytes);
    const whole = await contents(fixture('noise16.flac'));
    expect(file).toMatchObject({ rate: 44_100, channels: 2, format: 's16_le' });
    expect(file.bytes.equals(whole.bytes)).toBe(true);
  });

  test('an MP3 tag that counts too many', async () => {
    const many = bytesOf('cbr.mp3');
    many.writeUInt32BE(9999, many.indexOf('Info') + 8);
    const whole = await contents(fixture('cbr.mp3'));
    const { file } = await bothOf(many);
    expect(file).toMatchObject({ frames: whole.frames });
    expect(file.bytes.equals(whole.bytes)).toBe(true);
  });

  test('an empty part before another one', async () => {
    const flac = bytesOf('noise16.flac');
    const { bytes } = await contents(fixture('noise16.flac'));
    for (const empty of [flac.subarray(0, 130), wav(0, Buffer.alloc(0), fmt({ rate: 44_100 }), 36)]) {
      const { file } = await bothOf(Buffer.concat([empty, flac]));
      expect(file.bytes.equals(bytes)).toBe(true);
    }
  });
});

describe('taken for MPEG what is none', () => {
  const frame = (layer: number, bytes: number): Buffer => {
    const header = { 1: [0xff, 0xff, 0x10, 0], 2: [0xff, 0xfd, 0x14, 0], 3: [0xff, 0xfb, 0x10, 0] }[
      layer
    ] as number[];
    return Buffer.concat([Buffer.from(header), noise(bytes - 4)]);
  };
  const third = (count: number) => Buffer.concat(Array.from({ length: count }, () => frame(3, 104)));

  test.each<[string, Buffer]>([
    ['one frame at the end of junk', Buffer.concat([noise(3000), third(1)])],
    ['two frames at the end of junk', Buffer.concat([noise(3000), third(2)])],
    ['a few frames within junk', Buffer.concat([noise(3000), third(6), noise(3000)])],
    ['half of a frame', third(1).subarray(0, 60)],
    [
      'DTS',
      Buffer.concat(
        Array.from({ length: 40 }, (_, at) =>
          Buffer.concat([Buffer.from('7ffe8001fc3c3ff0b5e00138', 'hex'), noise(1000, at)]),
        ),
      ),
    ],
    [
      'a table of jumps',
      Buffer.concat([noise(99), ...Array.from({ length: 200 }, () => Buffer.from('ffff16df', 'hex'))]),
    ],
  ])('%s is no recording of a known kind', async (_, bytes) => {
    await expect(openAudio(files.put('x', bytes))).rejects.toThrow('is no recording of a known kind');
    await expect(openAudio(trickle(bytes, 999))).rejects.toThrow('is no recording of a known kind');
  });

  test.each<[string, Buffer, number]>([
    ['3 frames', third(3), 3],
    ['3 frames behind junk, to the end', Buffer.concat([noise(3000), third(3)]), 3],
    ['30 frames behind junk, and junk', Buffer.concat([noise(3000), third(30), noise(3000)]), 30],
    ['one frame, and nothing else', third(1), 1],
    ['one frame, and a tag', Buffer.concat([third(1), id3v1]), 1],
  ])('%s are MPEG', async (_, bytes, frames) => {
    const source = await openAudio(files.put('x', bytes));
    expect(source.frames).toBe(frames * 1152);
    await source.close();
  });

  test.skipIf(process.platform !== 'linux')('the programs of this machine', async () => {
    const programs = readdirSync('/usr/bin').map((name) => join('/usr/bin', name));
    const small = programs.filter((path) => {
      const stats = statSync(path, { throwIfNoEntry: false });
      return stats?.isFile() && stats.size > 0 && stats.size < 100_000;
    });
    expect(small.length).toBeGreaterThan(50);
    const openings = await Promise.allSettled(small.map((path) => openAudio(path)));
    expect(small.filter((_, index) => openings[index]?.status === 'fulfilled')).toEqual([]);
  });
});

test('mono MP3 with stereo frames behind: both channels are heard', async () => {
  // Both of 44.1 kHz: without their tags they are one recording, whose first frame is of one channel.
  const stereo = bytesOf('cbr.mp3').subarray(bytesOf('cbr.mp3').indexOf(Buffer.of(0xff, 0xfb), 100));
  const heard = await contents(stereo);
  const mono = Buffer.concat(
    Array.from({ length: 20 }, () => Buffer.concat([Buffer.of(0xff, 0xfb, 0x50, 0xc4), Buffer.alloc(204)])),
  );
  const { bytes, channels, frames } = await contents(Buffer.concat([mono, stereo]));
  expect({ channels, frames }).toEqual({ channels: 1, frames: 20 * 1152 + (heard.frames ?? 0) });
  const mixed = Buffer.alloc(bytes.length - 4 * 20 * 1152);
  for (let at = 0; at < mixed.length; at += 4)
    mixed.writeFloatLE((heard.bytes.readFloatLE(2 * at) + heard.bytes.readFloatLE(2 * at + 4)) / 2, at);
  const from = 4 * 1152 * 2; // where the decoder has forgotten what was before
  expect(largestDifference(bytes.subarray(4 * 20 * 1152 + from), mixed.subarray(from))).toBeLessThan(1e-4);
});

describe('free-format MP3, RIFX, data before fmt', () => {
  test('free-format MP3 is refused with that reason', async () => {
    // lame --freeformat -b 400
    const frames = [1306, 1306, 1307, 1306].map((length) =>
      Buffer.concat([Buffer.of(0xff, 0xfb, 0, 0x44), noise(length - 4)]),
    );
    const message =
      'holds MPEG audio of free format, which the decoder here does not know; ffmpeg -i FILE -f wav - | vsnd play -';
    await expect(openAudio(Buffer.concat(frames))).rejects.toThrow(message);
    await expect(openAudio(Buffer.concat([id3(200), ...frames]))).rejects.toThrow(message);
  });

  test.each([
    ['s16_le', 1, 16, 4],
    ['s24_le', 1, 24, 6],
    ['float_le', 3, 32, 8],
    ['a_law', 6, 8, 2],
  ] as const)('RIFX: %s', async (format, tag, bits, block) => {
    const be = (value: number, bytes: number) => {
      const field = Buffer.alloc(bytes);
      field.writeUIntBE(value, 0, bytes);
      return field;
    };
    const body = sound.subarray(0, 2400);
    const fields = [be(tag, 2), be(2, 2), be(48_000, 4), be(48_000 * block, 4), be(block, 2), be(bits, 2)];
    const rifx = Buffer.concat([
      ascii('RIFX'),
      be(36 + body.length, 4),
      ascii('WAVEfmt '),
      be(16, 4),
      ...fields,
      ascii('data'),
      be(body.length, 4),
      body,
      ascii('LIST'),
      be(4, 4),
      ascii('INFO'),
    ]);
    const swapped = Buffer.from(body);
    for (let at = 0; at < body.length; at += bits / 8) swapped.subarray(at, at + bits / 8).reverse();
    const { bytes: data } = await contents(Buffer.from(riff(fmt({ tag, bits }), chunk('data', swapped))));
    const { file } = await bothOf(rifx);
    expect(file).toMatchObject({ format, frames: 2400 / block, warnings: [] });
    expect(file.bytes.equals(data)).toBe(true);
  });

  test('data before fmt', async () => {
    const bytes = Buffer.from(riff(chunk('data', sound), fmt(), chunk('LIST', ascii('INFO'))));
    const { file } = await bothOf(bytes);
    expect(file).toMatchObject({ frames: 1000, warnings: [] });
    expect(file.bytes.equals(sound)).toBe(true);
    const long = Buffer.from(riff(chunk('data', Buffer.alloc(4_000_000, 1)), fmt()));
    expect(await contents(files.put('long', long))).toMatchObject({ frames: 1_000_000, warnings: [] });
    await expect(openAudio(trickle(long, 7001))).rejects.toThrow(
      'has its sound before the fmt chunk that describes it: a file can be played, a stream cannot',
    );
  });
});

describe('"holds no frames" where bytes follow the header', () => {
  const flac = bytesOf('noise16.flac').subarray(0, 130);
  const opus = Buffer.concat(
    oggPages(bytesOf('sweep.opus'))
      .slice(0, 2)
      .map(({ bytes }) => bytes),
  );

  test.each<[string, Buffer]>([
    ['FLAC', Buffer.concat([flac, noise(3000)])],
    ['WAV', wav(3, Buffer.of(1, 2, 3), fmt(), 39)],
    ['AIFF', aiff(1, 11, Buffer.of(1, 2, 3))],
    ['AU', au(3, Buffer.of(1, 2, 3))],
    ['Opus', Buffer.concat([opus, noise(3000)])],
  ])('%s: an error', async (_, bytes) => {
    const message = 'holds no frames: what follows its header is no sound';
    await expect(contents(files.put('x', bytes))).rejects.toThrow(message);
    await expect(contents(trickle(bytes, 999))).rejects.toThrow(message);
  });

  test.each<[string, Buffer]>([
    ['FLAC', flac],
    ['WAV', wav(0, Buffer.alloc(0), fmt(), 36)],
    ['AIFF', aiff(0, 8, Buffer.alloc(0))],
    ['AU', au(0, Buffer.alloc(0))],
    ['Opus', opus],
  ])('%s that ends there: no frames', async (_, bytes) => {
    const { file } = await bothOf(bytes);
    expect([file.frames, file.bytes.length]).toEqual([0, 0]);
  });
});

test('extensible WAV of another block size is read by its channels and bits, too', async () => {
  const format = Buffer.from(extensible(1, 2, 48_000, 16));
  format.writeUInt16LE(0, 8 + 12);
  expect(await contents(wav(4000, sound, format, 4060))).toMatchObject({ frames: 1000 });
});
