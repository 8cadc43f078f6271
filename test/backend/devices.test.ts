import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ClockedVoice, type FrameSink } from '../../src/backend/clocked-voice.ts';
import { nullDevice, wavDevice } from '../../src/backend/devices.ts';
import type { PcmDevice, PlaybackFeed } from '../../src/backend/pcm-device.ts';
import { type Clock, FastClock } from '../../src/clock.ts';
import { VsndError } from '../../src/errors.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { noise } from '../sound.ts';
import { readAll, useDirectory } from '../wav/files.ts';
import { BUFFER_BYTES, PERIOD_BYTES, type RawBuffer, type RawChannel } from './raw-frontend.ts';
import { useWorlds, type World } from './world.ts';

const startWorld = useWorlds();
const directory = useDirectory();

const { ENOSPC, EIO, EISDIR, ENOENT } = XenErrno;

const diskFull = () => new VsndError('ERR_VSND_FILE', 'cannot write: disk full', { errno: 'ENOSPC' });

/** A device whose sink is in the test's hand. */
function sinkDevice(clock: Clock, sink: FrameSink): PcmDevice {
  return {
    ...nullDevice(clock),
    openPlayback: async (params, feed) => new ClockedVoice(params, feed, clock, sink),
  };
}

/** Writes and plays one buffer, and closes. */
async function take(world: World, channel: RawChannel, buffer: RawBuffer, bytes: Uint8Array, changes = {}) {
  buffer.put(0, bytes);
  expect(await channel.open(buffer, changes)).toBe(0);
  expect(await channel.write(0, bytes.length)).toBe(0);
  expect(await channel.trigger('start')).toBe(0);
  channel.send({ op: 'close' });
  await world.clock.advance(100_000);
  expect(channel.takeResponses()).toMatchObject([{ status: 0 }]);
}

describe('the null device', () => {
  test('keeps time, and nothing else', async () => {
    const world = await startWorld({ device: nullDevice });
    const { channel } = await world.openStream();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(600);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES, 2 * PERIOD_BYTES]);
  });
});

describe('the memory device', () => {
  test('keeps each take, from OPEN to CLOSE, by its number', async () => {
    const world = await startWorld();
    const channel = await world.guest.connectOne();
    const buffer = await world.guest.createBuffer(BUFFER_BYTES);
    expect(world.device.heard()).toHaveLength(0);
    for (const seed of [1, 2, 3]) await take(world, channel, buffer, noise(4000, seed));
    for (const seed of [1, 2, 3])
      expect(world.device.heard(seed - 1)).toEqual(Buffer.from(noise(4000, seed)));
    expect(world.device.heard()).toEqual(world.device.heard(2));
    expect(world.device.heard(3)).toHaveLength(0);
  });
});

describe('the WAV device', () => {
  const startWav = async (path: string) => {
    const world = await startWorld({ device: (clock) => wavDevice(path, clock) });
    const channel = await world.guest.connectOne();
    return { world, channel, buffer: await world.guest.createBuffer(BUFFER_BYTES) };
  };

  test.each([
    ['u8', 1],
    ['s16_le', 2],
    ['s32_le', 6],
    ['float_le', 2],
    ['float64_le', 1],
  ] as const)('keeps %s of %i channels bit for bit', async (format, channels) => {
    const { world, channel, buffer } = await startWav(directory.path('take.wav'));
    const { code, sampleBytes = 1 } = pcmFormat(format);
    const bytes = noise(120 * sampleBytes * channels);
    const changes = { format: code, channels, rate: 44_100, periodBytes: 10 * sampleBytes * channels };
    await take(world, channel, buffer, bytes, changes);
    const file = await readAll(directory.path('take.wav'));
    expect(file).toMatchObject({ format, channels, rate: 44_100, frames: 120, truncated: false });
    expect(Buffer.compare(file.bytes, bytes)).toBe(0);
  });

  test('keeps s24_le, packed in the file, bit for bit', async () => {
    const { world, channel, buffer } = await startWav(directory.path('take.wav'));
    const bytes = noise(800);
    for (let at = 0; at < bytes.length; at += 4) bytes[at + 3] = (bytes[at + 2] ?? 0) & 0x80 ? 0xff : 0;
    await take(world, channel, buffer, bytes, { format: pcmFormat('s24_le').code });
    const file = await readAll(directory.path('take.wav'));
    expect(file).toMatchObject({ format: 's24_le', frames: 100 });
    expect(Buffer.compare(file.bytes, bytes)).toBe(0);
  });

  test('gives each further OPEN a file of its own: -2, -3', async () => {
    const { world, channel, buffer } = await startWav(directory.path('my.take.wav'));
    for (const seed of [1, 2, 3]) await take(world, channel, buffer, noise(400, seed));
    for (const [index, name] of ['my.take.wav', 'my.take-2.wav', 'my.take-3.wav'].entries()) {
      const { bytes } = await readAll(directory.path(name));
      expect(Buffer.compare(bytes, noise(400, index + 1))).toBe(0);
    }
    expect(readdirSync(directory.path('.'))).toHaveLength(3);
  });

  test('puts the number behind a name without ending', async () => {
    const { world, channel, buffer } = await startWav(directory.path('take'));
    for (const seed of [1, 2]) await take(world, channel, buffer, noise(400, seed));
    expect(existsSync(directory.path('take-2'))).toBe(true);
  });

  test('an OPEN that fails uses up no number', async () => {
    const { world, channel, buffer } = await startWav(directory.path('take.wav'));
    expect(await channel.open(buffer, { format: pcmFormat('s16_be').code })).toBeLessThan(0);
    await take(world, channel, buffer, noise(400));
    expect(existsSync(directory.path('take.wav'))).toBe(true);
  });

  test('an OPEN whose file cannot be made uses up no number', async () => {
    const { world, channel, buffer } = await startWav(directory.path('later/take.wav'));
    expect(await channel.open(buffer)).toBe(-ENOENT);
    mkdirSync(directory.path('later'));
    await take(world, channel, buffer, noise(400));
    expect(readdirSync(directory.path('later'))).toEqual(['take.wav']);
  });

  test('is a valid file after each way to end', async () => {
    const { world, channel, buffer } = await startWav(directory.path('take.wav'));
    buffer.put(0, noise(BUFFER_BYTES));
    await channel.open(buffer);
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(512);
    await world.closeBackend();
    const file = await readAll(directory.path('take.wav'));
    expect(file).toMatchObject({ frames: 512, truncated: false });
    expect(Buffer.compare(file.bytes, noise(BUFFER_BYTES).slice(0, 2048))).toBe(0);
  });

  test.each([
    ['a directory that is not there', 'none/take.wav', ENOENT],
    ['a directory', '.', EISDIR],
  ])('refuses OPEN where the file is %s, and holds nothing', async (_name, name, errno) => {
    const { world, channel, buffer } = await startWav(directory.path(name));
    expect(await channel.open(buffer)).toBe(-errno);
    expect(world.takeLog().join()).toContain('OPEN refused: cannot create');
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping of 2 pages'))).toEqual([]);
    expect(await channel.write(0, 4)).toBe(-XenErrno.EBADFD);
    expect(await channel.close()).toBe(0);
  });
});

describe('a device that cannot be opened', () => {
  test.each([
    [new VsndError('ERR_VSND_DEVICE', 'the speaker cannot be opened'), -EIO],
    [Object.assign(new Error('busy'), { errno: 'EBUSY' }), -XenErrno.EBUSY],
    [new VsndError('ERR_VSND_NOT_SUPPORTED', 'not this format'), -XenErrno.EINVAL],
    [Object.assign(new Error('odd'), { errno: 'EODD' }), -EIO],
    [Object.assign(new Error('a number'), { errno: -13 }), -EIO],
  ])('answers OPEN with a status: %s', async (error, status) => {
    let fails = true;
    const world = await startWorld({
      device: (clock) => ({
        ...nullDevice(clock),
        openPlayback: async (params, feed) => {
          if (fails) throw error;
          return await nullDevice(clock).openPlayback(params, feed);
        },
      }),
    });
    const channel = await world.guest.connectOne();
    const buffer = await world.guest.createBuffer(BUFFER_BYTES);
    const before = world.machine.leaks();
    expect(await channel.open(buffer)).toBe(status);
    expect(world.takeLog().join()).toContain(`OPEN refused: ${error.message}`);
    expect(world.machine.leaks()).toEqual(before);
    fails = false;
    expect(await channel.open(buffer)).toBe(0);
  });

  test('a guest that leaves while its device is being opened leaves nothing', async () => {
    let open: (() => void) | undefined;
    const world = await startWorld({
      device: (clock) => ({
        ...nullDevice(clock),
        openPlayback: async (params, feed) => {
          await new Promise<void>((resolve) => {
            open = resolve;
          });
          return await nullDevice(clock).openPlayback(params, feed);
        },
      }),
    });
    const channel = await world.guest.connectOne();
    const buffer = await world.guest.createBuffer(BUFFER_BYTES);
    channel.send({ ...openOf(buffer) }, { op: 'trigger', trigger: 'start' });
    await world.guest.settle();
    await world.guest.setState('5');
    open?.();
    expect(await world.guest.backendState()).toBe('2');
    expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0: mapping'))).toEqual([]);
    expect(world.takeLog().at(-1)).toBe('1/0: disconnected'); // and no word of pages used after their release
  });
});

const openOf = (buffer: RawBuffer) => ({
  op: 'open' as const,
  rate: 48_000,
  format: 2,
  channels: 2,
  bufferBytes: BUFFER_BYTES,
  directoryGref: buffer.directoryGref,
  periodBytes: PERIOD_BYTES,
});

describe('any device', () => {
  test.each([
    [['start'], true],
    [['start', 'pause', 'resume'], true],
    [['start', 'pause'], false],
    [['start', 'stop'], false],
    [[], false],
  ] as const)('after %j is asked at CLOSE to play out what is left: %s', async (triggers, drains) => {
    const calls: string[] = [];
    const note = (call: string) => () => void calls.push(call);
    const world = await startWorld({
      device: (clock) => ({
        ...nullDevice(clock),
        openPlayback: async () => ({
          start: note('start'),
          pause: note('pause'),
          resume: note('resume'),
          stop: note('stop'),
          refilled: note('refilled'),
          close: async ({ drain }) => note(`close ${drain}`)(),
        }),
      }),
    });
    const { channel } = await world.openStream();
    await channel.write(0, PERIOD_BYTES);
    for (const trigger of triggers) await channel.trigger(trigger);
    await channel.close();
    expect(calls).toEqual(['refilled', ...triggers, `close ${drains}`]);
  });
});

test('a device that asks for a part of a frame gets whole ones', async () => {
  const feeds: PlaybackFeed[] = [];
  const world = await startWorld({
    device: (clock) => ({
      ...nullDevice(clock),
      openPlayback: async (params, feed) => {
        feeds.push(feed);
        return await nullDevice(clock).openPlayback(params, feed);
      },
    }),
  });
  const { channel } = await world.openStream();
  await channel.write(0, 400);
  expect([3, 7, 1000].map((most) => feeds[0]?.take(most).length)).toEqual([0, 4, 396]);
});

describe('a device that fails while it plays', () => {
  /** Fails from the `good`th write on; counts what happens. */
  async function failing(good: number, { closeFails = false } = {}) {
    const calls = { written: 0, closed: 0 };
    const sink: FrameSink = {
      write(bytes) {
        if (calls.written >= good) throw diskFull();
        calls.written += bytes.length > 0 ? 1 : 0;
      },
      close() {
        calls.closed += 1;
        if (closeFails) throw diskFull();
      },
    };
    const world = await startWorld({ device: (clock) => sinkDevice(clock, sink) });
    const { channel, buffer } = await world.openStream();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    return { world, channel, buffer, calls };
  }

  test('stops; the next request is answered with the errno; CLOSE releases everything', async () => {
    const { world, channel, buffer, calls } = await failing(2);
    await world.clock.advance(5000);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES, 2 * PERIOD_BYTES]);
    expect(world.takeLog().filter((line) => line.includes('disk full'))).toHaveLength(1);
    expect(world.machine.leaks().filter((leak) => leak.includes('timer'))).toEqual([]);
    expect(await channel.write(0, 4)).toBe(-ENOSPC);
    expect(await channel.trigger('pause')).toBe(-ENOSPC);
    expect(await channel.trigger('start')).toBe(-ENOSPC);
    expect(await channel.close()).toBe(-ENOSPC);
    expect(calls.closed).toBe(1);
    expect(world.machine.leaks().filter((leak) => leak.includes('domain 0: mapping of 2'))).toEqual([]);
    expect(await channel.close()).toBe(0);
    expect(await channel.open(buffer)).toBe(0);
  });

  test('ends a CLOSE that drains', async () => {
    const { world, channel, calls } = await failing(2);
    channel.send({ op: 'close' });
    await world.clock.advance(5000);
    expect(channel.takeResponses()).toMatchObject([{ operation: 1, status: -ENOSPC }]);
    expect(calls.closed).toBe(1);
    expect(world.machine.leaks().filter((leak) => /domain 0: (mapping of 2|\d+ pend)/.test(leak))).toEqual(
      [],
    );
  });

  test('at PAUSE is stopped like at any other time', async () => {
    const { world, channel } = await failing(0);
    await world.clock.advance(100);
    channel.send({ op: 'trigger', trigger: 'pause' });
    await world.clock.advance(5000);
    expect(channel.takeResponses()).toHaveLength(1);
    expect(world.takeLog().join()).toContain('disk full');
    expect(world.machine.leaks().filter((leak) => leak.includes('timer'))).toEqual([]);
    expect(await channel.trigger('resume')).toBe(-ENOSPC);
    expect(await channel.close()).toBe(-ENOSPC);
  });

  test('at CLOSE only releases everything and answers with the errno', async () => {
    const { world, channel, calls } = await failing(99, { closeFails: true });
    channel.send({ op: 'close' });
    await world.clock.advance(5000);
    expect(channel.takeResponses()).toMatchObject([{ operation: 1, status: -ENOSPC }]);
    expect(calls).toEqual({ written: 8, closed: 1 });
    expect(world.machine.leaks().filter((leak) => leak.includes('domain 0: mapping of 2'))).toEqual([]);
    expect(await channel.close()).toBe(0);
  });

  test('of one guest leaves the backend to the others', async () => {
    const { world } = await failing(0);
    await world.clock.advance(5000);
    const other = await world.addGuest();
    expect(await (await other.connectOne()).close()).toBe(0);
    await world.guest.setState('5');
    expect(await world.guest.backendState()).toBe('2');
  });
});

describe('a clock whose timers come late', () => {
  /** Each timer comes `lateness` ns after its time, as those of an event loop do. */
  const late = (clock: Clock, lateness: number): Clock => ({
    now: () => clock.now(),
    after: (delay, callback) => clock.after(delay + lateness, callback),
  });
  const FRAME = 1e9 / 48_000;

  const startLate = async (frames: number) => {
    const world = await startWorld({ device: (clock) => nullDevice(late(clock, frames * FRAME)) });
    return { world, ...(await world.openStream()) };
  };

  test('sends the true position at the time of sending, not one rounded to periods', async () => {
    const { world, channel } = await startLate(30);
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(256 + 29);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([(256 + 30) * 4]);
    await world.clock.advance(256);
    expect(channel.takePositions()).toEqual([(512 + 30) * 4]);
  });

  test('merges periods that pass between two timers', async () => {
    const { world, channel } = await startLate(600);
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    await world.clock.advance(856);
    expect(channel.takePositions()).toEqual([856 * 4]);
  });

  test('the rate holds over many late timers', async () => {
    const { world, channel } = await startLate(30);
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    let last = 0;
    for (let period = 0; period < 200; period++) {
      await world.clock.advance(256);
      last = channel.takePositions().at(-1) ?? last;
      await channel.write((period % 8) * PERIOD_BYTES, PERIOD_BYTES);
    }
    expect(last).toBe((199 * 256 + 30) * 4);
  });

  test('a PAUSE between the last frame and its timer reports the end all the same', async () => {
    const { world, channel } = await startLate(30);
    await channel.write(0, 400);
    await channel.trigger('start');
    await world.clock.advance(110);
    await channel.trigger('pause');
    expect(channel.takePositions()).toEqual([400]);
    await channel.trigger('resume');
    await world.clock.advance(1000);
    expect(channel.takePositions()).toEqual([]);
  });
});

describe('a clock without waiting', () => {
  test('plays and drains in no time at all', async () => {
    const world = await startWorld({ device: () => nullDevice(new FastClock()) });
    const { channel } = await world.openStream();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    channel.send({ op: 'close' });
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(channel.takeResponses()).toMatchObject([{ status: 0 }]);
    expect(channel.takePositions()).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((period) => period * PERIOD_BYTES));
  });
});
