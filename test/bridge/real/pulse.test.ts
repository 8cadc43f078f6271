import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packS24 } from '../../../src/wav/repack.ts';
import type { PcmFormatName } from '../../../src/wire/pcm-format.ts';
import { BridgeCommand, startBridge as startAnyBridge } from './bridge-command.ts';
import { expectAsleep } from './cost.ts';
import { noise, occurrences, PULSE_NAMES, writeRaw, writeWav } from './sound.ts';
import { type HeadlessServer, startPulse, startPulseOf } from './sound-server.ts';

/** For what must not depend on how busy the machine is. */
const PATIENT = ['--latency', '500'];

interface Sound {
  readonly rate: number;
  readonly channels: number;
  readonly format: PcmFormatName;
}

const CD_LIKE: Sound = { rate: 48_000, channels: 2, format: 's16_le' };

/** Through a FIFO: pulse-tunnel.test.ts has the tunnels. */
const startBridge = (server: HeadlessServer, ...args: string[]) =>
  startAnyBridge(server, ...args, '--via', 'pipe');

const options = ({ rate, channels, format }: Sound) => ['-r', `${rate}`, '-c', `${channels}`, '-f', format];

const rawOptions = ({ rate, channels, format }: Sound) => [
  '--raw',
  `--rate=${rate}`,
  `--channels=${channels}`,
  `--format=${PULSE_NAMES[format]}`,
  // Otherwise PulseAudio thinks of another order, and mixes.
  ...(channels === 6 ? ['--channel-map=front-left,front-right,rear-left,rear-right,front-center,lfe'] : []),
];

/** Plays a file of the server's directory through the sink, to its end. */
async function play(server: HeadlessServer, sound: Sound, file: string): Promise<void> {
  await server.run('paplay', [...rawOptions(sound), '--device=Emulated', file]);
}

/** Records until so many bytes have come. */
async function record(server: HeadlessServer, sound: Sound, bytes: number): Promise<Buffer> {
  const recorder = server.spawn('parec', [...rawOptions(sound), '--device=Emulated.source']);
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of recorder.stdout as AsyncIterable<Buffer>) {
    pieces.push(piece);
    length += piece.length;
    if (length >= bytes) break;
  }
  recorder.kill();
  if (recorder.exitCode === null && recorder.signalCode === null) await once(recorder, 'exit');
  return Buffer.concat(pieces);
}

/** Ends it, and looks at what it leaves: nothing. */
async function stop(bridge: BridgeCommand, server: HeadlessServer): Promise<void> {
  expect(await bridge.stop()).toEqual({ status: 0, stderr: '' });
  expect(await server.bridgeModules()).toEqual([]);
  expect(server.bridgePlaces).toEqual([]);
}

describe('a file that is played', () => {
  test.each<Sound>([
    CD_LIKE,
    { rate: 44_100, channels: 1, format: 's16_le' },
    { rate: 96_000, channels: 2, format: 's32_le' },
    { rate: 48_000, channels: 2, format: 's24_le' },
    { rate: 48_000, channels: 6, format: 's16_le' },
    { rate: 44_100, channels: 2, format: 'float_le' },
    { rate: 22_050, channels: 2, format: 'u8' },
  ])('is heard, every sample, in order, none twice: $format $rate Hz, $channels channels', async (sound) => {
    const server = await startPulse();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(
      server,
      'pulse',
      '--sink',
      `wav:${heard}`,
      '--no-source',
      ...options(sound),
      ...PATIENT,
    );
    const bytes = noise(sound.format, sound.channels, sound.rate);
    await play(server, sound, writeRaw(server.directory, 'noise.raw', bytes));
    const stopped = await bridge.event('stop');
    await stop(bridge, server);
    const expected = sound.format === 's24_le' ? packS24(bytes) : bytes;
    expect(occurrences(readFileSync(heard), expected)).toBe(1);
    expect(stopped.endpoints[0]?.statistics).toMatchObject({ active: false, xruns: 0, slips: 0 });
  });
});

describe('a sound that is captured', () => {
  test.each<Sound>([
    CD_LIKE,
    { rate: 44_100, channels: 1, format: 's16_le' },
    { rate: 96_000, channels: 2, format: 's32_le' },
  ])(
    'is recorded, every sample, in order, none twice: $format $rate Hz, $channels channels',
    async (sound) => {
      const server = await startPulse();
      const bytes = noise(sound.format, sound.channels, 2 * sound.rate);
      const said = writeWav(server.directory, 'said.wav', sound, bytes);
      const args = ['--sink', 'null', '--no-sink', '--source', `wav:${said}`, ...options(sound), ...PATIENT];
      const bridge = await startBridge(server, 'pulse', ...args);
      for (const round of [1, 2]) {
        const recorded = await record(server, sound, bytes.length / 2);
        await bridge.event('stop', { count: round });
        // A recorder that is killed leaves something in the pipe: the next one must not hear of it.
        const start = recorded.indexOf(bytes.subarray(0, 64));
        expect(start).toBeGreaterThanOrEqual(0);
        expect(recorded.subarray(0, start).every((byte) => byte === 0)).toBe(true);
        const rest = recorded.subarray(start);
        expect(Buffer.compare(rest, bytes.subarray(0, rest.length))).toBe(0);
      }
      await stop(bridge, server);
    },
  );

  test('is asked for only while somebody records, and only in frames that the daemon bears', async () => {
    const server = await startPulse();
    const args = ['--sink', 'null', '-c', '3', '-f', 's16_le'];
    const refused = await new BridgeCommand(server, ['pulse', ...args, '--via', 'pipe']).ended();
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('format is "s16_le"; allowed: none (with 3 channels)');
    expect(server.bridgePlaces).toEqual([]);
    expect(await server.answers()).toBe(true);
  });
});

describe('idle', () => {
  test('a bridge sleeps, and the first sound afterwards is complete', async () => {
    const server = await startPulse();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, 'pulse', '--sink', `wav:${heard}`, ...PATIENT);
    const takes = [noise('s16_le', 2, 24_000), noise('s16_le', 2, 480)]; // half a second; 10 ms
    for (const [index, bytes] of takes.entries()) {
      await play(server, CD_LIKE, writeRaw(server.directory, 'noise.raw', bytes));
      const { endpoints } = await bridge.event('stop', { count: index + 1 });
      expect(endpoints.map(({ statistics: { active, xruns } }) => ({ active, xruns }))).toEqual([
        { active: false, xruns: 0 },
        { active: false, xruns: 0 },
      ]);
    }
    await expectAsleep(bridge.pid);
    await stop(bridge, server);
    for (const [index, bytes] of takes.entries()) {
      const file = index === 0 ? heard : heard.replace('.wav', `-${index + 1}.wav`);
      expect(occurrences(readFileSync(file), bytes), file).toBe(1);
    }
  });
});

describe('a sound server that restarts', () => {
  test('has sink and source again, and they work', async () => {
    const server = await startPulse();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, '--sink', `wav:${heard}`, ...PATIENT);
    for (const [index, signal] of (['SIGTERM', 'SIGKILL'] as const).entries()) {
      await server.stop(signal);
      expect(await bridge.event('disconnect', { count: index + 1 })).toMatchObject({ state: 'waiting' });
      await server.start();
      expect(await bridge.event('reconnect', { count: index + 1 })).toMatchObject({ state: 'running' });
    }
    expect(await server.bridgeModules()).toHaveLength(2);
    const bytes = noise('s16_le', 2, 24_000);
    await play(server, CD_LIKE, writeRaw(server.directory, 'noise.raw', bytes));
    await bridge.event('stop', { direction: 'sink' });
    await record(server, { ...CD_LIKE }, 20_000);
    await stop(bridge, server);
    expect(occurrences(readFileSync(heard), bytes)).toBe(1);
  });

  test('may be gone when the bridge ends', async () => {
    const server = await startPulse();
    const bridge = await startBridge(server, '--sink', 'null');
    await server.stop();
    await bridge.event('disconnect');
    expect(await bridge.stop()).toEqual({ status: 0, stderr: '' });
    expect(server.bridgePlaces).toEqual([]);
  });

  test('a module that somebody has unloaded comes back', async () => {
    const server = await startPulse();
    const bridge = await startBridge(server, '--sink', 'null');
    await server.pactl('unload-module', 'module-pipe-sink');
    await bridge.event('reconnect');
    expect(await server.bridgeModules()).toHaveLength(2);
    await stop(bridge, server);
  });
});

describe('one copy', () => {
  test('is what there is after a bridge was killed and another one started', async () => {
    const server = await startPulse();
    const killed = await startBridge(server, '--sink', 'null');
    await killed.stop('SIGKILL');
    expect(await server.bridgeModules()).toHaveLength(2);
    expect(server.bridgePlaces).toHaveLength(1);
    const bridge = await startBridge(server, '--sink', 'null');
    expect(await server.bridgeModules()).toHaveLength(2);
    expect(server.bridgePlaces).toHaveLength(1);
    await stop(bridge, server);
  });

  test('is what there is: a second bridge is told of the first', async () => {
    const server = await startPulse();
    const first = await startBridge(server, '--sink', 'null');
    const { status, stderr } = await new BridgeCommand(server, ['--sink', 'null']).ended();
    expect(status).toBe(1);
    expect(stderr).toContain(`has Emulated already, of the bridge of process ${first.pid}`);
    expect(await server.bridgeModules()).toHaveLength(2);
    const other = await startBridge(server, '--sink', 'null', '--name', 'Other');
    expect(await server.bridgeModules()).toHaveLength(4);
    expect((await other.stop()).status).toBe(0);
    await stop(first, server);
  });
});

describe('what is missing', () => {
  async function failure(server: HeadlessServer, ...args: string[]): Promise<string> {
    const { status, stderr } = await new BridgeCommand(server, [...args, '--sink', 'null']).ended();
    expect(status).toBe(1);
    expect(server.bridgePlaces).toEqual([]);
    return stderr;
  }

  test('may be the server', async () => {
    const server = await startPulse();
    await server.stop();
    expect(await failure(server, 'pulse')).toContain('no sound server runs for this user');
    expect(await failure(server)).toContain('name one: pulse, pipewire');
  });

  test('may be the program that reaches it', async () => {
    const server = await startPulse();
    server.env['PATH'] = join(server.directory, 'nothing');
    expect(await failure(server, 'pulse')).toBe(
      "vsnd: there is no pactl: install pulseaudio-utils (Debian's name of it)\n",
    );
  });

  test.skipIf(process.getuid?.() !== 0)(
    'may be the right to use it, which root has not by itself',
    async () => {
      const server = await startPulseOf(65_534);
      expect(await failure(server)).toContain('run vsnd as the user whose server it is');
    },
  );
});
