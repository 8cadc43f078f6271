import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { parseNodes } from '../../../src/bridge/pw-dump.ts';
import { BridgeCommand, startBridge as startCommand } from './bridge-command.ts';
import { costOfWaiting, expectAsleep } from './cost.ts';
import { noise, occurrences, writeRaw, writeWav } from './sound.ts';
import { type HeadlessServer, startPipewire } from './sound-server.ts';

const SOUND = { rate: 48_000, channels: 2, format: 's16_le' } as const;
const FRAME_BYTES = 4;
const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le'];

/** For what must not depend on how busy the machine is. */
const PATIENT = ['--latency', '500'];

async function startBridge(server: HeadlessServer, ...args: string[]): Promise<BridgeCommand> {
  const bridge = await startCommand(server, ...args);
  await server.hurry('pw-cli', bridge.pid);
  return bridge;
}

/** Plays a file to its end: pw-play would drop the last partial quantum. */
async function play(server: HeadlessServer, octets: Uint8Array): Promise<void> {
  const file = writeRaw(server.directory, 'noise.raw', octets);
  await server.run('paplay', [...RAW, '--device=Emulated', file]);
}

/** What a recorder hears until it has heard so many octets that are not silence. */
async function record(
  server: HeadlessServer,
  program: string,
  args: string[],
  octets: number,
): Promise<Buffer> {
  const recorder = server.spawn('chrt', ['--fifo', '20', program, ...args]); // or it is late, and loses sound
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of recorder.stdout as AsyncIterable<Buffer>) {
    const isHeard = length > 0 || piece.some((octet) => octet !== 0);
    pieces.push(piece);
    if (isHeard) length += piece.length;
    if (length >= octets) break;
  }
  recorder.kill('SIGKILL');
  if (recorder.exitCode === null && recorder.signalCode === null) await once(recorder, 'exit');
  return Buffer.concat(pieces);
}

/** The names of the nodes that bridges have in the server. */
async function bridgeNodes(server: HeadlessServer): Promise<string[]> {
  const nodes = parseNodes(await server.output('pw-dump'));
  return nodes
    .filter(({ fifo }) => fifo?.startsWith(server.directory))
    .map(({ name }) => name)
    .sort();
}

/** Ends it, and looks at what it leaves: nothing. */
async function stop(bridge: BridgeCommand, server: HeadlessServer): Promise<void> {
  expect(await bridge.stop()).toEqual({ status: 0, stderr: '' });
  expect(await bridgeNodes(server)).toEqual([]);
  expect(server.bridgePlaces).toEqual([]);
}

describe('a file that is played', () => {
  test.each([['inside the dead band'], ['in exact mode', '--exact']])(
    'is heard, every sample, in order, none twice: %s',
    async (_, ...args) => {
      const server = await startPipewire();
      const heard = join(server.directory, 'heard.wav');
      const bridge = await startBridge(server, 'pipewire', '--sink', `wav:${heard}`, ...PATIENT, ...args);
      const octets = noise('s16_le', 2, 3 * SOUND.rate);
      await play(server, octets);
      const stopped = await bridge.event('stop');
      await stop(bridge, server);
      expect(occurrences(readFileSync(heard), octets)).toBe(1);
      expect(stopped.endpoints[0]?.statistics).toMatchObject({ active: false, xruns: 0, slips: 0 });
    },
  );

  test('is heard where nothing says which server runs', async () => {
    const server = await startPipewire();
    const bridge = await startBridge(server, '--sink', 'null');
    expect((await bridge.event('connect')).server).toMatch(/^PipeWire \d/);
    await stop(bridge, server);
  });
});

describe('a sound that is captured', () => {
  test.each([
    ['parec', ['-d', 'Emulated.source', ...RAW]],
    ['pw-record', ['--target=Emulated.source', '--rate=48000', '--channels=2', '--format=s16', '-']],
  ])('is recorded, every sample, in order, none twice, by %s', async (program, args) => {
    const server = await startPipewire();
    const octets = noise('s16_le', 2, 4 * SOUND.rate);
    const said = writeWav(server.directory, 'said.wav', SOUND, octets);
    const bridge = await startBridge(server, '--sink', 'null', '--source', `wav:${said}`, ...PATIENT);
    for (const round of [1, 2]) {
      const recorded = await record(server, program, args, 2 * SOUND.rate * FRAME_BYTES);
      await bridge.event('stop', { count: round });
      // A recorder that is killed leaves something in the pipe: the next one must not hear of it.
      const start = recorded.indexOf(octets.subarray(0, 64));
      expect(start).toBeGreaterThanOrEqual(0);
      const rest = recorded.subarray(start);
      expect(Buffer.compare(rest, octets.subarray(0, rest.length))).toBe(0);
    }
    await stop(bridge, server);
  });
});

describe('idle', () => {
  test('a bridge sleeps, and the first sound afterwards is complete', async () => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, '--sink', `wav:${heard}`, ...PATIENT);
    const takes = [noise('s16_le', 2, 24_000), noise('s16_le', 2, 480)]; // half a second; 10 ms
    for (const [index, octets] of takes.entries()) {
      await play(server, octets);
      const { endpoints } = await bridge.event('stop', { count: index + 1 });
      expect(endpoints[0]?.statistics).toMatchObject({ active: false, xruns: 0 });
    }
    await expectAsleep(bridge.pid);
    await stop(bridge, server);
    for (const [index, octets] of takes.entries()) {
      const file = index === 0 ? heard : heard.replace('.wav', `-${index + 1}.wav`);
      expect(occurrences(readFileSync(file), octets), file).toBe(1);
    }
  });

  test('a program that is silent does not keep the card', async () => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, '--sink', `wav:${heard}`, '--no-source', ...PATIENT);
    const player = server.spawn('pacat', ['-p', ...RAW, '--device=Emulated']);
    for (const round of [1, 2]) {
      player.stdin?.write(noise('s16_le', 2, SOUND.rate / 2));
      const { endpoints } = await bridge.event('stop', { count: round }); // PipeWire writes zeros all the time
      expect(endpoints[0]?.statistics.active).toBe(false);
    }
    await costOfWaiting(bridge.pid, 'a bridge that reads zeros');
    player.kill();
    await stop(bridge, server);
  });
});

describe('a sound server that restarts', () => {
  test('has sink and source again, and they work', async () => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, 'pipewire', '--sink', `wav:${heard}`, ...PATIENT);
    for (const [index, signal] of (['SIGTERM', 'SIGKILL'] as const).entries()) {
      await server.stop(signal);
      expect(await bridge.event('disconnect', { count: index + 1 })).toMatchObject({ state: 'waiting' });
      await server.start();
      expect(await bridge.event('reconnect', { count: index + 1 })).toMatchObject({ state: 'running' });
    }
    expect(await bridgeNodes(server)).toEqual(['Emulated', 'Emulated.source']);
    await server.hurry('pw-cli', bridge.pid);
    const octets = noise('s16_le', 2, 24_000);
    await play(server, octets);
    await bridge.event('stop', { direction: 'sink' });
    await stop(bridge, server);
    expect(occurrences(readFileSync(heard), octets)).toBe(1);
  });

  test('may be gone when the bridge ends', async () => {
    const server = await startPipewire();
    const bridge = await startBridge(server, 'pipewire', '--sink', 'null');
    await server.stop();
    await bridge.event('disconnect');
    expect(await bridge.stop()).toEqual({ status: 0, stderr: '' });
    expect(server.bridgePlaces).toEqual([]);
  });
});

describe('one copy', () => {
  test('is what there is after a bridge was killed and another one started', async () => {
    const server = await startPipewire();
    const killed = await startBridge(server, '--sink', 'null');
    expect(await bridgeNodes(server)).toEqual(['Emulated', 'Emulated.source']);
    await killed.stop('SIGKILL');
    while ((await bridgeNodes(server)).length > 0) await wait(20); // the kernel ends what held them
    const bridge = await startBridge(server, '--sink', 'null');
    expect(await bridgeNodes(server)).toEqual(['Emulated', 'Emulated.source']);
    expect(server.bridgePlaces).toHaveLength(1);
    await stop(bridge, server);
  });

  test('is what there is: a second bridge is told of the first', async () => {
    const server = await startPipewire();
    const first = await startBridge(server, '--sink', 'null');
    const { status, stderr } = await new BridgeCommand(server, ['--sink', 'null']).ended();
    expect(status).toBe(1);
    expect(stderr).toContain(`has Emulated already, of the bridge of process ${first.pid}`);
    const other = await startBridge(server, '--sink', 'null', '--name', 'Other');
    expect(await bridgeNodes(server)).toEqual(['Emulated', 'Emulated.source', 'Other', 'Other.source']);
    expect((await other.stop()).status).toBe(0);
    await stop(first, server);
  });
});

test('says what is missing: the server', async () => {
  const server = await startPipewire();
  await server.stop();
  const { status, stderr } = await new BridgeCommand(server, ['pipewire', '--sink', 'null']).ended();
  expect(status).toBe(1);
  expect(stderr).toContain('no sound server runs for this user');
  expect(server.bridgePlaces).toEqual([]);
});
