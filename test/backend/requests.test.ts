import { describe, expect, test } from 'vitest';
import { memoryDevice } from '../../src/backend/devices.ts';
import { ManualClock } from '../../src/clock.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { encodeRequest, type HwParamRanges, type SndifRequest } from '../../src/wire/sndif.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, type RawBuffer, type RawChannel } from './raw-frontend.ts';
import { CAPTURE, PLAYBACK, useWorlds, type World, type WorldOptions } from './world.ts';

const startWorld = useWorlds();

const { EINVAL, EBUSY, EBADFD, EOPNOTSUPP } = XenErrno;

const STATES = ['closed', 'open', 'running', 'paused', 'stopped'] as const;
type State = (typeof STATES)[number];

/** Where the buffer has zeros: 0 dB, no channel. */
const CONTROL = BUFFER_BYTES - 64;

interface Stream {
  world: World;
  channel: RawChannel;
  buffer: RawBuffer;
}

/** A stream in one of its states, with one period written where it is open. */
async function streamIn(state: State, options?: WorldOptions): Promise<Stream> {
  const world = await startWorld(options);
  const channel = await world.guest.connectOne();
  const buffer = await world.guest.createBuffer(BUFFER_BYTES);
  buffer.put(0, noise(CONTROL));
  if (state !== 'closed') {
    expect(await channel.open(buffer)).toBe(0);
    expect(await channel.write(0, 1024)).toBe(0);
  }
  if (state === 'running' || state === 'paused' || state === 'stopped') {
    expect(await channel.trigger('start')).toBe(0);
  }
  if (state === 'paused') expect(await channel.trigger('pause')).toBe(0);
  if (state === 'stopped') expect(await channel.trigger('stop')).toBe(0);
  return { world, channel, buffer };
}

type Expected = Record<State, number>;

const always = (status: number): Expected => ({
  closed: status,
  open: status,
  running: status,
  paused: status,
  stopped: status,
});

const RANGES: HwParamRanges = {
  formats: 1n << 2n,
  rates: { min: 48_000, max: 48_000 },
  channels: { min: 2, max: 2 },
  bufferFrames: { min: 1, max: 4096 },
  periodFrames: { min: 1, max: 4096 },
};

const CASES: [name: string, request: SndifRequest, statuses: Expected][] = [
  ['WRITE', { op: 'write', offset: 4096, length: 1024 }, { ...always(0), closed: -EBADFD }],
  ['READ', { op: 'read', offset: 0, length: 1024 }, always(-EINVAL)],
  ['SET_VOLUME', { op: 'setVolume', offset: CONTROL, length: 8 }, { ...always(0), closed: -EBADFD }],
  ['GET_VOLUME', { op: 'getVolume', offset: CONTROL, length: 8 }, { ...always(0), closed: -EBADFD }],
  ['MUTE', { op: 'mute', offset: CONTROL, length: 2 }, { ...always(0), closed: -EBADFD }],
  ['UNMUTE', { op: 'unmute', offset: CONTROL, length: 2 }, { ...always(0), closed: -EBADFD }],
  [
    'START',
    { op: 'trigger', trigger: 'start' },
    { closed: -EBADFD, open: 0, running: -EBADFD, paused: -EBADFD, stopped: 0 },
  ],
  [
    'PAUSE',
    { op: 'trigger', trigger: 'pause' },
    { closed: -EBADFD, open: -EBADFD, running: 0, paused: -EBADFD, stopped: -EBADFD },
  ],
  [
    'RESUME',
    { op: 'trigger', trigger: 'resume' },
    { closed: -EBADFD, open: -EBADFD, running: -EBADFD, paused: 0, stopped: -EBADFD },
  ],
  ['STOP', { op: 'trigger', trigger: 'stop' }, { ...always(0), closed: -EBADFD }],
  ['HW_PARAM_QUERY', { op: 'hwParamQuery', ranges: RANGES }, always(0)],
];

describe.each(CASES)('%s', (_name, request, statuses) => {
  test.each(STATES)('of a stream that is %s', async (state) => {
    const { world, channel } = await streamIn(state);
    world.takeLog();
    const { id, operation, status } = await channel.ask(request);
    expect(status).toBe(statuses[state]);
    expect(operation).toBe(encodeRequest(id, request)[2]);
    // What is refused leaves a line; what is done leaves none.
    expect(world.takeLog()).toHaveLength(status === 0 ? 0 : 1);
  });
});

describe('OPEN', () => {
  test.each(STATES)('of a stream that is %s', async (state) => {
    const { channel, buffer } = await streamIn(state);
    expect(await channel.open(buffer)).toBe(state === 'closed' ? 0 : -EBUSY);
  });

  test('a second one leaves the first as it is', async () => {
    const { world, channel, buffer } = await streamIn('running');
    expect(await channel.open(buffer, { rate: 8000 })).toBe(-EBUSY);
    await world.clock.advance(256);
    expect(world.device.heard()).toEqual(Buffer.from(buffer.read(0, 1024)));
  });

  test('opens again after CLOSE, any number of times, and holds one buffer at most', async () => {
    const { world, channel, buffer } = await streamIn('closed');
    for (let round = 0; round < 5; round++) {
      expect(await channel.open(buffer)).toBe(0);
      expect(world.machine.leaks().filter((leak) => leak.includes('mapping of 2 pages'))).toHaveLength(1);
      expect(await channel.close()).toBe(0);
      expect(world.machine.leaks().filter((leak) => leak.includes('mapping of 2 pages'))).toHaveLength(0);
    }
  });

  const BAD: [name: string, changes: Parameters<RawChannel['open']>[1]][] = [
    ['rate 0', { rate: 0 }],
    ['a rate that the card lacks', { rate: 47_999 }],
    ['rate 2^32-1', { rate: 0xffff_ffff }],
    ['format 25, which sndif.h lacks', { format: 25 }],
    ['format 255', { format: 255 }],
    ['format gsm, whose samples have no size', { format: 24 }],
    ['a format that the card lacks', { format: pcmFormat('float_le').code }],
    ['0 channels', { channels: 0 }],
    ['3 channels of at most 2', { channels: 3 }],
    ['255 channels', { channels: 255 }],
    ['a buffer of 0', { bufferBytes: 0 }],
    ['a buffer of less than a frame', { bufferBytes: 3, periodBytes: 0 }],
    ['a buffer of more than the card has', { bufferBytes: 8193 }],
    ['a buffer of 2^31', { bufferBytes: 0x8000_0000 }],
    ['a buffer of 2^32-1', { bufferBytes: 0xffff_ffff }],
    ['a period of less than a frame', { periodBytes: 3 }],
    ['a period larger than the buffer', { periodBytes: 8193 }],
    ['a period of 2^32-1', { periodBytes: 0xffff_ffff }],
  ];

  test.each(BAD)('refuses %s with -EINVAL, and opens nothing', async (_name, changes) => {
    const { world, channel, buffer } = await streamIn('closed', {
      fields: {
        'sample-rates': '8000,44100,48000',
        'sample-formats': 's16_le,gsm',
        'channels-max': '2',
        'buffer-size': '8192',
      },
    });
    world.takeLog();
    expect(await channel.open(buffer, changes)).toBe(-EINVAL);
    expect(world.takeLog().join()).toMatch(/OPEN refused: \w+ is \d+; allowed: \S/);
    expect(await channel.write(0, 1024)).toBe(-EBADFD);
    expect(await channel.open(buffer)).toBe(0);
  });

  test.each<[string, { bufferBytes?: number; periodBytes?: number }]>([
    ['one frame of buffer and period', { bufferBytes: 4, periodBytes: 4 }],
    ['a period as large as the buffer', { bufferBytes: 8192, periodBytes: 8192 }],
    ['no events', { periodBytes: 0 }],
    ['an odd buffer', { bufferBytes: 8189 }],
    ['a period that is no whole number of frames', { periodBytes: 1023 }],
  ])('takes %s', async (_name, changes) => {
    const { world, channel, buffer } = await streamIn('closed');
    expect(await channel.open(buffer, changes)).toBe(0);
    const length = Math.min(changes.bufferBytes ?? BUFFER_BYTES, 1024);
    expect(await channel.write(0, length)).toBe(0);
    await channel.trigger('start');
    await world.clock.advance(length / 4);
    expect(world.device.heard()).toEqual(Buffer.from(buffer.read(0, length)));
  });

  test('refuses a format that the card has and the device lacks', async () => {
    const { channel, buffer } = await streamIn('closed', {
      device: (clock) => ({ ...memoryDevice(clock), formats: ['u8'] }),
    });
    expect(await channel.open(buffer)).toBe(-EINVAL);
    expect(await channel.open(buffer, { format: pcmFormat('u8').code })).toBe(0);
  });
});

describe('CLOSE', () => {
  test.each(STATES)('of a stream that is %s is 0, and lets go of the buffer', async (state) => {
    const { world, channel } = await streamIn(state);
    channel.send({ op: 'close' });
    await world.clock.advance(256); // a running one plays its period first
    const [response] = channel.takeResponses();
    expect(response).toMatchObject({ status: 0, operation: 1 });
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping of 2 pages'))).toEqual([]);
    expect(world.machine.leaks().filter((leak) => leak.includes('timer'))).toEqual([]);
    expect(await channel.close()).toBe(0);
    expect(await channel.write(0, 1024)).toBe(-EBADFD);
  });
});

describe('what sndif.h does not have', () => {
  test.each(STATES)('operation and trigger codes, in a stream that is %s', async (state) => {
    const { channel } = await streamIn(state);
    for (const code of [10, 11, 0x80, 0xff]) {
      const entry = encodeRequest(0xbeef, { op: 'close' });
      entry[2] = code;
      expect(await channel.askBytes(entry)).toEqual({ id: 0xbeef, operation: code, status: -EINVAL });
    }
    for (const code of [4, 5, 0xff]) {
      const entry = encodeRequest(0xdead, { op: 'trigger', trigger: 'start' });
      entry[8] = code;
      expect(await channel.askBytes(entry)).toEqual({ id: 0xdead, operation: 8, status: -EINVAL });
    }
  });

  test('reserved bytes are not looked at', async () => {
    const { channel } = await streamIn('open');
    const entry = encodeRequest(7, { op: 'trigger', trigger: 'start' }).fill(0xff, 9).fill(0xff, 3, 8);
    expect(await channel.askBytes(entry)).toEqual({ id: 7, operation: 8, status: 0 });
  });

  test('request ids come back as they are, also when they repeat', async () => {
    const { channel } = await streamIn('closed');
    for (const id of [0, 0xffff, 5, 5, 5]) {
      expect((await channel.askBytes(encodeRequest(id, { op: 'close' }))).id).toBe(id);
    }
  });
});

describe('HW_PARAM_QUERY', () => {
  const ALL: HwParamRanges = {
    formats: 2n ** 64n - 1n,
    rates: { min: 0, max: 0xffff_ffff },
    channels: { min: 0, max: 0xffff_ffff },
    bufferFrames: { min: 0, max: 0xffff_ffff },
    periodFrames: { min: 0, max: 0xffff_ffff },
  };
  const options = {
    fields: {
      'sample-rates': '8000,44100,48000',
      'sample-formats': 's16_le,s32_le,u8',
      'channels-min': '2',
      'channels-max': '4',
      'buffer-size': '8192',
    },
  };
  const query = async (ranges: HwParamRanges) => {
    const { channel } = await streamIn('closed', options);
    return await channel.ask({ op: 'hwParamQuery', ranges });
  };

  test('of everything gives what the card has', async () => {
    expect(await query(ALL)).toMatchObject({
      status: 0,
      ranges: {
        formats: (1n << 1n) | (1n << 2n) | (1n << 10n),
        rates: { min: 8000, max: 48_000 },
        channels: { min: 2, max: 4 },
        bufferFrames: { min: 1, max: 4096 },
        periodFrames: { min: 1, max: 4096 },
      },
    });
  });

  test('gives no more than was asked for, in each parameter', async () => {
    const asked: HwParamRanges = {
      formats: (1n << 10n) | (1n << 63n),
      rates: { min: 9000, max: 44_100 },
      channels: { min: 3, max: 8 },
      bufferFrames: { min: 100, max: 500 },
      periodFrames: { min: 10, max: 50 },
    };
    expect((await query(asked)).ranges).toEqual({
      ...asked,
      formats: 1n << 10n,
      channels: { min: 3, max: 4 },
    });
  });

  test('offers no buffer that OPEN would refuse for the format and the channels asked for', async () => {
    const asked = { ...ALL, formats: 1n << 10n, channels: { min: 4, max: 4 } };
    const { ranges } = await query(asked);
    expect(ranges?.bufferFrames).toEqual({ min: 1, max: 512 });
    expect(ranges?.periodFrames).toEqual({ min: 1, max: 512 });
  });

  test.each<[string, Partial<HwParamRanges>]>([
    ['no formats', { formats: 0n }],
    ['formats that the card lacks', { formats: 1n << 14n }],
    ['rates above', { rates: { min: 48_001, max: 96_000 } }],
    ['rates below', { rates: { min: 0, max: 7999 } }],
    ['rates the wrong way round', { rates: { min: 48_000, max: 8000 } }],
    ['channels above', { channels: { min: 5, max: 8 } }],
    ['channels below', { channels: { min: 0, max: 1 } }],
    ['buffers above', { bufferFrames: { min: 4097, max: 0xffff_ffff } }],
    ['buffers of nothing', { bufferFrames: { min: 0, max: 0 } }],
    ['periods above', { periodFrames: { min: 4097, max: 5000 } }],
    [
      'a buffer too large for its frames',
      { channels: { min: 4, max: 4 }, bufferFrames: { min: 4000, max: 4000 } },
    ],
  ])('%s: the answer leaves nothing of that parameter, and so names it', async (_name, changes) => {
    const { status, ranges } = await query({ ...ALL, ...changes });
    expect(status).toBe(0);
    expect(emptyOnes(ranges)).toEqual(Object.keys(changes).slice(-1));
  });

  test('a device that can play nothing of what the card promises leaves no format', async () => {
    const { channel } = await streamIn('closed', {
      device: (clock) => ({ ...memoryDevice(clock), formats: [] }),
    });
    const { status, ranges } = await channel.ask({ op: 'hwParamQuery', ranges: ALL });
    expect(status).toBe(0);
    expect(ranges?.formats).toBe(0n);
  });
});

/** The parameters of which nothing is left. */
function emptyOnes(ranges: HwParamRanges | undefined): string[] {
  return Object.entries(ranges ?? {})
    .filter(([, left]) => (typeof left === 'bigint' ? left === 0n : left.min > left.max))
    .map(([name]) => name);
}

describe('a device', () => {
  test('that does not play, or does not capture, is refused at OPEN for what it lacks', async () => {
    const { formats, openPlayback, openCapture } = memoryDevice(new ManualClock());
    for (const [streams, device, sentence] of [
      [[PLAYBACK], { description: 'an ear', formats, openCapture }, 'an ear: does not play'],
      [[CAPTURE], { description: 'a mouth', formats, openPlayback }, 'a mouth: does not capture'],
    ] as const) {
      const { world, channel, buffer } = await streamIn('closed', {
        pcmDevices: [{ streams }],
        device: () => device,
      });
      const before = world.machine.leaks();
      expect(await channel.open(buffer)).toBe(-EOPNOTSUPP);
      expect(world.takeLog().join()).toContain(`OPEN refused: ${sentence}`);
      expect(world.machine.leaks()).toEqual(before);
      expect(await channel.close()).toBe(0);
    }
  });

  test('bound to one rate and number of channels binds its stream to them', async () => {
    const { world, channel, buffer } = await streamIn('closed', {
      device: (clock) => ({ ...memoryDevice(clock), rates: [44_100], channels: { min: 2, max: 2 } }),
    });
    world.takeLog();
    expect(await channel.open(buffer)).toBe(-EINVAL);
    expect(await channel.open(buffer, { rate: 44_100, channels: 1 })).toBe(-EINVAL);
    expect(world.takeLog()).toEqual([
      expect.stringMatching(/pcm_rate is 48000; allowed: 44100$/),
      expect.stringMatching(/pcm_channels is 1; allowed: 2 to 2$/),
    ]);
    const { ranges } = await channel.ask({
      op: 'hwParamQuery',
      ranges: { ...RANGES, rates: { min: 8000, max: 96_000 }, channels: { min: 1, max: 8 } },
    });
    expect(ranges).toMatchObject({ rates: { min: 44_100, max: 44_100 }, channels: { min: 2, max: 2 } });
    expect(await channel.open(buffer, { rate: 44_100 })).toBe(0);
  });

  test('bound to a rate that the card lacks has none at all', async () => {
    const { world, channel, buffer } = await streamIn('closed', {
      device: (clock) => ({ ...memoryDevice(clock), rates: [47_999] }),
    });
    world.takeLog();
    expect(await channel.open(buffer)).toBe(-EINVAL);
    expect(world.takeLog().join()).toMatch(/allowed: none$/);
    const { ranges } = await channel.ask({ op: 'hwParamQuery', ranges: RANGES });
    expect(emptyOnes(ranges)).toEqual(['rates']);
  });
});
