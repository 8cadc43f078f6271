// What other users of the machine, a full disk and the reuse of pids can do to files, sockets and programs.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { wavDevice } from '../../src/backend/devices.ts';
import { openSink } from '../../src/backend/sinks.ts';
import { WavTakes } from '../../src/backend/wav-takes.ts';
import { bridgeOf, makePlace, removeAbandonedPlaces, removePlace } from '../../src/bridge/place.ts';
import { ChildProgram } from '../../src/child-program.ts';
import { ManualClock, RealClock } from '../../src/clock.ts';
import { ControlClient } from '../../src/control/client.ts';
import { findBackend } from '../../src/control/find.ts';
import { OwnDirectory, ownUid } from '../../src/control/own-directory.ts';
import { BACKEND_SOCKET, placeSocket } from '../../src/control/places.ts';
import { serveControl } from '../../src/control/server.ts';
import type { VsndError } from '../../src/errors.ts';
import { encodeWavHeader } from '../../src/wav/header.ts';
import { createWavFile } from '../../src/wav/stream.ts';
import { WavWriter } from '../../src/wav/writer.ts';
import { BUFFER_BYTES } from '../backend/raw-frontend.ts';
import { useWorlds } from '../backend/world.ts';
import { Running } from '../cli/run.ts';
import { noise } from '../sound.ts';
import { readAll, useDirectory } from '../wav/files.ts';

const files = useDirectory();
const startWorld = useWorlds();
const isRoot = process.geteuid?.() === 0;

/** Somebody else: only root can make files of another user's. */
const OTHER = 65_534;
const asRoot = test.skipIf(!isRoot);
const NAMED = '(skipped but for root)';

/** What a bridge leaves behind whose process was killed: no pid is as high as that. */
const ABANDONED = 'bridge-4194304-1-abcdef';

function give(path: string): string {
  chownSync(path, OTHER, OTHER);
  return path;
}

function makeFifo(path: string): string {
  execFileSync('mkfifo', [path]);
  return path;
}

describe('a directory in a place that any user can write to', () => {
  /** Where this user's directory would be, were there no better one. */
  const planted = () => files.path(`vsnd-${ownUid()}`);

  beforeEach(() => {
    vi.stubEnv('TMPDIR', files.path('.'));
    vi.stubEnv('VSND_CONTROL_DIR', '');
    vi.stubEnv('XDG_RUNTIME_DIR', files.path('none'));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  asRoot(`of another user's loses nothing of what it leads to ${NAMED}`, () => {
    for (const name of ['victim', `vsnd-${ownUid()}`]) mkdirSync(files.path(name), { mode: 0o700 });
    files.put('victim/precious', Buffer.from('precious'));
    symlinkSync(files.path('victim'), join(planted(), ABANDONED));
    mkdirSync(join(planted(), 'bridge-4194304-2-abcdef'), { mode: 0o700 });
    files.put(`vsnd-${ownUid()}/bridge-4194304-2-abcdef/sink`, Buffer.from('precious'));
    give(planted());
    removeAbandonedPlaces();
    expect(readdirSync(planted())).toHaveLength(2);
    expect(readFileSync(join(planted(), 'bridge-4194304-2-abcdef/sink'), 'latin1')).toBe('precious');
    expect(readdirSync(files.path('victim'))).toEqual(['precious']);
  });

  asRoot(`of another user's stops nobody: it is passed over, aloud ${NAMED}`, async () => {
    const plantedFor = (uid: number) => files.path(`vsnd-${uid}`);
    mkdirSync(plantedFor(OTHER), { mode: 0o700 }); // root's, in the place of OTHER's
    const script = `
      const { makePlace } = await import(${JSON.stringify(new URL('../../dist/bridge/place.js', import.meta.url).href)});
      const heard = [];
      const place = makePlace((why) => heard.push(why.message));
      console.log(JSON.stringify({ place, heard }));`;
    chmodSync(files.path('.'), 0o1777);
    const program = `process.setuid(${OTHER}); ${script}`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      env: { ...process.env, VSND_CONTROL_DIR: '', TMPDIR: files.path('.'), XDG_RUNTIME_DIR: '/none' },
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    const { place, heard } = JSON.parse(stdout) as { place: string; heard: string[] };
    expect(place).toMatch(new RegExp(`/vsnd-${OTHER}-\\w{6}/bridge-`));
    expect(statSync(place).uid).toBe(OTHER);
    expect(heard).toEqual([expect.stringContaining(plantedFor(OTHER))]);
  });

  test("of this user's loses FIFOs of a bridge's, and nothing else", () => {
    vi.stubEnv('VSND_CONTROL_DIR', files.path('own'));
    for (const name of ['own', 'elsewhere', `own/${ABANDONED}`, 'own/bridge-4194304-2-abcdef'])
      mkdirSync(files.path(name), { mode: 0o700 });
    files.put('elsewhere/precious', Buffer.from('precious'));
    makeFifo(files.path(`own/${ABANDONED}/sink`));
    makeFifo(files.path(`own/${ABANDONED}/source`));
    makeFifo(files.path('own/bridge-4194304-2-abcdef/sink'));
    files.put('own/bridge-4194304-2-abcdef/precious', Buffer.from('precious'));
    symlinkSync(files.path('elsewhere'), files.path('own/bridge-4194304-3-abcdef'));
    removeAbandonedPlaces();
    expect(readdirSync(files.path('own')).sort()).toEqual([
      'bridge-4194304-2-abcdef',
      'bridge-4194304-3-abcdef',
    ]);
    expect(readdirSync(files.path('own/bridge-4194304-2-abcdef'))).toEqual(['precious']);
    expect(readdirSync(files.path('elsewhere'))).toEqual(['precious']);
    const place = makePlace();
    writeFileSync(join(place, 'precious'), '');
    removePlace(place);
    expect(readdirSync(place)).toEqual(['precious']);
  });

  test('that has been asked stays the one in which things are done, whatever is put in its place', () => {
    for (const name of ['mine', 'victim']) {
      mkdirSync(files.path(name), { mode: 0o700 });
      makeFifo(files.path(`${name}/sink`));
    }
    const directory = OwnDirectory.open(files.path('mine'));
    onTestFinished(() => directory.close());
    renameSync(files.path('mine'), files.path('moved'));
    symlinkSync(files.path('victim'), files.path('mine'));
    directory.remove('sink', 'isFIFO');
    expect(readdirSync(files.path('moved'))).toEqual([]);
    expect(readdirSync(files.path('victim'))).toEqual(['sink']);
  });

  test.each([
    ['open to others', () => mkdirSync(files.path('own'), { mode: 0o755 })],
    ['a link', () => symlinkSync(files.path('.'), files.path('own'))],
    ['a file', () => writeFileSync(files.path('own'), '')],
  ])('is not used where it is %s', async (_, plant) => {
    plant();
    vi.stubEnv('VSND_CONTROL_DIR', files.path('own'));
    expect(() => makePlace()).toThrow(expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG' }));
    await expect(placeSocket('card-0.sock')).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_ARG' });
    const listening = serveControl(async () => undefined, files.path('own/card-0.sock'));
    await expect(listening).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_ARG' });
  });

  test('of a bridge that could not have been foreseen is known by its FIFOs', () => {
    if (isRoot) return; // /run/vsnd is root's
    mkdirSync(planted(), { mode: 0o755 });
    const heard: VsndError[] = [];
    const place = makePlace((why) => heard.push(why));
    expect(heard.map(({ code }) => code)).toEqual(['ERR_VSND_INVALID_ARG']);
    expect(bridgeOf(join(place, 'sink'))).toBe(process.pid);
    removePlace(place);
  });
});

describe('a control socket', () => {
  const clock = new RealClock();

  beforeEach(() => void vi.stubEnv('VSND_CONTROL_DIR', files.path('control')));
  afterEach(() => void vi.unstubAllEnvs());

  /** A socket at which somebody listens, and says how often it was connected to. */
  async function listenAt(path: string): Promise<() => number> {
    let count = 0;
    const server = createServer((socket) => {
      count += 1;
      socket.end();
    }).listen(path);
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    return () => count;
  }

  asRoot(`of another user's is not connected to ${NAMED}`, async () => {
    mkdirSync(files.path('control'), { mode: 0o700 });
    const path = files.path(`control/${BACKEND_SOCKET}`);
    const connections = await listenAt(path);
    give(path);
    await expect(findBackend(false, clock)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
    await expect(ControlClient.connect(path, clock, ownUid())).rejects.toMatchObject({ errno: 'EPERM' });
    expect(connections()).toBe(0);
  });

  asRoot(
    `in a directory of another user's, or one open to others, is not connected to ${NAMED}`,
    async () => {
      mkdirSync(files.path('control'), { mode: 0o777 });
      chmodSync(files.path('control'), 0o777);
      const connections = await listenAt(files.path(`control/${BACKEND_SOCKET}`));
      await expect(findBackend(false, clock)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
      chmodSync(files.path('control'), 0o700);
      give(files.path('control'));
      await expect(findBackend(false, clock)).rejects.toMatchObject({ code: 'ERR_VSND_INVALID_STATE' });
      expect(connections()).toBe(0);
    },
  );

  test('that is a link, or no socket, is not connected to', async () => {
    const connections = await listenAt(files.path('elsewhere.sock'));
    symlinkSync(files.path('elsewhere.sock'), files.path('link.sock'));
    const connect = (name: string) => ControlClient.connect(files.path(name), clock, ownUid());
    await expect(connect('link.sock')).rejects.toMatchObject({ errno: 'ENOTSOCK' });
    await expect(connect(files.put('file', Buffer.alloc(0)).split('/').at(-1) ?? '')).rejects.toMatchObject({
      errno: 'ENOTSOCK',
    });
    expect(connections()).toBe(0);
  });

  test('does not take the place of what is no socket', async () => {
    mkdirSync(files.path('control'), { mode: 0o700 });
    const path = files.put('control/card-0.sock', Buffer.from('precious'));
    await expect(serveControl(async () => undefined, path)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(readFileSync(path, 'latin1')).toBe('precious');
  });
});

const STEREO = { format: 's16_le', rate: 8000, channels: 2 } as const;

describe('a WAV file', () => {
  /** What may lie where a file is to be written. */
  const plants: [string, (path: string) => void][] = [
    ['a FIFO, which nobody reads', (path) => void makeFifo(path)],
    ['a link to a file', (path) => symlinkSync(files.put('precious', Buffer.from('precious')), path)],
    ['a link to nothing', (path) => symlinkSync(files.path('made'), path)],
    ['another name of a file', (path) => linkSync(files.put('precious', Buffer.from('precious')), path)],
    ['a device', (path) => symlinkSync('/dev/full', path)],
  ];
  if (isRoot)
    plants.push([
      'a file of another user',
      (path) => void give(files.put(basename(path), Buffer.from('precious'))),
    ]);

  test.each(plants)('is not written into %s', async (_, plant) => {
    const path = files.path('take.wav');
    plant(path);
    const before = lstatSync(path);
    const failed = expect.objectContaining({ code: 'ERR_VSND_FILE' });
    expect(() => new WavWriter(path, STEREO)).toThrow(failed);
    await expect(createWavFile(path, STEREO)).rejects.toEqual(failed);
    await expect(openSink(`wav:${path}`, new ManualClock())).rejects.toEqual(failed);
    expect(lstatSync(path)).toMatchObject({ ino: before.ino, size: before.size, uid: before.uid });
    expect(existsSync(files.path('made'))).toBe(false);
    if (existsSync(files.path('precious')))
      expect(readFileSync(files.path('precious'), 'latin1')).toBe('precious');
  });

  test('is not written into a FIFO that somebody reads', () => {
    const path = makeFifo(files.path('take.wav'));
    const reader = spawn('cat', [path], { stdio: 'ignore' });
    onTestFinished(() => void reader.kill('SIGKILL'));
    expect(() => new WavWriter(path, STEREO)).toThrow('it is not a regular file');
  });

  test("is this user's alone, and an own file is overwritten", async () => {
    const umask = process.umask(0);
    onTestFinished(() => void process.umask(umask));
    new WavWriter(files.path('a.wav'), STEREO).close();
    const stream = await createWavFile(files.path('b.wav'), STEREO);
    await pipeline(Readable.from([noise(40)], { objectMode: false }), stream);
    for (const name of ['a.wav', 'b.wav']) expect(statSync(files.path(name)).mode & 0o777).toBe(0o600);
    files.put('c.wav', Buffer.alloc(5000, 1));
    chmodSync(files.path('c.wav'), 0o666);
    new WavWriter(files.path('c.wav'), STEREO).close();
    expect(statSync(files.path('c.wav')).mode & 0o777).toBe(0o600);
    expect(await readAll(files.path('c.wav'))).toMatchObject({ frames: 0, truncated: false });
  });

  test('of one guest is never that of another one, whatever their ids', () => {
    const takes = new WavTakes();
    const written: string[] = [];
    const take = (file: string) => takes.open(files.path(file), (path) => written.push(path));
    // Ids are letters, digits, _ and -: 'a' plays twice, then 'a-2', 'a-2-2' and 'a-3' once each, and 'a' again.
    for (const id of ['a', 'a', 'a-2', 'a-2-2', 'a-3', 'a', 'a', 'a-2']) take(`${id}.wav`);
    take('./b.wav');
    take('x/../b.wav');
    expect(new Set(written).size).toBe(written.length);
    expect(written.map((path) => path.slice(files.path('').length).replace('/', ''))).toEqual([
      ...['a.wav', 'a-2.wav', 'a-2-2.wav', 'a-2-2-2.wav', 'a-3.wav', 'a-4.wav', 'a-5.wav', 'a-2-3.wav'],
      ...['b.wav', 'b-2.wav'],
    ]);
  });

  test('of one guest is never that of another one, in devices that share their takes', async () => {
    const takes = new WavTakes();
    for (const [id, seed] of [
      ['a', 1],
      ['a', 2],
      ['a-2', 3],
    ] as const) {
      const world = await startWorld({
        device: (clock) => wavDevice(files.path(`${id}.wav`), clock, takes),
      });
      const { channel, buffer } = await world.openStream({});
      buffer.put(0, noise(400, seed));
      await channel.write(0, 400);
      await channel.trigger('start');
      await world.clock.advance(400);
      await channel.close();
      await world.closeBackend();
    }
    for (const [name, seed] of [
      ['a', 1],
      ['a-2', 2],
      ['a-2-2', 3],
    ] as const) {
      const { bytes } = await readAll(files.path(`${name}.wav`));
      expect(Buffer.compare(bytes, noise(400, seed))).toBe(0);
    }
  });
});

describe('a disk that is full', () => {
  const headerBytes = encodeWavHeader(STEREO, 0).length;

  /** Is taken away before the directory that it is in. */
  let mounted: string | undefined;
  afterEach(() => {
    if (mounted !== undefined) execFileSync('umount', ['-l', mounted]);
    mounted = undefined;
  });

  /** A file system of 64 KiB; undefined where it cannot be mounted. */
  function smallDisk(): string | undefined {
    const path = files.path('disk');
    mkdirSync(path);
    const options = ['-t', 'tmpfs', '-o', 'size=64k', 'none', path];
    if (spawnSync('mount', options, { stdio: 'ignore' }).status !== 0) return undefined;
    mounted = path;
    return path;
  }

  /** No file of this process may become larger, bytes; false where there is no prlimit. */
  function limitFiles(bytes: number): boolean {
    const set = (limit: string) =>
      spawnSync('prlimit', [`--pid=${process.pid}`, `--fsize=${limit}:`], { stdio: 'ignore' }).status === 0;
    onTestFinished(() => void set('unlimited'));
    return set(String(bytes));
  }

  const formats = [
    ['s16_le', 2, 4],
    ['s24_le', 1, 4],
    ['u8', 3, 3],
    ['float64_le', 3, 24],
  ] as const;

  test.each(formats)(
    'by its limit leaves whole frames of %s, %i channels, and says so once',
    async (...wav) => {
      const [format, channels, frameBytes] = wav;
      const writer = new WavWriter(files.path('take.wav'), { format, rate: 8000, channels });
      const bytes = noise(frameBytes * 100);
      writer.write(bytes);
      if (!limitFiles(headerBytes + 4567)) return writer.close();
      let written = 100;
      const fill = () => {
        for (; written < 100_000; written += 100) writer.write(bytes);
      };
      expect(fill).toThrow(expect.objectContaining({ code: 'ERR_VSND_FILE', errno: 'EFBIG' }));
      expect(fill).toThrow(expect.objectContaining({ errno: 'EFBIG' })); // no more, were there room again
      writer.close();
      const wavFile = await readAll(files.path('take.wav'));
      expect(wavFile.truncated).toBe(false);
      expect(wavFile.frames).toBe(writer.frames);
      expect(wavFile.frames).toBeGreaterThanOrEqual(written - 1);
      expect(statSync(files.path('take.wav')).size % 2).toBe(0);
    },
  );

  asRoot(`fails the stream, once, and keeps its whole frames ${NAMED}`, async () => {
    const disk = smallDisk();
    if (disk === undefined) return console.log('skipped: nothing can be mounted here');
    const world = await startWorld({ device: (clock) => wavDevice(join(disk, 'take.wav'), clock) });
    const { channel, buffer } = await world.openStream({});
    const sound = noise(4096);
    buffer.put(0, sound);
    let played = 0;
    await channel.write(0, 4096);
    await channel.trigger('start');
    for (let round = 0; round < 32; round++) {
      await world.clock.advance(1024);
      if ((await channel.write(0, 4096)) !== 0) break;
      played += 4096;
    }
    expect(played).toBeLessThan(70_000);
    await channel.close();
    const told = world.takeLog().filter((line) => line.includes('ENOSPC') && !line.includes('refused'));
    expect(told).toHaveLength(1);
    const { frames, truncated, bytes } = await readAll(join(disk, 'take.wav'));
    expect(truncated).toBe(false);
    expect(frames).toBeGreaterThan(8000);
    for (let at = 0; at < bytes.length; at += 4096) {
      const piece = bytes.subarray(at, at + 4096);
      expect(Buffer.compare(piece, sound.subarray(0, piece.length))).toBe(0);
    }
  });

  asRoot(`has no room for a header, and OPEN is refused ${NAMED}`, async () => {
    const disk = smallDisk();
    if (disk === undefined) return console.log('skipped: nothing can be mounted here');
    expect(() => writeFileSync(join(disk, 'all'), Buffer.alloc(1 << 20))).toThrow('ENOSPC');
    const world = await startWorld({ device: (clock) => wavDevice(join(disk, 'take.wav'), clock) });
    const channel = await world.guest.connectOne();
    expect(await channel.open(await world.guest.createBuffer(BUFFER_BYTES))).toBe(-28);
    expect(statSync(join(disk, 'take.wav')).size).toBe(0);
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping of 2 pages'))).toEqual([]);
  });

  asRoot(`leaves whole frames of a recording ${NAMED}`, async () => {
    const disk = smallDisk();
    if (disk === undefined) return console.log('skipped: nothing can be mounted here');
    const stream = await createWavFile(join(disk, 'take.wav'), STEREO);
    const source = Readable.from(
      Array.from({ length: 40 }, () => noise(4100)),
      { objectMode: false },
    );
    await expect(pipeline(source, stream)).rejects.toMatchObject({ code: 'ERR_VSND_FILE', errno: 'ENOSPC' });
    if (!stream.closed) await once(stream, 'close');
    const { frames, truncated } = await readAll(join(disk, 'take.wav'));
    expect({ frames, truncated }).toEqual({ frames: stream.frames, truncated: false });
    expect(frames).toBeGreaterThan(8000);
  });
});

describe('a program whose leader has been reaped', () => {
  const PID_FILE = '/proc/sys/kernel/ns_last_pid';

  /** A process in a group of its own that has this pid; undefined where that cannot be had. */
  async function processWith(pid: number): Promise<ChildProcess | undefined> {
    for (let attempt = 0; attempt < 200; attempt++) {
      try {
        writeFileSync(PID_FILE, String(pid - 1));
      } catch {
        return undefined;
      }
      const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
      if (child.pid === pid) return child;
      child.kill('SIGKILL');
    }
    return undefined;
  }

  /** One whose leader ends at once, while another process outside of its group still has its standard error. */
  async function startHeld(): Promise<{ program: ChildProgram; pid: number }> {
    const command = 'setsid sleep 5 & echo $$ >&2; exit 0';
    const program = await ChildProgram.start(
      { name: 'held', file: 'sh', args: ['-c', command] },
      { stdin: 'ignore', stdout: 'ignore' },
    );
    while (program.status === undefined) await new Promise((resolve) => setImmediate(resolve));
    return { program, pid: Number(/held ended: (\d+)$/.exec(program.explain('ended'))?.[1]) };
  }

  asRoot(`sends no signal to a process that has its pid now ${NAMED}`, async () => {
    const { program, pid } = await startHeld();
    const stranger = await processWith(pid);
    if (stranger === undefined) return console.log('skipped: no process can be given a pid here');
    const ended = once(stranger, 'exit');
    await program.end();
    stranger.kill('SIGUSR1'); // which ends it, if nothing else has
    expect(await ended).toEqual([null, 'SIGUSR1']);
  });
});

test('programs end with a process that does not wait for them, however many they are', async () => {
  const script = `
    import { ChildProgram } from './dist/child-program.js';
    const command = { name: 'idle', file: 'sh', args: ['-c', 'echo $$; sleep 1000; sleep 1000'] };
    const stdio = { stdin: 'ignore', stdout: 1 };
    for (let count = 0; count < 12; count++) await ChildProgram.start(command, stdio);
    process.exit();
  `;
  // Its standard output ends when the last of them has.
  const { status, stderr } = await new Running('node', ['--input-type=module', '-e', script]).ended();
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
