import { describe, expect, test } from 'vitest';
import { silenceDevice } from '../../src/backend/devices.ts';
import type { CaptureFeed, CaptureVoice } from '../../src/backend/pcm-device.ts';
import { ManualClock } from '../../src/clock.ts';
import { VsndError } from '../../src/errors.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { noise } from '../sound.ts';
import { BUFFER_BYTES, PERIOD_BYTES, type RawBuffer, type RawChannel } from './raw-frontend.ts';
import { CAPTURE, PLAYBACK, useWorlds, type World, type WorldOptions } from './world.ts';

const startWorld = useWorlds();

const { EINVAL, EBADFD, EIO, ETIMEDOUT } = XenErrno;

const PERIOD = 256; // frames
const IN_CONS = 0;

async function openCapture(options: WorldOptions = {}, changes = {}) {
  const world = await startWorld({ pcmDevices: [{ streams: [CAPTURE] }], ...options });
  return { world, ...(await world.openStream(changes)) };
}

/** A capture stream that runs, and `bytes` of sound for it. */
async function capturing(bytes = noise(4 * BUFFER_BYTES), options: WorldOptions = {}, changes = {}) {
  const opened = await openCapture(options, changes);
  opened.world.device.say(bytes);
  expect(await opened.channel.trigger('start')).toBe(0);
  return { ...opened, bytes };
}

/** Reads what is next into the beginning of the buffer. */
async function read(channel: RawChannel, buffer: RawBuffer, length: number): Promise<Buffer> {
  expect(await channel.read(0, length)).toBe(0);
  return Buffer.from(buffer.read(0, length));
}

/** A device in the test's hand. */
function handDevice() {
  const calls: string[] = [];
  const feeds: CaptureFeed[] = [];
  const device = {
    ...silenceDevice(new ManualClock()),
    openCapture: async (_: unknown, feed: CaptureFeed): Promise<CaptureVoice> => {
      feeds.push(feed);
      const note = (call: string) => () => void calls.push(call);
      return {
        start: note('start'),
        pause: note('pause'),
        resume: note('resume'),
        stop: note('stop'),
        close: async () => note('close')(),
      };
    },
  };
  const feed = () => {
    const last = feeds.at(-1);
    if (last === undefined) throw new Error('not opened');
    return last;
  };
  return { device, calls, feed };
}

describe('what is captured', () => {
  test('is read in the order in which it was captured, to any place in the buffer', async () => {
    const { world, channel, buffer, bytes } = await capturing();
    await world.clock.advance(2 * PERIOD);
    buffer.put(0, new Uint8Array(BUFFER_BYTES).fill(0xee));
    expect(await channel.read(4096, 1200)).toBe(0);
    expect(await channel.read(BUFFER_BYTES - 800, 800)).toBe(0);
    const expected = new Uint8Array(BUFFER_BYTES).fill(0xee);
    expected.set(bytes.subarray(0, 1200), 4096);
    expected.set(bytes.subarray(1200, 2000), BUFFER_BYTES - 800);
    expect(Buffer.compare(buffer.read(0, BUFFER_BYTES), expected)).toBe(0);
  });

  test.each([
    ['u8', 1, 12_000],
    ['s24_le', 2, 44_100],
    ['float64_be', 8, 48_000],
    ['iec958_subframe_le', 2, 48_000],
  ] as const)(
    'in %s of %i channels at %i Hz is what the device gave, bit for bit',
    async (name, channels, rate) => {
      const { code, sampleBytes = 1 } = pcmFormat(name);
      const frameBytes = sampleBytes * channels;
      const changes = {
        format: code,
        channels,
        rate,
        periodBytes: 50 * frameBytes,
        bufferBytes: 500 * frameBytes,
      };
      const bytes = noise(2000 * frameBytes);
      const { world, channel, buffer } = await capturing(
        bytes,
        { fields: { 'sample-rates': `${rate}` } },
        changes,
      );
      const read: Uint8Array[] = [];
      for (let period = 0; period < 40; period++) {
        await world.clock.advance(50, rate);
        expect(channel.takePositions()).toEqual([(period + 1) * 50 * frameBytes]);
        const offset = (period % 10) * 50 * frameBytes;
        expect(await channel.read(offset, 50 * frameBytes)).toBe(0);
        read.push(buffer.read(offset, 50 * frameBytes));
      }
      expect(Buffer.compare(Buffer.concat(read), bytes)).toBe(0);
    },
  );

  test('is nothing before START, nor while paused', async () => {
    const { world, channel, buffer } = await openCapture();
    world.device.say(noise(2 * PERIOD_BYTES));
    await world.clock.advance(5000);
    expect(channel.takeEvents()).toEqual([]);
    expect(await channel.read(0, 4)).toBe(-EBADFD);
    await channel.trigger('start');
    await world.clock.advance(PERIOD + 100);
    await channel.trigger('pause');
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
    await world.clock.advance(5000);
    expect(channel.takeEvents()).toEqual([]);
    // What was captured before can be read all the time, up to the frame.
    expect(await channel.read(0, PERIOD_BYTES + 404)).toBe(-EBADFD);
    expect(await read(channel, buffer, PERIOD_BYTES + 400)).toEqual(noise(2 * PERIOD_BYTES).slice(0, 1424));
    await channel.trigger('resume');
    await world.clock.advance(PERIOD - 101);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([2 * PERIOD_BYTES]);
    expect(await read(channel, buffer, 624)).toEqual(noise(2 * PERIOD_BYTES).slice(1424));
  });

  test('is silence of the format where the device has nothing', async () => {
    const { world, channel, buffer } = await openCapture(
      { device: silenceDevice },
      { format: pcmFormat('u16_be').code },
    );
    await channel.trigger('start');
    await world.clock.advance(PERIOD);
    const expected = Buffer.alloc(PERIOD_BYTES, Uint8Array.of(0x80, 0));
    expect(await read(channel, buffer, PERIOD_BYTES)).toEqual(expected);
  });

  test('plays no part in what is played at the same time', async () => {
    const world = await startWorld({ pcmDevices: [{ streams: [PLAYBACK, CAPTURE] }] });
    const [playback, capture] = await world.guest.connect(['0/0', '0/1']);
    if (playback === undefined || capture === undefined) throw new Error('not connected');
    world.device.say(noise(BUFFER_BYTES, 2));
    const buffers: RawBuffer[] = [];
    for (const channel of [playback, capture]) {
      const buffer = await world.guest.createBuffer(BUFFER_BYTES);
      buffers.push(buffer);
      buffer.put(0, noise(BUFFER_BYTES, 1));
      expect(await channel.open(buffer)).toBe(0);
      if (channel === playback) await channel.write(0, BUFFER_BYTES);
      expect(await channel.trigger('start')).toBe(0);
    }
    await world.clock.advance(BUFFER_BYTES / 4);
    expect(await capture.read(0, BUFFER_BYTES)).toBe(0);
    expect(world.device.heard()).toEqual(Buffer.from(noise(BUFFER_BYTES, 1)));
    expect(Buffer.from(buffers[1]?.read(0, BUFFER_BYTES) ?? [])).toEqual(noise(BUFFER_BYTES, 2));
  });
});

describe('READ', () => {
  test.each([
    ['nothing', 0, 0],
    ['a part of a frame', 0, 6],
    ['what passes the end of the buffer', BUFFER_BYTES - 1020, 1024],
    ['more than the buffer', 0, BUFFER_BYTES + 4],
    ['what begins behind it', BUFFER_BYTES, 4],
    ['the other side of 2^32', 0xffff_fffc, 8],
  ])('of %s is refused, and takes nothing', async (_name, offset, length) => {
    const { world, channel, buffer, bytes } = await capturing();
    await world.clock.advance(PERIOD);
    expect(await channel.read(offset, length)).toBe(-EINVAL);
    expect(await read(channel, buffer, PERIOD_BYTES)).toEqual(bytes.slice(0, PERIOD_BYTES));
  });

  test('of a playback stream is refused, and so is WRITE of a capture stream', async () => {
    const { channel } = await capturing();
    expect(await channel.write(0, 1024)).toBe(-EINVAL);
    const world = await startWorld();
    const { channel: playback } = await world.openStream();
    expect(await playback.read(0, 1024)).toBe(-EINVAL);
  });

  test('of more than has been captured waits, so that a frontend without events keeps pace', async () => {
    const { world, channel, buffer, bytes } = await capturing(noise(BUFFER_BYTES), {}, { periodBytes: 0 });
    const read: Uint8Array[] = [];
    for (let piece = 0; piece < 8; piece++) {
      channel.send({ op: 'read', offset: 0, length: 1920 }); // 10 ms
      await world.clock.advance(479);
      expect(channel.takeResponses()).toEqual([]);
      await world.clock.advance(1);
      expect(channel.takeResponses()).toMatchObject([{ operation: 2, status: 0 }]);
      read.push(buffer.read(0, 1920));
    }
    expect(channel.takeEvents()).toEqual([]);
    expect(Buffer.concat(read).subarray(0, bytes.length)).toEqual(Buffer.from(bytes).subarray(0, 15_360));
  });

  test('that waits holds up what is behind it in the ring', async () => {
    const { world, channel, buffer, bytes } = await capturing();
    channel.send({ op: 'read', offset: 0, length: 2000 }, { op: 'trigger', trigger: 'stop' });
    await world.clock.advance(PERIOD);
    expect(channel.takeResponses()).toEqual([]);
    await world.clock.advance(PERIOD);
    expect(channel.takeResponses()).toMatchObject([{ status: 0 }, { status: 0 }]);
    expect(Buffer.from(buffer.read(0, 2000))).toEqual(bytes.slice(0, 2000));
  });

  test('of a whole buffer is the most that can be waited for', async () => {
    const { world, channel, buffer, bytes } = await capturing();
    channel.send({ op: 'read', offset: 0, length: BUFFER_BYTES });
    await world.clock.advance(BUFFER_BYTES / 4);
    expect(channel.takeResponses()).toMatchObject([{ status: 0 }]);
    expect(Buffer.from(buffer.read(0, BUFFER_BYTES))).toEqual(bytes.slice(0, BUFFER_BYTES));
    expect(world.log.join()).not.toContain('overrun');
  });

  test('that waits for a device that gives nothing is refused a second after its time', async () => {
    const { device, feed } = handDevice();
    const { world, channel, buffer } = await openCapture({ device: () => device });
    await channel.trigger('start');
    channel.send({ op: 'read', offset: 0, length: 4800 });
    await world.clock.advance(1200 + 47_999);
    expect(channel.takeResponses()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takeResponses()).toMatchObject([{ status: -ETIMEDOUT }]);
    // What comes then is not for the READ that has been answered.
    const bytes = noise(4800);
    feed().captured(bytes);
    expect(await read(channel, buffer, 4800)).toEqual(bytes);
    expect(world.machine.leaks().filter((leak) => leak.includes('timer'))).toEqual([]);
  });

  test('that waits ends with the frontend, and holds nothing then', async () => {
    const { world, channel } = await capturing();
    channel.send({ op: 'read', offset: 0, length: BUFFER_BYTES });
    await world.clock.advance(PERIOD);
    await world.guest.setState('5');
    expect(await world.guest.backendState()).toBe('2');
    expect(world.machine.leaks().filter((leak) => /domain 0: (mapping|\d+ pending)/.test(leak))).toEqual([]);
  });
});

describe('the position', () => {
  test('is sent once a period, at its end', async () => {
    const { world, channel } = await capturing();
    for (let period = 1; period <= 40; period++) {
      await world.clock.advance(PERIOD - 1);
      expect(channel.takePositions()).toEqual([]);
      await world.clock.advance(1);
      expect(channel.takePositions()).toEqual([period * PERIOD_BYTES]); // nothing is ever read here
    }
  });

  test('is the true one, once for any number of periods, where the device is late', async () => {
    const { device, feed } = handDevice();
    const { world, channel } = await openCapture({ device: () => device });
    await channel.trigger('start');
    for (const frames of [100, 155, 1, 700, 68, 256]) feed().captured(noise(4 * frames));
    await world.machine.settle();
    expect(channel.takePositions()).toEqual([256, 956, 1024, 1280].map((frames) => frames * 4));
  });

  test('starts again from 0 at STOP, which says so at once: snd_xen_front would trust the old one', async () => {
    const { world, channel, buffer, bytes } = await capturing();
    await world.clock.advance(2 * PERIOD + 100);
    channel.takeEvents();
    await channel.trigger('stop');
    expect(channel.takePositions()).toEqual([0]);
    await world.clock.advance(5000);
    expect(channel.takeEvents()).toEqual([]);
    await channel.trigger('start');
    await world.clock.advance(PERIOD - 1);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
    // The device had given two periods, and what follows them comes now.
    expect(await read(channel, buffer, PERIOD_BYTES)).toEqual(
      bytes.slice(2 * PERIOD_BYTES, 3 * PERIOD_BYTES),
    );
  });

  test('after a STOP in the middle of a period is sent a whole period after START', async () => {
    const { world, channel } = await capturing();
    await world.clock.advance(PERIOD + 100);
    await channel.trigger('pause');
    await channel.trigger('stop');
    await channel.trigger('start');
    channel.takeEvents();
    await world.clock.advance(PERIOD - 1);
    expect(channel.takePositions()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takePositions()).toEqual([PERIOD_BYTES]);
  });

  test('an in_cons that cannot be ends the stream, and its device', async () => {
    const { world, channel } = await capturing();
    channel.eventPage.store32(IN_CONS, 77);
    await world.clock.advance(5000);
    expect(world.takeLog().join()).toContain("the frontend's in_cons");
    expect(world.machine.leaks().filter((leak) => /domain 0: .*(timer|of 2 pages)/.test(leak))).toEqual([]);
  });
});

describe('STOP', () => {
  test('leaves what was captured to be read until START, and no more', async () => {
    const { world, channel, buffer, bytes } = await capturing();
    await world.clock.advance(2 * PERIOD);
    await channel.trigger('stop');
    expect(await read(channel, buffer, 1200)).toEqual(bytes.slice(0, 1200));
    expect(await channel.read(0, 852)).toBe(-EBADFD);
    expect(await channel.trigger('start')).toBe(0);
    channel.send({ op: 'read', offset: 0, length: 4 });
    await world.clock.advance(PERIOD - 1);
    expect(channel.takeResponses()).toEqual([]); // nothing is left of before
    await world.clock.advance(1);
    expect(channel.takeResponses()).toMatchObject([{ status: 0 }]);
    expect(Buffer.from(buffer.read(0, 4))).toEqual(bytes.slice(2 * PERIOD_BYTES, 2 * PERIOD_BYTES + 4));
  });
});

describe('an overrun', () => {
  test('loses the oldest frames, counts them in the position, and is warned of', async () => {
    const { world, channel, buffer, bytes } = await capturing();
    await world.clock.advance(BUFFER_BYTES / 4);
    expect(world.log.join()).not.toContain('overrun');
    await world.clock.advance(2 * PERIOD);
    expect(channel.takePositions().at(-1)).toBe(BUFFER_BYTES + 2 * PERIOD_BYTES);
    expect(world.takeLog()).toContain(
      '1/0: stream 0/0: overrun: 256 frames were not read in time, and are lost',
    );
    expect(await read(channel, buffer, BUFFER_BYTES)).toEqual(
      bytes.slice(2 * PERIOD_BYTES, 2 * PERIOD_BYTES + BUFFER_BYTES),
    );
    await world.clock.advance(PERIOD);
    expect(await read(channel, buffer, PERIOD_BYTES)).toEqual(
      bytes.slice(2 * PERIOD_BYTES + BUFFER_BYTES, 3 * PERIOD_BYTES + BUFFER_BYTES),
    );
  });

  test('that goes on is warned of once in ten seconds, and at CLOSE; all that was lost is counted', async () => {
    const { world, channel } = await capturing(noise(4), {}, { periodBytes: 0 });
    await world.clock.advance(48_000 * 25);
    await channel.close();
    const lost = world.takeLog().flatMap((line) => /overrun: (\d+) frames/.exec(line)?.[1] ?? []);
    expect(lost).toHaveLength(4);
    expect(lost.map(Number).reduce((sum, frames) => sum + frames)).toBe(48_000 * 25 - BUFFER_BYTES / 4);
  });

  test('by more than the buffer at once keeps the newest', async () => {
    const { device, feed } = handDevice();
    const { world, channel, buffer } = await openCapture({ device: () => device });
    await channel.trigger('start');
    feed().captured(noise(400, 1));
    const bytes = noise(3 * BUFFER_BYTES, 2);
    feed().captured(bytes);
    await world.machine.settle();
    expect(channel.takePositions()).toEqual([400 + 3 * BUFFER_BYTES]);
    expect(world.takeLog().join()).toContain(`overrun: ${(400 + 2 * BUFFER_BYTES) / 4} frames`);
    expect(await read(channel, buffer, BUFFER_BYTES)).toEqual(bytes.slice(2 * BUFFER_BYTES));
  });

  test('takes nothing from a READ that waits', async () => {
    const { device, feed } = handDevice();
    const { world, channel, buffer } = await openCapture({ device: () => device });
    await channel.trigger('start');
    channel.send({ op: 'read', offset: 0, length: 4096 });
    await world.machine.settle();
    const bytes = noise(2 * BUFFER_BYTES);
    feed().captured(bytes);
    await world.machine.settle();
    expect(channel.takeResponses()).toMatchObject([{ status: 0 }]);
    expect(Buffer.from(buffer.read(0, 4096))).toEqual(bytes.slice(0, 4096));
    expect(await read(channel, buffer, BUFFER_BYTES)).toEqual(bytes.slice(BUFFER_BYTES));
    expect(world.takeLog().join()).toContain(`overrun: ${4096 / 4} frames`);
  });

  test('leaves whole frames in a buffer that does not hold whole ones', async () => {
    const { world, channel, buffer, bytes } = await capturing(
      noise(2 * BUFFER_BYTES),
      {},
      { bufferBytes: 8189 },
    );
    await world.clock.advance(3000);
    const captured = Math.floor(3000 / PERIOD) * PERIOD_BYTES;
    expect(await read(channel, buffer, 8188)).toEqual(bytes.slice(captured - 8188, captured));
  });
});

describe('a device that fails while it captures', () => {
  const failure = () => new VsndError('ERR_VSND_DEVICE', 'the microphone has been pulled out');

  test('leaves what it gave, then answers with its errno, and wakes who waits for a position', async () => {
    const { device, feed } = handDevice();
    const { world, channel, buffer } = await openCapture({ device: () => device });
    await channel.trigger('start');
    const bytes = noise(1600);
    feed().captured(bytes.subarray(0, 1200));
    feed().captured(bytes.subarray(1200));
    feed().failed(failure());
    await world.machine.settle();
    // A period and some, what came after that, and the period that it owes.
    expect(channel.takePositions()).toEqual([1200, 1600, 1600 + PERIOD_BYTES]);
    expect(world.takeLog().filter((line) => line.includes('pulled out'))).toHaveLength(1);
    expect(await read(channel, buffer, 1600)).toEqual(bytes);
    expect(await channel.read(0, 1024)).toBe(-EIO);
    expect(await channel.trigger('pause')).toBe(-EIO);
    expect(await channel.trigger('stop')).toBe(0);
    expect(await channel.trigger('start')).toBe(-EIO);
    expect(await channel.close()).toBe(-EIO);
    expect(world.machine.leaks().filter((leak) => leak.includes('domain 0: mapping of 2'))).toEqual([]);
    expect(await channel.open(buffer)).toBe(0);
  });

  test('ends a READ that waits', async () => {
    const { device, feed } = handDevice();
    const { world, channel } = await openCapture({ device: () => device });
    await channel.trigger('start');
    channel.send({ op: 'read', offset: 0, length: 1024 });
    await world.machine.settle();
    feed().failed(failure());
    await world.machine.settle();
    expect(channel.takeResponses()).toMatchObject([{ status: -EIO }]);
    expect(world.machine.leaks().filter((leak) => leak.includes('timer'))).toEqual([]);
  });

  test('while nobody listens says nothing until it is asked', async () => {
    const { device, feed } = handDevice();
    const { world, channel } = await openCapture({ device: () => device });
    feed().failed(failure());
    await world.machine.settle();
    expect(channel.takeEvents()).toEqual([]);
    expect(await channel.trigger('start')).toBe(-EIO);
  });
});

describe('the device', () => {
  test('is told of each trigger, and closed without a drain', async () => {
    const { device, calls } = handDevice();
    const { channel } = await openCapture({ device: () => device });
    for (const trigger of ['start', 'pause', 'resume', 'stop', 'start'] as const)
      await channel.trigger(trigger);
    expect(await channel.close()).toBe(0);
    expect(calls).toEqual(['start', 'pause', 'resume', 'stop', 'start', 'close']);
  });

  test('that says something after CLOSE is not heard', async () => {
    const { device, feed } = handDevice();
    const { world, channel, buffer } = await openCapture({ device: () => device });
    await channel.trigger('start');
    await channel.close();
    world.takeLog();
    feed().captured(noise(2 * BUFFER_BYTES));
    expect(await channel.open(buffer)).toBe(0);
    expect(channel.takeEvents()).toEqual([]);
    expect(world.takeLog()).toEqual([]);
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping of 2 pages'))).toHaveLength(1);
  });
});

test('a guest that removes its card while it captures leaves nothing', async () => {
  const { world }: { world: World } = await capturing();
  await world.clock.advance(100);
  await world.closeBackend();
  expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0'))).toEqual([]);
});
