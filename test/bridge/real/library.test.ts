import { type EventEmitter, once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import type { BridgeOptions } from '../../../src/bridge/plan.ts';
import { deferred } from '../../../src/deferred.ts';
import type { Bridge, PlaybackStreamOptions } from '../../../src/index.ts';
import { FRAME } from '../../sound.ts';
import { bridgeHere } from './bridge-here.ts';
import { openPlayingCard, type PlayingCard } from './playing-card.ts';
import { noise, writeRaw, writeWav } from './sound.ts';
import { type HeadlessServer, startPipewire, startPulse } from './sound-server.ts';

const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le', '--device=card'];

/** A byte of a soft sound. */
const SOFT = 1;

async function setUp(
  options: BridgeOptions = {},
  start = startPulse,
): Promise<{ server: HeadlessServer; playing: PlayingCard; bridge: Bridge }> {
  const server = await start();
  const playing = await openPlayingCard();
  return { server, playing, bridge: await bridgeHere(server, playing.card, options) };
}

/** Frames of `file` with which the bytes begin, behind silence; and where in the file that is. */
function partHeard(bytes: Buffer, file: Buffer): { from: number; frames: number } {
  let at = 0;
  while (at < bytes.length && bytes.readUInt32LE(at) === 0) at += FRAME;
  const from = file.indexOf(bytes.subarray(at, at + 64));
  let frames = 0;
  const frameAt = (buffer: Buffer, index: number) => buffer.subarray(index * FRAME, (index + 1) * FRAME);
  const rest = bytes.subarray(at);
  const expected = file.subarray(from);
  while (
    (frames + 1) * FRAME <= Math.min(rest.length, expected.length) &&
    frameAt(rest, frames).equals(frameAt(expected, frames))
  ) {
    frames++;
  }
  return { from: from / FRAME, frames };
}

describe('createBridge()', () => {
  test.each([
    ['PulseAudio', 'tunnel', startPulse],
    ['PulseAudio', 'pipe', startPulse],
    ['PipeWire', 'pipe', startPipewire], // in its graph the node says how much there is, whatever has room
  ] as const)('stages no more than the buffer of the card: %s by %s', async (_, via, start) => {
    const server = await start();
    const { card } = await openPlayingCard();
    const asked = deferred<PlaybackStreamOptions>();
    const create = card.createPlaybackStream.bind(card);
    vi.spyOn(card, 'createPlaybackStream').mockImplementation((options) => {
      asked.resolve(options);
      return create(options);
    });
    const bridge = await bridgeHere(server, card, { latency: 20, via });
    server.spawn('paplay', [...RAW, '/dev/urandom']);
    const { highWaterMark, bufferFrames = 0 } = await asked.promise;
    expect(bufferFrames).toBeGreaterThan(0);
    expect(highWaterMark).toBe(bufferFrames * FRAME);
    await bridge.close();
  });

  test.each([
    ['PulseAudio', 'pipe', startPulse],
    ['PipeWire', 'graph', startPipewire],
  ] as const)(
    'outlives the backend in the middle of a sound of %s by %s: what was not played, the next one plays',
    async (_, via, start) => {
      const { server, playing, bridge } = await setUp({ latency: 500, via }, start);
      const file = noise('s16_le', 2, 96_000);
      const player = server.run('paplay', [...RAW, writeRaw(server.directory, 'noise.raw', file)]);
      await once(bridge as EventEmitter, 'start');
      await wait(700); // somewhere in the middle
      const lost = once(bridge as EventEmitter, 'backendLost');
      await playing.stopBackend();
      await lost;
      const back = once(bridge as EventEmitter, 'backendBack');
      await playing.startBackend();
      expect((await back)[0]).toMatchObject({ direction: 'sink', gap: expect.any(Number) });
      await player;
      await once(bridge as EventEmitter, 'stop');
      const [first, second] = playing.takes.map((pieces) => partHeard(Buffer.concat(pieces), file));
      expect(first).toMatchObject({ from: 0 });
      expect((second?.from ?? 0) + (second?.frames ?? 0)).toBe(96_000);
      // Only what the first one had played since its last report is played by both.
      const twice = (first?.frames ?? 0) - (second?.from ?? 0);
      expect(twice).toBeGreaterThanOrEqual(0);
      expect(twice).toBeLessThan(4800);
      expect(bridge.endpoints[0]?.statistics).toMatchObject({ slips: 0, active: false });
    },
  );

  test.each([
    ['PulseAudio', 'pipe', 40, startPulse],
    ['PulseAudio', 'pipe', 100, startPulse],
    ['PulseAudio', 'pipe', 300, startPulse],
    ['PipeWire', 'graph', 100, startPipewire],
  ] as const)(
    'adds no more to the latency of %s by %s than its own, of %i ms',
    async (name, via, latency, start) => {
      const { server, playing, bridge } = await setUp({ latency, via }, start);
      const player = server.spawn('pacat', ['--playback', '--latency-msec=10', ...RAW]);
      const input = player.stdin as Writable;
      input.on('error', () => {}); // it is killed while we write
      input.write(Buffer.alloc(4800, SOFT)); // enough for pacat to begin; all that waits in it would count
      /** A loud sample in a soft sound, since PipeWire's zeros are not played: when it was given away, and when it was played. */
      let sent = 0;
      const delays: number[] = [];
      /** What of it is the bridge's own. */
      const own: number[] = [];
      playing.listener = (bytes) => {
        if (sent === 0 || !bytes.includes(0x40)) return;
        delays.push(performance.now() - sent);
        sent = 0;
        own.push(bridge.endpoints[0]?.statistics.latency ?? Number.NaN);
      };
      await once(bridge as EventEmitter, 'start');
      bridge.once('error', () => player.kill());
      const begun = performance.now();
      let frames = 0;
      let clicks = 0;
      while (delays.length < 8 && bridge.state === 'running') {
        const due = Math.floor((performance.now() - begun) * 48) - frames;
        const bytes = Buffer.alloc(due * FRAME, SOFT);
        if (sent === 0 && due > 0 && performance.now() - begun > 1000 + clicks * 400) {
          bytes.fill(0x40, 0, FRAME);
          sent = performance.now();
          clicks++;
        }
        frames += due;
        input.write(bytes);
        await wait(5);
      }
      player.kill();
      await once(bridge as EventEmitter, 'stop');
      const sorted = delays.sort((a, b) => a - b);
      const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
      console.log(
        `latency ${latency} ms: from a program through ${name} and the bridge to the card, ${median.toFixed(0)} ms ` +
          `(${(sorted[0] ?? 0).toFixed(0)} to ${(sorted.at(-1) ?? 0).toFixed(0)}), of which ${Math.max(...own).toFixed(0)} ` +
          `are the bridge's`,
      );
      // The rest is the program's and PulseAudio's, and more on a busy machine.
      expect(own).toHaveLength(8);
      for (const part of own) expect(part).toBeLessThanOrEqual(latency + 1);
      expect(median).toBeGreaterThan(latency / 4);
    },
  );
});

test('two PCM devices are two sinks of PipeWire, and prompts of the navigation go to the second', async () => {
  const server = await startPipewire();
  const rules = readFileSync(new URL('../../../examples/pipewire-navigation.conf', import.meta.url));
  for (const config of ['client.conf.d', 'client-rt.conf.d']) {
    const folder = join(server.directory, '.config', 'pipewire', config);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'navigation.conf'), rules);
  }
  const { card, takes } = await openPlayingCard(0, 2);
  const music = noise('s16_le', 2, 3 * 48_000);
  const prompt = noise('s16_le', 2, 48_000);
  const bridges = [
    await bridgeHere(server, card, { name: 'Car', device: 0, latency: 300 }),
    await bridgeHere(server, card, { name: 'Car.1', device: 1, priority: 100, latency: 300 }),
  ];
  const stopped = bridges.map((bridge) => once(bridge as EventEmitter, 'stop'));
  const format = { rate: 48_000, channels: 2, format: 's16_le' } as const;
  const player = server.run('pw-play', [writeWav(server.directory, 'music.wav', format, music)]);
  await once(bridges[0] as EventEmitter, 'start');
  const wav = writeWav(server.directory, 'prompt.wav', format, prompt);
  await server.run('pw-play', ['--media-role', 'Navigation', wav]);
  await player;
  await Promise.all(stopped);
  // pw-play drops the rest of its last cycle itself.
  const heard = takes.map((take) => Buffer.concat(take));
  const kept = (bytes: Buffer) => bytes.subarray(0, bytes.length - 2048 * FRAME);
  expect(heard.map((take) => [music, prompt].map((sound) => take.includes(kept(sound))))).toEqual([
    [true, false],
    [false, true],
  ]);
  expect(bridges.map((bridge) => bridge.endpoints[0]?.statistics.slips)).toEqual([0, 0]);
});
