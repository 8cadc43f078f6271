import { EventEmitter, once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../src/cli/arguments.ts';
import { BACKEND_OPTIONS, logLine, parseBackendOptions, serveGuests } from '../../src/cli/backend.ts';
import { openCard } from '../../src/index.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { createSoundCard, type SoundCardOptions } from '../../src/xen/emulated/toolstack.ts';
import { openRequest, type RawChannel, type RawFrontend } from '../backend/raw-frontend.ts';
import { World } from '../backend/world.ts';
import { noise } from '../sound.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { start, vsnd } from './run.ts';

const directory = useDirectory();
const hasXen = existsSync('/dev/xen/xenbus');

describe('usage', () => {
  test.each([
    [['--sink', 'nul'], '--sink is "nul"; allowed: null, speaker, wav:FILE (not -), exec:COMMAND, alsa, '],
    [['--sink', 'wav:{x}'], 'a placeholder of --sink is "{x}"; allowed: {domid}, '],
    [['--map', 'radio'], '--map is "radio"; allowed: ID=SINK (null, '],
    [['--map', 'a=null', '--map', 'b'], '--map is "b"; '],
    [
      ['--source', 'speaker'],
      '--source is "speaker"; allowed: silence, sine, sine:HZ, wav:FILE (not -), exec:COMMAND, ',
    ],
    [['--source', 'exec:cat {id}'], '--source is "exec:cat {id}"; allowed: a command without {id}'],
    [['--metrics', '::1:9817'], '--metrics is "::1:9817"; allowed: PORT (0 to 65535; '],
    [['--limit', 'speed=3'], '--limit is "speed=3"; allowed: [DOMID:]NAME=NUMBER, with K, M, G or T'],
    [['--record'], "unknown option '--record'"],
    [['file'], "unexpected argument 'file'"],
  ])('%j: status 2', async (args, message) => {
    const { status, stdout, stderr } = await vsnd(['backend', ...args]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr.startsWith(`vsnd: ${message}`), stderr).toBe(true);
    expect(stderr).toMatch(/; see vsnd backend --help\n$/);
  });

  test('a place where metrics cannot be served: status 2', async () => {
    const place = directory.path('none/none/metrics.sock');
    expect(await vsnd(['backend', '--emulate', '--metrics', `unix:${place}`])).toEqual({
      status: 2,
      stdout: '',
      stderr: `vsnd: cannot serve metrics at unix:${place}: there is no such directory; see vsnd backend --help\n`,
    });
  });

  test('help', async () => {
    const { status, stdout } = await vsnd(['backend', '--help']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/^Usage: vsnd backend/) });
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect((await vsnd(['help', 'backend'])).stdout).toBe(stdout);
  });

  test.skipIf(hasXen)('without Xen: one clear sentence (skipped on Xen)', async () => {
    expect(await vsnd(['backend', '--sink', 'null'])).toEqual({
      status: 1,
      stdout: '',
      stderr: 'vsnd: this machine is not a domain of Xen: there is no /dev/xen/xenbus\n',
    });
  });
});

describe('a line of the log', () => {
  const time = new Date(0);
  const entry = { message: 'odd\n\x1b[2J', domid: 1, devid: 2, stream: '0/0' };

  test('for people', () => {
    expect(logLine(time, entry, false)).toBe('1970-01-01T00:00:00.000Z 1/2: stream 0/0: odd??[2J');
    expect(logLine(time, { message: 'ended' }, false)).toBe('1970-01-01T00:00:00.000Z ended');
  });

  test('for machines', () => {
    const line = logLine(time, entry, true);
    expect(line).not.toMatch(/\p{Cc}/u);
    expect(JSON.parse(line)).toEqual({ time: '1970-01-01T00:00:00.000Z', ...entry });
    expect(logLine(time, { message: 'ended' }, true)).toBe(
      '{"time":"1970-01-01T00:00:00.000Z","message":"ended"}',
    );
  });
});

const worlds: World[] = [];
const ends: (() => Promise<void>)[] = [];

// The command before its machine, which then finds nothing of it.
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  for (const world of worlds.splice(0)) await world.close();
});

const stream = (uniqueId: string) => ({ streams: [{ fields: { type: 'p', 'unique-id': uniqueId } }] });
const playback = (...ids: string[]): SoundCardOptions['pcmDevices'] => ids.map(stream);

/** A machine whose domain 0 runs `vsnd backend` with these arguments. */
async function startCommand(...args: string[]) {
  const world = new World();
  worlds.push(world);
  const lines: string[] = [];
  const stop = new AbortController();
  const told = new EventEmitter();
  const say = (text: string) => {
    const line = text.replace(/^\d\S+ |"time":"[^"]*",/, '');
    lines.push(line);
    told.emit(line);
  };
  const options = parseBackendOptions(parseCommandLine(args, BACKEND_OPTIONS).values);
  const ended = serveGuests(world.machine.dom0, options, { say }, stop.signal);
  const end = async () => {
    stop.abort();
    await ended;
  };
  ends.push(end);
  await world.machine.settle();
  return { world, lines, told, end };
}

/** The next answer, also of a device that is no part of the machine. */
async function ask(channel: RawChannel, ...request: Parameters<RawChannel['send']>): Promise<number> {
  const answered = new Promise<void>((resolve) => channel.ringPort.onNotify(resolve));
  channel.send(...request);
  await answered;
  const [response] = channel.takeResponses();
  if (response === undefined) throw new Error('no answer');
  return response.status;
}

/** OPEN, all of `bytes` (one buffer at most), START, CLOSE; the status of each. */
async function play(frontend: RawFrontend, channel: RawChannel, bytes: Uint8Array, format = 's16_le') {
  const buffer = await frontend.createBuffer(bytes.length);
  buffer.put(0, bytes);
  const code = pcmFormat(format as 's16_le').code;
  const opened = await ask(channel, openRequest(buffer, { bufferBytes: bytes.length, format: code }));
  const written = await ask(channel, { op: 'write', offset: 0, length: bytes.length });
  const started = await ask(channel, { op: 'trigger', trigger: 'start' });
  const closed = await ask(channel, { op: 'close' });
  return [opened, written, started, closed];
}

/** OPEN, START, each period as soon as it is reported, CLOSE. */
async function record(world: World, channel: RawChannel, length: number): Promise<Buffer> {
  const buffer = await channel.frontend.createBuffer(8192);
  expect(await ask(channel, openRequest(buffer))).toBe(0);
  expect(await ask(channel, { op: 'trigger', trigger: 'start' })).toBe(0);
  const pieces: Uint8Array[] = [];
  for (let position = 0, read = 0; read < length; read += 1024) {
    for (; position < read + 1024; position = channel.takePositions().at(-1) ?? position) {
      await world.clock.advance(64);
    }
    expect(await ask(channel, { op: 'read', offset: 0, length: 1024 })).toBe(0);
    pieces.push(buffer.read(0, 1024));
  }
  expect(await ask(channel, { op: 'close' })).toBe(0);
  return Buffer.concat(pieces);
}

describe('on the emulated machine', () => {
  test('a program hears each stream of each guest bit for bit; the log says what happens', async () => {
    const command = `exec:cat > ${directory.path('{domid}-{pcm}')}`;
    const { world, lines, end } = await startCommand('--sink', command, '--map', 'quiet*=null');
    const guests = [
      await world.addGuest({ pcmDevices: playback('a', 'b') }),
      await world.addGuest({ pcmDevices: playback('quiet one') }),
    ] as const;
    const [first, second] = await guests[0].connect(['0/0', '1/0']);
    await guests[1].connectOne();
    if (first === undefined || second === undefined) throw new Error('not connected');
    const sound = noise(32_768, 1);
    const wide = noise(8000, 2);
    expect(await play(guests[0], first, sound)).toEqual([0, 0, 0, 0]);
    expect(await play(guests[0], second, wide, 's24_le')).toEqual([0, 0, 0, 0]);
    expect(Buffer.compare(readFileSync(directory.path('1-0')), sound)).toBe(0);
    expect(Buffer.compare(readFileSync(directory.path('1-1')), wide)).toBe(0);
    await guests[0].setState('5');
    await end();
    expect(lines).toEqual([
      `serving the guests of this domain, on ${world.machine.dom0.description}`,
      `1/0: stream 0/0: id "a" plays into ${command}`,
      `1/0: stream 1/0: id "b" plays into ${command}`,
      '1/0: connected, 2 streams',
      '2/0: stream 0/0: id "quiet one" plays into null: a clock that keeps nothing',
      '2/0: connected, 1 streams',
      '1/0: stream 0/0: opened: s16_le, 48000 Hz, 2 channels',
      '1/0: stream 0/0: closed',
      '1/0: stream 1/0: opened: s24_le, 48000 Hz, 2 channels',
      '1/0: stream 1/0: closed',
      '1/0: disconnected',
      'closing every device',
      '2/0: disconnected',
      'ended',
    ]);
    expect(await guests[1].backendState()).toBe('6');
  });

  test('capture streams hear a program and a sine, bit for bit; the log says what happens', async () => {
    const sound = noise(32_768, 3);
    const source = `exec:cat ${directory.put('sound.raw', sound)}`;
    const { world, lines, end } = await startCommand('--source', source, '--map', 'tone*=sine:440');
    const streams = ['mic', 'tone 1'].map((id) => ({ fields: { type: 'c', 'unique-id': id } }));
    const guest = await world.addGuest({ pcmDevices: [{ streams }] });
    const [mic, tone] = await guest.connect(['0/0', '0/1']);
    if (mic === undefined || tone === undefined) throw new Error('not connected');
    expect(Buffer.compare(await record(world, mic, sound.length), sound)).toBe(0);
    const sine = await record(world, tone, 32_768);
    const expected = Float64Array.from(
      { length: 8192 },
      (_, n) => 3276.8 * Math.sin((880 * Math.PI * n) / 48_000),
    );
    expected.forEach((value, frame) => {
      expect(Math.abs(sine.readInt16LE(4 * frame) - value)).toBeLessThanOrEqual(0.5 + 1e-9);
    });
    await end();
    expect(lines.filter((line) => !line.includes('has nothing more to say'))).toEqual([
      `serving the guests of this domain, on ${world.machine.dom0.description}`,
      `1/0: stream 0/0: id "mic" captures from ${source}`,
      '1/0: stream 0/1: id "tone 1" captures from a sine of 440 Hz at -20 dBFS',
      '1/0: connected, 2 streams',
      '1/0: stream 0/0: opened: s16_le, 48000 Hz, 2 channels',
      '1/0: stream 0/0: closed',
      '1/0: stream 0/1: opened: s16_le, 48000 Hz, 2 channels',
      '1/0: stream 0/1: closed',
      'closing every device',
      '1/0: disconnected',
      'ended',
    ]);
  });

  test('a --map that has fitted no stream is told of at the end', async () => {
    const { world, lines, end } = await startCommand(
      '--map',
      'a*=null',
      '--map',
      'raido*=null',
      '--map',
      'a=sine',
    );
    await (await world.addGuest({ pcmDevices: playback('a') })).connectOne();
    await end();
    expect(lines.filter((line) => line.includes('--map'))).toEqual([
      '--map raido*=... has fitted no stream',
      '--map a=... has fitted no stream',
    ]);
  });

  test('as JSON', async () => {
    const { world, lines, end } = await startCommand('--json', '--sink', 'null');
    await (await world.addGuest({ devid: 3, pcmDevices: playback('a') })).connectOne();
    await end();
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { message: expect.stringMatching(/^serving/) },
      { domid: 1, devid: 3, stream: '0/0', message: 'id "a" plays into null: a clock that keeps nothing' },
      { domid: 1, devid: 3, message: 'connected, 1 streams' },
      { message: 'closing every device' },
      { domid: 1, devid: 3, message: 'disconnected' },
      { message: 'ended' },
    ]);
  });

  test('WAV files of two streams at once', async () => {
    const { world, end } = await startCommand('--sink', `wav:${directory.path('{domid}{pcm}.wav')}`);
    const guest = await world.addGuest({ pcmDevices: playback('a', 'b') });
    const channels = await guest.connect(['0/0', '1/0']);
    for (const [index, channel] of channels.entries()) {
      const buffer = await guest.createBuffer(8192);
      buffer.put(0, noise(8192, index + 1));
      await channel.open(buffer);
      await channel.write(0, 8192);
      await channel.trigger('start');
    }
    await world.clock.advance(2048);
    await end();
    for (const [index, name] of ['10.wav', '11.wav'].entries()) {
      const { bytes } = await readAll(directory.path(name));
      expect(Buffer.compare(bytes, noise(8192, index + 1))).toBe(0);
    }
  });

  test('a program that fails is an error for its stream, and a line for the operator', async () => {
    const command = 'exec:read -r _; echo "no such card" >&2; exit 3';
    const { world, lines } = await startCommand('--map', `bad=${command}`, '--sink', 'exec:cat >/dev/null');
    const guest = await world.addGuest({ pcmDevices: playback('bad', 'good') });
    const [bad, good] = await guest.connect(['0/0', '1/0']);
    if (bad === undefined || good === undefined) throw new Error('not connected');
    const sound = new Uint8Array(65_536).fill(10); // lines
    const [opened, , , closed] = await play(guest, bad, sound);
    expect({ opened, closed }).toEqual({ opened: 0, closed: -XenErrno.EIO });
    expect(lines.join()).toContain(`${command} ended with status 3: no such card`);
    expect(await play(guest, good, sound)).toEqual([0, 0, 0, 0]);
    expect(await play(guest, bad, sound)).toMatchObject([
      0,
      expect.anything(),
      expect.anything(),
      -XenErrno.EIO,
    ]);
  });

  test('a guest that dies while its program plays leaves no program', async () => {
    const pid = directory.path('pid');
    const { world, told } = await startCommand('--sink', `exec:echo $$ > ${pid}; exec cat > /dev/null`);
    const guest = await world.addGuest({ pcmDevices: playback('a') });
    const channel = await guest.connectOne();
    const buffer = await guest.createBuffer(8192);
    expect(await ask(channel, openRequest(buffer))).toBe(0);
    const closed = once(told, '1/0: stream 0/0: closed');
    await guest.setState('1');
    await closed;
    expect(await guest.backendState()).toBe('2');
    expect(existsSync(`/proc/${readFileSync(pid, 'utf8').trim()}`)).toBe(false);
  });

  test('in a driver domain, a guest that is destroyed is let go', async () => {
    const world = new World();
    worlds.push(world);
    const { machine } = world;
    const driver = machine.createDomain();
    const guest = machine.createDomain();
    const paths = createSoundCard(machine, {
      ...{ frontendDomid: guest.domid, backendDomid: driver.domid },
      pcmDevices: playback('a'),
    });
    const lines: string[] = [];
    const stop = new AbortController();
    const options = parseBackendOptions({ sink: 'null' });
    const ended = serveGuests(driver, options, { say: (line) => void lines.push(line) }, stop.signal);
    await openCard({ hypervisor: guest });
    machine.destroyDomain(guest.domid);
    machine.store.run((view) => view.remove(`/local/domain/${guest.domid}`));
    await machine.settle();
    expect(lines.join('\n')).toMatch(/2\/0: connected, 1 streams\n.* 2\/0: disconnected$/);
    machine.store.run((view) => view.remove(paths.backend));
    await machine.settle();
    expect(lines.at(-1)).toMatch(/ 2\/0: removed$/);
    stop.abort();
    await ended;
  });

  test('a second one in the same domain is told who serves it', async () => {
    const { world } = await startCommand('--sink', 'null');
    const second = serveGuests(
      world.machine.startProcess(0),
      parseBackendOptions({}),
      { say() {} },
      new AbortController().signal,
    );
    await expect(second).rejects.toMatchObject({ code: 'ERR_VSND_CARD_BUSY', pid: process.pid });
  });

  test('that is ended before it serves ends', async () => {
    const { lines, end } = await startCommand('--sink', 'null');
    await end();
    await end();
    expect(lines.at(-1)).toBe('ended');
  });
});

describe('with an emulated guest', () => {
  const env = () => ({ VSND_CONTROL_DIR: directory.path('control') });

  test('its sinks can be tried, and watched; SIGTERM ends it with status 0', async () => {
    const heard = directory.path('heard.wav');
    const args = ['backend', '--emulate', '--map', `playback0=wav:${heard}`, '--source', 'sine:300'];
    const running = start(args, env());
    for (const stream of ['0/0', '0/1', '1/0', '2/0']) await running.said(`stream ${stream}: opened`);
    // What is open does not run yet.
    const watching = start(['monitor', '--emulate', '--interval', '20'], env());
    for (const stream of ['playback 0/0 ', 'capture 0/1  ']) await watching.said(`${stream} running`);
    watching.child.kill('SIGINT');
    await watching.ended();

    const monitor = ['monitor', '--emulate', '--once'];
    const { status, stdout, stderr } = await vsnd(monitor, env());
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const lines = stdout.split('\n');
    expect(lines.slice(0, 2)).toEqual([
      `backend, process ${running.child.pid}`,
      'guest 1, card 0, Emulated virtual sound card',
    ]);
    expect(lines[2]).toMatch(/^ {2}playback 0\/0 +running .* underruns \d+ {2}WAV file .*heard\.wav$/);
    expect(lines[3]).toMatch(/^ {2}capture 0\/1 +running .* overruns \d+ {2}a sine of 300 Hz at -20 dBFS$/);
    const json = JSON.parse((await vsnd([...monitor, '--backend', '--json'], env())).stdout);
    expect(json).toMatchObject({
      pid: running.child.pid,
      cards: [{ domid: 1, devid: 0, connected: true, streams: [{ open: { rate: 48_000 } }, {}, {}, {}] }],
    });

    running.child.kill('SIGTERM');
    expect(await running.ended()).toMatchObject({ status: 0, stderr: '' });
    const { bytes } = await readAll(heard);
    expect([960, 962].map((frame) => bytes.readInt16LE(frame * 4))).toEqual(
      [960, 962].map((frame) => Math.round(3276.8 * Math.sin((2 * Math.PI * 440 * frame) / 48_000))),
    );
    expect(Math.abs(bytes.readInt16LE(bytes.length - 4))).toBeLessThan(50);
  });

  test('a stream that fails is told of, and the others go on', async () => {
    const running = start(['backend', '--emulate', '--map', 'playback1=exec:exit 3'], env());
    await running.said('stream 1/0: exec:exit 3 ended with status 3');
    await running.said('stream 2/0: opened');
    running.child.kill('SIGINT');
    const { status, stderr } = await running.ended();
    expect(status).toBe(130);
    expect(stderr).toMatch(/^vsnd: stream 1\/0: the backend refused [^\n]*EIO[^\n]*\n$/);
  });

  test('a sink that cannot be used ends it', async () => {
    const file = directory.path('none/heard.wav');
    const running = start(['backend', '--emulate', '--sink', `wav:${file}`], env());
    expect(await running.ended()).toEqual({
      status: 1,
      stdout: '',
      stderr: `vsnd: cannot write ${file}: no such file or directory (ENOENT)\n`,
    });
  });

  test('nobody else is asked for it', async () => {
    expect(await vsnd(['monitor', '--backend'], env())).toEqual({
      status: 1,
      stdout: '',
      stderr: 'vsnd: no backend of this user runs here\n',
    });
  });
});
