import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { StreamAddress } from '../../src/backend/card.ts';
import type { DeviceParams, PlaybackFeed } from '../../src/backend/pcm-device.ts';
import { matchesPattern, openRouter, parseRoute, parseSink } from '../../src/backend/routes.ts';
import { ManualClock } from '../../src/clock.ts';
import type { PcmFormatName } from '../../src/wire/pcm-format.ts';
import { useDirectory } from '../wav/files.ts';
import { noise } from './raw-frontend.ts';

const directory = useDirectory();

const INVALID = { code: 'ERR_VSND_INVALID_ARG' };

describe('the name of a sink', () => {
  test.each([
    ['null', { kind: 'null' }],
    ['speaker', { kind: 'speaker' }],
    ['wav:a b.wav', { kind: 'wav', file: 'a b.wav' }],
    ['wav:{domid}/{devid}-{pcm}-{stream}-{id}.wav', { kind: 'wav' }],
    ['exec:aplay -q | cat', { kind: 'exec', command: 'aplay -q | cat' }],
    ['alsa', { kind: 'alsa', device: undefined }],
    ['alsa<hw:0;0>', { kind: 'alsa', device: 'hw:0,0' }],
    ['pulse', { kind: 'pulse', sink: undefined, properties: [] }],
    ['pulse<music>', { kind: 'pulse', sink: 'music', properties: [] }],
  ])('%s', (name, sink) => {
    expect(parseSink(name)).toMatchObject(sink);
  });

  test.each(['', 'nul', 'NULL', 'wav', 'wav:', 'exec:', 'exec: ', 'alsa<a b>', 'pulse<', 'alsa:hw', 'null '])(
    'that is none: %j',
    (name) => {
      const thrown = expect.objectContaining({ ...INVALID, message: expect.stringContaining('--sink is') });
      expect(() => parseSink(name)).toThrow(thrown);
    },
  );

  test.each(['wav:{guest}.wav', 'wav:{}.wav', 'wav:{domid}{DEVID}', 'wav:{rate}'])(
    'with a placeholder that WAV files do not have: %s',
    (name) => {
      expect(() => parseSink(name)).toThrow(/a placeholder of --sink is .*allowed: \{domid\}/);
    },
  );

  test.each(['exec:play {id}', 'exec:play $VSND_ID'])(
    'that would show a shell what a guest wrote: %s',
    (name) => {
      expect(() => parseSink(name)).toThrow(/a command without \{id\}/);
    },
  );
});

describe('a route', () => {
  test.each([
    ['radio=null', 'radio', 'null'],
    ['=null', '', 'null'],
    ['*=speaker', '*', 'speaker'],
    ['alsa<plughw:CARD=PCH;DEV=0>=null', 'alsa<plughw:CARD=PCH;DEV=0>', 'null'],
    ['a=exec:b=null', 'a', 'exec'],
    ['a=b=wav:c=d', 'a=b', 'wav'],
    ['alsa*=alsa<hw:1;0>', 'alsa*', 'alsa'],
  ])('%s', (route, pattern, kind) => {
    expect(parseRoute(route)).toMatchObject({ pattern, sink: { kind } });
  });

  test.each(['', 'radio', 'radio=', 'radio=nul', 'null', 'radio:null'])('that is none: %j', (route) => {
    expect(() => parseRoute(route)).toThrow(/^--map is .*allowed: ID=SINK/);
  });

  test('of which a placeholder is wrong says so', () => {
    expect(() => parseRoute('a=wav:{x}')).toThrow(/a placeholder of --map/);
  });

  test.each([
    ['radio', 'radio', true],
    ['radio', 'radio2', false],
    ['', '', true],
    ['', 'x', false],
    ['*', '', true],
    ['*', 'anything at all', true],
    ['radio*', 'radio', true],
    ['radio*', 'radi', false],
    ['*dio', 'radio', true],
    ['r*o', 'radio', true],
    ['ab*ba', 'aba', false],
    ['a*a', 'a', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-c-b', false],
    ['a**c', 'ac', true],
    ['*a*', 'bab', true],
    ['alsa<*>', 'alsa<hw:0;0>', true],
    ['a.c', 'abc', false],
    ['[a]', 'a', false],
  ])('%j and the id %j: %s', (pattern, id, fits) => {
    expect(matchesPattern(pattern, id)).toBe(fits);
  });

  test('takes no time for an id that was made to take it', () => {
    expect(matchesPattern(`${'*a'.repeat(50)}*b`, 'a'.repeat(2000))).toBe(false);
  });
});

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
  return { frontendDomid: 3, devid: 1, pcmDevice: 2, config, ...changes };
}

async function router({ sink, map = [] }: { sink?: string; map?: string[] } = {}) {
  const log: string[] = [];
  const deviceFor = await openRouter({
    routes: map.map(parseRoute),
    sink: sink === undefined ? undefined : parseSink(sink),
    clock: new ManualClock(),
    log: (message) => log.push(message),
  });
  return { deviceFor, log, description: (id: string) => deviceFor(address(id)).description };
}

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
    ['alsa<speakers_upstairs>', 'aplay --device=speakers_upstairs'],
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
    const device = deviceFor(address(id));
    const params: DeviceParams = {
      rate: 48_000,
      channels: 2,
      format: 's16_le',
      frameBytes: 4,
      periodBytes: 1024,
    };
    await expect(device.openPlayback(params, silentFeed())).rejects.toMatchObject({
      code: 'ERR_VSND_DEVICE',
    });
    expect(log).toEqual([`id ${JSON.stringify(id)} plays into nothing: this is not the name of a device`]);
  });

  test('of capture has no device', async () => {
    const { deviceFor, log } = await router({ sink: 'exec:cat' });
    const playback = address('mic');
    const device = deviceFor({ ...playback, config: { ...playback.config, type: 'capture' } });
    expect(device.description).toMatch(/^null/);
    expect(log).toEqual(['id "mic": capture is not served']);
  });
});

const silentFeed = (octets: Uint8Array = new Uint8Array(0)): PlaybackFeed => {
  let left = octets;
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

/** Plays `octets` through the device of a stream. */
async function play(
  routes: { sink?: string; map?: string[] },
  id: string,
  format: PcmFormatName = 's16_le',
  octets = noise(4000),
) {
  const { deviceFor, log } = await router(routes);
  const device = deviceFor(address(id));
  const params = { rate: 44_100, channels: 2, format, frameBytes: 4, periodBytes: 1024 };
  const voice = await device.openPlayback(params, silentFeed(octets));
  voice.start();
  await voice.close({ drain: true });
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

describe('WAV files', () => {
  /** Opens the device of each address, all at once, and says which files there are then. */
  async function filesOf(sink: string, addresses: StreamAddress[]): Promise<string[]> {
    const { deviceFor } = await router({ sink: `wav:${directory.path(sink)}` });
    const params: DeviceParams = {
      rate: 48_000,
      channels: 2,
      format: 's16_le',
      frameBytes: 4,
      periodBytes: 1024,
    };
    const voices = await Promise.all(
      addresses.map((one) => deviceFor(one).openPlayback(params, silentFeed())),
    );
    await Promise.all(voices.map((voice) => voice.close({ drain: false })));
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
});
