import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FRAME } from '../sound.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { makeWav, start, vsnd } from './run.ts';

const files = useDirectory();
const RATE = 8000;

const song = (name: string, seconds: number) => makeWav(files.path(name), { rate: RATE, seconds });

/** Plays on the emulated card, and gives what it heard. */
async function hear(...args: string[]) {
  const heard = files.path('heard.wav');
  const ended = await vsnd(['play', '--emulate', '--fast', '--sink', `wav:${heard}`, ...args]);
  return { ...ended, heard: existsSync(heard) ? (await readAll(heard)).bytes : Buffer.alloc(0) };
}

/** Frames of a song, from second to second. */
async function part(path: string, from: number, to: number): Promise<Buffer> {
  const { bytes } = await readAll(path);
  return bytes.subarray(from * RATE * FRAME, to * RATE * FRAME);
}

describe('--start and --duration', () => {
  test('play a part, of each file', async () => {
    const [a, b] = [song('a.wav', 2), song('b.wav', 1)];
    const { status, stdout, heard } = await hear('--start', '0.25', '--duration', '0:00.5', a, b);
    expect(status).toBe(0);
    const parts = [await part(a, 0.25, 0.75), await part(b, 0.25, 0.75)];
    expect(heard.equals(Buffer.concat(parts))).toBe(true);
    expect(stdout).toContain(`playing ${a}: s16_le, 8000 Hz, 2 channels, 0:00.5\n`);
    expect(stdout).toMatch(/^played 4000 frames \(0:00\.5\) of .*a\.wav/m);
  });

  test('of what comes in at a pipe', async () => {
    const a = song('a.wav', 2);
    const sink = files.path('heard.wav');
    const args = ['play', '--emulate', '--fast', '--sink', `wav:${sink}`, '--start', '1.5', '-d', '0.2', '-'];
    const running = start(args);
    running.child.stdin?.end(readFileSync(a));
    expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
    expect((await readAll(sink)).bytes.equals(await part(a, 1.5, 1.7))).toBe(true);
  });

  test('a start behind the end is said', async () => {
    const a = song('a.wav', 1);
    const { status, stderr } = await hear('--start', '1:00', a);
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `vsnd: nothing to play: ${a} holds no frames from 1:00.0 on\n`,
    });
  });
});

describe('--loop', () => {
  test('plays all of it so often, without a gap', async () => {
    const [a, b] = [song('a.wav', 0.3), song('b.wav', 0.2)];
    const { status, stdout, heard } = await hear('--loop=3', a, b);
    expect(status).toBe(0);
    const once = Buffer.concat([await part(a, 0, 1), await part(b, 0, 1)]);
    expect(heard.equals(Buffer.concat([once, once, once]))).toBe(true);
    expect(stdout).toMatch(/^played 7200 frames \(0:00\.9\) of .*a\.wav/m);
  });

  test('without a number, until it is stopped', async () => {
    const a = song('a.wav', 0.1);
    const running = start(['play', '--emulate', '--sink', 'null', '--loop', a]);
    await running.said('0:00.0 / 0:00.1');
    running.child.kill('SIGINT');
    const { status, stdout } = await running.ended();
    expect(status).toBe(130);
    expect(stdout).toMatch(/^played \d{4,} frames/m);
  });

  test('what cannot be played is told once', async () => {
    const [none, a] = [files.path('none.wav'), song('a.wav', 0.1)];
    const { status, stderr, heard } = await hear('--loop=3', none, a);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^vsnd: cannot open .*none\.wav: [^\n]*\n$/);
    expect(heard.length).toBe(3 * 800 * FRAME);
  });

  test('ends where nothing of the list can be played any more', async () => {
    const { status, stderr } = await hear('--loop', files.path('none.wav'));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^vsnd: cannot open .*none\.wav: [^\n]*\n$/);
  });
});

test('--volume makes it softer, in this process', async () => {
  const a = song('a.wav', 0.2);
  const { bytes } = await readAll(a);
  const { status, heard } = await hear('--volume', '-20', a);
  expect(status).toBe(0);
  const samples = new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const softer = new Int16Array(heard.buffer.slice(heard.byteOffset, heard.byteOffset + heard.length));
  expect(softer).toHaveLength(samples.length);
  expect(softer.every((sample, at) => Math.abs(sample - (samples[at] ?? 0) / 10) <= 1)).toBe(true);
});

describe('--quiet', () => {
  test('says nothing of what goes well', async () => {
    expect(await hear('-q', song('a.wav', 0.1))).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  test('but what goes wrong', async () => {
    const { status, stdout, stderr } = await hear('--quiet', files.path('none.wav'), song('a.wav', 0.1));
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^vsnd: cannot open .*none\.wav: [^\n]*\n$/);
  });
});

test.each([
  [['--start', 'x'], "--start is 'x'; allowed: seconds, as in 90 or 1.5, or 1:30, or 1:02:03"],
  [['--start', '1:60'], "--start is '1:60'; allowed: seconds, as in 90 or 1.5, or 1:30, or 1:02:03"],
  [['--start', '-1'], "--start is '-1'; allowed: seconds, as in 90 or 1.5, or 1:30, or 1:02:03"],
  [['--duration', '0'], "--duration is '0'; allowed: more than 0 s"],
  [['--loop=0'], "--loop is '0'; allowed: 1, 2, 3, ...; or no number, for ever"],
  [['--loop', '-'], "'-', standard input, comes once: not with --loop"],
  [['--volume', 'loud'], "--volume is 'loud'; allowed: -1000 to 1000 dB"],
  [['--buffer', '5'], "--buffer is '5'; allowed: 10 to 10000 ms"],
])('%j: wrong usage', async (args, message) => {
  expect(await vsnd(['play', '--emulate', ...args, 'a.wav'])).toEqual({
    status: 2,
    stdout: '',
    stderr: `vsnd: ${message}; see vsnd play --help\n`,
  });
});

describe('a playlist', () => {
  test.each([
    ['list.m3u', (names: string[]) => `#EXTM3U\r\n#EXTINF:1,A song\r\n${names.join('\r\n')}\r\n`],
    ['list.m3u8', (names: string[]) => `\ufeff${names.join('\n')}`],
    [
      'list.pls',
      (names: string[]) =>
        `[playlist]\nFile2=${names[1]}\nFile1=${names[0]}\nTitle1=x\nNumberOfEntries=2\nVersion=2\n`,
    ],
  ])('%s: what it names, seen from where it is', async (name, text) => {
    const [a, b] = [song('a.wav', 0.1), song('b.wav', 0.2)];
    const list = files.put(name, Buffer.from(text(['a.wav', b])));
    const { status, stderr, heard } = await hear(list);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(heard.equals(Buffer.concat([await part(a, 0, 1), await part(b, 0, 1)]))).toBe(true);
  });

  test('within a playlist, and between files', async () => {
    const [a, b, c] = [song('a.wav', 0.1), song('b.wav', 0.2), song('c.wav', 0.1)];
    files.put('inner.pls', Buffer.from('[playlist]\nFile1=b.wav\n'));
    const outer = files.put('outer.m3u', Buffer.from('inner.pls\n'));
    const { status, stdout, heard } = await hear(a, outer, c);
    expect(status).toBe(0);
    const all = [await part(a, 0, 1), await part(b, 0, 1), await part(c, 0, 1)];
    expect(heard.equals(Buffer.concat(all))).toBe(true);
    expect(stdout.match(/^played .* of .*[abc]\.wav/gm)).toHaveLength(3);
  });

  test('that names itself, directly or not, is told, and the rest is played', async () => {
    const a = song('a.wav', 0.1);
    const itself = files.put('itself.m3u', Buffer.from('itself.m3u\na.wav\n'));
    files.put('back.m3u', Buffer.from('forth.m3u\n'));
    const forth = files.put('forth.m3u', Buffer.from('back.m3u\n'));
    const { status, stderr, heard } = await hear(itself, forth);
    expect(status).toBe(1);
    expect(stderr).toBe(
      `vsnd: the playlist ${itself} names itself\nvsnd: the playlist ${forth} names itself\n`,
    );
    expect(heard.equals(await part(a, 0, 1))).toBe(true);
  });

  test.each([
    ['empty.m3u', '', 'is a playlist that names nothing'],
    ['none.pls', '[playlist]\nNumberOfEntries=0\n', 'is a playlist that names nothing'],
    ['noise.m3u', '\0\x01\0', 'is no playlist: it has bytes that are no text'],
    [
      'hls.m3u8',
      '#EXTM3U\n#EXT-X-VERSION:3\nseg.ts\n',
      `is HLS, for which vsnd has no decoder; ffmpeg has: ffmpeg -i FILE -f wav - | vsnd play -`,
    ],
  ])('%s: one line', async (name, text, message) => {
    const list = files.put(name, Buffer.from(text));
    const { status, stderr } = await hear(list);
    expect({ status, stderr: stderr.replaceAll(list, 'FILE') }).toEqual({
      status: 1,
      stderr: `vsnd: FILE ${message}\n`,
    });
  });
});

test.each([
  ['song.m4a', '\0\0\0\x20ftypM4A ', 'MPEG-4 audio (M4A)'],
  ['song.aac', '\xff\xf1\x50\x80\x02\x1f\xfc'.padEnd(16, '\0').repeat(2), 'AAC'],
  ['song.wma', '\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9', 'Windows Media audio (WMA)'],
  ["it's a song.webm", '\x1a\x45\xdf\xa3', 'Matroska or WebM'],
])('%s is refused with the line that plays it', async (name, head, kind) => {
  const path = files.put(name, Buffer.from(head.padEnd(200, '\0'), 'latin1'));
  const word = /^[\w/.-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
  expect(await hear(path)).toMatchObject({
    status: 1,
    stderr: `vsnd: ${path} is ${kind}, for which vsnd has no decoder; ffmpeg has: ffmpeg -i ${word} -f wav - | vsnd play -\n`,
  });
});

test('an address of another kind is refused', async () => {
  const { status, stderr } = await hear('rtsp://example.org/radio');
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: 'vsnd: cannot play rtsp://example.org/radio; allowed: files, http://..., https://...\n',
  });
});

test('a sink that fails says why', async () => {
  const args = ['play', '--emulate', '--sink', 'exec:echo broken >&2; exit 3', song('a.wav', 0.5)];
  const { status, stderr } = await vsnd(args);
  expect(status).toBe(1);
  expect(stderr).toMatch(/: exec:echo broken >&2; exit 3 ended with status 3: broken\n$/);
});
