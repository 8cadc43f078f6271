import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { parseNodes } from '../../../src/bridge/pw-dump.ts';
import { MAIN } from '../../cli/run.ts';
import { FRAME } from '../../sound.ts';
import { BridgeCommand, startBridge as startCommand } from './bridge-command.ts';
import { expectAsleep } from './cost.ts';
import { noise, occurrences, PULSE_NAMES, writeRaw, writeWav } from './sound.ts';
import { type HeadlessServer, hurryProcess, startPipewire } from './sound-server.ts';

const SOUND = { rate: 48_000, channels: 2, format: 's16_le' } as const;
const WAV_HEADER = 44;
const RAW = ['--raw', '--rate=48000', '--channels=2', '--format=s16le'];

/** The addons' sanitizers are in the way of programs that a bridge starts. */
const IS_SANITIZED = process.env['VSND_TEST_PRELOAD'] !== undefined;

/** For what must not depend on how busy the machine is. */
const PATIENT = ['--latency', '500'];

async function startBridge(server: HeadlessServer, ...args: string[]): Promise<BridgeCommand> {
  const bridge = await startCommand(server, 'pipewire', ...args);
  await hurryProcess(bridge.pid, 20); // the data thread, too
  return bridge;
}

/** Plays a file to its end: pw-play would drop the last partial quantum. */
async function play(server: HeadlessServer, bytes: Uint8Array): Promise<void> {
  const file = writeRaw(server.directory, 'noise.raw', bytes);
  await server.run('paplay', [...RAW, '--device=Emulated', file]);
}

/** What a recorder hears until it has heard so many bytes that are not silence. */
async function record(
  server: HeadlessServer,
  program: string,
  args: string[],
  bytes: number,
): Promise<Buffer> {
  const recorder = server.spawn('chrt', ['--fifo', '20', program, ...args]); // or it is late, and loses sound
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of recorder.stdout as AsyncIterable<Buffer>) {
    const isHeard = length > 0 || piece.some((byte) => byte !== 0);
    pieces.push(piece);
    if (isHeard) length += piece.length;
    if (length >= bytes) break;
  }
  recorder.kill('SIGKILL');
  if (recorder.exitCode === null && recorder.signalCode === null) await once(recorder, 'exit');
  return Buffer.concat(pieces);
}

/** The names of the nodes that bridges have in the server. */
async function bridgeNodes(server: HeadlessServer): Promise<string[]> {
  const nodes = parseNodes(await server.output('pw-dump'));
  return nodes
    .map(({ name }) => name)
    .filter((name) => /^(?:Emulated|Other)/.test(name))
    .sort();
}

/** The frames that are not zero: noise has none of these. */
function withoutSilence(bytes: Buffer): Buffer {
  const frames = Buffer.alloc(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at += FRAME) {
    const frame = bytes.readUInt32LE(at);
    if (frame !== 0) length = frames.writeUInt32LE(frame, length);
  }
  return frames.subarray(0, length);
}

/** Ends it, and looks at what it leaves: nothing. */
async function stop(bridge: BridgeCommand, server: HeadlessServer): Promise<void> {
  expect(await bridge.stop()).toEqual({ status: 0, stderr: '' });
  expect(await bridgeNodes(server)).toEqual([]);
  expect(server.bridgePlaces).toEqual([]);
}

describe('a file that is played', () => {
  test.each([
    ['paplay', ['--device=Emulated'], 0],
    ['paplay', ['--device=Emulated', '--latency-msec=20'], 0],
    ['pw-play', ['--target=Emulated'], 2048],
    ['pw-play', ['--target=Emulated', '--latency=20ms'], 2048],
  ] as const)('is heard, every sample, in order, none twice: by %s %j', async (program, args, dropped) => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, '--sink', `wav:${heard}`, '--no-source', ...PATIENT);
    const bytes = noise('s16_le', 2, 3 * SOUND.rate);
    const file = writeWav(server.directory, 'noise.wav', SOUND, bytes);
    await server.run('chrt', ['--fifo', '20', program, ...args, file]);
    const stopped = await bridge.event('stop');
    await stop(bridge, server);
    // pw-play of 0.3.65 drops the rest of its last quantum itself.
    const kept = bytes.subarray(0, bytes.length - dropped * FRAME);
    expect(occurrences(readFileSync(heard), kept)).toBe(1);
    expect(stopped.endpoints[0]?.statistics).toMatchObject({ active: false, xruns: 0, slips: 0 });
  });

  test.each([
    ['float_le', 2],
    ['s16_le', 1],
    ['s16_le', 6],
  ] as const)('is heard as it is: %s, %i channels', async (format, channels) => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const spec = ['-f', format, '-c', `${channels}`];
    const bridge = await startBridge(server, '--sink', `wav:${heard}`, '--no-source', ...spec, ...PATIENT);
    const bytes = noise(format, channels, SOUND.rate);
    const file = writeRaw(server.directory, 'noise.raw', bytes);
    const map = ['mono', '', '', '', '', 'front-left,front-right,rear-left,rear-right,front-center,lfe'][
      channels - 1
    ];
    const raw = ['--raw', '--rate=48000', `--channels=${channels}`, `--format=${PULSE_NAMES[format]}`];
    await server.run('paplay', [...raw, ...(map ? [`--channel-map=${map}`] : []), '--device=Emulated', file]);
    await bridge.event('stop');
    await stop(bridge, server);
    expect(occurrences(readFileSync(heard), bytes)).toBe(1);
  });

  test.skipIf(IS_SANITIZED)('is heard through a pipe, where that is asked for', async () => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const args = ['--via', 'pipe', '--sink', `wav:${heard}`, '--no-source', ...PATIENT];
    const bridge = await startBridge(server, ...args);
    await server.hurry('pw-cli', bridge.pid);
    const bytes = noise('s16_le', 2, 3 * SOUND.rate);
    await play(server, bytes);
    await bridge.event('stop');
    await stop(bridge, server);
    expect(occurrences(readFileSync(heard), bytes)).toBe(1);
  });

  test.skipIf(IS_SANITIZED)('is heard where nothing says which server runs', async () => {
    const server = await startPipewire();
    const bridge = await startCommand(server, '--sink', 'null');
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
    const bytes = noise('s16_le', 2, 4 * SOUND.rate);
    const said = writeWav(server.directory, 'said.wav', SOUND, bytes);
    const bridge = await startBridge(server, '--sink', 'null', '--source', `wav:${said}`, ...PATIENT);
    for (const round of [1, 2]) {
      const recorded = await record(server, program, args, 2 * SOUND.rate * FRAME);
      await bridge.event('stop', { count: round });
      // A recorder that is killed leaves something in the pipe: the next one must not hear of it.
      const start = recorded.indexOf(bytes.subarray(0, 64));
      expect(start).toBeGreaterThanOrEqual(0);
      const rest = recorded.subarray(start);
      expect(Buffer.compare(rest, bytes.subarray(0, rest.length))).toBe(0);
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
    for (const [index, bytes] of takes.entries()) {
      await play(server, bytes);
      const { endpoints } = await bridge.event('stop', { count: index + 1 });
      expect(endpoints[0]?.statistics).toMatchObject({ active: false, xruns: 0 });
    }
    await expectAsleep(bridge.pid);
    await stop(bridge, server);
    for (const [index, bytes] of takes.entries()) {
      const file = index === 0 ? heard : heard.replace('.wav', `-${index + 1}.wav`);
      expect(occurrences(readFileSync(file), bytes), file).toBe(1);
    }
  });
});

describe('what programs are told', () => {
  test('is the latency, as it is', async () => {
    const server = await startPipewire();
    const bridge = await startBridge(server, '--sink', 'null', '--no-source', '--latency', '200');
    const file = writeWav(server.directory, 'noise.wav', SOUND, noise('s16_le', 2, 4 * SOUND.rate));
    const player = server.spawn('pw-play', ['--target=Emulated', file]);
    await bridge.event('start');
    const told = async () => {
      const objects = JSON.parse(await server.output('pw-dump')) as {
        info?: {
          props?: Record<string, unknown>;
          params?: { Latency?: { direction: string; minNs: number }[] };
        };
      }[];
      const node = objects.find(({ info }) => info?.props?.['node.name'] === 'pw-play');
      const found = node?.info?.params?.Latency?.find(({ direction }) => direction === 'Input');
      return found?.minNs || undefined;
    };
    while ((await told()) === undefined) await wait(50);
    const quantum = 2048; // a quarter of 200 ms holds it
    expect(await told()).toBeCloseTo((9600 - quantum) / 48e-6, -3);
    player.kill();
    await stop(bridge, server);
  });

  test("of the volume is what they set, and the card's own does it", async () => {
    const server = await startPipewire();
    const bridge = await startBridge(server, '--sink', 'null', '--no-source');
    const file = writeWav(server.directory, 'noise.wav', SOUND, noise('s16_le', 2, 4 * SOUND.rate));
    const player = server.spawn('pw-play', ['--target=Emulated', file]);
    await bridge.event('start');
    await server.pactl('set-sink-volume', 'Emulated', '50%');
    const softVolumes = async () =>
      /"softVolumes": \[ ([^\]]*) \]/.exec(await server.output('pw-dump', 'Emulated'))?.[1];
    while (!/^1\.0+, 1\.0+$/.test((await softVolumes()) ?? '')) await wait(50);
    expect(await server.pactl('get-sink-volume', 'Emulated')).toContain('50%');
    player.kill();
    await stop(bridge, server);
  });
});

describe("the card's own volume", () => {
  test('is shown to programs where `vsnd volume` sets it', async () => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, '--sink', `wav:${heard}`, '--no-source', ...PATIENT);
    const bytes = noise('s16_le', 2, 4 * SOUND.rate);
    const file = writeRaw(server.directory, 'noise.raw', bytes);
    const player = server.spawn('paplay', [...RAW, '--device=Emulated', file]);
    await bridge.event('start');
    const shown = async () =>
      `${await server.pactl('get-sink-volume', 'Emulated')}${await server.pactl('get-sink-mute', 'Emulated')}`;
    await server.pactl('set-sink-volume', 'Emulated', '90%');
    while (!(await shown()).includes('90%')) await wait(50);
    await server.run(process.execPath, [MAIN, 'volume', '--emulate', '--', '-18']);
    while (!(await shown()).includes('50%')) await wait(50); // of the ear's scale: its cube is 18 dB less
    await server.run(process.execPath, [MAIN, 'volume', '--emulate', 'mute']);
    while (!(await shown()).includes('Mute: yes')) await wait(50);
    await server.run(process.execPath, [MAIN, 'volume', '--emulate', 'unmute']);
    while (!(await shown()).includes('Mute: no')) await wait(50);
    await once(player, 'exit');
    await bridge.event('stop');
    await stop(bridge, server);
  });
});

describe('programs that are killed in the middle of a cycle', () => {
  // PipeWire loses the cycle then: of a null sink's it loses ten times as much.
  test('take no more than that cycle with them, and what plays afterwards is whole', async () => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, '--sink', `wav:${heard}`, '--no-source', ...PATIENT);
    const bytes = noise('s16_le', 2, 5 * SOUND.rate);
    const file = writeRaw(server.directory, 'noise.raw', bytes);
    const silence = writeWav(server.directory, 'silence.wav', SOUND, Buffer.alloc(bytes.length));
    const player = server.spawn('chrt', ['--fifo', '20', 'paplay', ...RAW, '--device=Emulated', file]);
    await bridge.event('start');
    let cycles = 0;
    for (let count = 0, isOver = false; !isOver; count++) {
      const quantum = 64 << (count % 5);
      const other = server.spawn('pw-play', ['--target=Emulated', `--latency=${quantum}`, silence]);
      isOver = await Promise.race([once(player, 'exit').then(() => true), wait(150 + 7 * count, false)]);
      other.kill('SIGKILL');
      cycles += quantum;
    }
    await bridge.event('stop');
    await play(server, bytes);
    const { endpoints } = await bridge.event('stop', { count: 2 });
    expect(endpoints[0]?.statistics.slips).toBe(0);
    await stop(bridge, server);
    const lost = (bytes.length - withoutSilence(readFileSync(heard).subarray(WAV_HEADER)).length) / FRAME;
    expect(Math.abs(lost)).toBeLessThanOrEqual(cycles); // 1.4 may also have one heard twice
    expect(occurrences(readFileSync(heard.replace('.wav', '-2.wav')), bytes)).toBe(1);
  });
});

describe('priority', () => {
  test('is what the session manager is told, of both kinds', async () => {
    const server = await startPipewire();
    const bridge = await startBridge(server, '--sink', 'null', '--priority', '1234');
    for (const name of ['Emulated', 'Emulated.source']) {
      const text = await server.output('pw-cli', 'info', name);
      expect(text).toContain('priority.driver = "1234"');
      expect(text).toContain('priority.session = "1234"');
    }
    await stop(bridge, server);
  });
});

describe('another driver', () => {
  test('is followed while programs are linked to both, and none of it is lost afterwards', async () => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, '--sink', `wav:${heard}`, '--no-source', ...PATIENT);
    const properties = 'factory.name=support.null-audio-sink node.name=Other media.class=Audio/Sink';
    const more = 'object.linger=true audio.position=[FL FR] priority.driver=5000';
    await server.run('pw-cli', ['create-node', 'adapter', `{ ${properties} ${more} }`]);
    while (!(await bridgeNodes(server)).includes('Other')) await wait(50);
    const long = writeWav(server.directory, 'long.wav', SOUND, noise('s16_le', 2, 6 * SOUND.rate));
    const player = server.spawn('paplay', ['--device=Other', long]);
    await wait(500);
    for (const side of ['FL', 'FR']) {
      await server.run('pw-link', [`Other:monitor_${side}`, `Emulated:playback_${side}`]);
    }
    await bridge.event('start');
    await once(player, 'exit');
    for (const side of ['FL', 'FR']) {
      await server.run('pw-link', ['-d', `Other:monitor_${side}`, `Emulated:playback_${side}`]);
    }
    const { endpoints } = await bridge.event('stop');
    expect(endpoints[0]?.statistics.frames).toBeGreaterThan(4 * SOUND.rate);
    expect(endpoints[0]?.statistics.slips).toBeLessThanOrEqual(1); // as it begins
    const bytes = noise('s16_le', 2, SOUND.rate);
    await play(server, bytes);
    await bridge.event('stop', { count: 2 });
    expect(await bridge.stop()).toEqual({ status: 0, stderr: '' });
    expect(occurrences(readFileSync(heard.replace('.wav', '-2.wav')), bytes)).toBe(1);
  });
});

describe('a sound server that restarts', () => {
  test('has sink and source again, and they work', async () => {
    const server = await startPipewire();
    const heard = join(server.directory, 'heard.wav');
    const bridge = await startBridge(server, '--sink', `wav:${heard}`, ...PATIENT);
    for (const [index, signal] of (['SIGTERM', 'SIGKILL'] as const).entries()) {
      await server.stop(signal);
      expect(await bridge.event('disconnect', { count: index + 1 })).toMatchObject({ state: 'waiting' });
      await server.start();
      expect(await bridge.event('reconnect', { count: index + 1 })).toMatchObject({ state: 'running' });
    }
    expect(await bridgeNodes(server)).toEqual(['Emulated', 'Emulated.source']);
    await hurryProcess(bridge.pid, 20);
    const bytes = noise('s16_le', 2, 24_000);
    await play(server, bytes);
    await bridge.event('stop', { direction: 'sink' });
    await stop(bridge, server);
    expect(occurrences(readFileSync(heard), bytes)).toBe(1);
  });

  test('may be gone when the bridge ends', async () => {
    const server = await startPipewire();
    const bridge = await startBridge(server, '--sink', 'null');
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
    const { status, stderr } = await new BridgeCommand(server, ['pipewire', '--sink', 'null']).ended();
    expect(status).toBe(1);
    expect(stderr).toContain(`has Emulated already, of process ${first.pid}`);
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
