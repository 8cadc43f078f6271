import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { StreamAddress } from '../../src/backend/card.ts';
import { parseSink, parseSource } from '../../src/backend/device-names.ts';
import type { CaptureFeed, DeviceParams, PlaybackFeed } from '../../src/backend/pcm-device.ts';
import { openRouter } from '../../src/backend/router.ts';
import { parseRoute } from '../../src/backend/routes.ts';
import { type ManualClock, nextTurn } from '../../src/clock.ts';
import { deferred } from '../../src/deferred.ts';
import type { WavFormat } from '../../src/wav/header.ts';
import { WavWriter } from '../../src/wav/writer.ts';
import type { PcmFormatName } from '../../src/wire/pcm-format.ts';
import { noise } from '../sound.ts';
import { stepUntilSettled, written } from '../waits.ts';
import { useDirectory } from '../wav/files.ts';
import { createGuest } from './budgets.ts';

const directory = useDirectory();

/** A program in the place of a real one: keeps its arguments, a line each, and what it hears. */
function putProgram(name: string): void {
  const keepArguments = `printf '%s\\n' "$@" > '${directory.path('args')}'`;
  const script = `#!/bin/sh\n${keepArguments}\nexec cat > '${directory.path('heard')}'\n`;
  chmodSync(directory.put(`bin/${name}`, Buffer.from(script)), 0o755);
}

beforeEach(() => {
  mkdirSync(directory.path('bin'));
  vi.stubEnv('PATH', `${directory.path('bin')}:${process.env['PATH']}`);
});
afterEach(() => vi.unstubAllEnvs());

function address(uniqueId: string, changes: Partial<StreamAddress> = {}, index = 0): StreamAddress {
  const limits = {
    rates: [48_000],
    formats: ['s16_le' as const],
    channels: { min: 1, max: 2 },
    bufferBytes: 8192,
  };
  const config = { index, type: 'playback' as const, uniqueId, path: '', ...limits };
  return { guest: createGuest().guest, frontendDomid: 3, devid: 1, pcmDevice: 2, config, ...changes };
}

function captureAddress(uniqueId: string): StreamAddress {
  const { config, ...where } = address(uniqueId);
  return { ...where, config: { ...config, type: 'capture' } };
}

interface Named {
  sink?: string;
  source?: string;
  map?: string[];
}

async function router({ sink, source, map = [] }: Named = {}, limits: string[] = []) {
  const { guest, log, clock } = createGuest({ domid: 3, limits });
  const routed = await openRouter({
    routes: map.map(parseRoute),
    sink: sink === undefined ? undefined : parseSink(sink),
    source: source === undefined ? undefined : parseSource(source),
    clock,
  });
  const deviceFor = (where: StreamAddress) => routed({ ...where, guest });
  return {
    deviceFor,
    log,
    clock,
    description: (id: string) => deviceFor(address(id)).description,
    source: (id: string) => deviceFor(captureAddress(id)).description,
  };
}

const PARAMS: DeviceParams = {
  rate: 48_000,
  channels: 2,
  format: 's16_le',
  frameBytes: 4,
  periodBytes: 1024,
};

describe('a stream', () => {
  test('goes where the first route that fits leads, else to the sink', async () => {
    const { description } = await router({
      map: ['radio=wav:one.wav', 'radio*=wav:two.wav', 'alsa*=null'],
      sink: 'exec:cat',
    });
    expect(description('radio')).toContain('one.wav');
    expect(description('radio 2')).toContain('two.wav');
    expect(description('alsa<hw:0;0>')).toMatch(/^null/);
    expect(description('pulse<music>')).toBe('exec:cat');
    expect(description('')).toBe('exec:cat');
  });

  test.each([
    ['alsa', 'aplay'],
    ['alsa<>', 'aplay'],
    ['alsa<hw:0;0>', 'aplay --device=hw:0,0'],
    ['alsa<plughw:CARD=PCH;DEV=0>', 'aplay --device=plughw:CARD=PCH,DEV=0'],
    ['alsa<sysdefault>', 'aplay --device=sysdefault'],
    ['alsa<surround51:CARD=x>', 'aplay --device=surround51:CARD=x'],
    ['pulse', 'pacat'],
    [
      'pulse<alsa_output.pci-0000_00_1f.3.analog-stereo>',
      'pacat --device=alsa_output.pci-0000_00_1f.3.analog-stereo',
    ],
    ['pulse<navi>media.role:navi', 'pacat --device=navi --property=media.role=navi'],
    ['pulse<>media.role:navi', 'pacat --property=media.role=navi'],
    [
      'pulse<a>media.role:navi;media.name:Way home',
      'pacat --device=a --property=media.role=navi --property=media.name=Way home',
    ],
  ])('whose id says %s goes there where nobody says anything else', async (id, command) => {
    expect((await router()).description(id)).toBe(command);
  });

  test.each([
    '',
    '0',
    'playback0',
    'null',
    'speaker',
    'wav:/etc/passwd',
    'exec:reboot',
    'alsa hw',
    'ALSA',
    'pulseaudio',
  ])('whose id is %j goes to null, and the log says so', async (id) => {
    const { description, log } = await router();
    expect(description(id)).toMatch(/^null/);
    expect(log).toEqual([`id ${JSON.stringify(id)} plays into null: a clock that keeps nothing`]);
  });

  test.each([
    'alsa<file:/etc/passwd>',
    'alsa<file:FILE=x>',
    "alsa<file:'|reboot'>",
    'alsa<tee:hw,x,raw>',
    'alsa<tee>',
    'alsa<null>',
    'alsa<pulse>',
    'alsa<speakers_upstairs>',
    'alsa<dmix:hw:0>',
    'alsa<hw:/etc/passwd>',
    'alsa<hw:>',
    'alsa<plug:hw>',
    'alsa<hw:0;0 -v>',
    'alsa<--version>',
    'alsa<-v>',
    'alsa<hw:{CARD 0}>',
    'alsa<$(reboot)>',
    'alsa<`reboot`>',
    'alsa<a;reboot>',
    'alsa<hw:0\n0>',
    'alsa<hw:0>\n',
    'alsa<hw:0>x',
    `alsa<${'a'.repeat(65)}>`,
    'alsa<hw:0;0',
    'pulse<-d>',
    'pulse<0>',
    'pulse<0x1>',
    'pulse<+1>',
    'pulse<music.monitor>',
    'pulse<@DEFAULT_MONITOR@>',
    'pulse<@DEFAULT_SOURCE@>',
    'pulse<mic>stream.capture.sink:true',
    'pulse<mic>media.role:phone;filter.want:echo-cancel',
    'pulse<>target.object:music',
    'pulse<a b>',
    'pulse<a>media.role',
    'pulse<a>media.role:',
    'pulse<a>media.role:-x;',
    'pulse<a>MEDIA:x',
    'pulse<a>a:b=c\u0000',
    'pulse<a><b>',
    'pulse<$(reboot)>',
  ])('whose id is %j goes nowhere, and its OPEN is refused', async (id) => {
    const { deviceFor, log } = await router();
    const playback = deviceFor(address(id)).openPlayback?.(PARAMS, silentFeed());
    await expect(playback).rejects.toMatchObject({ code: 'ERR_VSND_DEVICE' });
    const capture = deviceFor(captureAddress(id)).openCapture?.(PARAMS, deafFeed());
    await expect(capture).rejects.toMatchObject({ code: 'ERR_VSND_DEVICE' });
    expect(log).toEqual([
      `id ${JSON.stringify(id)} plays into nothing: a guest may not choose this device; --map can`,
      `id ${JSON.stringify(id)} captures from nothing: a guest may not choose this device; --map can`,
    ]);
  });
});

describe('a capture stream', () => {
  test('comes from where the first route that fits leads, else from the source', async () => {
    const { source } = await router({
      map: ['mic*=sine:440', '*=silence', 'x=sine'],
      source: 'exec:cat',
      sink: 'null',
    });
    expect(source('mic 1')).toBe('a sine of 440 Hz at -20 dBFS');
    expect(source('x')).toBe('silence');
    const other = await router({ map: ['x=sine'], source: 'exec:cat' });
    expect(other.source('y')).toBe('exec:cat');
  });

  test('and a playback stream of one route have each what its name means for them', async () => {
    const { source, description } = await router({ map: ['*=null', '*=sine'] });
    expect(source('x')).toBe('silence');
    expect(description('x')).toMatch(/^null/);
  });

  test.each([
    ['alsa', 'arecord'],
    ['alsa<hw:0;0>', 'arecord --device=hw:0,0'],
    ['pulse', 'parec'],
    ['pulse<mic>media.role:phone', 'parec --device=mic --property=media.role=phone'],
  ])('whose id says %s comes from there where nobody says anything else', async (id, command) => {
    const { source, log } = await router({ sink: 'null' });
    expect(source(id)).toBe(command);
    expect(log).toEqual([`id ${JSON.stringify(id)} captures from ${command}`]);
  });

  test.each(['', '0', 'capture0', 'silence', 'sine', 'wav:/etc/passwd', 'exec:reboot'])(
    'whose id is %j captures silence, and the log says so',
    async (id) => {
      const { source, log } = await router({ sink: 'exec:cat' });
      expect(source(id)).toBe('silence');
      expect(log).toEqual([`id ${JSON.stringify(id)} captures from silence`]);
    },
  );
});

const deafFeed = (): CaptureFeed => ({ captured() {}, failed() {} });

const silentFeed = (bytes: Uint8Array = new Uint8Array(0)): PlaybackFeed => {
  let left = bytes;
  return {
    get available() {
      return left.length;
    },
    take(most) {
      const taken = left.subarray(0, most);
      left = left.subarray(taken.length);
      return taken;
    },
    played() {},
    dry() {},
    failed() {},
  };
};

/** Plays `bytes` through the device of a stream. */
async function play(
  routes: { sink?: string; map?: string[] },
  id: string,
  format: PcmFormatName = 's16_le',
  bytes = noise(4000),
) {
  const { deviceFor, log } = await router(routes);
  const device = deviceFor(address(id));
  const params = { rate: 44_100, channels: 2, format, frameBytes: 4, periodBytes: 1024 };
  const voice = await device.openPlayback?.(params, silentFeed(bytes));
  voice?.start();
  await voice?.close({ drain: true });
  return { device, log };
}

const args = () => readFileSync(directory.path('args'), 'utf8').trimEnd().split('\n');

describe('a program', () => {
  test('aplay is told device and format as arguments', async () => {
    putProgram('aplay');
    const { log } = await play({}, 'alsa<hw:1;0>', 's24_le');
    expect(args()).toEqual([
      ...['--quiet', '--file-type=raw', '--device=hw:1,0', '--buffer-time=100000'],
      ...['--rate=44100', '--channels=2', '--format=S24_LE'],
    ]);
    expect(readFileSync(directory.path('heard'))).toEqual(Buffer.from(noise(4000)));
    expect(log).toEqual([
      'id "alsa<hw:1;0>" plays into aplay --device=hw:1,0',
      'opened: s24_le, 44100 Hz, 2 channels',
      'closed',
    ]);
  });

  test('pacat too', async () => {
    putProgram('pacat');
    await play({}, 'pulse<navi>media.role:navi', 's24_le');
    expect(args()).toEqual([
      ...['--playback', '--raw', '--device=navi', '--property=media.role=navi', '--latency-msec=100'],
      ...['--client-name=vsnd', '--stream-name=domain 3, card 1, stream 2/0'],
      ...['--rate=44100', '--channels=2', '--format=s24-32le'],
    ]);
  });

  test('pacat is offered only for what it can play', async () => {
    const { deviceFor } = await router();
    expect(deviceFor(address('pulse')).formats).not.toContain('float64_le');
    expect(deviceFor(address('alsa')).formats).toContain('float64_le');
    expect(deviceFor(address('alsa')).formats).not.toContain('mpeg');
  });

  test('of a shell is told the format and the stream', async () => {
    putProgram('player');
    const words =
      'player {rate} {channels} {format} {pulse-format} {pw-format} {domid} {devid} {pcm} {stream}';
    const variables = `$VSND_RATE $VSND_CHANNELS \${VSND_FORMAT} $VSND_PULSE_FORMAT $VSND_PW_FORMAT`;
    const { device } = await play({ sink: `exec:${words} ${variables} {other}` }, 'evil; $(id)', 'float_le');
    const expected = ['44100', '2', 'FLOAT_LE', 'float32le', 'f32'];
    expect(args()).toEqual([...expected, '3', '1', '2', '0', ...expected, '{other}']);
    expect(device.formats).toEqual(expect.arrayContaining(['s16_le', 'float_le']));
    expect(device.formats).not.toContain('s24_le'); // pw-cat has no such format
  });

  test('of a shell never sees an id', async () => {
    const id = `'; touch ${directory.path('broken')}; $(touch ${directory.path('broken')})`;
    const command = `env > ${directory.path('env')}; cat > ${directory.path('heard')}`;
    await play({ sink: `exec:${command}` }, id);
    await play({ map: [`*=exec:${command}`] }, id);
    expect(existsSync(directory.path('broken'))).toBe(false);
    expect(readFileSync(directory.path('env'), 'utf8')).not.toContain('touch');
  });
});

/** PulseAudio's pactl, for a server that has this default source. */
function putServer(defaultSource: string): void {
  const script = `#!/bin/sh\necho 'Default Sink: music'\necho 'Default Source: ${defaultSource}'\n`;
  chmodSync(directory.put('bin/pactl', Buffer.from(script)), 0o755);
}

describe('a program that captures', () => {
  /** Keeps what is captured; `whole` resolves when that is so many bytes. */
  function keepingFeed(bytes: number, log: string[] = []) {
    const captured: Uint8Array[] = [];
    const { promise: whole, resolve } = deferred();
    let missing = bytes;
    const feed: CaptureFeed = {
      captured(piece) {
        captured.push(piece.slice());
        missing -= piece.length;
        if (missing <= 0) resolve();
      },
      failed: (error) => log.push(error.message),
    };
    return { feed, captured, whole };
  }

  /** Lets time pass as the program comes to speak, which knows nothing of the test's clock. */
  const passUntil = (clock: ManualClock, promise: Promise<void>) =>
    stepUntilSettled(promise, async () => {
      await nextTurn();
      await clock.advance(256);
    });

  /** A program in the place of a real one: keeps its arguments, and says what it is told. */
  function putRecorder(name: string, says: Uint8Array, then = ':'): void {
    directory.put('says', says);
    const keepArguments = `printf '%s\\n' "$@" > '${directory.path('args')}'`;
    const script = `#!/bin/sh\n${keepArguments}\ncat '${directory.path('says')}'\n${then}\nexec sleep 1000\n`;
    chmodSync(directory.put(`bin/${name}`, Buffer.from(script)), 0o755);
  }

  /** Captures that many bytes, in time that the test lets pass. */
  async function capture(routes: Named, id: string, bytes: number, format: PcmFormatName = 's16_le') {
    const { deviceFor, log, clock } = await router(routes);
    const { feed, captured, whole } = keepingFeed(bytes, log);
    const params = { ...PARAMS, rate: 44_100, format };
    const voice = await deviceFor(captureAddress(id)).openCapture?.(params, feed);
    voice?.start();
    await passUntil(clock, whole);
    await voice?.close();
    return { captured: Buffer.concat(captured), log };
  }

  test('arecord is told device and format as arguments', async () => {
    putRecorder('arecord', noise(4000));
    const { captured, log } = await capture({}, 'alsa<hw:1;0>', 4000, 's24_le');
    expect(args()).toEqual([
      ...['--quiet', '--file-type=raw', '--device=hw:1,0', '--buffer-time=100000'],
      ...['--rate=44100', '--channels=2', '--format=S24_LE'],
    ]);
    expect(captured).toEqual(Buffer.from(noise(4000)));
    expect(log).toEqual([
      'id "alsa<hw:1;0>" captures from arecord --device=hw:1,0',
      'opened: s24_le, 44100 Hz, 2 channels',
      'closed',
    ]);
  });

  test('parec too', async () => {
    putRecorder('parec', noise(4000));
    await capture({}, 'pulse<mic>media.role:phone', 4000);
    expect(args()).toEqual([
      ...['--record', '--raw', '--device=mic', '--property=media.role=phone', '--latency-msec=25'],
      ...['--client-name=vsnd', '--stream-name=domain 3, card 1, stream 2/0'],
      ...['--rate=44100', '--channels=2', '--format=s16le'],
    ]);
  });

  test('parec is told the default source by its name: it may be another one meanwhile', async () => {
    putServer('microphone');
    putRecorder('parec', noise(4000));
    await capture({}, 'pulse', 4000);
    expect(args()).toContain('--device=microphone');
  });

  test.each(['music.monitor', ''])('a guest is not given the default source %j', async (source) => {
    putServer(source);
    putRecorder('parec', noise(4000));
    const { deviceFor } = await router();
    const opening = deviceFor(captureAddress('pulse')).openCapture?.(PARAMS, deafFeed());
    await expect(opening).rejects.toThrow(/default source (has none|is music\.monitor, which)/);
    expect(existsSync(directory.path('args'))).toBe(false);
    const mapped = await router({ map: ['*=pulse<music.monitor>'] });
    expect(mapped.source('pulse')).toBe('parec --device=music.monitor');
  });

  test('of a shell is told the format and the stream, and never sees an id', async () => {
    putRecorder('recorder', noise(4000));
    const id = `'; touch ${directory.path('broken')}`;
    const words = 'recorder {rate} {channels} {format} $VSND_DOMID {devid} {pcm} {stream} {other}';
    const { captured } = await capture({ source: `exec:${words}; env > ${directory.path('env')}` }, id, 4000);
    expect(args()).toEqual(['44100', '2', 'S16_LE', '3', '1', '2', '0', '{other}']);
    expect(captured).toEqual(Buffer.from(noise(4000)));
    expect(existsSync(directory.path('broken'))).toBe(false);
  });

  test('of a shell keeps what it says before START', async () => {
    directory.put('raw', noise(4000));
    const done = directory.path('done');
    const { deviceFor, clock } = await router({
      source: `exec:cat ${directory.path('raw')}; echo > ${done}; sleep 1000`,
    });
    const { feed, captured, whole } = keepingFeed(4000);
    const voice = await deviceFor(captureAddress('mic')).openCapture?.(PARAMS, feed);
    await written(done);
    voice?.start();
    await passUntil(clock, whole);
    await voice?.close();
    expect(Buffer.concat(captured)).toEqual(Buffer.from(noise(4000)));
  });

  test.each([
    ['alsa', 'arecord'],
    ['pulse', 'parec'],
  ])('for %s, %s, is not kept waiting by a stream that does not run', async (id, name) => {
    putServer('microphone');
    putRecorder(name, new Uint8Array(1 << 20), `echo > '${directory.path('done')}'`);
    const { deviceFor } = await router();
    const voice = await deviceFor(captureAddress(id)).openCapture?.(PARAMS, deafFeed());
    await written(directory.path('done'));
    await voice?.close();
  });

  test('that has ended well is followed by silence, and a line of the log', async () => {
    directory.put('raw', noise(4000));
    const source = `exec:cat ${directory.path('raw')}`;
    const { captured, log } = await capture({ source }, 'mic', 6000);
    expect(captured.subarray(0, 4000)).toEqual(Buffer.from(noise(4000)));
    expect(captured.subarray(4000)).toEqual(Buffer.alloc(captured.length - 4000));
    expect(log).toContain(`${source} has nothing more to say: silence follows`);
  });
});

describe('programs', () => {
  const addresses = [address('a'), address('b', {}, 1)];

  test('at the same time are no more than a guest may have, and none is started beyond that', async () => {
    const started = directory.path('started');
    const { deviceFor } = await router({ sink: `exec:echo >> ${started}; cat` }, ['programs=1']);
    const [first, second] = addresses.map((one) => deviceFor(one));
    const voice = await first?.openPlayback?.(PARAMS, silentFeed());
    await expect(second?.openPlayback?.(PARAMS, silentFeed())).rejects.toMatchObject({
      errno: 'EBUSY',
      message: expect.stringContaining('allowed: 1 programs'),
    });
    await voice?.close({ drain: false });
    const next = await second?.openPlayback?.(PARAMS, silentFeed());
    await next?.close({ drain: false });
    expect(readFileSync(started, 'utf8')).toBe('\n\n');
  });

  test('that capture count as well, and one that cannot be started does not', async () => {
    const { deviceFor } = await router({ source: 'exec:exec sleep 1000' }, ['programs=1']);
    const open = async () => await deviceFor(captureAddress('a')).openCapture?.(PARAMS, deafFeed());
    vi.stubEnv('PATH', '');
    await expect(open()).rejects.toMatchObject({ code: 'ERR_VSND_DEVICE' });
    vi.stubEnv('PATH', '/usr/bin:/bin');
    const voice = await open();
    await expect(open()).rejects.toMatchObject({ errno: 'EBUSY' });
    await voice?.close();
    await (await open())?.close();
  });
});

describe('WAV files', () => {
  /** Opens the device of each address, all at once, and says which files there are then. */
  async function filesOf(sink: string, addresses: StreamAddress[]): Promise<string[]> {
    const { deviceFor } = await router({ sink: `wav:${directory.path(sink)}` });
    const voices = await Promise.all(
      addresses.map((one) => deviceFor(one).openPlayback?.(PARAMS, silentFeed())),
    );
    await Promise.all(voices.map((voice) => voice?.close({ drain: false })));
    return readdirSync(directory.path('.'))
      .filter((name) => name !== 'bin')
      .sort();
  }

  test('of one name get numbers, also at the same time', async () => {
    const addresses = [address('a'), address('b', {}, 1), address('a', { frontendDomid: 4 })];
    expect(await filesOf('take.wav', addresses)).toEqual(['take-2.wav', 'take-3.wav', 'take.wav']);
  });

  test('have the stream in their names', async () => {
    const addresses = [address('a'), address('b', {}, 1), address('a', { frontendDomid: 4 }), address('a')];
    expect(await filesOf('{domid}.{devid}.{pcm}.{stream}.{id}.wav', addresses)).toEqual([
      ...['3.1.2.0.a-2.wav', '3.1.2.0.a.wav', '3.1.2.1.b.wav', '4.1.2.0.a.wav'],
    ]);
  });

  test('stay in their directory, whatever the id', async () => {
    const ids = ['../../x', '/etc/passwd', '.', '', 'a\nb', 'ä', 'x'.repeat(300)];
    expect(
      await filesOf(
        'take {id}.wav',
        ids.map((id) => address(id)),
      ),
    ).toEqual(
      [
        ...['take ______x.wav', 'take _etc_passwd.wav', 'take _.wav', 'take _-2.wav', 'take _-3.wav'],
        ...['take a_b.wav', `take ${'x'.repeat(64)}.wav`],
      ].sort(),
    );
  });

  test('that cannot be written are refused before anything plays', async () => {
    const unwritable = { code: 'ERR_VSND_FILE', errno: 'ENOENT' };
    await expect(router({ sink: 'wav:/none/take.wav' })).rejects.toMatchObject(unwritable);
    await expect(router({ sink: 'wav:/none/{domid}.wav' })).rejects.toMatchObject(unwritable);
    await expect(router({ map: ['*=wav:/none/take.wav'] })).rejects.toMatchObject(unwritable);
    await expect(router({ sink: 'wav:/{domid}/take.wav' })).resolves.toBeDefined();
  });

  describe('that are captured', () => {
    const put = (name: string, format: WavFormat) => {
      const writer = new WavWriter(directory.path(name), format);
      writer.write(noise(4000));
      writer.close();
      return directory.path(name);
    };

    test('bind the stream to what they hold', async () => {
      const file = put('3 mic_.wav', { format: 's16_le', rate: 44_100, channels: 2 });
      const { deviceFor, source } = await router({ source: `wav:${directory.path('{domid} {id}.wav')}` });
      expect(source('mic?')).toBe(`WAV file ${file}, in a loop`);
      const bounds = { formats: ['s16_le'], rates: [44_100], channels: { min: 2, max: 2 } };
      expect(deviceFor(captureAddress('mic?'))).toMatchObject(bounds);
    });

    test('and are not there are refused before anything is captured, where they have one name', async () => {
      const missing = { code: 'ERR_VSND_FILE', errno: 'ENOENT' };
      await expect(router({ source: 'wav:/none/x.wav' })).rejects.toMatchObject(missing);
      const { deviceFor, source } = await router({ source: 'wav:/none/{domid}.wav' });
      expect(source('mic')).toMatch(/^nothing: cannot open \/none\/3.wav: /);
      const opening = deviceFor(captureAddress('mic')).openCapture?.(PARAMS, deafFeed());
      await expect(opening).rejects.toMatchObject({ code: 'ERR_VSND_DEVICE' });
    });

    test.skipIf(process.getuid?.() === 0)('by a route may be such as nobody may write', async () => {
      const file = put('x.wav', { format: 'u8', rate: 8000, channels: 1 });
      chmodSync(file, 0o400);
      expect((await router({ map: [`*=wav:${file}`] })).source('mic')).toBe(`WAV file ${file}, in a loop`);
    });
  });
});
