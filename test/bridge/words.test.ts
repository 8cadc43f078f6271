import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { chooseAdaptor } from '../../src/bridge/find-server.ts';
import { parseModules, parseStates } from '../../src/bridge/pactl.ts';
import { loadPipeWireAddon } from '../../src/bridge/pipewire-addon.ts';
import { pipewireGraph } from '../../src/bridge/pipewire-graph.ts';
import { pipewirePipe } from '../../src/bridge/pipewire-pipe.ts';
import { bridgeOf, isLeft, makePlace, removeAbandonedPlaces, removePlace } from '../../src/bridge/place.ts';
import { type BridgeOptions, checkBridgeOptions, planEndpoints } from '../../src/bridge/plan.ts';
import { programError, runProgram } from '../../src/bridge/program.ts';
import { pulsePipe } from '../../src/bridge/pulse-pipe.ts';
import { pulseTunnel } from '../../src/bridge/pulse-tunnel.ts';
import type { Card } from '../../src/frontend/card.ts';
import { chooseSpec } from '../../src/server/choose-spec.ts';
import type { PcmFormatName } from '../../src/wire/pcm-format.ts';

const limits = (
  formats: readonly PcmFormatName[],
  rates = [8000, 44_100, 48_000],
  channels = { min: 1, max: 8 },
) => ({
  formats,
  rates,
  channels,
  bufferBytes: 65_536,
});

describe('what a sink or source is set to', () => {
  const anything = () => true;

  test('is what programs mostly play, as far as the card has it', () => {
    const choose = (...args: Parameters<typeof limits>) => chooseSpec(limits(...args), {}, anything);
    expect(choose(['u8', 's32_le', 's16_le'])).toMatchObject({ rate: 48_000, channels: 2, format: 's16_le' });
    expect(choose(['u8', 's32_le'], [8000, 44_100])).toMatchObject({ rate: 44_100, format: 's32_le' });
    expect(choose(['u8'], [8000, 96_000])).toMatchObject({ rate: 96_000, format: 'u8' });
    expect(choose(['u8'], [8000], { min: 6, max: 8 })).toMatchObject({ channels: 6 });
    expect(choose(['u8'], [8000], { min: 1, max: 1 })).toMatchObject({ channels: 1 });
  });

  test('is what the user wishes, or an error that says what there is', () => {
    const card = limits(['s16_le', 's8', 'u8']);
    const takes = (format: PcmFormatName) => format !== 's8';
    expect(chooseSpec(card, { rate: 8000, channels: 1, format: 'u8' }, takes)).toEqual({
      rate: 8000,
      channels: 1,
      format: 'u8',
      frameBytes: 1,
    });
    const wish = (wishes: Parameters<typeof chooseSpec>[1]) => () => chooseSpec(card, wishes, takes);
    expect(wish({ rate: 5 })).toThrow('rate is 5; allowed: 8000, 44100, 48000 (Hz)');
    expect(wish({ channels: 9 })).toThrow('channels is 9; allowed: 1 to 8');
    expect(wish({ format: 'gsm' })).toThrow('format is "gsm"');
    expect(wish({ format: 's8' })).toThrow('format is "s8"; allowed: s16_le, u8 (with 2 channels)');
    expect(() => chooseSpec(limits(['s8', 'gsm']), {}, takes)).toThrow(
      "the sound server takes none of the card's formats (s8, gsm) with 2 channels",
    );
  });

  test('never is what makes PulseAudio abort', () => {
    const takes = (format: PcmFormatName, channels: number) => pulsePipe.takes('source', format, channels);
    expect(takes('s16_le', 2)).toBe(true);
    expect(takes('s24_le', 2)).toBe(true); // four bytes each
    expect(takes('u8', 3)).toBe(false);
    expect(takes('s16_le', 6)).toBe(false);
    expect(takes('s32_le', 32)).toBe(false);
    expect(pulsePipe.takes('sink', 's16_le', 6)).toBe(true);
    expect(pulsePipe.takes('sink', 's16_le', 33)).toBe(false);
    for (const format of ['s8', 'u16_le', 'float64_le', 'gsm'] as const) {
      expect(pulsePipe.takes('sink', format, 2), format).toBe(false);
    }
  });
});

describe('a plan', () => {
  const cardWith = (names: Partial<Card['info']>, ...types: ('playback' | 'capture')[]) =>
    ({
      info: {
        devid: 3,
        pcmDevices: types.map((type, index) => ({
          index,
          streams: [{ index: 0, type, ...limits(['s16_le']) }],
        })),
        ...names,
      },
    }) as unknown as Pick<Card, 'info'>;
  const plan = (card: Pick<Card, 'info'>, options: BridgeOptions = {}) =>
    planEndpoints(card, pulsePipe, options);

  test('has what the card has, named after it', () => {
    const card = cardWith(
      { shortName: 'Car "audio" #1', longName: "The car's\n\\ audio" },
      'playback',
      'capture',
    );
    expect(plan(card).map(({ name, device, description }) => ({ name, device, description }))).toEqual([
      { name: 'Car_audio_1', device: 0, description: 'The car s   audio' },
      { name: 'Car_audio_1.source', device: 1, description: 'The car s   audio' },
    ]);
    expect(plan(cardWith({}, 'capture')).map(({ name }) => name)).toEqual(['vsnd-card-3.source']);
    expect(plan(cardWith({ shortName: '???' }, 'playback')).map(({ name }) => name)).toEqual(['vsnd-card-3']);
    expect(plan(card, { name: 'x', source: false }).map(({ name }) => name)).toEqual(['x']);
    expect(plan(card, { device: 1 }).map(({ direction }) => direction)).toEqual(['source']);
  });

  test('that cannot be is an error', () => {
    const card = cardWith({}, 'playback');
    expect(() => plan(card, { source: true })).toThrow('card 3 has no capture stream');
    expect(() => plan(card, { sink: true, device: 5 })).toThrow('card 3, device 5 has no playback stream');
    expect(() => plan(card, { sink: false })).toThrow('the card has nothing that a bridge could use');
  });

  test('is made from options that are checked', () => {
    for (const [options, message] of [
      [{ server: 'jack' }, 'server is "jack"; allowed: pulse, pipewire'],
      [{ via: 'socket' }, 'via is "socket"; allowed: tunnel, graph, pipe'],
      [{ sink: 1 }, 'sink is 1; allowed: true, false'],
      [{ name: 'a b' }, 'name is "a b"; allowed: 1 to 100 letters'],
      [{ latency: 5 }, 'latency is 5; allowed: 10 to 2000 (ms)'],
      [{ priority: 0.5 }, 'priority is 0.5; allowed: a whole number, 0 to 2147483647'],
      [{ signal: {} }, 'signal is an object; allowed: an AbortSignal'],
    ] as const) {
      expect(() => checkBridgeOptions(options as unknown as BridgeOptions)).toThrow(message);
    }
  });
});

describe('the route of the sound', () => {
  test('is the usual one of the server, or the one that was asked for', async () => {
    expect(await chooseAdaptor('pulse', undefined)).toBe(pulseTunnel);
    expect(await chooseAdaptor('pulse', 'pipe')).toBe(pulsePipe);
    expect(await chooseAdaptor('pipewire', undefined)).toBe(pipewireGraph);
    expect(await chooseAdaptor('pipewire', 'pipe')).toBe(pipewirePipe);
  });

  test('is one that the server has', async () => {
    const ofPulse = 'via is "graph"; allowed: tunnel, pipe (with pulse)';
    await expect(chooseAdaptor('pulse', 'graph')).rejects.toThrow(ofPulse);
    const ofPipewire = 'via is "tunnel"; allowed: graph, pipe (with pipewire)';
    await expect(chooseAdaptor('pipewire', 'tunnel')).rejects.toThrow(ofPipewire);
  });

  test('through the graph needs an addon; without it there is a pipe', () => {
    expect(() => loadPipeWireAddon('/nowhere/vsnd-pipewire.node')).toThrow(
      expect.objectContaining({
        code: 'ERR_VSND_SOUND_SERVER',
        message:
          'cannot load the addon for PipeWire, /nowhere/vsnd-pipewire.node: there is no such file; ' +
          "'--via pipe' (via: 'pipe') does without",
      }),
    );
  });
});

describe('what pactl says', () => {
  test('of modules, whatever their arguments contain', () => {
    const text = [
      '0\tmodule-native-protocol-unix\tauth-anonymous=1\t',
      `7\tmodule-pipe-sink\tsink_name=a file='/run/my dir/sink' sink_properties='device.description="A \\'b\\'"'\t`,
      '9\tlibpipewire-module-rt\t{',
      '            nice.level    = -11',
      '        }\t',
      '12\tmodule-null-sink',
      '',
    ].join('\n');
    const modules = parseModules(text);
    expect(modules.map(({ index, name }) => `${index} ${name}`)).toEqual([
      '0 module-native-protocol-unix',
      '7 module-pipe-sink',
      '9 libpipewire-module-rt',
      '12 module-null-sink',
    ]);
    expect(Object.fromEntries(modules[1]?.arguments ?? [])).toEqual({
      sink_name: 'a',
      file: '/run/my dir/sink',
      sink_properties: `device.description="A 'b'"`,
    });
  });

  test('of states', () => {
    const text = '0\tx1\tmodule-pipe-sink.c\ts16le 2ch 48000Hz\tIDLE\n3\tb\tm\ts\tRUNNING\n';
    expect(Object.fromEntries(parseStates(text))).toEqual({ x1: 'IDLE', b: 'RUNNING' });
  });

  test('when it cannot do what was asked, and what to do then', async () => {
    const failure = (words: string, cause: object = {}) =>
      programError('pactl', ['info'], Object.assign(new Error('status 1'), cause), words).message;
    expect(failure('Connection failure: Access denied\n')).toContain(
      'run vsnd as the user whose server it is',
    );
    expect(failure('Connection failure: Connection refused\nmore')).toBe(
      'no sound server runs for this user (pactl info: Connection failure: Connection refused)',
    );
    expect(failure('', { killed: true })).toBe('pactl info has not answered for 5 s');
    expect(failure('', { code: 'ENOENT' })).toBe(
      "there is no pactl: install pulseaudio-utils (Debian's name of it)",
    );
    expect(failure('Failure: Module initialization failed')).toBe(
      'pactl info: Failure: Module initialization failed',
    );
    await expect(runProgram('vsnd-has-no-such-program', [])).rejects.toMatchObject({
      code: 'ERR_VSND_SOUND_SERVER',
      message: 'there is no vsnd-has-no-such-program',
    });
  });
});

describe('the place of a bridge', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'vsnd-place-'));
    vi.stubEnv('VSND_CONTROL_DIR', directory);
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(directory, { recursive: true });
  });

  test('belongs to its process', async () => {
    const place = makePlace();
    expect(bridgeOf(join(place, 'sink'))).toBe(process.pid);
    expect(isLeft(join(place, 'sink'))).toBe(false);
    removeAbandonedPlaces();
    expect(readdirSync(directory)).toHaveLength(1);
    removePlace(place);
    expect(readdirSync(directory)).toEqual([]);
  });

  test('is abandoned when its process has gone, or is another one', async () => {
    const names = [`bridge-${process.pid}-1-abcdef`, 'bridge-4194304-1-abcdef', 'bridge-x', 'other'];
    for (const name of names) mkdirSync(join(directory, name), { mode: 0o700 });
    expect(names.map((name) => isLeft(join(directory, name, 'sink')))).toEqual([true, true, false, false]);
    expect(isLeft(join('/elsewhere', 'bridge-4194304-1-abcdef', 'sink'))).toBe(false);
    removeAbandonedPlaces();
    expect(readdirSync(directory).sort()).toEqual(['bridge-x', 'other']);
  });
});
