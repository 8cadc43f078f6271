import { describe, expect, test } from 'vitest';
import { fakeCard, serve } from '../control/fake-card.ts';
import { useDirectory } from '../wav/files.ts';
import { HIDE_CURSOR, hasScript, onTerminal, SHOW_CURSOR, uncolored } from './on-terminal.ts';
import { type Ended, makeWav, start, vsnd } from './run.ts';

const files = useDirectory();
const env = () => ({ VSND_CONTROL_DIR: files.path('control') });

function monitor(...args: string[]): Promise<Ended> {
  return vsnd(['monitor', ...args], env());
}

async function serveCard() {
  const fake = fakeCard();
  const server = await serve(fake.card, files.path('control/card-2.sock'));
  return { ...fake, server };
}

const TITLE = `card 2, VCard, backend in domain 0, process ${process.pid}\n`;
const PLAYBACK =
  'playback 0/0  running    0:00.1  buffer  10%  latency  20 ms  underruns 3  0: -6 dB, 1: -6.5 dB muted  +12.5 ppm\n';
const CAPTURE =
  'capture 0/1   running    0:00.1  buffer  10%  latency  20 ms  overruns 4  0: -6 dB, 1: -6.5 dB muted  +12.5 ppm\n';

describe('once', () => {
  test('a line for the card, and one for each stream', async () => {
    await serveCard();
    expect(await monitor('--once')).toEqual({ status: 0, stdout: TITLE + PLAYBACK + CAPTURE, stderr: '' });
  });

  test('all of it as JSON', async () => {
    await serveCard();
    const { status, stdout, stderr } = await monitor('--once', '--json', '--card', '2');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^[^\n]+\n$/);
    const stream = {
      device: 0,
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
      volume: [-6, -6.5],
    };
    expect(JSON.parse(stdout)).toEqual({
      pid: process.pid,
      card: { devid: 2, shortName: 'VCard', backendDomid: 0, connected: true },
      streams: [
        { ...stream, type: 'playback', stream: 0, xruns: 3, estimatedXruns: 0 },
        { ...stream, type: 'capture', stream: 1, xruns: 4, estimatedXruns: 0 },
      ],
    });
  });

  test('a card without a backend, whose stream is not open', async () => {
    const { card, playback } = await serveCard();
    card.streams = [playback];
    card.connected = false;
    playback.bufferFrames = 0;
    const { status, stdout } = await monitor('--once');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^card 2, VCard, backend in domain 0, which is gone, process \d+\n/);
    expect(stdout).toMatch(/^playback 0\/0 {2}running .* underruns 3 {2}\+12\.5 ppm$/m);
    expect(stdout).not.toMatch(/NaN|Infinity/);
  });

  test('what went missing at the host, as the times of the positions show', async () => {
    const { playback, capture } = await serveCard();
    playback.estimatedUnderruns = 2;
    capture.estimatedOverruns = 1;
    const { stdout } = await monitor('--once');
    expect(stdout).toContain('underruns 3, and 2 at the host by its positions');
    expect(stdout).toContain('overruns 4, and 1 at the host by its positions');
  });

  test('a card that nobody uses', async () => {
    const { card } = await serveCard();
    card.streams = [];
    expect(await monitor('--once')).toMatchObject({ status: 0, stdout: `${TITLE}no stream is in use\n` });
  });

  test('nobody who owns it', async () => {
    expect(await monitor('--once', '--card', '77')).toEqual({
      status: 1,
      stdout: '',
      stderr: 'vsnd: no process has card 77 open\n',
    });
  });

  test.each([
    [['--interval', '0'], "--interval is '0'; allowed: 10 to 3600000 ms"],
    [['card0'], "unexpected argument 'card0'"],
  ])('wrong usage: %j', async (args, message) => {
    expect(await monitor(...args)).toEqual({
      status: 2,
      stdout: '',
      stderr: `vsnd: ${message}; see vsnd monitor --help\n`,
    });
  });
});

describe('again and again', () => {
  test('until the owner has closed the card', async () => {
    const { server } = await serveCard();
    const running = start(['monitor', '--interval', '20'], env());
    await running.said(CAPTURE + PLAYBACK);
    await server.close();
    const { status, stdout, stderr } = await running.ended();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const looks = stdout.slice(TITLE.length, stdout.lastIndexOf('process '));
    expect(stdout.startsWith(TITLE)).toBe(true);
    expect(looks).toBe((PLAYBACK + CAPTURE).repeat(looks.length / (PLAYBACK + CAPTURE).length));
    expect(stdout.endsWith(`process ${process.pid} has closed the card\n`)).toBe(true);
  });

  test('until the owner closes it, a question unanswered', async () => {
    const { server, capture } = await serveCard();
    const running = start(['monitor', '--interval', '20'], env());
    await running.said(CAPTURE);
    capture.getVolume = () => {
      void server.close();
      return new Promise(() => {});
    };
    const { status, stdout, stderr } = await running.ended();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.endsWith(`process ${process.pid} has closed the card\n`)).toBe(true);
  });

  test('until the owner is killed', async () => {
    const player = start(['record', '--emulate', files.path('out.wav')], env());
    await player.said('buffer');
    const running = start(['monitor', '--emulate', '--json', '--interval', '50'], env());
    await running.said('\n{');
    player.child.kill('SIGKILL');
    const { status, stdout, stderr } = await running.ended();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const line of stdout.trimEnd().split('\n')) {
      expect(JSON.parse(line)).toMatchObject({ pid: player.child.pid, streams: [{ type: 'capture' }] });
    }
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('until %s: status %i', async (signal, status) => {
    await serveCard();
    const running = start(['monitor', '--interval', '3600000'], env());
    await running.said(CAPTURE);
    const began = performance.now();
    running.child.kill(signal);
    expect(await running.ended()).toEqual({ status, stdout: TITLE + PLAYBACK + CAPTURE, stderr: '' });
    expect(performance.now() - began).toBeLessThan(3000);
  });

  test('streams come and go', async () => {
    const { card, playback, capture } = await serveCard();
    card.streams = [];
    const running = start(['monitor', '--interval', '20'], env());
    await running.said('no stream is in use\n');
    card.streams = [playback];
    await running.said(PLAYBACK);
    card.streams = [playback, capture];
    await running.said(PLAYBACK + CAPTURE);
    running.child.kill('SIGINT');
    expect(await running.ended()).toMatchObject({ status: 130, stderr: '' });
  });
});

test('what vsnd play does on the emulated machine', async () => {
  const song = makeWav(files.path('song.wav'), { seconds: 60 });
  const player = start(['play', '--emulate', '--sink', 'null', song], env());
  await player.said('buffer');
  const running = start(['monitor', '--emulate', '--interval', '50'], env());
  await running.said('\nplayback 0/0');
  player.child.kill('SIGTERM');
  const { status, stdout, stderr } = await running.ended();
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout).toMatch(/^card 0, Emulated virtual sound card, backend in domain 0, process \d+$/m);
  expect(stdout).toMatch(
    /^playback 0\/0 {2}running +0:0\d\.\d {2}buffer +\d+% {2}latency +\d+ ms {2}underruns \d+ {2}0 dB/m,
  );
  expect(stdout).toContain(`process ${player.child.pid} has closed the card\n`);
});

test('--backend says how to reach the emulated one that runs', async () => {
  const backend = start(['backend', '--emulate', '--sink', 'null'], env());
  await backend.said('connected');
  const running = await start(['monitor', '--backend', '--once'], env()).ended();
  expect(running).toEqual({
    status: 1,
    stdout: '',
    stderr: "vsnd: no backend of this user runs here; an emulated machine's does: add --emulate\n",
  });
  backend.child.kill('SIGTERM');
  expect(await backend.ended()).toMatchObject({ status: 0 });
});

describe.skipIf(!hasScript)('on a terminal (skipped without util-linux script)', () => {
  test('lines in place, cut to its width, and the last ones stay', async () => {
    const { server } = await serveCard();
    const running = onTerminal(['monitor'], env());
    await running.said('\x1b[2A');
    await server.close();
    const { status, stdout } = await running.ended();
    expect(status).toBe(0);
    const [first = ''] = stdout.slice(`${HIDE_CURSOR}\r\x1b[K`.length).split('\x1b[2A\r\x1b[J');
    const [title, playback, capture] = uncolored(first).split('\r\n');
    const room = 'playback 0/0  running    0:00.1  buffer  10%  latency  20 ms  underruns 3'.length;
    expect([title, playback, capture]).toEqual([
      TITLE.trimEnd(),
      PLAYBACK.slice(0, room),
      CAPTURE.slice(0, room - 1),
    ]);
    expect(stdout.split(HIDE_CURSOR).length).toBe(2);
    const left = stdout.slice(stdout.lastIndexOf(SHOW_CURSOR) + SHOW_CURSOR.length);
    expect(left.replaceAll('\r\n', '\n')).toBe(
      `${TITLE}${PLAYBACK}${CAPTURE}process ${process.pid} has closed the card\n`,
    );
  });

  test('Ctrl-C: status 130, and the cursor is back', async () => {
    await serveCard();
    const running = onTerminal(['monitor'], env());
    await running.said('underruns');
    running.child.stdin?.write('\x03');
    const { status, stdout } = await running.ended();
    expect(status).toBe(130);
    expect(stdout.lastIndexOf(SHOW_CURSOR)).toBeGreaterThan(stdout.lastIndexOf(HIDE_CURSOR));
  });
});
