import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, truncateSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { PcmFormatName } from '../../src/wire/pcm-format.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { MAIN, makeWav, Running, start, vsnd } from './run.ts';

const files = useDirectory();
const emulate = ['play', '--emulate'];

async function expectSameSound(heard: string, song: string): Promise<void> {
  const { bytes, ...fields } = await readAll(heard);
  const { bytes: expected, ...expectedFields } = await readAll(song);
  expect(fields).toEqual(expectedFields);
  expect(bytes.equals(expected), 'the same bytes').toBe(true);
}
const hasXen = ['/dev/xen/xenbus', '/proc/xen/xenbus'].some((path) => existsSync(path));
const hasSpeaker = existsSync(new URL('../../node_modules/speaker', import.meta.url));
const hasScript = spawnSync('script', ['--version']).stdout?.includes('util-linux') ?? false;

/** Anything that moves a cursor, colours, or overwrites. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that must not appear
const CONTROL_CODES = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/;

describe('what the emulated card heard is what the file holds', () => {
  test.each<[PcmFormatName, number, number]>([
    ['u8', 8000, 1],
    ['s16_le', 44_100, 2],
    ['s24_le', 96_000, 2],
    ['s32_le', 192_000, 2],
    ['float_le', 48_000, 6],
    ['float64_le', 48_000, 8],
  ])('%s, %i Hz, %i channels', async (format, rate, channels) => {
    const song = makeWav(files.path('song.wav'), { format, rate, channels, seconds: 0.13 });
    const heard = files.path('heard.wav');
    const { status, stdout, stderr } = await vsnd([...emulate, '--fast', '--sink', `wav:${heard}`, song]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    await expectSameSound(heard, song);
    const frames = Math.round(rate * 0.13);
    const plural = channels === 1 ? 'channel' : 'channels';
    expect(stdout).toContain(`playing ${song}: ${format}, ${rate} Hz, ${channels} ${plural}, 0:00.1\n`);
    expect(stdout).toContain(`played ${frames} frames (0:00.1) of ${song}: ${format}, ${rate} Hz`);
    expect(stdout).toMatch(/^positions reported by the backend: [1-9]\d*$/m);
    expect(stdout).toMatch(/^underruns: not counted \(unpaced\)$/m);
    expect(stdout).toMatch(new RegExp(`^result: WAV file ${heard}$`, 'm'));
  });

  test('at the pace of a real card', async () => {
    const song = makeWav(files.path('song.wav'), { seconds: 1.5 });
    const heard = files.path('heard.wav');
    const began = performance.now();
    const { status, stdout } = await vsnd([...emulate, '--sink', `wav:${heard}`, song]);
    expect(performance.now() - began).toBeGreaterThan(1500);
    expect(status).toBe(0);
    await expectSameSound(heard, song);
    const status1 = /^0:0[01]\.\d \/ 0:01\.5 {2}buffer +\d+% {2}latency +\d+ ms {2}underruns \d+$/m;
    expect(stdout).toMatch(status1);
    expect(stdout).toMatch(/^underruns: \d+$/m);
  });
});

describe('without a terminal', () => {
  test('the sound that comes with vsnd, into the null clock, without control codes', async () => {
    const { status, stdout, stderr } = await vsnd([...emulate, '--fast', '--sink', 'null']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).not.toMatch(CONTROL_CODES);
    expect(stdout).toContain('playing examples/hello.wav: s16_le, 44100 Hz, 1 channel, 0:05.2\n');
    expect(stdout).toContain('played 229320 frames (0:05.2) of examples/hello.wav');
    expect(stdout).toContain('result: null clock: nothing was kept');
  });

  test('VSND_EMULATE=1 is --emulate', async () => {
    const song = makeWav(files.path('song.wav'));
    const args = ['play', '--fast', '--sink', 'null', song];
    expect(await start(args, { VSND_EMULATE: '1' }).ended()).toMatchObject({ status: 0, stderr: '' });
  });

  test('a reader that goes away changes nothing', async () => {
    const heard = files.path('heard.wav');
    const song = makeWav(files.path('song.wav'), { seconds: 1.2 });
    const running = start([...emulate, '--sink', `wav:${heard}`, song]);
    await running.said('playing ');
    running.child.stdout?.destroy();
    expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
    await expectSameSound(heard, song);
  });
});

describe('imperfect files', () => {
  test('a truncated file: a warning, and what is there', async () => {
    const song = makeWav(files.path('song.wav'));
    const whole = await readAll(song);
    truncateSync(song, 20_003);
    const cut = await readAll(song);
    const heard = files.path('heard.wav');
    const { status, stderr } = await vsnd([...emulate, '--fast', '--sink', `wav:${heard}`, song]);
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `vsnd: warning: ${song} ends early\n`,
    });
    expect(await readAll(heard)).toEqual({ ...cut, truncated: false });
    expect(cut.bytes).toEqual(whole.bytes.subarray(0, cut.frames * 4));
  });

  test('no frames: a remark', async () => {
    const song = makeWav(files.path('song.wav'), { seconds: 0 });
    expect(await vsnd([...emulate, song])).toEqual({
      status: 0,
      stdout: '',
      stderr: `vsnd: nothing to play: ${song} holds no frames\n`,
    });
  });

  test('one frame', async () => {
    const song = makeWav(files.path('song.wav'), { seconds: 1 / 48_000 });
    const heard = files.path('heard.wav');
    expect(await vsnd([...emulate, '--sink', `wav:${heard}`, song])).toMatchObject({ status: 0 });
    await expectSameSound(heard, song);
  });

  test.each<[string, (path: string) => void, RegExp]>([
    ['missing', () => {}, /^vsnd: cannot open .*song\.wav: no such file or directory \(ENOENT\)\n$/],
    [
      'text',
      () => files.put('song.wav', Buffer.from('Hello!')),
      /song\.wav is no recording of a known kind: it begins with "Hello!"/,
    ],
    ['empty', () => files.put('song.wav', new Uint8Array(0)), /song\.wav is empty; known: /],
    [
      'a rate that is too far from those of the card',
      (path) => makeWav(path, { rate: 10, seconds: 3 }),
      /^vsnd: .*song\.wav: 10 Hz cannot be converted to 8000 Hz: more than a factor of 256\n$/,
    ],
  ])('%s: one line, and status 1', async (_, make, message) => {
    make(files.path('song.wav'));
    const { status, stdout, stderr } = await vsnd([...emulate, '--sink', 'null', files.path('song.wav')]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^vsnd: [^\n]*\n$/);
  });

  test.each([
    ['a card that is not there', ['--card', '7'], /^vsnd: this guest has no sound card 7; it has 0\n$/],
    ['a device that is not there', ['--device', '7'], /^vsnd: device is 7; allowed: 0/],
    [
      'a sink that cannot be written',
      ['--sink', 'wav:/none/x.wav'],
      /^vsnd: cannot write \/none\/x\.wav: .*ENOENT/,
    ],
    [
      'a sink that is no file',
      ['--sink', 'wav:/dev/full'],
      /^vsnd: cannot write \/dev\/full: it is not a regular file\n$/,
    ],
  ])('%s', async (_, args, message) => {
    const song = makeWav(files.path('song.wav'));
    const { status, stderr } = await vsnd([...emulate, '--fast', '--sink', 'null', ...args, song]);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^vsnd: [^\n]*\n$/);
  });

  test.skipIf(hasSpeaker)('without npm speaker: what to install (skipped where it is)', async () => {
    const { status, stdout, stderr } = await vsnd([...emulate, '--sink', 'speaker']);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^vsnd: .*not installed: npm install speaker[^\n]*\n$/);
  });

  test('the sink is never the file to be played', async () => {
    const song = makeWav(files.path('song.wav'));
    const before = readFileSync(song);
    const { status, stderr } = await vsnd([...emulate, '--sink', `wav:${files.path('./song.wav')}`, song]);
    expect({ status, stderr }).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('the file to be played'),
    });
    expect(readFileSync(song)).toEqual(before);
  });

  test.skipIf(hasXen)('without Xen: one clear sentence (skipped on Xen)', async () => {
    const song = makeWav(files.path('song.wav'));
    const { status, stdout, stderr } = await vsnd(['play', song]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^vsnd: [^\n]*Xen[^\n]*\n$/);
  });
});

describe('stopping', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s while playing: status %i, and a WAV file with the right sizes', async (signal, status) => {
    const song = makeWav(files.path('song.wav'), { seconds: 60 });
    const heard = files.path('heard.wav');
    const running = start([...emulate, '--sink', `wav:${heard}`, song]);
    await running.said('buffer');
    const began = performance.now();
    running.child.kill(signal);
    running.child.kill(signal);
    const ended = await running.ended();
    expect(performance.now() - began).toBeLessThan(3000);
    expect(ended).toMatchObject({ status, stderr: '' });
    expect(ended.stdout).toMatch(/^played [1-9]\d* of 2880000 frames \(0:0\d\.\d\) of /m);
    const part = await readAll(heard);
    expect(part.truncated).toBe(false);
    expect(part.frames).toBeGreaterThan(0);
    const { bytes } = await readAll(song);
    expect(part.bytes.equals(bytes.subarray(0, part.bytes.length))).toBe(true);
    const { length } = readFileSync(heard);
    expect(readFileSync(heard).readUInt32LE(4)).toBe(length - 8);
  });
});

describe.skipIf(!hasScript)('on a terminal (skipped without util-linux script)', () => {
  /** `vsnd` below a pseudo-terminal of 100 columns. */
  function onTerminal(args: string[], env: NodeJS.ProcessEnv = {}): Running {
    const command = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ');
    const typed = ['-qec', `stty cols 100; exec ${command}`, '/dev/null'];
    return new Running('script', typed, { TERM: 'xterm', LC_ALL: 'C.UTF-8', ...env });
  }

  const HIDE = '\x1b[?25l';
  const SHOW = '\x1b[?25h';

  test('one live line, and a cursor at the end', async () => {
    const song = makeWav(files.path('song.wav'), { seconds: 1 });
    const { status, stdout } = await onTerminal([...emulate, '--sink', 'null', song]).ended();
    expect(status).toBe(0);
    const painted = stdout.split('\r\x1b[K').slice(1, -1);
    expect(painted.length).toBeGreaterThan(5);
    expect(painted.every((line) => !line.includes('\n'))).toBe(true);
    expect(painted.at(-1)).toMatch(
      /0:0[01] \/ 0:01 .*━.*buffer +\d+% {2}latency +\d+ ms {2}.*underruns \d+.* L .*█.* R /,
    );
    expect(stdout.split(HIDE).length).toBe(2);
    expect(stdout.lastIndexOf(SHOW)).toBeGreaterThan(stdout.lastIndexOf('buffer'));
    expect(stdout.slice(stdout.lastIndexOf(SHOW))).toContain('played 48000 frames (0:01.0)');
  });

  test('NO_COLOR, and a terminal without UTF-8', async () => {
    const song = makeWav(files.path('song.wav'), { seconds: 0.4 });
    const env = { NO_COLOR: '1', LC_ALL: 'C' };
    const { stdout } = await onTerminal([...emulate, '--sink', 'null', song], env).ended();
    expect(stdout).toContain('=');
    expect(stdout).not.toContain('━');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a colour
    expect(stdout).not.toMatch(/\x1b\[\d+m/);
  });

  test('Ctrl-C, twice: status 130, and the cursor is back', async () => {
    const song = makeWav(files.path('song.wav'), { seconds: 60 });
    const running = onTerminal([...emulate, '--sink', 'null', song]);
    await running.said('buffer');
    running.child.stdin?.write('\x03\x03');
    const { status, stdout } = await running.ended();
    expect(status).toBe(130);
    expect(stdout.lastIndexOf(SHOW)).toBeGreaterThan(stdout.lastIndexOf(HIDE));
  });
});
