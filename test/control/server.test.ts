import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LONGEST_REQUEST } from '../../src/control/protocol.ts';
import { serveControl } from '../../src/control/server.ts';
import { deferred } from '../../src/deferred.ts';
import { VsndError } from '../../src/errors.ts';
import { Running } from '../cli/run.ts';
import { useDirectory } from '../wav/files.ts';
import { ask, exchange, fakeCard, serve } from './fake-card.ts';

const files = useDirectory();
const socketPath = () => files.path('vsnd/card.sock');

/** So many clients, each of which has asked something. */
async function connectClients(path: string, count: number): Promise<Socket[]> {
  const clients = Array.from({ length: count }, () => connect({ path }));
  for (const client of clients) await askAgain(client);
  return clients;
}

/** The answer to one more request. */
async function askAgain(client: Socket): Promise<object> {
  client.write('{"id":1,"method":"status"}\n');
  const [answer] = await once(client, 'data');
  return JSON.parse(String(answer));
}

const PLAYBACK = { type: 'playback', device: 0, stream: 0 };
const CAPTURE = { type: 'capture', device: 0, stream: 1 };

describe('what can be asked', () => {
  async function served() {
    const fake = fakeCard();
    const { path } = await serve(fake.card, socketPath());
    return { ...fake, path };
  }

  test('status: all about the card and its streams', async () => {
    const { path } = await served();
    const numbers = {
      rate: 48_000,
      channels: 2,
      format: 's16_le',
      state: 'running',
      position: 4800,
      latency: 960,
      bufferFrames: 9600,
      periodFrames: 1200,
      clock: { frames: 4801.5, errorFrames: 2, deviation: 12.5 },
      muted: [false, true],
    };
    expect(await ask(path, { id: 1, method: 'status' })).toEqual([
      {
        id: 1,
        result: {
          pid: process.pid,
          card: { devid: 2, shortName: 'VCard', backendDomid: 0, connected: true },
          streams: [
            { ...PLAYBACK, ...numbers, xruns: 3, estimatedXruns: 0 },
            { ...CAPTURE, ...numbers, xruns: 4, estimatedXruns: 0 },
          ],
        },
      },
    ]);
  });

  test.each([
    [{}, [PLAYBACK, CAPTURE]],
    [{ type: 'capture' }, [CAPTURE]],
    [{ device: 0 }, [PLAYBACK, CAPTURE]],
    [{ stream: 0 }, [PLAYBACK]],
    [{ type: 'playback', device: 0, stream: 0 }, [PLAYBACK]],
  ])('getVolume of the streams that %j fits', async (params, names) => {
    const { path } = await served();
    const result = names.map((name) => ({ ...name, volume: [-6, -6.5] }));
    expect(await ask(path, { id: 'a', method: 'getVolume', params })).toEqual([{ id: 'a', result }]);
  });

  test.each([
    ['setVolume', { volume: -3 }, ['setVolume', -3]],
    ['setVolume', { volume: [-3, 0] }, ['setVolume', [-3, 0]]],
    ['mute', {}, ['mute', undefined]],
    ['mute', { channels: [1] }, ['mute', [1]]],
    ['unmute', { channels: [0, 1] }, ['unmute', [0, 1]]],
    ['trigger', { trigger: 'pause' }, ['trigger', 'pause']],
    ['trigger', { trigger: 'resume' }, ['trigger', 'resume']],
    ['trigger', { trigger: 'start' }, ['trigger', 'start']],
    ['trigger', { trigger: 'stop' }, ['trigger', 'stop']],
  ])('%s %j', async (method, params, told) => {
    const { path, playback, capture } = await served();
    const one = { id: 1, method, params: { ...params, type: 'capture' } };
    expect(await ask(path, one)).toEqual([{ id: 1, result: [CAPTURE] }]);
    expect([playback.told, capture.told]).toEqual([[], [told]]);
    expect(await ask(path, { id: 2, method, params })).toEqual([{ id: 2, result: [PLAYBACK, CAPTURE] }]);
    expect([playback.told, capture.told]).toEqual([[told], [told, told]]);
  });

  test('a stream that fails says so, and keeps the others from nothing', async () => {
    const { path, playback } = await served();
    playback.failure = new VsndError('ERR_VSND_NOT_SUPPORTED', 'the backend has no volume');
    const error = { code: 'ERR_VSND_NOT_SUPPORTED', message: 'the backend has no volume' };
    expect(await ask(path, { id: 1, method: 'getVolume' }, { id: 2, method: 'mute' })).toEqual([
      {
        id: 1,
        result: [
          { ...PLAYBACK, error },
          { ...CAPTURE, volume: [-6, -6.5] },
        ],
      },
      { id: 2, result: [{ ...PLAYBACK, error }, CAPTURE] },
    ]);
  });

  test('a stream that is not open is not waited for', async () => {
    const { path, card, playback, capture } = await served();
    const error = {
      code: 'ERR_VSND_INVALID_STATE',
      message: 'the stream is not open at the backend now',
    };
    playback.bufferFrames = 0;
    for (const [method, params] of [
      ['getVolume', {}],
      ['setVolume', { volume: 0 }],
      ['mute', {}],
      ['unmute', {}],
    ] as const) {
      const [answer] = await ask(path, { id: 1, method, params });
      expect(answer).toMatchObject({ result: [{ ...PLAYBACK, error }, CAPTURE] });
    }
    card.connected = false;
    const [answer] = await ask(path, { id: 1, method: 'getVolume' });
    expect(answer).toMatchObject({
      result: [
        { ...PLAYBACK, error },
        { ...CAPTURE, error },
      ],
    });
    expect(playback.told).toEqual([]);
    expect(capture.told.map((told) => (told as string[])[0])).not.toContain('trigger');
    // Pausing means something without a backend too.
    await ask(path, { id: 2, method: 'trigger', params: { trigger: 'pause' } });
    expect(playback.told).toEqual([['trigger', 'pause']]);
  });

  test.each([
    [{ type: 'playback', stream: 1 }, 'playback 0/0, capture 0/1'],
    [{ device: 1 }, 'playback 0/0, capture 0/1'],
  ])('a stream that is not there: %j', async (params, inUse) => {
    const { path } = await served();
    const message = `no such stream is in use; in use: ${inUse}`;
    expect(await ask(path, { id: 1, method: 'getVolume', params })).toEqual([
      { id: 1, error: { code: 'ERR_VSND_NO_STREAM', message } },
    ]);
  });

  test('no stream at all', async () => {
    const { path, card } = await served();
    card.streams = [];
    const message = 'no such stream is in use; in use: none';
    expect(await ask(path, { id: 1, method: 'mute' })).toMatchObject([{ error: { message } }]);
    expect(await ask(path, { id: 1, method: 'status' })).toMatchObject([{ result: { streams: [] } }]);
  });
});

describe('what cannot be asked', () => {
  test.each<[string, unknown, string | number | null, string]>([
    [
      'no JSON',
      'volume, please',
      null,
      'a request is "volume, please"; allowed: a JSON object { id, method, params }',
    ],
    ['an empty line', '\n', null, 'a request is ""; allowed: a JSON object { id, method, params }'],
    ['JSON, but no object', '17', null, 'a request is "17"; allowed: a JSON object { id, method, params }'],
    ['null', 'null', null, 'a request is "null"; allowed: a JSON object { id, method, params }'],
    ['no id', { method: 'status' }, null, 'id is undefined; allowed: a number or a string'],
    ['an odd id', { id: {}, method: 'status' }, null, 'id is an object; allowed: a number or a string'],
    [
      'no method',
      { id: 1 },
      1,
      'method is undefined; allowed: status, getVolume, setVolume, mute, unmute, trigger',
    ],
    [
      'a method that objects have',
      { id: 'x', method: 'constructor' },
      'x',
      'method is "constructor"; allowed: status, getVolume, setVolume, mute, unmute, trigger',
    ],
    ['no parameters', { id: 1, method: 'mute', params: null }, 1, 'params is null; allowed: an object'],
    ['a number', { id: 1, method: 'mute', params: 5 }, 1, 'params is 5; allowed: an object'],
    [
      'a parameter of another method',
      { id: 1, method: 'status', params: { type: 'playback' } },
      1,
      'a parameter is "type"; allowed: none',
    ],
    [
      'an unknown parameter',
      { id: 1, method: 'mute', params: { chanels: [0] } },
      1,
      'a parameter is "chanels"; allowed: type, device, stream, channels',
    ],
    [
      'a parameter that objects have',
      '{"id":1,"method":"mute","params":{"__proto__":{"type":"capture"}}}',
      1,
      'a parameter is "__proto__"; allowed: type, device, stream, channels',
    ],
    [
      'an odd type',
      { id: 1, method: 'mute', params: { type: 'both' } },
      1,
      'type is "both"; allowed: playback, capture',
    ],
    [
      'an odd device',
      { id: 1, method: 'mute', params: { device: -1 } },
      1,
      'device is -1; allowed: a whole number from 0',
    ],
    [
      'an odd stream',
      { id: 1, method: 'mute', params: { stream: '0' } },
      1,
      'stream is "0"; allowed: a whole number from 0',
    ],
    [
      'odd channels',
      { id: 1, method: 'mute', params: { channels: ['0'] } },
      1,
      'channels is an array; allowed: an array of channel numbers',
    ],
    [
      'one channel',
      { id: 1, method: 'unmute', params: { channels: 0 } },
      1,
      'channels is 0; allowed: an array of channel numbers',
    ],
    [
      'no volume',
      { id: 1, method: 'setVolume' },
      1,
      'volume is undefined; allowed: a number of dB, or an array of one a channel',
    ],
    [
      'an odd volume',
      { id: 1, method: 'setVolume', params: { volume: [0, null] } },
      1,
      'volume is an array; allowed: a number of dB, or an array of one a channel',
    ],
    [
      'no trigger',
      { id: 1, method: 'trigger' },
      1,
      'trigger is undefined; allowed: start, pause, resume, stop',
    ],
    [
      'an odd trigger',
      { id: 1, method: 'trigger', params: { trigger: 'drain' } },
      1,
      'trigger is "drain"; allowed: start, pause, resume, stop',
    ],
  ])('%s', async (_, request, id, message) => {
    const { card, playback, capture } = fakeCard();
    const { path } = await serve(card, socketPath());
    const answers = await ask(path, request, { id: 'next', method: 'status' });
    expect(answers[0]).toEqual({ id, error: { code: 'ERR_VSND_INVALID_ARG', message } });
    expect(answers.at(-1)).toMatchObject({ id: 'next', result: { card: { devid: 2 } } });
    expect([playback.told, capture.told]).toEqual([[], []]);
  });

  test('a line that is too long: one error, and the next line counts again', async () => {
    const { card } = fakeCard();
    const { path } = await serve(card, socketPath());
    const status = JSON.stringify({ id: 1, method: 'status' });
    const longest = status.padEnd(LONGEST_REQUEST);
    const message = 'a request is "too long"; allowed: 4096 bytes';
    expect(await ask(path, longest, `${longest} `, status)).toMatchObject([
      { id: 1, result: {} },
      { id: null, error: { code: 'ERR_VSND_INVALID_ARG', message } },
      { id: 1, result: {} },
    ]);
  });

  test('whatever is sent, each line gets one answer', async () => {
    const { card } = fakeCard();
    const { path } = await serve(card, socketPath());
    const property = fc.asyncProperty(
      fc
        .array(fc.oneof(fc.constant(0x0a), fc.nat(255)), { maxLength: 300 })
        .map((all) => Uint8Array.from(all)),
      async (bytes) => {
        const lines = bytes.filter((byte) => byte === 0x0a).length;
        const answers = (await exchange(path, bytes)).split('\n').slice(0, -1);
        expect(answers.map((line) => JSON.parse(line) as unknown)).toEqual(
          new Array(lines).fill({
            id: null,
            error: { code: 'ERR_VSND_INVALID_ARG', message: expect.any(String) },
          }),
        );
      },
    );
    await fc.assert(property, { numRuns: 50 });
  });

  test('a mistake of ours ends the connection of whoever met it, and nothing else', async () => {
    const { card, playback } = fakeCard();
    const { path } = await serve(card, socketPath());
    playback.failure = new TypeError('x is undefined');
    expect(await ask(path, { id: 1, method: 'mute' })).toEqual([]);
    expect(await ask(path, { id: 1, method: 'status' })).toMatchObject([{ id: 1, result: {} }]);
  });

  test('whoever asks and does not read is not asked for more', async () => {
    const { card, playback } = fakeCard();
    const { path } = await serve(card, socketPath());
    const socket = connect({ path }).pause();
    const requests = '{"id":1,"method":"getVolume"}\n'.repeat(100_000);
    socket.write(requests);
    let told = -1;
    while (playback.told.length > told) {
      told = playback.told.length;
      for (let count = 0; count < 30; count++) await ask(path, { id: 1, method: 'status' });
    }
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThan(100_000);
    socket.destroy();
  });

  test('the seventeenth client is told that there are too many, until one leaves', async () => {
    const { card } = fakeCard();
    const { path } = await serve(card, socketPath());
    const clients = await connectClients(path, 16);
    const seventeenth = connect({ path });
    const error = {
      code: 'ERR_VSND_INVALID_STATE',
      message: 'this process has 16 clients already; it takes the next when one has left',
    };
    expect(await askAgain(seventeenth)).toEqual({ id: 1, error });
    clients[0]?.destroy();
    let answer = await askAgain(seventeenth);
    while ('error' in answer) answer = await askAgain(seventeenth);
    expect(answer).toMatchObject({ id: 1, result: {} });
    for (const client of [...clients, seventeenth]) client.destroy();
  });

  test('one who comes after many more is dropped', async () => {
    const { card } = fakeCard();
    const { path } = await serve(card, socketPath());
    const clients = await connectClients(path, 32);
    const dropped = connect({ path });
    dropped.on('error', () => {});
    await once(dropped.resume(), 'close');
    for (const client of clients) expect(await askAgain(client)).toMatchObject({ id: 1 });
    for (const client of clients) client.destroy();
  });

  test('those who do not stay for an answer disturb nobody', async () => {
    const { card } = fakeCard();
    const { path } = await serve(card, socketPath());
    const clients = await connectClients(path, 16);
    for (let count = 0; count < 40; count++) {
      const client = connect({ path });
      client.on('error', () => {});
      client.write('{"id":1,"method":"status"}\n'.repeat(count));
      if (count % 2) client.destroy();
      else client.once('connect', () => client.destroy());
    }
    for (const client of clients) expect(await askAgain(client)).toMatchObject({ id: 1, result: {} });
    for (const client of clients) client.destroy();
  });

  test('whoever has ended its side is answered, however long that takes', async () => {
    const { card, playback } = fakeCard();
    const { path } = await serve(card, socketPath());
    const asked = deferred();
    const answer = deferred<number[]>();
    playback.getVolume = () => {
      asked.resolve();
      return answer.promise;
    };
    const answers = ask(path, { id: 1, method: 'getVolume', params: { type: 'playback' } });
    await asked.promise;
    await exchange(path, ''); // the first one's end has arrived before
    answer.resolve([1, 2]);
    expect(await answers).toEqual([{ id: 1, result: [{ ...PLAYBACK, volume: [1, 2] }] }]);
  });
});

describe('the socket', () => {
  test("is its user's alone, in a directory that is", async () => {
    const { card } = fakeCard();
    const server = await serve(card, socketPath());
    expect(server.path).toBe(socketPath());
    const stats = lstatSync(socketPath());
    expect([stats.isSocket(), stats.mode & 0o777]).toEqual([true, 0o600]);
    expect(statSync(dirname(socketPath())).mode & 0o777).toBe(0o700);
  });

  test('is gone after close, and so is whoever was connected; closing twice is harmless', async () => {
    const { card } = fakeCard();
    const server = await serve(card, socketPath());
    const client = connect({ path: socketPath() });
    await once(client, 'connect');
    client.write('{"id":1,"method":"status"}\n');
    await once(client, 'data');
    const closed = once(client, 'close');
    await server.close();
    await closed;
    expect(existsSync(socketPath())).toBe(false);
    await server.close();
  });

  test('that a dead process has left is taken over', async () => {
    mkdirSync(dirname(socketPath()), { mode: 0o700 });
    const program = `require('net').createServer().listen(${JSON.stringify(socketPath())}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', program]);
    expect(lstatSync(socketPath()).isSocket()).toBe(true);
    const { card } = fakeCard();
    await serve(card, socketPath());
    expect(await ask(socketPath(), { id: 1, method: 'status' })).toMatchObject([{ id: 1 }]);
  });

  test('at which somebody listens is not', async () => {
    const { card } = fakeCard();
    await serve(card, socketPath());
    await expect(serveControl(card, socketPath())).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(await ask(socketPath(), { id: 1, method: 'status' })).toMatchObject([{ id: 1 }]);
  });

  test('never takes the place of a file', async () => {
    mkdirSync(dirname(socketPath()), { mode: 0o700 });
    writeFileSync(socketPath(), 'precious');
    const { card } = fakeCard();
    await expect(serveControl(card, socketPath())).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(readFileSync(socketPath(), 'utf8')).toBe('precious');
  });

  test.each<[string, (directory: string) => void]>([
    ['open to others', (directory) => mkdirSync(directory, { mode: 0o755 })],
    ['open to the group', (directory) => mkdirSync(directory, { mode: 0o710 })],
    ['a link', (directory) => symlinkSync(files.path('.'), directory)],
    ['a file', (directory) => writeFileSync(directory, '', { mode: 0o700 })],
  ])('is in no directory that is %s', async (_, make) => {
    chmodSync(files.path('.'), 0o700);
    make(dirname(socketPath()));
    const { card } = fakeCard();
    await expect(serveControl(card, socketPath())).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_ARG',
      message: `the directory of a control socket is "${dirname(socketPath())}"; allowed: one of this user alone, of mode 0700`,
    });
    expect(existsSync(socketPath())).toBe(false);
  });

  test.skipIf(process.geteuid?.() !== 0)(
    'is in no directory of another user (skipped but for root)',
    async () => {
      mkdirSync(dirname(socketPath()), { mode: 0o700 });
      chownSync(dirname(socketPath()), 65_534, 65_534);
      const { card } = fakeCard();
      await expect(serveControl(card, socketPath())).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_ARG' });
    },
  );

  test.each([
    ['', '""'],
    [`/tmp/${'x'.repeat(103)}`, '/tmp/xxx'],
    ['/tmp/a\0b', '/tmp/a'],
  ])('has a path that the system can hold: not %j', async (path, shown) => {
    const { card } = fakeCard();
    const error = await serveControl(card, path).catch((reason: Error) => reason);
    expect(error).toMatchObject({ code: 'ERR_VSND_INVALID_ARG', message: expect.stringContaining(shown) });
  });

  test('does not hold the process, nor does whoever is connected', async () => {
    const running = new Running(process.execPath, [
      '--input-type=module',
      '--eval',
      `
      import { connect } from 'node:net';
      import { serveControl } from ${JSON.stringify(new URL('../../dist/control/server.js', import.meta.url).href)};
      const card = { info: { devid: 0, backendDomid: 0 }, connected: true, streams: [] };
      const { path } = await serveControl(card, ${JSON.stringify(socketPath())});
      const client = connect({ path });
      client.write('{"id":1,"method":"status"}\\n');
      client.once('data', () => { console.log('answered'); client.unref(); });
    `,
    ]);
    expect(await running.ended()).toEqual({ status: 0, stdout: 'answered\n', stderr: '' });
    expect(existsSync(socketPath())).toBe(false);
  });
});
