import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { WavWriter } from '../../src/wav/writer.ts';
import { type PcmFormatName, pcmFormat } from '../../src/wire/pcm-format.ts';
import { fixture } from '../audio/contents.ts';
import { SIGNALS, wavOf } from '../audio/recordings.js';
import { readAll, useDirectory } from '../wav/files.ts';
import { hasScript, onTerminal, SHOW_CURSOR, uncolored } from './on-terminal.ts';
import { makeWav, start, vsnd } from './run.ts';

const files = useDirectory();
const emulate = ['play', '--emulate'];

/** Plays on the emulated card, and gives what it heard. */
async function hear(...args: string[]) {
  const heard = files.path('heard.wav');
  const ended = await vsnd([...emulate, '--fast', '--sink', `wav:${heard}`, ...args]);
  return { ...ended, heard: existsSync(heard) ? await readAll(heard) : undefined };
}

/** A WAV file cut into pieces, the first so many frames of each. */
async function cut(path: string, ...lengths: number[]): Promise<string[]> {
  const { bytes, format, rate, channels } = await readAll(path);
  const frameBytes = (pcmFormat(format).sampleBytes ?? 1) * channels;
  let start = 0;
  return [...lengths, bytes.length].map((length, index) => {
    const piece = files.path(`piece-${index}.wav`);
    const writer = new WavWriter(piece, { format, rate, channels });
    writer.write(bytes.subarray(start, start + length * frameBytes));
    writer.close();
    start += length * frameBytes;
    return piece;
  });
}

describe('several files are one sound', () => {
  test.each<[PcmFormatName, number, number]>([
    ['s16_le', 44_100, 2],
    ['s24_le', 48_000, 6],
    ['u8', 8000, 1],
  ])('%s, %i Hz, %i channels: pieces of a file are the file, bit for bit', async (format, rate, channels) => {
    const song = makeWav(files.path('song.wav'), { format, rate, channels, seconds: 0.7 });
    const { bytes, frames } = await readAll(song);
    const { status, stderr, stdout, heard } = await hear(...(await cut(song, 1, 1999, 17, 600)));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(heard?.bytes.equals(bytes)).toBe(true);
    expect(heard?.frames).toBe(frames);
    expect(existsSync(files.path('heard-2.wav'))).toBe(false);
    expect(stdout.match(/^playing .*piece-\d\.wav/gm)).toHaveLength(5);
    expect(stdout).toMatch(/^played 1999 frames \(0:00\.\d\) of .*piece-1\.wav/m);
  });

  test('resampled too: as if it had never been cut', async () => {
    const song = makeWav(files.path('song.wav'), { rate: 37_800, seconds: 0.6 });
    const whole = (await hear(song)).heard;
    const { status, stdout, heard } = await hear(...(await cut(song, 5000, 4321, 3)));
    expect(status).toBe(0);
    expect(stdout).toContain(': s16_le, 37800 Hz, 2 channels, 0:00.1, as s16_le, 44100 Hz, 2 channels\n');
    expect(heard?.frames).toBe(Math.round((0.6 * 37_800 * 44_100) / 37_800));
    expect(heard?.frames).toBe(whole?.frames);
    // Pieces meet the filter in other blocks: what it calculates may differ in its last bit, and the dither with it.
    const difference = heard?.bytes.map((byte, n) => Math.abs(byte - (whole?.bytes[n] ?? 0)));
    expect(difference?.filter((steps) => steps > 1 && steps < 255)).toHaveLength(0);
  });

  test('FLAC, and WAV that is like it', async () => {
    const wav = files.put('noise.wav', wavOf(SIGNALS.noise16));
    const { bytes } = await readAll(wav);
    const flac = fixture('noise16.flac');
    const { status, stderr, heard } = await hear(flac, wav, flac, fixture('noise16.oga'));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(heard?.bytes.equals(Buffer.concat([bytes, bytes, bytes, bytes]))).toBe(true);
  });

  test('what the card plays otherwise has a stream of its own, after the last frame of the one before', async () => {
    const one = makeWav(files.path('one.wav'), { rate: 44_100, seconds: 0.3 });
    const other = makeWav(files.path('other.wav'), { format: 's24_le', channels: 1, seconds: 0.2 });
    const { status, heard } = await hear(one, other);
    expect(status).toBe(0);
    expect(heard).toEqual(await readAll(one));
    expect(await readAll(files.path('heard-2.wav'))).toEqual(await readAll(other));
  });

  test('one that cannot be played: a complaint, the others, and status 1', async () => {
    const song = makeWav(files.path('song.wav'), { seconds: 0.1 });
    const empty = makeWav(files.path('empty.wav'), { seconds: 0 });
    const text = files.put('text.txt', Buffer.from('Hello, world!'));
    const { status, stderr, heard } = await hear(files.path('none.wav'), song, text, empty, song);
    expect(status).toBe(1);
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^vsnd: cannot open .*none\.wav: no such file or directory \(ENOENT\)$/),
      expect.stringMatching(/^vsnd: .*text\.txt is no recording of a known kind/),
      `vsnd: nothing to play: ${empty} holds no frames`,
      '',
    ]);
    const { bytes } = await readAll(song);
    expect(heard?.bytes.equals(Buffer.concat([bytes, bytes]))).toBe(true);
  });
});

test('"holds no frames" where bytes follow the header: status 1, of a file and of standard input', async () => {
  const fake = files.put(
    'x.flac',
    Buffer.concat([readFileSync(fixture('noise16.flac')).subarray(0, 130), Buffer.alloc(3000, 7)]),
  );
  const piped = start(['play', '--emulate', '--fast', '--sink', 'null', '-']);
  piped.child.stdin?.end(readFileSync(fake));
  for (const { status, stderr } of [await vsnd(['play', '--emulate', '--fast', fake]), await piped.ended()]) {
    expect(status).toBe(1);
    expect(stderr).toContain('holds no frames: what follows its header is no sound');
  }
});

describe('standard input', () => {
  /** Plays what it is given there. */
  async function pipe(bytes: Uint8Array, ...args: string[]) {
    const heard = files.path('heard.wav');
    const running = start([...emulate, '--fast', '--sink', `wav:${heard}`, ...args]);
    running.child.stdin?.end(bytes);
    return { ...(await running.ended()), heard: await readAll(heard) };
  }

  test('a WAV file', async () => {
    const song = makeWav(files.path('song.wav'));
    const { status, stderr, stdout, heard } = await pipe(readFileSync(song), '-');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(heard).toEqual(await readAll(song));
    expect(stdout).toMatch(/^played 24000 frames \(0:00\.5\) of standard input: /m);
  });

  test.each<[args: string[], expected: { format: PcmFormatName; rate: number; channels: number }]>([
    [['-f', 'cd'], { format: 's16_le', rate: 44_100, channels: 2 }],
    [['-f', 'dat', '-c', '1'], { format: 's16_le', rate: 48_000, channels: 1 }],
    [['-f', 'S24_LE', '-r', '96000', '-c', '1'], { format: 's24_le', rate: 96_000, channels: 1 }],
    [['--format', 'FLOAT_LE'], { format: 'float_le', rate: 48_000, channels: 2 }],
    [['-f', 'mu_law', '-r8000', '-c1'], { format: 'mu_law', rate: 8000, channels: 1 }],
  ])('raw PCM, %j', async (args, expected) => {
    const bytes = Uint8Array.from({ length: 16_000 }, (_, n) => (n % 4 === 3 ? 0 : n * 7));
    const { status, stderr, heard } = await pipe(bytes, ...args, '-');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(heard).toMatchObject(expected);
    expect(heard.bytes.length).toBe(bytes.length);
  });

  test('that goes on without an end: Ctrl-C ends it', async () => {
    const running = start([...emulate, '--sink', 'null', '-f', 'cd', '-']);
    running.child.stdin?.on('error', () => {}); // it ends before what is written to it
    running.child.stdin?.write(new Uint8Array(400_000));
    await running.said('buffer');
    running.child.kill('SIGINT');
    expect(await running.ended()).toMatchObject({ status: 130, stderr: '' });
  });
});

describe('for a program', () => {
  test('--json: what was played, and nothing else', async () => {
    const song = makeWav(files.path('song.wav'), { rate: 37_800, seconds: 0.2 });
    const { status, stdout } = await vsnd([
      ...emulate,
      '--fast',
      '--sink',
      'null',
      '--json',
      song,
      '/none.wav',
    ]);
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      files: [
        {
          file: song,
          kind: 'WAV',
          format: 's16_le',
          rate: 37_800,
          channels: 2,
          frames: 7560,
          playedAs: { format: 's16_le', rate: 44_100, channels: 2 },
          playedFrames: 8820,
        },
        {
          file: '/none.wav',
          playedFrames: 0,
          error: 'cannot open /none.wav: no such file or directory (ENOENT)',
        },
      ],
      frames: 8820,
      positionReports: expect.any(Number),
      underruns: null,
      estimatedUnderruns: null,
      sink: 'null: a clock that keeps nothing',
    });
  });

  test.each([
    [['-f', 's17', 'x.raw'], /--format is 's17'; allowed: cd, cdr, dat, s8, .*a_law; see vsnd play --help/],
    [['-r', '8000', 'x.wav'], /--rate needs --format/],
    [['-c', '1', 'x.wav'], /--channels needs --format/],
    [['-f', 'cd', '-r', 'x', 'x.wav'], /--rate is 'x'; allowed: 1 to 768000 Hz/],
    [['-f', 'cd', '-c', '1.5', 'x.wav'], /--channels is '1\.5'; allowed: whole numbers/],
    [['-f', 'cd'], /--format needs FILE/],
    [['-', '-'], /'-', standard input, is there once/],
  ])('wrong usage: %j', async (args, message) => {
    const { status, stdout, stderr } = await vsnd([...emulate, ...args]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^vsnd: [^\n]*\n$/);
  });
});

const LEFT = '\x1b[D';
const RIGHT = '\x1b[C';
const UP = '\x1b[A';
const DOWN = '\x1b[B';

describe.skipIf(!hasScript)('keys (skipped without util-linux script)', () => {
  test('pause, volume, mute, seek, the next file, quit', async () => {
    const one = makeWav(files.path('one.wav'), { seconds: 60 });
    const two = makeWav(files.path('two.wav'), { seconds: 60 });
    const running = onTerminal([...emulate, '--sink', 'null', one, two]);
    const type = (keys: string) => running.child.stdin?.write(keys);
    await running.said('file 1/2');
    type(' ');
    await running.said('paused');
    type(`${DOWN}${DOWN}-`);
    await running.said('volume -6 dB');
    type(`${UP}+=m`);
    await running.said('muted');
    type(RIGHT + RIGHT);
    await running.said('0:20 / ');
    type(LEFT);
    await running.said('0:10 / ');
    type(' n');
    await running.said(`playing ${two}`);
    await running.said('file 2/2');
    type('?');
    await running.said('10 seconds back');
    type('p');
    await running.said(`playing ${one}`);
    type('q');
    const { status, stdout } = await running.ended();
    expect(status).toBe(0);
    expect(stdout.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(stdout.lastIndexOf('buffer'));
    expect(uncolored(stdout)).toMatch(/played \d+ of 2880000 frames .*one\.wav/);
  });

  test('n at the last file ends', async () => {
    const running = onTerminal([
      ...emulate,
      '--sink',
      'null',
      makeWav(files.path('one.wav'), { seconds: 60 }),
    ]);
    await running.said('buffer');
    running.child.stdin?.write('n');
    expect(await running.ended()).toMatchObject({ status: 0 });
  });

  test.each([
    ['q', 0],
    ['\x03', 130],
  ])('after %j the terminal is as it was', async (key, status) => {
    const modes = spawnSync('script', ['-qec', 'stty -g', '/dev/null']).stdout.toString().trim();
    const song = makeWav(files.path('song.wav'), { seconds: 60 });
    const running = onTerminal([...emulate, '--sink', 'null', song], {}, 'stty -g');
    await running.said('buffer');
    running.child.stdin?.write(key);
    const ended = await running.ended();
    expect(ended.stdout).toContain(modes);
    expect(ended.stdout).toContain(`status ${status}`);
  });
});
