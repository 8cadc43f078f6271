import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { describe, expect, onTestFinished, test } from 'vitest';
import { VsndError } from '../../src/errors.ts';
import { WavWriter } from '../../src/wav/writer.ts';
import { fakeCard, serve } from '../control/fake-card.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { type Ended, start, vsnd } from './run.ts';

const files = useDirectory();
const env = () => ({ VSND_CONTROL_DIR: files.path('control') });

/** `vsnd volume`, among the processes of this test alone. */
function volume(...args: string[]): Promise<Ended> {
  return vsnd(['volume', ...args], env());
}

/** A card with two streams in use, as card 2. */
async function serveCard() {
  const fake = fakeCard();
  await serve(fake.card, files.path('control/card-2.sock'));
  return fake;
}

describe('of a card that another process owns', () => {
  test('is shown for each stream', async () => {
    await serveCard();
    expect(await volume()).toEqual({
      status: 0,
      stdout: 'playback 0/0: 0: -6 dB, 1: -6.5 dB muted\ncapture 0/1: 0: -6 dB, 1: -6.5 dB muted\n',
      stderr: '',
    });
  });

  test('is shown as JSON', async () => {
    await serveCard();
    const { status, stdout, stderr } = await volume('--json', '--capture', '--card', '2');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual([
      { type: 'capture', device: 0, stream: 1, volume: [-6, -6.5], muted: [false, true] },
    ]);
  });

  test.each<[string[], number[], boolean[]]>([
    [['-3'], [-3, -3], [false, true]],
    [['0'], [0, 0], [false, true]],
    [['2.5'], [2.5, 2.5], [false, true]],
    [
      ['-12.125', '--channel', '1'],
      [-6, -12.125],
      [false, true],
    ],
    [
      ['--up', '3'],
      [-3, -3.5],
      [false, true],
    ],
    [
      ['--down', '3'],
      [-9, -9.5],
      [false, true],
    ],
    [
      ['--down', '0.5', '--channel', '0'],
      [-6.5, -6.5],
      [false, true],
    ],
    [
      ['--channel', '0', '--channel', '1', '--up', '1'],
      [-5, -5.5],
      [false, true],
    ],
    [['mute'], [-6, -6.5], [true, true]],
    [
      ['mute', '--channel', '0'],
      [-6, -6.5],
      [true, true],
    ],
    [['unmute'], [-6, -6.5], [false, false]],
    [
      ['unmute', '--channel', '0'],
      [-6, -6.5],
      [false, true],
    ],
  ])('%j', async (args, expected, muted) => {
    const { playback, capture } = await serveCard();
    const { status, stdout, stderr } = await volume(...args, '--json');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const stream of [playback, capture]) {
      expect({ volume: stream.volume, muted: stream.muted }).toEqual({ volume: expected, muted });
    }
    expect(JSON.parse(stdout)).toMatchObject([
      { type: 'playback', volume: expected, muted },
      { type: 'capture', volume: expected, muted },
    ]);
  });

  test.each<[string[], boolean, boolean]>([
    [['--playback'], true, false],
    [['--capture'], false, true],
    [['--stream', '0'], true, false],
    [['--stream', '1'], false, true],
    [['--device', '0'], true, true],
    [['--device', '0', '--capture', '--stream', '1'], false, true],
  ])('%j chooses streams', async (args, plays, captures) => {
    const { playback, capture } = await serveCard();
    const { status, stdout } = await volume('-1', ...args);
    expect(status).toBe(0);
    expect([playback.volume[0], capture.volume[0]]).toEqual([plays ? -1 : -6, captures ? -1 : -6]);
    expect([stdout.includes('playback 0/0: 0: -1 dB'), stdout.includes('capture')]).toEqual([
      plays,
      captures,
    ]);
  });

  test('a stream that fails is named, and keeps the others from nothing', async () => {
    const { playback, capture } = await serveCard();
    playback.failure = new VsndError('ERR_VSND_NOT_SUPPORTED', 'the backend has no volume');
    for (const args of [[], ['-1'], ['--up', '5'], ['mute']]) {
      const { status, stdout, stderr } = await volume(...args);
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: 'vsnd: playback 0/0: the backend has no volume\n',
      });
      expect(stdout).toMatch(/^capture 0\/1: /);
    }
    expect(capture.volume).toEqual([4, 4]);
    const { stdout } = await volume('--json');
    expect(JSON.parse(stdout)).toMatchObject([
      { type: 'playback', error: { code: 'ERR_VSND_NOT_SUPPORTED', message: 'the backend has no volume' } },
      { type: 'capture', volume: [4, 4] },
    ]);
  });

  test('a channel that is not there', async () => {
    const { playback, capture } = await serveCard();
    const { status, stderr } = await volume('-1', '--channel', '2');
    expect({ status, stderr }).toEqual({ status: 1, stderr: 'vsnd: --channel is 2; allowed: 0 to 1\n' });
    expect([playback.volume, capture.volume]).toEqual([
      [-6, -6.5],
      [-6, -6.5],
    ]);
  });

  test('a stream that is not in use', async () => {
    await serveCard();
    for (const args of [[], ['-1'], ['mute']]) {
      const { status, stdout, stderr } = await volume('--device', '3', ...args);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^vsnd: no such stream is in use[^\n]*\n$/);
    }
  });

  test('no stream in use at all', async () => {
    const { card } = await serveCard();
    card.streams = [];
    expect(await volume()).toEqual({ status: 1, stdout: '', stderr: 'vsnd: no such stream is in use\n' });
  });
});

describe('nobody to ask', () => {
  test.each<[string[], RegExp]>([
    [[], /^vsnd: no process has card 0 open\n$/],
    [['--card', '77'], /^vsnd: no process has card 77 open\n$/],
    [['--emulate'], /^vsnd: no process has an emulated card open\n$/],
    [
      ['--socket', '/none/at/all'],
      /^vsnd: cannot connect to \/none\/at\/all: no such file or directory \(ENOENT\)\n$/,
    ],
  ])('%j', async (args, message) => {
    const { status, stdout, stderr } = await volume(...args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });

  test('a socket of another card', async () => {
    await serveCard();
    const socket = files.path('control/card-2.sock');
    expect(await volume('--socket', socket)).toMatchObject({ status: 0 });
    expect(await volume('--socket', socket, '--card', '2')).toMatchObject({ status: 0 });
    expect(await volume('--socket', socket, '--card', '1')).toEqual({
      status: 1,
      stdout: '',
      stderr: `vsnd: process ${process.pid} has card 2 open, not card 1\n`,
    });
  });

  test.each<[string, (owner: Socket) => void, RegExp]>([
    [
      'talks nonsense',
      (owner) => owner.write('\x1b[2Jhello\n'),
      /^vsnd: a control socket's answer is no JSON object\n$/,
    ],
    ['hangs up', (owner) => owner.destroy(), /^vsnd: the process behind .*odd\.sock has closed the card\n$/],
    [
      'answers with control codes',
      (owner) => owner.write('{"id":1,"error":{"code":"ERR_VSND_FILE","message":"a\\u001b[2Jb"}}\n'),
      /^vsnd: a\?\[2Jb\n$/,
    ],
  ])('somebody who %s', async (_, answer, message) => {
    const path = files.path('odd.sock');
    const server = createServer((owner) => {
      owner.on('error', () => {});
      owner.once('data', () => answer(owner));
    });
    onTestFinished(() => void server.close());
    await once(server.listen(path), 'listening');
    const { status, stdout, stderr } = await volume('--socket', path);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

describe('wrong usage', () => {
  test.each<[string[], string]>([
    [['loud'], "DB is 'loud'; allowed: -1000 to 1000 dB"],
    [['--up', '-3'], "--up is '-3'; allowed: 0 to 1000 dB"],
    [['--down', 'x'], "--down is 'x'; allowed: 0 to 1000 dB"],
    [['-6', '-3'], "unexpected argument '-3'"],
    [['-6', '--up', '1'], 'DB, mute, unmute, --up and --down exclude each other'],
    [['mute', '--down', '1'], 'DB, mute, unmute, --up and --down exclude each other'],
    [['--playback', '--capture'], '--playback and --capture exclude each other'],
    [['--channel', '0'], '--channel needs DB, mute, unmute, --up or --down'],
    [['mute', '--channel', 'left'], "--channel is 'left'; allowed: 0, 1, 2, ..."],
    [['--card', 'x'], "--card is 'x'; allowed: 0, 1, 2, ..."],
    [['--socket', ''], 'the path of a control socket is ""; allowed: 1 to 107 bytes'],
  ])('%j', async (args, message) => {
    expect(await volume(...args)).toEqual({
      status: 2,
      stdout: '',
      stderr: `vsnd: ${message}; see vsnd volume --help\n`,
    });
  });
});

test('vsnd play --emulate in one terminal, vsnd volume --emulate in another', {
  timeout: 30_000,
}, async () => {
  const song = files.path('song.wav');
  const writer = new WavWriter(song, { format: 's16_le', rate: 48_000, channels: 2 });
  writer.write(new Uint8Array(Int16Array.from({ length: 60 * 96_000 }, () => 10_000).buffer));
  writer.close();
  const heard = files.path('heard.wav');
  const player = start(['play', '--emulate', '--sink', `wav:${heard}`, song], env());
  await player.said('buffer');

  const asked = start(['volume', '--emulate'], env());
  expect(await asked.ended()).toEqual({ status: 0, stdout: 'playback 0/0: 0 dB\n', stderr: '' });
  expect(await volume('--emulate', '-20')).toMatchObject({ status: 0, stdout: 'playback 0/0: -20 dB\n' });
  const muted = await vsnd(['volume', 'mute', '--channel', '1'], { ...env(), VSND_EMULATE: '1' });
  expect(muted).toMatchObject({ status: 0, stdout: 'playback 0/0: 0: -20 dB, 1: -20 dB muted\n' });

  // 500 ms later what was in the buffer at that moment has been played.
  const { stdout } = await vsnd(['monitor', '--emulate', '--once', '--json'], env());
  const { position } = JSON.parse(stdout).streams[0];
  const watcher = start(['monitor', '--emulate', '--json'], env());
  for await (const line of createInterface(watcher.child.stdout as Readable))
    if (JSON.parse(line).streams[0].position >= position + 24_000) break;
  watcher.child.kill('SIGTERM');
  await watcher.ended();
  player.child.kill('SIGTERM');
  await player.ended();
  const { bytes } = await readAll(heard);
  expect([bytes.readInt16LE(0), bytes.readInt16LE(2)]).toEqual([10_000, 10_000]);
  expect([bytes.readInt16LE(bytes.length - 4), bytes.readInt16LE(bytes.length - 2)]).toEqual([1000, 0]);
});
