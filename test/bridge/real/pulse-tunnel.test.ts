import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { PcmFormatName } from '../../../src/wire/pcm-format.ts';
import { BridgeCommand, startBridge } from './bridge-command.ts';
import { noise, occurrences, PULSE_NAMES, writeRaw, writeWav } from './sound.ts';
import { type HeadlessServer, startPulse } from './sound-server.ts';

/** For what must not depend on how busy the machine is. */
const PATIENT = ['--latency', '500'];

interface Sound {
  readonly rate: number;
  readonly channels: number;
  readonly format: PcmFormatName;
}

const CD_LIKE: Sound = { rate: 48_000, channels: 2, format: 's16_le' };

const rawOptions = ({ rate, channels, format }: Sound) => [
  ...['--raw', `--rate=${rate}`, `--channels=${channels}`, `--format=${PULSE_NAMES[format]}`],
  ...(channels === 6 ? ['--channel-map=front-left,front-right,rear-left,rear-right,front-center,lfe'] : []),
];

async function play(server: HeadlessServer, sound: Sound, bytes: Buffer): Promise<void> {
  const file = writeRaw(server.directory, 'noise.raw', bytes);
  await server.run('paplay', [...rawOptions(sound), '--device=Emulated', file]);
}

async function tunnels(server: HeadlessServer): Promise<string[]> {
  const modules = await server.pactl('list', 'short', 'modules');
  return modules.split('\n').filter((line) => line.includes('module-tunnel-'));
}

/** How often a sound is in what the card has heard, from each opening to its closing. */
function timesHeard(server: HeadlessServer, bytes: Buffer): number {
  let count = 0;
  for (let take = 1; ; take++) {
    const path = join(server.directory, take === 1 ? 'heard.wav' : `heard-${take}.wav`);
    if (!existsSync(path)) return count;
    count += occurrences(readFileSync(path), bytes);
  }
}

const heardIn = (server: HeadlessServer) => ['--sink', `wav:${join(server.directory, 'heard.wav')}`];

/** Plays, and waits until the card is closed: PulseAudio suspends what nobody uses, in a usual configuration. */
async function playOut(bridge: BridgeCommand, server: HeadlessServer, sound: Sound, bytes: Buffer) {
  await server.pactl('load-module', 'module-suspend-on-idle', 'timeout=1');
  const stops = bridge.events.filter(
    ({ event, direction }) => event === 'stop' && direction === 'sink',
  ).length;
  await play(server, sound, bytes);
  await bridge.event('stop', { direction: 'sink', count: stops + 1 });
}

/** Ends it, and looks at what it leaves: nothing. */
async function stop(bridge: BridgeCommand, server: HeadlessServer): Promise<void> {
  expect(await bridge.stop()).toEqual({ status: 0, stderr: '' });
  expect(await tunnels(server)).toEqual([]);
  expect(server.bridgePlaces).toEqual([]);
}

describe('by a tunnel of PulseAudio', () => {
  test.each<Sound>([
    CD_LIKE,
    { rate: 44_100, channels: 1, format: 's16_le' },
    { rate: 96_000, channels: 2, format: 's32_le' },
    { rate: 48_000, channels: 6, format: 's16_le' },
    { rate: 44_100, channels: 2, format: 'float_le' },
  ])('a file is heard, every sample: $format $rate Hz, $channels channels', async (sound) => {
    const server = await startPulse();
    const { rate, channels, format } = sound;
    const args = [...heardIn(server), '-r', `${rate}`, '-c', `${channels}`, '-f', format, '--no-source'];
    const bridge = await startBridge(server, 'pulse', ...args, ...PATIENT);
    const bytes = noise(format, channels, 2 * rate);
    await playOut(bridge, server, sound, bytes);
    await stop(bridge, server);
    expect(timesHeard(server, bytes)).toBe(1);
  });

  test('what is captured is recorded whole', async () => {
    const server = await startPulse();
    const said = noise('s16_le', 2, 10 * CD_LIKE.rate);
    const path = writeWav(server.directory, 'said.wav', CD_LIKE, said);
    const args = ['--sink', 'null', '--source', `wav:${path}`, ...PATIENT];
    const bridge = await startBridge(server, 'pulse', ...args);
    const recorder = server.spawn('parec', [...rawOptions(CD_LIKE), '--device=Emulated.source']);
    const pieces: Buffer[] = [];
    for await (const piece of recorder.stdout as AsyncIterable<Buffer>) {
      pieces.push(piece);
      if (pieces.reduce((sum, { length }) => sum + length, 0) > 400_000) break;
    }
    recorder.kill();
    const recorded = Buffer.concat(pieces);
    const begin = recorded.indexOf(said.subarray(0, 64)); // before: silence, until the tunnel has some in reserve
    expect(begin).toBeGreaterThanOrEqual(0);
    expect(begin).toBeLessThan(200_000);
    const sound = recorded.subarray(begin);
    expect(Buffer.compare(sound, said.subarray(0, sound.length))).toBe(0);
    await stop(bridge, server);
  });

  test('a server that restarts has the sink again, and it works', async () => {
    const server = await startPulse();
    const bridge = await startBridge(server, ...heardIn(server), ...PATIENT);
    await server.stop('SIGKILL');
    await bridge.event('disconnect');
    await server.start();
    const answered = performance.now();
    await bridge.event('reconnect');
    const time = performance.now() - answered;
    console.log(`sink and source are back ${time.toFixed(0)} ms after PulseAudio answers again`);
    expect(time).toBeLessThan(1000);
    expect(await tunnels(server)).toHaveLength(2);
    const bytes = noise('s16_le', 2, 24_000);
    await playOut(bridge, server, CD_LIKE, bytes);
    await stop(bridge, server);
    expect(timesHeard(server, bytes)).toBe(1);
  });

  test('a bridge that was killed is followed by the next, and there is one copy', async () => {
    const server = await startPulse();
    const killed = await startBridge(server, '--sink', 'null');
    await killed.stop('SIGKILL');
    const killedAt = performance.now();
    const bridge = await startBridge(server, ...heardIn(server), ...PATIENT);
    console.log(
      `the next bridge has its sink ${(performance.now() - killedAt).toFixed(0)} ms after the first was killed`,
    );
    expect(await tunnels(server)).toHaveLength(2);
    expect(server.bridgePlaces).toHaveLength(1);
    const bytes = noise('s16_le', 2, 24_000);
    await playOut(bridge, server, CD_LIKE, bytes);
    await stop(bridge, server);
    expect(timesHeard(server, bytes)).toBe(1);
  });

  test('a module that somebody has unloaded comes back', async () => {
    const server = await startPulse();
    const bridge = await startBridge(server, '--sink', 'null');
    await server.pactl('unload-module', 'module-tunnel-sink-new');
    await bridge.event('reconnect');
    expect(await tunnels(server)).toHaveLength(2);
    await stop(bridge, server);
  });

  test('a second bridge is told of the first', async () => {
    const server = await startPulse();
    const first = await startBridge(server, '--sink', 'null');
    const { status, stderr } = await new BridgeCommand(server, ['--sink', 'null']).ended();
    expect(status).toBe(1);
    expect(stderr).toContain(`has Emulated already, of the bridge of process ${first.pid}`);
    await stop(first, server);
  });
});
