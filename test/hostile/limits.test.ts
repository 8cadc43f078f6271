import { readdirSync, statSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { parseSink } from '../../src/backend/device-names.ts';
import { openRouter } from '../../src/backend/router.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import type { HwParamRanges, OpenRequest } from '../../src/wire/sndif.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { PAGE_SIZE } from '../../src/xen/hypervisor.ts';
import { openRequest, type RawBuffer, type RawChannel } from '../backend/raw-frontend.ts';
import { CAPTURE, PLAYBACK, useWorlds, type World, type WorldOptions } from '../backend/world.ts';
import { noise } from '../sound.ts';
import { useDirectory } from '../wav/files.ts';

const directory = useDirectory();
const createWorld = useWorlds();

/** ns */
const SECOND = 1e9;

const S32_LE = pcmFormat('s32_le').code;
const FLOAT64_LE = pcmFormat('float64_le').code;

/** All that a guest can ask for. */
const ANYTHING: HwParamRanges = {
  formats: 0xffff_ffff_ffff_ffffn,
  rates: { min: 0, max: 0xffff_ffff },
  channels: { min: 0, max: 255 },
  bufferFrames: { min: 0, max: 0xffff_ffff },
  periodFrames: { min: 0, max: 0xffff_ffff },
};

/** A card that promises everything, as a guest may write it. */
const EVERYTHING = {
  'sample-rates': '48000,192000,192001,1000000,4294967295',
  'channels-max': '255',
  'buffer-size': '4294967295',
};

const streams = (count: number, stream = PLAYBACK) => [
  { streams: Array.from({ length: count }, () => stream) },
];

const names = (count: number) => Array.from({ length: count }, (_, index) => `0/${index}`);

/** A guest that is connected to a card with so many streams. */
async function connect(count = 1, options: WorldOptions = {}) {
  const world = await createWorld({ fields: EVERYTHING, pcmDevices: streams(count), ...options });
  const channels = await world.guest.connect(names(count));
  await world.guest.setState('4');
  world.takeLog();
  return { world, guest: world.guest, channels, channel: channels[0] as RawChannel };
}

/** What the log says about limits. */
const refusals = (world: World) => world.log.filter((line) => line.includes('--limit'));

/** Pages of guests that domain 0 has mapped from here on, by what it asked for. */
function countMapped(world: World): () => number {
  const map = vi.spyOn(world.machine.dom0.mapper, 'map');
  return () => map.mock.calls.reduce((sum, [, grefs]) => sum + grefs.length, 0);
}

describe('OPEN, and what HW_PARAM_QUERY offers', () => {
  test.each([
    ['pcm_rate', { rate: 1_000_000 }, 'pcm_rate is 1000000; allowed: 192000 Hz (--limit rate)'],
    ['pcm_rate', { rate: 0xffff_ffff }, 'pcm_rate is 4294967295; allowed: 192000 Hz (--limit rate)'],
    [
      'pcm_channels',
      { channels: 255 },
      'pcm_channels is 255; allowed: 32 channels of a stream (--limit channels)',
    ],
    [
      'bytes a second',
      { rate: 192_000, channels: 32, format: FLOAT64_LE, periodBytes: 4096 },
      '192000 Hz of 256 bytes a frame is 49152000; allowed: 16777216 bytes a second',
    ],
    [
      'buffer_sz',
      { bufferBytes: (16 << 20) + 4 },
      'buffer_sz is 16777220; allowed: 16777216 bytes in the buffers of all open streams (--limit buffer-bytes)',
    ],
  ])(
    '%s beyond the limit is refused, with field, value and limit in the log, once',
    async (_, changes, line) => {
      const { world, guest, channel } = await connect();
      const mapped = countMapped(world);
      const buffer = await guest.createBuffer(8192);
      for (let time = 0; time < 3; time++) expect(await channel.open(buffer, changes)).toBe(-XenErrno.EINVAL);
      expect(refusals(world)).toEqual([expect.stringContaining(`1/0: stream 0/0: OPEN refused: ${line}`)]);
      expect(mapped()).toBe(0);
      expect(await channel.open(buffer)).toBe(0);
    },
  );

  test('the answer to a query is within the limits', async () => {
    const { channel } = await connect();
    const { ranges } = await channel.ask({ op: 'hwParamQuery', ranges: ANYTHING });
    expect(ranges).toMatchObject({
      rates: { min: 48_000, max: 192_000 },
      channels: { min: 1, max: 32 },
      bufferFrames: { max: 16 << 20 },
    });
  });

  test('the answer to a query about one format has only as many channels as a second has bytes for', async () => {
    const { guest, channel } = await connect();
    const rates = { min: 192_000, max: 192_000 };
    const asked = { ...ANYTHING, formats: 1n << BigInt(FLOAT64_LE), rates };
    const { ranges } = await channel.ask({ op: 'hwParamQuery', ranges: asked });
    expect(ranges?.channels).toEqual({ min: 1, max: 10 });
    const spec = { rate: 192_000, format: FLOAT64_LE, periodBytes: 4096 };
    const buffer = await guest.createBuffer(8192);
    expect(await channel.open(buffer, { ...spec, channels: 11 })).toBe(-XenErrno.EINVAL);
    expect(await channel.open(buffer, { ...spec, channels: 10 })).toBe(0);
  });

  test.each([
    [
      'bytes a second',
      { rate: 192_000, channels: 8, format: S32_LE, bufferBytes: 65_536, periodBytes: 32_768 },
      2,
    ],
    ['buffer bytes', { bufferBytes: 4 << 20, periodBytes: 4096 }, 4],
    ['positions a second', { periodBytes: 4 }, 8],
  ])(
    '%s count for all streams of a guest, from OPEN to CLOSE, and for no other guest',
    async (_, changes, most) => {
      const world = await createWorld({ fields: EVERYTHING, pcmDevices: streams(most + 1) });
      const connectGuest = async () => {
        const guest = await world.addGuestWithPages(8192, EVERYTHING);
        const channels = await guest.connect(names(most + 1));
        const open = async (index: number) =>
          await channels[index]?.open(await guest.createBuffer(bufferBytes), changes);
        return { open, close: async (index: number) => await channels[index]?.close() };
      };
      const { bufferBytes = 8192 }: Partial<OpenRequest> = changes;
      const guest = await connectGuest();
      for (let index = 0; index < most; index++) expect(await guest.open(index)).toBe(0);
      expect(await guest.open(most)).toBe(-XenErrno.EBUSY);
      const other = await connectGuest();
      expect(await other.open(0)).toBe(0);
      expect(await guest.close(0)).toBe(0);
      expect(await guest.open(most)).toBe(0);
    },
  );

  test('a directory that names one page again and again is refused, and nothing stays mapped', async () => {
    const { world, guest, channel } = await connect();
    const buffer = await guest.createBuffer(1000 * PAGE_SIZE);
    for (let entry = 1; entry <= 1000; entry++)
      buffer.directory.store32(4 * entry, buffer.pages.grefs[0] ?? 0);
    const mapped = countMapped(world);
    const status = await channel.open(buffer, { bufferBytes: 1000 * PAGE_SIZE });
    expect(status).toBe(-XenErrno.EINVAL);
    expect(mapped()).toBe(1); // the directory
  });

  test('pages that are mapped count for all streams of a guest', async () => {
    const { channels, guest } = await connect(2, { limits: ['pages=6'] });
    const [first, second] = channels;
    expect(await first?.open(await guest.createBuffer(8192))).toBe(0); // 2, beside 2 rings each
    expect(await second?.open(await guest.createBuffer(4096), { bufferBytes: 4096 })).toBe(-XenErrno.EBUSY);
    await first?.close();
    expect(await second?.open(await guest.createBuffer(8192))).toBe(0);
  });

  test('a limit of one guest is another than that of all', async () => {
    const { world, guest, channel } = await connect(1, { limits: ['rate=48000', '2:rate=192000'] });
    const request = { rate: 192_000, periodBytes: 4096 };
    expect(await channel.open(await guest.createBuffer(8192), request)).toBe(-XenErrno.EINVAL);
    const other = await world.addGuest();
    expect(await (await other.connectOne()).open(await other.createBuffer(8192), request)).toBe(0);
    expect(world.backend.guests.map(({ domid, limits }) => [domid, limits[0]])).toEqual([
      [1, { name: 'rate', limit: 48_000, used: undefined, refused: 1, delayed: 0 }],
      [2, { name: 'rate', limit: 192_000, used: undefined, refused: 0, delayed: 0 }],
    ]);
  });
});

describe('OPENs', () => {
  test('that come too fast are answered ever later, then refused, and no later than 2 s', async () => {
    const { world, guest, channel } = await connect();
    const buffer = await guest.createBuffer(8192);
    let opened = 0;
    let refused = 0;
    for (let time = 0; time < 200; time++) {
      channel.send(openRequest(buffer));
      await guest.settle();
      let responses = channel.takeResponses();
      if (responses.length === 0) {
        await world.clock.advanceTime(2 * SECOND);
        responses = channel.takeResponses();
      }
      expect(responses).toHaveLength(1);
      if (responses[0]?.status === 0) opened += 1;
      else refused += 1;
      await channel.close();
      if (world.clock.now() > 0) break;
    }
    expect({ opened, refused }).toEqual({ opened: 41, refused: 0 });
  });

  test('of many streams at once are all answered within 2 s, and ten a second succeed', async () => {
    const { world, guest, channels } = await connect(32);
    const buffers = await Promise.all(channels.map(() => guest.createBuffer(8192)));
    const openAll = () => {
      for (const [index, channel] of channels.entries())
        channel.send(openRequest(buffers[index] as RawBuffer));
    };
    const answers = () => channels.flatMap((channel) => channel.takeResponses().map(({ status }) => status));
    openAll();
    await guest.settle();
    expect(answers()).toEqual(Array.from({ length: 32 }, () => 0)); // an honest burst
    for (const channel of channels) expect(await channel.close()).toBe(0);
    openAll();
    await guest.settle();
    expect(answers()).toHaveLength(8);
    await world.clock.advanceTime(1 * SECOND);
    expect(answers()).toHaveLength(10);
    await world.clock.advanceTime(1 * SECOND);
    const late = answers();
    expect(late.filter((status) => status === 0)).toHaveLength(10);
    expect(late.filter((status) => status !== 0)).toEqual(Array.from({ length: 4 }, () => -XenErrno.EBUSY));
    expect(limitOf(world, 'opens-per-second')).toMatchObject({ delayed: 24, refused: 4 });
  });

  test('that wait hold up no other guest, and nobody who leaves', async () => {
    const { world, guest, channel } = await connect();
    const buffer = await guest.createBuffer(8192);
    for (let time = 0; time < 40; time++) {
      expect(await channel.open(buffer)).toBe(0);
      expect(await channel.close()).toBe(0);
    }
    channel.send(openRequest(buffer));
    const other = await world.addGuest();
    expect(await (await other.connectOne()).open(await other.createBuffer(8192))).toBe(0);
    expect(channel.takeResponses()).toEqual([]);
    await guest.setState('5');
    expect(await guest.backendState()).toBe('2');
  });

  test('are counted over all connections of a guest', async () => {
    const { guest, channel } = await connect();
    const buffer = await guest.createBuffer(8192);
    for (let time = 0; time < 40; time++) {
      expect(await channel.open(buffer)).toBe(0);
      expect(await channel.close()).toBe(0);
    }
    await guest.setState('5');
    const again = await guest.connectOne();
    again.send(openRequest(buffer));
    await guest.settle();
    expect(again.takeResponses()).toEqual([]);
  });
});

const limitOf = (world: World, name: string, domid = 1) =>
  world.backend.guests.find((guest) => guest.domid === domid)?.limits.find((limit) => limit.name === name);

describe('cards and streams', () => {
  test('a card with more streams than a guest may have is not connected, and the log says so once', async () => {
    const world = await createWorld({ pcmDevices: streams(80) });
    for (let time = 0; time < 3; time++) {
      await world.guest.connect(names(80));
      expect(await world.guest.backendState()).not.toBe('4');
    }
    expect(refusals(world)).toEqual([
      '1/0: cannot connect: one more stream is 1 beside 32 in use; allowed: 32 streams of all cards (--limit streams)',
    ]);
    expect(limitOf(world, 'streams')).toMatchObject({ used: 0, refused: 3 });
    expect(world.machine.leaks().filter((leak) => /domain 0: mapping/.test(leak))).toEqual([]);
  });

  test('of a configuration with a thousand streams only as much is read as a guest may have', async () => {
    const pcmDevices = Array.from({ length: 40 }, () => streams(20)[0] ?? { streams: [] });
    const world = await createWorld({ pcmDevices });
    const before = world.backend.xenstore.roundTrips;
    await world.guest.connect([]);
    expect(world.backend.xenstore.roundTrips - before).toBeLessThan(400);
  });

  test('of a list of rates that is longer than any card has the first 64 hold, and a short line says so', async () => {
    const rates = Array.from({ length: 400 }, (_, index) => 1000 + index).join(',');
    const world = await createWorld({ fields: { 'sample-rates': rates } });
    const [channel] = await world.guest.connect();
    const line = world.log.find((line) => line.includes('sample-rates'));
    expect(line).toMatch(/sample-rates is "1000,.*: a list of 400; the first 64 hold/);
    expect(line?.length).toBeLessThan(300);
    const buffer = await world.guest.createBuffer(8192);
    expect(await channel?.open(buffer, { rate: 1064 })).toBe(-XenErrno.EINVAL);
    expect(await channel?.open(buffer, { rate: 1063 })).toBe(0);
  });

  test('cards beyond the limit are not served until there is room', async () => {
    const world = await createWorld();
    for (let devid = 1; devid < 10; devid++) world.addCard({ frontendDomid: 1, devid });
    await world.machine.settle();
    expect(world.backend.status).toHaveLength(8);
    expect(refusals(world)).toHaveLength(1);
    expect(limitOf(world, 'cards')).toMatchObject({ limit: 8, used: 8 });
  });

  test('the name of a card is told in 80 characters', async () => {
    const world = await createWorld({ fields: { 'long-name': 'x'.repeat(1500) } });
    await world.guest.connectOne();
    expect(world.backend.status[0]?.name).toBe('x'.repeat(80));
  });
});

describe('the log', () => {
  test('of one guest is limited in bytes a minute, and says so; other guests are heard', async () => {
    const { world, channel } = await connect();
    for (let time = 0; time < 3000; time++) await channel.write(0, 4);
    const lines = world.takeLog();
    expect(Buffer.byteLength(lines.join('\n'))).toBeLessThan(33_000);
    expect(lines.at(-1)).toMatch(/^1: more than 32768 bytes in a minute: what follows is left out/);
    const other = await world.addGuest();
    await other.connectOne();
    expect(world.takeLog()).toEqual(['2/0: connected, 1 streams']);
    await world.clock.advanceTime(60 * SECOND);
    await channel.write(0, 4);
    expect(world.takeLog()).toEqual([
      expect.stringMatching(/^1: \d{4} lines were left out$/),
      expect.stringMatching(/^1\/0: stream 0\/0: WRITE refused/),
    ]);
  });

  test('of one guest is limited over all of its connections and streams', async () => {
    const { world, guest } = await connect(2);
    for (let time = 0; time < 150; time++) {
      await guest.setState('5');
      for (const channel of await guest.connect(['0/0', '0/1'])) {
        for (let request = 0; request < 3; request++) await channel.write(0, 4);
      }
    }
    expect(Buffer.byteLength(world.takeLog().join('\n'))).toBeLessThan(33_000);
  });

  test('has short lines, whatever list a guest has written', async () => {
    const rates = Array.from({ length: 60 }, (_, index) => 100_000 + index).join(',');
    const { world, guest, channel } = await connect(1, { fields: { 'sample-rates': rates } });
    expect(await channel.open(await guest.createBuffer(8192), { rate: 5 })).toBe(-XenErrno.EINVAL);
    expect(world.log.at(-1)).toMatch(/pcm_rate is 5; allowed: 100000, .*, and 44 more$/);
    expect(world.log.at(-1)?.length).toBeLessThan(250);
  });
});

describe('WAV files', () => {
  async function recordingWorld(limits: string[]) {
    const sinks: { deviceFor?: Awaited<ReturnType<typeof openRouter>> } = {};
    const world = await createWorld({
      limits,
      deviceFor: (address) => {
        if (sinks.deviceFor === undefined) throw new Error('no router');
        return sinks.deviceFor(address);
      },
    });
    const sink = parseSink(`wav:${directory.path('{domid}.wav')}`);
    const clock = world.backendClock;
    sinks.deviceFor = await openRouter({ routes: [], sink, source: undefined, clock });
    const channel = await world.guest.connectOne();
    const buffer = await world.guest.createBuffer(8192);
    buffer.put(0, noise(8192));
    world.takeLog();
    return { world, channel, buffer };
  }

  const files = () => readdirSync(directory.path('.')).sort();

  /** OPEN, a buffer, START, all of it heard, CLOSE. */
  async function play(world: World, channel: RawChannel, buffer: RawBuffer): Promise<number[]> {
    expect(await channel.open(buffer)).toBe(0);
    expect(await channel.write(0, 8192)).toBe(0);
    expect(await channel.trigger('start')).toBe(0);
    await world.clock.advance(8192 / 4);
    expect(await channel.close()).toBe(0);
    return channel.takePositions();
  }

  test('of more than the limit are not made: the stream goes on into nothing, and the log says so once', async () => {
    const { world, channel, buffer } = await recordingWorld(['wav-files=2']);
    const plays = [];
    for (let take = 0; take < 4; take++) plays.push(await play(world, channel, buffer));
    expect(new Set(plays.map((positions) => positions.join()))).toHaveProperty('size', 1);
    expect(files()).toEqual(['1-2.wav', '1.wav']);
    expect(refusals(world)).toEqual([
      '1/0: stream 0/0: plays into nothing from here on: one more file is 1 beside 2 in use; allowed: 2 WAV files (--limit wav-files)',
    ]);
  });

  test('have no more bytes than the limit, in whole frames, and the log says so once', async () => {
    const { world, channel, buffer } = await recordingWorld(['wav-bytes=10000']);
    const plays = [];
    for (let take = 0; take < 3; take++) plays.push(await play(world, channel, buffer));
    expect(new Set(plays.map((positions) => positions.join()))).toHaveProperty('size', 1);
    const sizes = files().map((name) => statSync(directory.path(name)).size);
    const header = Math.min(...sizes); // all that the last one is
    const kept = sizes.reduce((sum, size) => sum + size - header, 0);
    expect(kept).toBe(9216); // periods of 1024
    expect(refusals(world)).toHaveLength(1);
  });

  test('by OPEN and CLOSE are made no faster than OPENs may come', async () => {
    const { world, channel, buffer } = await recordingWorld([]);
    for (let time = 0; time < 40; time++) {
      expect(await channel.open(buffer)).toBe(0);
      expect(await channel.close()).toBe(0);
    }
    channel.send(openRequest(buffer));
    await world.machine.settle();
    expect(channel.takeResponses()).toEqual([]);
    expect(files()).toHaveLength(40);
    await world.guest.setState('5');
    expect(files()).toHaveLength(40);
  });

  test('are not left behind by an OPEN that is refused', async () => {
    const { channel, buffer } = await recordingWorld(['rate=8000']);
    expect(await channel.open(buffer)).toBe(-XenErrno.EINVAL);
    expect(files()).toEqual([]);
  });
});

test('capture has the same limits', async () => {
  const { guest, channel } = await connect(1, { pcmDevices: streams(1, CAPTURE) });
  const buffer = await guest.createBuffer(8192);
  expect(await channel.open(buffer, { rate: 1_000_000 })).toBe(-XenErrno.EINVAL);
  expect(await channel.open(buffer)).toBe(0);
});
