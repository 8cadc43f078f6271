import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { MAIN, Running } from '../../cli/run.ts';
import { STEREO } from '../../sound.ts';
import { readAll, useDirectory } from '../../wav/files.ts';
import { noise, occurrences, writeWav } from './sound.ts';
import { type HeadlessServer, startPipewire, startPulse } from './sound-server.ts';

const files = useDirectory();

const FRAMES = 24_000;

/** Its loudness is far from full scale: no server limits it. */
const SONG = noise(STEREO.format, STEREO.channels, FRAMES).map((byte, at) =>
  at % 2 === 0 ? byte : byte > 127 ? 0xf0 | (byte & 15) : byte & 15,
);

const songIn = (directory: string) => writeWav(directory, 'song.wav', STEREO, SONG);

function vsnd(args: string[], env: NodeJS.ProcessEnv): Running {
  return new Running(process.execPath, [MAIN, ...args], { ...env, CI: '' });
}

/** Starts `vsnd` on a terminal; `ci`: what the environment says of continuous integration, whatever this one says. */
function onTerminal(args: string[], env: NodeJS.ProcessEnv, ci = ''): Running {
  const command = [process.execPath, MAIN, ...args].join(' ');
  return new Running('script', ['-qec', command, '/dev/null'], { ...env, CI: ci });
}

/** ALSA without a card, whose default device keeps what it plays, and captures silence. */
function alsaInto(file: string): NodeJS.ProcessEnv {
  const path = files.path('alsa.conf');
  const nothing = 'pcm.nothing { type null }';
  writeFileSync(path, `${nothing}\npcm.!default { type file slave.pcm nothing file "${file}" format raw }\n`);
  return { ALSA_CONFIG_PATH: path, PULSE_SERVER: 'unix:/none', XDG_RUNTIME_DIR: '/none', LC_ALL: 'C' };
}

/** Records what a sink of the server's plays, until the function that it returns is called. */
async function monitor(server: HeadlessServer): Promise<() => Promise<Buffer>> {
  const heard: Buffer[] = [];
  const args = ['--raw', '--format=s16le', '--rate=48000', '--channels=2', '--latency-msec=20'];
  const recorder = server.spawn('parec', [...args, '--device=@DEFAULT_MONITOR@']);
  recorder.stdout?.on('data', (bytes: Buffer) => heard.push(bytes));
  await once(recorder.stdout as NodeJS.ReadableStream, 'data');
  return async () => {
    const ended = once(recorder, 'close');
    recorder.kill('SIGINT');
    await ended;
    return Buffer.concat(heard);
  };
}

/** aplay fills its last period up with silence. */
function expectSong(heard: Buffer): void {
  expect(heard.subarray(0, SONG.length).equals(SONG)).toBe(true);
  expect(heard.subarray(SONG.length).every((byte) => byte === 0)).toBe(true);
}

/** The sample that is heard once, of the middle of the song. */
const MIDDLE = SONG.subarray(40_000, 48_000);

describe('the emulated card plays through', () => {
  test('aplay, every byte', async () => {
    const heard = files.path('heard.raw');
    const env = alsaInto(heard);
    const args = ['play', '--emulate', '--sink', 'alsa', songIn(files.path('.'))];
    const { status, stdout, stderr } = await vsnd(args, env).ended();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('of an emulated Xen machine, sink aplay\n');
    expectSong(readFileSync(heard));
  });

  test('pacat', async () => {
    const server = await startPulse();
    await server.pactl('load-module', 'module-null-sink', 'rate=48000');
    const stop = await monitor(server);
    const args = ['play', '--emulate', '--sink', 'pulse', songIn(files.path('.'))];
    expect(await vsnd(args, server.env).ended()).toMatchObject({ status: 0, stderr: '' });
    expect(occurrences(await stop(), MIDDLE)).toBe(1);
  });

  test('pw-cat', async () => {
    const server = await startPipewire();
    await server.pactl('load-module', 'module-null-sink', 'sink_name=speakers');
    await server.pactl('set-default-sink', 'speakers');
    const stop = await monitor(server);
    const args = ['play', '--emulate', '--sink', 'pipewire', songIn(files.path('.'))];
    expect(await vsnd(args, server.env).ended()).toMatchObject({ status: 0, stderr: '' });
    expect(occurrences(await stop(), MIDDLE)).toBe(1);
  });

  test('what is not there: one line says why', async () => {
    const env = { ...alsaInto(files.path('heard.raw')), ALSA_CONFIG_PATH: '/none' };
    for (const [sink, reason] of [
      ['alsa', /^vsnd: aplay ended with status 1: .*audio open error[^\n]*\n$/],
      ['pulse', /^vsnd: pacat ended with status 1: .*Connection refused\n$/],
      ['pipewire', /^vsnd: pw-cat ended with status 1: error: pw_context_connect\(\) failed[^\n]*\n$/],
    ] as const) {
      const { status, stderr } = await vsnd(['play', '--emulate', '--sink', sink], env).ended();
      expect(status).toBe(1);
      expect(stderr).toMatch(reason);
    }
  });
});

describe('where no sink is named', () => {
  const args = ['play', '--emulate', '--json'];

  test('on a terminal the first that plays is the sink', async () => {
    const heard = files.path('heard.raw');
    const song = songIn(files.path('.'));
    const { status, stdout } = await onTerminal(['play', '--emulate', song], alsaInto(heard)).ended();
    expect(status).toBe(0);
    expect(stdout).toContain('sink aplay (--sink chooses another)');
    expectSong(readFileSync(heard));
  });

  test('with CI set, with --fast, and without a terminal it is null', async () => {
    const env = alsaInto(files.path('heard.raw'));
    const song = songIn(files.path('.'));
    for (const running of [
      onTerminal([...args, song], env, 'true'),
      onTerminal([...args, '--fast', song], env),
      vsnd([...args, song], env),
    ]) {
      expect((await running.ended()).stdout).toContain('"sink": "null: a clock that keeps nothing"');
    }
  });
});

describe('the emulated card captures through', () => {
  const record = (source: string[], file: string) => [
    ...['record', '--emulate', ...source, '-d', '0.2', file],
  ];

  test('arecord, parec, and pw-cat', async () => {
    const file = files.path('take.wav');
    const alsa = alsaInto('/dev/null');
    const pulse = await startPulse();
    await pulse.pactl('load-module', 'module-null-sink', 'rate=48000');
    const pipewire = await startPipewire();
    await pipewire.pactl('load-module', 'module-null-sink', 'sink_name=speakers');
    for (const [source, env] of [
      ['alsa', alsa],
      ['pulse', pulse.env],
      ['pipewire', pipewire.env],
    ] as const) {
      const { status, stdout, stderr } = await vsnd(record(['--source', source], file), env).ended();
      expect({ source, status, stderr }).toEqual({ source, status: 0, stderr: '' });
      expect(stdout).toMatch(/source (arecord|parec|pw-cat --record)\n/);
      expect((await readAll(file)).frames).toBe(9600);
    }
  });

  test('the first of them on a terminal where none is named', async () => {
    const pulse = await startPulse();
    await pulse.pactl('load-module', 'module-null-sink', 'rate=48000');
    const { status, stdout } = await onTerminal(record([], files.path('take.wav')), pulse.env).ended();
    expect(status).toBe(0);
    expect(stdout).toContain('source parec (--source chooses another)');
  });
});
