import { existsSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import type { PcmFormatName } from '../../src/wire/pcm-format.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { HIDE_CURSOR, hasScript, onTerminal, SHOW_CURSOR } from './on-terminal.ts';
import { type Ended, MAIN, makeWav, Running, start, vsnd } from './run.ts';

const files = useDirectory();
const emulate = ['record', '--emulate'];
const out = () => files.path('out.wav');
const hasXen = ['/dev/xen/xenbus', '/proc/xen/xenbus'].some((path) => existsSync(path));

/** Processes of this file's tests, and no others, find each other. */
const env = () => ({ VSND_CONTROL_DIR: files.path('control') });

/** A sound, for as long as it takes, from its beginning. */
function repeated(bytes: Buffer, length: number): Buffer {
  return Buffer.concat(new Array<Buffer>(Math.ceil(length / bytes.length)).fill(bytes)).subarray(0, length);
}

/** What has been recorded is so many frames of what a WAV file holds, again and again. */
async function expectRecordingOf(song: string, frames: number): Promise<void> {
  const source = await readAll(song);
  const bytes = repeated(source.bytes, (frames * source.bytes.length) / source.frames);
  const recorded = await readAll(out());
  expect(recorded.bytes.equals(bytes), 'the same bytes').toBe(true);
  expect({ ...recorded, bytes: 0 }).toEqual({ ...source, frames, bytes: 0 });
}

/** The sizes in the file's header are those of the file. */
function expectRightSizes(path = out()): void {
  const whole = readFileSync(path);
  expect(whole.readUInt32LE(4)).toBe(whole.length - 8);
}

describe('what is recorded is what the card captures', () => {
  test('is told of in JSON', async () => {
    const args = [...emulate, '--source', 'silence', '-d', '0.1', '-r', '8000', '-c', '1', '--json', out()];
    const { status, stdout, stderr } = await vsnd(args, env());
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      file: out(),
      ...{ frames: 800, format: 's16_le', rate: 8000, channels: 1, overruns: 0, lost: 0, source: 'silence' },
      positionReports: expect.any(Number),
    });
  });

  test.each<[PcmFormatName, number, number]>([
    ['u8', 8000, 1],
    ['s16_le', 44_100, 2],
    ['s24_le', 96_000, 2],
    ['float_le', 48_000, 6],
    ['float64_le', 192_000, 2],
  ])(
    'bit for bit, in the one format that the card has: %s, %i Hz, %i channels',
    async (format, rate, channels) => {
      const song = makeWav(files.path('song.wav'), { format, rate, channels, seconds: 0.13 });
      const args = [...emulate, '--source', `wav:${song}`, '-d', '0.3', out()];
      const { status, stdout, stderr } = await vsnd(args, env());
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const frames = Math.round(rate * 0.3);
      await expectRecordingOf(song, frames);
      expectRightSizes();
      const sound = `${format}, ${rate} Hz, ${channels} ${channels === 1 ? 'channel' : 'channels'}`;
      expect(stdout).toContain(`recording ${out()}: ${sound}, 0:00.3\n`);
      expect(stdout).toMatch(/^on card 0 of .* emulated Xen machine, source .*song\.wav/m);
      expect(stdout).toContain(`recorded ${frames} frames (0:00.3) into ${out()}: ${sound}\n`);
      expect(stdout).toMatch(/^positions reported by the backend: [1-9]\d*$/m);
      expect(stdout).toMatch(/^overruns: 0$/m);
    },
  );

  test('s16_le, 48 kHz, stereo, where nothing is said', async () => {
    expect(await vsnd([...emulate, '-d', '0.1', out()], env())).toMatchObject({ status: 0, stderr: '' });
    expect(await readAll(out())).toMatchObject({ format: 's16_le', rate: 48_000, channels: 2, frames: 4800 });
  });

  test("what is said, in arecord's words", async () => {
    const args = ['--source', 'sine:440', '-f', 'S24_LE', '-r', '96000', '-c', '1', '-d', '0.05'];
    expect(await vsnd([...emulate, ...args, out()], env())).toMatchObject({ status: 0, stderr: '' });
    expect(await readAll(out())).toMatchObject({ format: 's24_le', rate: 96_000, channels: 1, frames: 4800 });
  });

  test('at the volume that was asked for', async () => {
    const peak = async (...args: string[]) => {
      expect(await vsnd([...emulate, '-d', '0.2', ...args, out()], env())).toMatchObject({ status: 0 });
      const { bytes } = await readAll(out());
      return Math.max(...new Int16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2));
    };
    const full = await peak();
    expect((await peak('--volume', '-20')) / full).toBeCloseTo(0.1, 2);
    expect(await peak('--volume=-144')).toBeLessThan(2);
    expect((await peak('--volume', '-20', '--software-volume')) / full).toBeCloseTo(0.1, 2);
  });

  test('VSND_EMULATE=1 is --emulate', async () => {
    const ended = await vsnd(['record', '-d', '0.1', out()], { ...env(), VSND_EMULATE: '1' });
    expect(ended).toMatchObject({ status: 0, stderr: '' });
  });
});

describe('to standard output', () => {
  /** Runs it, and gives what it has written as bytes. */
  async function piped(args: string[]): Promise<Ended & { bytes: Buffer }> {
    const running = start([...emulate, ...args], env());
    const bytes = running.child.stdout ? await buffer(running.child.stdout) : Buffer.alloc(0);
    return { ...(await running.ended()), bytes };
  }

  test('goes the sound, to standard error the rest', async () => {
    const song = makeWav(files.path('song.wav'), { seconds: 0.13 });
    const { status, stderr, bytes } = await piped(['--source', `wav:${song}`, '-d', '0.3', '-']);
    expect(status).toBe(0);
    files.put('out.wav', bytes);
    await expectRecordingOf(song, 14_400);
    expect(stderr).toMatch(/^recording standard output: s16_le, 48000 Hz, 2 channels, 0:00\.3\n/);
    expect(stderr).toMatch(/^recorded 14400 frames \(0:00\.3\) into standard output: /m);
  });

  test('a reader that has had enough ends it well', async () => {
    const running = start([...emulate, '-'], env());
    running.child.stdout?.once('data', () => running.child.stdout?.destroy());
    const { status, stderr } = await running.ended();
    expect(status).toBe(0);
    expect(stderr).toMatch(/^recorded \d+ frames .* into standard output: /m);
    expect(stderr).not.toMatch(/^vsnd:/m);
  });

  test('a full disk: one message', async () => {
    const command = `exec '${process.execPath}' '${MAIN}' record --emulate - > /dev/full`;
    const { status, stderr } = await new Running('sh', ['-c', command], env()).ended();
    expect(status).toBe(1);
    expect(stderr.match(/^vsnd: .*$/gm)).toEqual([
      'vsnd: cannot write to standard output: no space left on device (ENOSPC)',
    ]);
  });

  test('that is read too slowly frames are lost, counted, and recording goes on', async () => {
    const running = start([...emulate, '-f', 'float64_le', '-r', '192000', '-c', '8', '-'], env());
    running.child.stdout?.pause();
    let said = '';
    await new Promise<void>((resolve) => {
      running.child.stderr?.on('data', (text: Buffer) => {
        said += text;
        if ((said.match(/up to frame/g) ?? []).length >= 2) resolve();
      });
    });
    running.child.stdout?.resume();
    running.child.kill('SIGINT');
    const { status, stderr } = await running.ended();
    expect(status).toBe(130);
    const lost = [...stderr.matchAll(/^vsnd: overrun: (\d+) frames were lost, up to frame \d+$/gm)].map(
      ([, frames]) => Number(frames),
    );
    const total = lost.reduce((sum, frames) => sum + frames, 0);
    expect(stderr).toContain(`\noverruns: ${lost.length}, ${total} frames lost\n`);
  });

  test.skipIf(!hasScript)('not to a terminal (skipped without util-linux script)', async () => {
    const { status, stdout } = await onTerminal([...emulate, '--source', 'sine', '-'], env()).ended();
    expect(status).toBe(2);
    expect(stdout).toBe(
      'vsnd: - is standard output, which is a terminal; allowed: a file, a pipe; see vsnd record --help\r\n',
    );
  });
});

describe('stopping', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s: status %i, and a WAV file with the right sizes', async (signal, status) => {
    const song = makeWav(files.path('song.wav'), { seconds: 0.13 });
    const running = start([...emulate, '--source', `wav:${song}`, out()], env());
    await running.said('buffer');
    const began = performance.now();
    running.child.kill(signal);
    running.child.kill(signal);
    const ended = await running.ended();
    expect(performance.now() - began).toBeLessThan(3000);
    expect(ended).toMatchObject({ status, stderr: '' });
    const frames = Number(/^recorded (\d+) frames/m.exec(ended.stdout)?.[1]);
    expect(frames).toBeGreaterThan(40_000);
    expectRightSizes();
    await expectRecordingOf(song, frames);
  });

  test('while it is paused', async () => {
    const running = start([...emulate, out()], env());
    await running.said('buffer');
    const socket = connect(files.path(`control/emulated-${running.child.pid}.sock`));
    socket.end('{"id":1,"method":"trigger","params":{"trigger":"pause"}}\n');
    expect((await buffer(socket)).toString()).toMatch(/^\{"id":1,"result":\[/);
    running.child.kill('SIGTERM');
    expect(await running.ended()).toMatchObject({ status: 143, stderr: '' });
    expectRightSizes();
  });

  test('a full disk: what there was room for, with the right sizes', async () => {
    const command = `ulimit -f 100; exec '${process.execPath}' '${MAIN}' record --emulate '${out()}'`;
    const { status, stdout, stderr } = await new Running('sh', ['-c', command], env()).ended();
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `vsnd: cannot write ${out()}: file too large (EFBIG)\n`,
    });
    expectRightSizes();
    expect(statSync(out()).size).toBeGreaterThan(60 * 512);
    const { frames } = await readAll(out());
    expect(stdout).toContain(`recorded ${frames} frames `);
  });
});

describe('what cannot be recorded', () => {
  test.each<[string, string[], RegExp]>([
    ['nowhere', [], /^vsnd: FILE\.wav is missing \(- is standard output\); see vsnd record --help\n$/],
    ['two files', ['a.wav', 'b.wav'], /^vsnd: unexpected argument 'b\.wav'; see /],
    ['for no time', ['-d', '0', 'a.wav'], /^vsnd: --duration is '0'; allowed: 0\.001 to 1000000 s; see /],
    ['for an odd time', ['-d', '1m', 'a.wav'], /^vsnd: --duration is '1m'; allowed: /],
    ['an odd rate', ['-r', '44.1k', 'a.wav'], /^vsnd: --rate is '44\.1k'; allowed: 0, 1, 2, \.\.\.; see /],
    ['an odd format', ['-f', 's16_be', 'a.wav'], /^vsnd: --format is 's16_be'; allowed: u8, s16_le, /],
    [
      'an odd volume',
      ['--volume', '-6dB', 'a.wav'],
      /^vsnd: --volume is '-6dB'; allowed: -1000 to 1000 dB; /,
    ],
    ['an odd card', ['--card', '-1', 'a.wav'], /^vsnd: --card is '-1'; allowed: 0, 1, 2/],
    [
      'from nowhere',
      ['--source', 'noise', 'a.wav'],
      /^vsnd: --source is 'noise'; allowed: silence, sine, sine:HZ, wav:FILE \(not -\), exec:COMMAND, alsa, .*; see/,
    ],
    [
      'from a program without a name',
      ['--source', 'exec: ', 'a.wav'],
      /^vsnd: --source is 'exec: '; allowed: silence, /,
    ],
  ])('%s: wrong usage', async (_, args, message) => {
    const { status, stdout, stderr } = await vsnd([...emulate, ...args], env());
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^vsnd: [^\n]*\n$/);
  });

  test("--source is the emulated card's", async () => {
    const { status, stderr } = await vsnd(['record', '--source', 'sine', 'a.wav'], env());
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: 'vsnd: --source needs --emulate; see vsnd record --help\n',
    });
  });

  test.each<[string, string[], RegExp]>([
    [
      'at a rate that the card has not',
      ['-r', '12345'],
      /^vsnd: rate is 12345; allowed: .*48000.* \(Hz\)\n$/,
    ],
    ['with more channels than it has', ['-c', '100'], /^vsnd: channels is 100; allowed: 1 to 8\n$/],
    ['from another card', ['--card', '7'], /^vsnd: this guest has no sound card 7; it has 0\n$/],
    ['from another device', ['--device', '7'], /^vsnd: device is 7; allowed: 0\n$/],
    ['from a file that is not there', ['--source', 'wav:/none.wav'], /^vsnd: .*\/none\.wav.*ENOENT/],
  ])('%s: the file that is there stays as it is', async (_, args, message) => {
    files.put('out.wav', Buffer.from('precious'));
    const { status, stdout, stderr } = await vsnd([...emulate, ...args, out()], env());
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^vsnd: [^\n]*\n$/);
    expect(readFileSync(out(), 'utf8')).toBe('precious');
  });

  test('over its own source', async () => {
    const song = makeWav(files.path('song.wav'));
    const before = readFileSync(song);
    const args = ['--source', `wav:${files.path('./song.wav')}`, song];
    const { status, stderr } = await vsnd([...emulate, ...args], env());
    expect(status).toBe(2);
    expect(stderr).toContain('the file to be written; allowed: another one');
    expect(readFileSync(song)).toEqual(before);
  });

  test.each([
    ['a directory', () => files.path('.'), 'it is a directory'],
    ['a file in no directory', () => files.path('none/x.wav'), 'no such file or directory (ENOENT)'],
  ])('into %s', async (_, path, reason) => {
    const { status, stdout, stderr } = await vsnd([...emulate, path()], env());
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: '',
      stderr: `vsnd: cannot create ${path()}: ${reason}\n`,
    });
  });

  test.skipIf(hasXen)('without Xen: one clear sentence (skipped on Xen)', async () => {
    const { status, stdout, stderr } = await vsnd(['record', out()], env());
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^vsnd: [^\n]*Xen[^\n]*\n$/);
    expect(existsSync(out())).toBe(false);
  });
});

describe.skipIf(!hasScript)('on a terminal (skipped without util-linux script)', () => {
  test('one live line with a meter, and a cursor at the end', async () => {
    const { status, stdout } = await onTerminal(
      [...emulate, '--source', 'sine', '-d', '1', out()],
      env(),
    ).ended();
    expect(status).toBe(0);
    const painted = stdout.split('\r\x1b[K').slice(1, -1);
    expect(painted.length).toBeGreaterThan(5);
    expect(painted.at(-1)).toMatch(
      /0:0[01] \/ 0:01 .*━.*buffer +\d+% {2}latency +\d+ ms {2}.*overruns \d+.* L .*█.* R .*█/,
    );
    expect(stdout.split(HIDE_CURSOR).length).toBe(2);
    expect(stdout.slice(stdout.lastIndexOf(SHOW_CURSOR))).toContain('recorded 48000 frames (0:01.0)');
  });

  test('Ctrl-C, twice, with no end in sight: status 130, and the cursor is back', async () => {
    const running = onTerminal([...emulate, '--source', 'sine', out()], env());
    await running.said('buffer');
    running.child.stdin?.write('\x03\x03');
    const { status, stdout } = await running.ended();
    expect(status).toBe(130);
    expect(stdout.split('\r\x1b[K').some((line) => /^0:0\d {2}buffer/.test(line))).toBe(true);
    expect(stdout.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(stdout.lastIndexOf(HIDE_CURSOR));
    expectRightSizes();
  });
});
