import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { memoryDevice, nullDevice } from '../../src/backend/devices.ts';
import type { CaptureVoice, PcmDevice, PlaybackFeed, PlaybackVoice } from '../../src/backend/pcm-device.ts';
import { WritableVoice } from '../../src/backend/writable-voice.ts';
import { ManualClock } from '../../src/clock.ts';
import { deferred } from '../../src/deferred.ts';
import { XenErrno } from '../../src/wire/xen-errno.ts';
import { BUFFER_BYTES, openRequest, PERIOD_BYTES } from './raw-frontend.ts';
import { CAPTURE, PLAYBACK, useWorlds, type World } from './world.ts';

const startWorld = useWorlds();

const { EIO } = XenErrno;

const SECOND = 48_000; // frames
const FIVE_SECONDS = 5 * SECOND;
const BUFFER = BUFFER_BYTES / 4; // frames

const held = (world: World) =>
  world.machine.leaks().filter((leak) => /^domain 0: (mapping|event channel|\d+ pending)/.test(leak));

/** A Writable that takes a piece and never calls back. */
function deafDevice() {
  const feeds: PlaybackFeed[] = [];
  const device: PcmDevice = {
    ...nullDevice(new ManualClock()),
    openPlayback: async (params, feed) => {
      feeds.push(feed);
      const writable = new Writable({ highWaterMark: 1, write() {} });
      return new WritableVoice(params, feed, writable, (bytes) => bytes.slice());
    },
  };
  return { device, feeds };
}

/** Closes the backend, in time that the test lets pass; says after how many frames it was closed. */
async function closeBackend(world: World): Promise<number> {
  let frames = 0;
  let isClosed = false;
  const closed = world.closeBackend().then(() => {
    isClosed = true;
  });
  await world.machine.settle();
  for (; !isClosed && frames < 100 * SECOND; frames += SECOND / 10) await world.clock.advance(SECOND / 10);
  await closed;
  return frames;
}

describe('a device that never closes', () => {
  test('is given up when its time is over, and holds neither Backend.close() nor anything else', async () => {
    const { device } = deafDevice();
    const world = await startWorld({ device: () => device });
    const { channel } = await world.openStream();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    const frames = await closeBackend(world);
    expect(frames).toBeGreaterThan(FIVE_SECONDS);
    expect(frames).toBeLessThan(FIVE_SECONDS + BUFFER + SECOND);
    expect(world.log.join()).toMatch(
      /1\/0: stream 0\/0: the device has not closed within 6 s; it is given up/,
    );
    expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0'))).toEqual([]);
    expect(await world.guest.backendState()).toBe('6');
  });

  test('lets CLOSE fail, and the stream be opened again; what it says later goes nowhere', async () => {
    const { device, feeds } = deafDevice();
    const world = await startWorld({ device: () => device });
    const { channel, buffer } = await world.openStream();
    await channel.write(0, BUFFER_BYTES);
    await channel.trigger('start');
    channel.send({ op: 'close' });
    await world.clock.advance(FIVE_SECONDS + BUFFER - 1);
    expect(channel.takeResponses()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takeResponses()).toMatchObject([{ operation: 1, status: -EIO }]);
    expect(world.machine.leaks().filter((leak) => leak.includes('mapping of 2'))).toEqual([]);
    expect(await channel.open(buffer)).toBe(0);
    const [old] = feeds;
    expect(old?.available).toBe(0);
    expect(old?.take(4096)).toHaveLength(0);
    old?.played(PERIOD_BYTES);
    await world.machine.settle();
    expect(channel.takeEvents()).toEqual([]);
    await closeBackend(world);
  });

  test('for capture is given up after five seconds', async () => {
    const device: PcmDevice = {
      ...memoryDevice(new ManualClock()),
      openCapture: async (): Promise<CaptureVoice> => ({
        ...{ start() {}, pause() {}, resume() {}, stop() {} },
        close: () => new Promise(() => {}),
      }),
    };
    const world = await startWorld({ pcmDevices: [{ streams: [CAPTURE] }], device: () => device });
    await world.openStream();
    await closeBackend(world);
    expect(world.log.join()).toContain('the device has not closed within 5 s; it is given up');
    expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0'))).toEqual([]);
  });

  test('holds up no other stream of the card', async () => {
    const { device } = deafDevice();
    const { world, good } = await twoStreams((world) => [device, world.device]);
    expect(await good.trigger('stop')).toBe(0);
    expect(await good.close()).toBe(0);
    await closeBackend(world);
    expect(held(world)).toEqual([]);
  });
});

/** A card with two playing streams, each with a device of its own. */
async function twoStreams(devices: (world: World) => PcmDevice[]) {
  const holder: { world?: World } = {};
  const world = await startWorld({
    pcmDevices: [{ streams: [PLAYBACK, PLAYBACK] }],
    deviceFor: ({ config }) => {
      const device = holder.world && devices(holder.world)[config.index];
      if (device === undefined) throw new Error('too early');
      return device;
    },
  });
  holder.world = world;
  const [bad, good] = await world.guest.connect(['0/0', '0/1']);
  if (bad === undefined || good === undefined) throw new Error('no channels');
  for (const channel of [bad, good]) {
    expect(await channel.open(await world.guest.createBuffer(BUFFER_BYTES))).toBe(0);
    expect(await channel.write(0, BUFFER_BYTES)).toBe(0);
    expect(await channel.trigger('start')).toBe(0);
  }
  bad.send({ op: 'close' });
  return { world, good };
}

describe('a device that never opens', () => {
  /** Opens when the test lets it. */
  function slowDevice() {
    const gate = deferred();
    const closed: boolean[] = [];
    const device: PcmDevice = {
      ...nullDevice(new ManualClock()),
      openPlayback: async (): Promise<PlaybackVoice> => {
        await gate.promise;
        return {
          ...{ start() {}, pause() {}, resume() {}, stop() {}, refilled() {} },
          close: async ({ drain }) => void closed.push(drain),
        };
      },
    };
    return { device, gate, closed };
  }

  test('lets OPEN fail after five seconds; should it come later, it is closed again', async () => {
    const { device, gate, closed } = slowDevice();
    const world = await startWorld({ device: () => device });
    const channel = await world.guest.connectOne();
    const buffer = await world.guest.createBuffer(BUFFER_BYTES);
    const before = world.machine.leaks();
    channel.send(openRequest(buffer));
    await world.clock.advance(FIVE_SECONDS - 1);
    expect(channel.takeResponses()).toEqual([]);
    await world.clock.advance(1);
    expect(channel.takeResponses()).toMatchObject([{ status: -EIO }]);
    expect(world.takeLog().join()).toContain('the device has not opened within 5 s; it is given up');
    expect(world.machine.leaks()).toEqual(before);
    expect(closed).toEqual([]);
    gate.resolve();
    await world.machine.settle();
    expect(closed).toEqual([false]);
  });

  test('does not hold Backend.close()', async () => {
    const { device } = slowDevice();
    const world = await startWorld({ device: () => device });
    const channel = await world.guest.connectOne();
    channel.send(openRequest(await world.guest.createBuffer(BUFFER_BYTES)));
    await world.machine.settle();
    expect(await closeBackend(world)).toBeLessThanOrEqual(FIVE_SECONDS + SECOND);
    expect(world.machine.leaks().filter((leak) => leak.startsWith('domain 0'))).toEqual([]);
  });
});

test('a device that closes in time leaves no timer', async () => {
  const world = await startWorld();
  const { channel } = await world.openStream();
  expect(await channel.close()).toBe(0);
  expect(world.machine.leaks().filter((leak) => leak.includes('timer'))).toEqual([]);
});
