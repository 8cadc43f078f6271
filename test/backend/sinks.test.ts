import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { firstSink, openSink } from '../../src/backend/sinks.ts';
import { ManualClock } from '../../src/clock.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { noise } from '../sound.ts';
import { useDirectory } from '../wav/files.ts';
import { BUFFER_BYTES } from './raw-frontend.ts';
import { useWorlds } from './world.ts';

const startWorld = useWorlds();
const directory = useDirectory();
const clock = new ManualClock();

describe('a sink’s name', () => {
  test('null', async () => {
    const sink = await openSink('null', clock);
    expect(sink.kind).toBe('null');
    expect(sink.file).toBeUndefined();
    expect(sink.deviceFor().description).toMatch(/^null/);
  });

  test('wav:FILE, which is not created before something is played', async () => {
    const file = directory.path('with: colons, and spaces.wav');
    const sink = await openSink(`wav:${file}`, clock);
    expect(sink).toMatchObject({ kind: 'wav', file });
    expect(sink.deviceFor().description).toContain(file);
    expect(readdirSync(directory.path('.'))).toEqual([]);
  });

  test('wav:FILE of a file that is there, which stays as it is', async () => {
    const file = directory.put('take.wav', Uint8Array.of(1, 2, 3));
    expect((await openSink(`wav:${file}`, clock)).file).toBe(file);
  });

  test.each(['', 'wav', 'wav:', 'WAV:x', 'nul', 'speaker:0', 'alsa:', 'pipewire<a b>', 'exec:', ' null'])(
    'that is none, %j, gets a list of those that are',
    async (name) => {
      await expect(openSink(name, clock)).rejects.toMatchObject({
        code: 'ERR_VSND_INVALID_ARG',
        message: expect.stringMatching(/allowed: null, speaker, wav:FILE/),
      });
      await expect(openSink(name, clock)).rejects.toThrow(JSON.stringify(name));
    },
  );
});

describe('a file that cannot be written', () => {
  const expectRefused = async (file: string, errno: string) => {
    const message = expect.stringContaining(`cannot write ${file}: `);
    await expect(openSink(`wav:${file}`, clock)).rejects.toMatchObject({
      code: 'ERR_VSND_FILE',
      errno,
      message,
    });
  };

  test('a directory', async () => {
    mkdirSync(directory.path('dir.wav'));
    await expectRefused(directory.path('dir.wav'), 'EISDIR');
  });

  test('in a directory that is not there', async () => {
    await expectRefused(directory.path('none/take.wav'), 'ENOENT');
  });

  test('below something that is a file', async () => {
    await expectRefused(`${directory.put('file', Uint8Array.of())}/take.wav`, 'ENOTDIR');
  });

  test.skipIf(process.getuid?.() === 0)('in a directory that may not be written', async () => {
    mkdirSync(directory.path('locked'));
    chmodSync(directory.path('locked'), 0o500);
    await expectRefused(directory.path('locked/take.wav'), 'EACCES');
  });

  test.skipIf(process.getuid?.() === 0)('that may not be written itself', async () => {
    chmodSync(directory.put('locked.wav', Uint8Array.of()), 0o400);
    await expectRefused(directory.path('locked.wav'), 'EACCES');
  });
});

/** As npm `speaker`: opens its device at the first write. SPEAKER_FAILS says where it fails. */
const FAKE_SPEAKER = `
  const { Writable } = require('node:stream');
  if (process.env.SPEAKER_FAILS === 'loading') throw new Error('libasound.so.2: no such file');
  module.exports = class extends Writable {
    static instances = [];
    pieces = [];
    constructor(options) {
      super();
      this.options = options;
      module.exports.instances.push(this);
    }
    _write(piece, encoding, done) {
      if (process.env.SPEAKER_FAILS === 'opening') return done(new Error('open() failed: -5'));
      this.pieces.push(piece);
      done();
    }
  };
`;

interface FakeSpeaker {
  readonly options: object;
  readonly pieces: Uint8Array[];
}

/** Where `require` looks besides the node_modules of this project. */
function setNodePath(path: string): void {
  vi.stubEnv('NODE_PATH', path);
  (Module as unknown as { _initPaths(): void })._initPaths();
}

const isInstalled = isResolvable();

function isResolvable(): boolean {
  try {
    createRequire(import.meta.url).resolve('speaker');
    return true;
  } catch {
    return false;
  }
}

/** The programs of this machine are out of reach; those that a test puts into bin/ are not. */
function hideOwnPrograms(): void {
  mkdirSync(directory.path('bin'));
  vi.stubEnv('PATH', directory.path('bin'));
}

/** A program in the place of a real one. */
function putProgram(name: string, command: string): void {
  const script = `#!/bin/sh\nPATH=/usr/bin:/bin\n${command}\n`;
  chmodSync(directory.put(`bin/${name}`, Buffer.from(script)), 0o755);
}

describe('a program of this machine', () => {
  beforeEach(hideOwnPrograms);
  afterEach(() => vi.unstubAllEnvs());

  test('that is not installed is named, with the package that has it', async () => {
    await expect(openSink('alsa', clock)).rejects.toMatchObject({
      code: 'ERR_VSND_DEVICE',
      message: 'cannot start aplay: spawn aplay ENOENT (Debian: alsa-utils)',
    });
  });

  test('that does not play says why', async () => {
    putProgram('pacat', 'echo Connection refused >&2; exit 1');
    await expect(openSink('pulse', clock)).rejects.toMatchObject({
      code: 'ERR_VSND_DEVICE',
      message: 'pacat ended with status 1: Connection refused',
    });
  });

  test('that ends well with nothing to play is one that plays', async () => {
    putProgram('aplay', 'exec cat >&2');
    const sink = await openSink('alsa<hw:1;0>', clock);
    expect(sink).toMatchObject({ kind: 'alsa', hasOwnClock: true });
    expect(sink.deviceFor().description).toBe('aplay --device=hw:1,0');
  });

  test('exec: is not run before it is to play', async () => {
    const sink = await openSink('exec:touch ran', clock);
    expect(sink).toMatchObject({ kind: 'exec', hasOwnClock: false });
    expect(readdirSync(directory.path('.'))).toEqual(['bin']);
  });

  test('the first that plays is the sink where none is named', async () => {
    expect((await firstSink(clock)).kind).toBe('null');
    putProgram('aplay', 'exit 0');
    expect((await firstSink(clock)).kind).toBe('alsa');
    putProgram('pacat', 'exit 1');
    expect((await firstSink(clock)).kind).toBe('alsa');
    putProgram('pacat', 'exit 0');
    expect((await firstSink(clock)).kind).toBe('pulse');
  });
});

describe.skipIf(isInstalled)('without the npm package speaker', () => {
  test('the sink speaker says what to install', async () => {
    await expect(openSink('speaker', clock)).rejects.toMatchObject({
      code: 'ERR_VSND_DEVICE',
      message: expect.stringMatching(/not installed.*npm install speaker/),
    });
  });
});

describe.skipIf(isInstalled)('with a speaker', () => {
  beforeEach(() => {
    hideOwnPrograms();
    mkdirSync(directory.path('speaker'));
    directory.put('speaker/index.js', Buffer.from(FAKE_SPEAKER));
    setNodePath(directory.path('.'));
  });

  afterEach(() => {
    vi.unstubAllEnvs();
    setNodePath(process.env['NODE_PATH'] ?? '');
  });

  /** Those that this process has made; the one that was tried first lived in a process of its own. */
  const instances = (): FakeSpeaker[] => {
    const { instances } = createRequire(import.meta.url)(directory.path('speaker')) as {
      instances: FakeSpeaker[];
    };
    return instances;
  };

  test('it is the sink where none is named', async () => {
    const sink = await firstSink(clock);
    expect(sink.kind).toBe('speaker');
    expect(sink.deviceFor().description).toMatch(/^speaker/);
    expect(instances()).toHaveLength(0);
  });

  test.each(['loading', 'opening'])(
    'one that fails in %s leads to null, or to an error where it is asked for',
    async (what) => {
      vi.stubEnv('SPEAKER_FAILS', what);
      expect((await firstSink(clock)).kind).toBe('null');
      await expect(openSink('speaker', clock)).rejects.toMatchObject({
        code: 'ERR_VSND_DEVICE',
        message: expect.stringContaining('the speaker cannot be opened'),
      });
    },
  );

  test('one that does not open later answers OPEN with -EIO, and says why', async () => {
    const device = (await openSink('speaker', clock)).deviceFor();
    vi.stubEnv('SPEAKER_FAILS', 'opening');
    const world = await startWorld({ device: () => device });
    const channel = await world.guest.connectOne();
    expect(await channel.open(await world.guest.createBuffer(BUFFER_BYTES))).toBe(-5);
    expect(world.takeLog().join()).toContain('the speaker cannot be opened: open() failed: -5');
  });

  test('it is opened as the frontend wants it', async () => {
    const device = (await openSink('speaker', clock)).deviceFor();
    const world = await startWorld({ device: () => device });
    await world.openStream({ rate: 44_100, channels: 1, periodBytes: 512 });
    expect(instances()[0]?.options).toMatchObject({
      sampleRate: 44_100,
      channels: 1,
      bitDepth: 16,
      signed: true,
      float: false,
    });
  });

  test('it is not opened for what it cannot play', async () => {
    const device = (await openSink('speaker', clock)).deviceFor();
    const world = await startWorld({ device: () => device });
    const channel = await world.guest.connectOne();
    const buffer = await world.guest.createBuffer(BUFFER_BYTES);
    for (const name of ['s16_be', 'float64_le', 'mu_law'] as const) {
      expect(await channel.open(buffer, { format: pcmFormat(name).code })).toBe(-22);
    }
    expect(instances()).toHaveLength(0);
  });

  test('it gets 24 bits packed, all others as they are', async () => {
    const device = (await openSink('speaker', clock)).deviceFor();
    for (const format of ['s24_le', 's16_le'] as const) {
      const world = await startWorld({ device: () => device });
      const { channel, buffer } = await world.openStream({ format: pcmFormat(format).code });
      const bytes = noise(BUFFER_BYTES);
      buffer.put(0, bytes);
      await channel.write(0, BUFFER_BYTES);
      await channel.trigger('start');
      await channel.close();
      const packed = bytes.filter((_, index) => format === 's16_le' || index % 4 !== 3);
      expect(Buffer.compare(Buffer.concat(instances().at(-1)?.pieces ?? []), packed)).toBe(0);
    }
  });
});
