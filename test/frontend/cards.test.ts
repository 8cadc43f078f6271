import { afterEach, describe, expect, test } from 'vitest';
import { deferred } from '../../src/deferred.ts';
import type { CaptureStream } from '../../src/frontend/capture-stream.ts';
import type { Card } from '../../src/frontend/card.ts';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import { listCards, openCard } from '../../src/open-card.ts';
import {
  Backend,
  createSoundCard,
  type EmulatedDomain,
  EmulatedMachine,
  ManualClock,
  type MemoryDevice,
  memoryDevice,
} from '../../src/testing.ts';
import { requestSoundCardClose } from '../../src/xen/emulated/toolstack.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { FRAME, noise, TEN_PERIODS } from '../sound.ts';
import { closing } from './setup.ts';

const PLAYBACK = { fields: { type: 'p' } };
const CAPTURE = { fields: { type: 'c' } };

/** A guest with several cards, a memory device behind each stream, and the time in the test's hand. */
class Studio {
  readonly clock = new ManualClock();
  readonly machine = new EmulatedMachine({ clock: this.clock });
  readonly guest: EmulatedDomain = this.machine.createDomain();
  readonly #devices = new Map<string, MemoryDevice>();
  readonly #backends = new Map<EmulatedDomain, Backend>();
  readonly #cards: Card[] = [];

  /** Serves all cards of one backend domain. */
  async serve(hypervisor: EmulatedDomain): Promise<void> {
    const backend = await Backend.start(hypervisor, {
      deviceFor: ({ devid, pcmDevice, config }) => this.device(`${devid}:${pcmDevice}/${config.index}`),
    });
    this.#backends.set(hypervisor, backend);
    await this.machine.settle();
  }

  /** The domain, and the backend in it, are gone from one instant to the next. */
  kill(hypervisor: EmulatedDomain): void {
    this.machine.faults.killDomain(hypervisor.domid);
    this.#backends.delete(hypervisor);
  }

  /** Each of its PCM devices has as many playback and capture streams, in this order. */
  add(devid: number, pcmDevices: readonly { playback: number; capture: number }[], backendDomid = 0): void {
    createSoundCard(this.machine, {
      frontendDomid: this.guest.domid,
      backendDomid,
      devid,
      pcmDevices: pcmDevices.map(({ playback, capture }) => ({
        streams: [...Array(playback).fill(PLAYBACK), ...Array(capture).fill(CAPTURE)],
      })),
    });
  }

  async open(card: number): Promise<Card> {
    const opened = await openCard({ hypervisor: this.guest, card });
    this.#cards.push(opened);
    return opened;
  }

  /** What is behind a stream: '<devid>:<PCM device>/<stream>'. */
  device(address: string): MemoryDevice {
    const device = this.#devices.get(address) ?? memoryDevice(this.machine.dom0.clock);
    this.#devices.set(address, device);
    return device;
  }

  /** Leaves everything; nothing must be left. */
  async close(): Promise<void> {
    const closed = Promise.all(this.#cards.map((card) => card.close()));
    await this.clock.advanceTime(5e9);
    await closed;
    for (const backend of this.#backends.values()) await backend.close();
    await this.machine.settle();
    this.machine.assertCleanedUp();
    await this.machine.close();
  }
}

const studios: Studio[] = [];

afterEach(async () => {
  for (const studio of studios.splice(0)) await studio.close();
});

/** One that is closed, and left clean, after the test. */
async function startStudio(): Promise<Studio> {
  const studio = new Studio();
  studios.push(studio);
  await studio.serve(studio.machine.dom0);
  return studio;
}

/** A stream in use, and whether all it has played or captured so far is its own, and there. */
interface Take<S = PlaybackStream | CaptureStream> {
  readonly stream: S;
  /** Frames; fails where one is wrong. */
  check(): number;
}

/** Plays a noise of its own on the first free stream of the device, for longer than any test. */
function play(studio: Studio, card: Card, device: number, seed: number): Take<PlaybackStream> {
  const stream = card.createPlaybackStream({ ...TEN_PERIODS, device });
  const source = noise(20_000 * FRAME, seed);
  stream.write(source);
  const there = studio.device(`${card.info.devid}:${device}/${stream.stream}`);
  return {
    stream,
    check: () => {
      const heard = Buffer.from(there.heard());
      expect(heard.equals(source.subarray(0, heard.length))).toBe(true);
      expect(stream.underruns).toBe(0);
      return heard.length / FRAME;
    },
  };
}

/** As {@link play}; nothing else must have been captured from that stream before. */
function record(studio: Studio, card: Card, device: number, seed: number): Take<CaptureStream> {
  const stream = card.createCaptureStream({ ...TEN_PERIODS, device });
  const source = noise(20_000 * FRAME, seed);
  studio.device(`${card.info.devid}:${device}/${stream.stream}`).say(source);
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return {
    stream,
    check: () => {
      const heard = Buffer.concat(chunks);
      expect(heard.equals(source.subarray(0, heard.length))).toBe(true);
      expect(stream.overruns).toBe(0);
      return heard.length / FRAME;
    },
  };
}

describe('several cards', () => {
  test('are listed in the order of their numbers, and taken one by one', async () => {
    const studio = await startStudio();
    for (const devid of [7, 0, 1]) studio.add(devid, [{ playback: 1, capture: 0 }]);
    await studio.machine.settle();
    const listed = await listCards({ hypervisor: studio.guest });
    expect(listed.map(({ devid }) => devid)).toEqual([0, 1, 7]);
    const card = await studio.open(7);
    expect(card.info.path).toBe('/local/domain/1/device/vsnd/7');
    await expect(studio.open(7)).rejects.toMatchObject({ code: 'ERR_VSND_CARD_BUSY', pid: process.pid });
    const states = (await listCards({ hypervisor: studio.guest })).map(({ state }) => state);
    expect(states).toEqual(['Initialising', 'Initialising', 'Connected']);
  });

  test('play and capture at once, each its own', async () => {
    const studio = await startStudio();
    const takes: Take[] = [];
    for (const devid of [0, 1, 7]) studio.add(devid, [{ playback: 1, capture: 1 }]);
    await studio.machine.settle();
    for (const devid of [0, 1, 7]) {
      const card = await studio.open(devid);
      takes.push(play(studio, card, 0, 10 + devid), record(studio, card, 0, 20 + devid));
    }
    await studio.machine.settle();
    await studio.clock.advance(5050);
    expect(takes.map((take) => take.check())).toEqual(Array(6).fill(5000));
  });

  test('closing one leaves the others', async () => {
    const studio = await startStudio();
    for (const devid of [0, 1]) studio.add(devid, [{ playback: 1, capture: 1 }]);
    await studio.machine.settle();
    const first = await studio.open(0);
    const second = await studio.open(1);
    const leaving = [play(studio, first, 0, 1), record(studio, first, 0, 2)];
    const staying = [play(studio, second, 0, 3), record(studio, second, 0, 4)];
    await studio.machine.settle();
    await studio.clock.advance(1000);
    await first.close();
    expect(leaving.every(({ stream }) => stream.closed)).toBe(true);
    await studio.clock.advance(1000);
    expect(staying.map((take) => take.check())).toEqual([2000, 2000]);
    await studio.open(0);
  });

  test('one whose backend closes it leaves the others', async () => {
    const studio = await startStudio();
    for (const devid of [0, 1]) studio.add(devid, [{ playback: 1, capture: 1 }]);
    await studio.machine.settle();
    const first = await studio.open(0);
    const second = await studio.open(1);
    const lost = [play(studio, first, 0, 1), record(studio, first, 0, 2)];
    const errors = lost.map(({ stream }) => closing(stream));
    const staying = [play(studio, second, 0, 3), record(studio, second, 0, 4)];
    await studio.machine.settle();
    await studio.clock.advance(1000);
    requestSoundCardClose(studio.machine, { frontendDomid: studio.guest.domid });
    await studio.machine.settle();
    for (const error of errors) expect(await error).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
    await studio.clock.advance(1000);
    expect(staying.map((take) => take.check())).toEqual([2000, 2000]);
    expect([first.connected, second.connected]).toEqual([false, true]);
  });

  test('one whose driver domain dies without a word leaves those of another', async () => {
    const studio = await startStudio();
    const driver = studio.machine.createDomain();
    await studio.serve(driver);
    studio.add(0, [{ playback: 1, capture: 1 }], driver.domid);
    studio.add(1, [{ playback: 1, capture: 1 }]);
    await studio.machine.settle();
    const first = await studio.open(0);
    const second = await studio.open(1);
    const lost = [play(studio, first, 0, 1), record(studio, first, 0, 2)];
    const errors = lost.map(({ stream }) => closing(stream));
    const staying = [play(studio, second, 0, 3), record(studio, second, 0, 4)];
    await studio.machine.settle();
    await studio.clock.advance(1000);
    studio.kill(driver);
    await studio.clock.advance(6000); // watched for a second, and what is under way is given 3 s
    expect(staying.map((take) => take.check())).toEqual([7000, 7000]);
    await studio.clock.advanceTime(5e9);
    for (const error of errors) expect(await error).toMatchObject({ code: 'ERR_VSND_BACKEND_GONE' });
    expect([first.connected, second.connected]).toEqual([false, true]);
  });
});

describe('one card with several PCM devices', () => {
  const DEVICES = [
    { playback: 2, capture: 1 },
    { playback: 0, capture: 2 },
    { playback: 1, capture: 1 },
  ];

  /** A card all of whose streams play or capture. */
  async function startAll(studio: Studio): Promise<{ card: Card; takes: Take[] }> {
    studio.add(0, DEVICES);
    await studio.machine.settle();
    const card = await studio.open(0);
    const takes = DEVICES.flatMap(({ playback, capture }, device) => [
      ...Array.from({ length: playback }, (_, n) => play(studio, card, device, 10 * device + n)),
      ...Array.from({ length: capture }, (_, n) => record(studio, card, device, 100 + 10 * device + n)),
    ]);
    await studio.machine.settle();
    return { card, takes };
  }

  const counts = (takes: readonly Take[]) => takes.map((take) => take.check());

  test('plays and captures on all its streams at once, each its own', async () => {
    const studio = await startStudio();
    const { card, takes } = await startAll(studio);
    expect(card.streams.map(({ device, stream, type }) => `${device}/${stream} ${type}`)).toEqual([
      '0/0 playback',
      '0/1 playback',
      '0/2 capture',
      '1/0 capture',
      '1/1 capture',
      '2/0 playback',
      '2/1 capture',
    ]);
    await studio.clock.advance(5050);
    expect(counts(takes)).toEqual(Array(7).fill(5000));
    for (const create of [
      () => card.createPlaybackStream(TEN_PERIODS),
      () => card.createCaptureStream(TEN_PERIODS),
    ]) {
      expect(create).toThrow(expect.objectContaining({ code: 'ERR_VSND_NO_STREAM' }));
    }
  });

  test('streams of different formats do not touch each other', async () => {
    const studio = await startStudio();
    studio.add(0, [{ playback: 2, capture: 1 }]);
    await studio.machine.settle();
    const card = await studio.open(0);
    const wide = card.createPlaybackStream({
      rate: 96_000,
      channels: 8,
      format: 'float_le',
      bufferFrames: 1000,
    });
    const narrow = card.createPlaybackStream({ rate: 8000, channels: 1, format: 'u8', bufferFrames: 400 });
    const input = card.createCaptureStream({
      rate: 44_100,
      channels: 3,
      format: 's24_be',
      bufferFrames: 1000,
    });
    const sources = [noise(10_000 * 32, 1), noise(10_000, 2), noise(10_000 * 12, 3)] as const;
    wide.write(sources[0]);
    narrow.write(sources[1]);
    studio.device('0:0/2').say(sources[2]);
    const chunks: Buffer[] = [];
    input.on('data', (chunk: Buffer) => chunks.push(chunk));
    await studio.machine.settle();
    await studio.clock.advanceTime(0.1e9);
    const heard = [studio.device('0:0/0').heard(), studio.device('0:0/1').heard(), Buffer.concat(chunks)];
    for (const [index, bytes] of heard.entries()) {
      expect(Buffer.from(bytes).equals(sources[index]?.subarray(0, bytes.length) ?? Buffer.alloc(0))).toBe(
        true,
      );
    }
    const least = [96_000 * 32, 8000, 44_100 * 12].map((bytes) => bytes * 0.08);
    for (const [index, bytes] of heard.entries()) expect(bytes.length).toBeGreaterThan(least[index] ?? 0);
  });

  test('a stream that ends, is destroyed or stands still leaves the others', async () => {
    const studio = await startStudio();
    studio.add(0, DEVICES);
    await studio.machine.settle();
    const card = await studio.open(0);
    const destroyed = play(studio, card, 0, 1);
    const paused = play(studio, card, 0, 2);
    const finished = record(studio, card, 0, 3);
    const failed = record(studio, card, 1, 4);
    const others = [record(studio, card, 1, 5), play(studio, card, 2, 6), record(studio, card, 2, 7)];
    await studio.machine.settle();
    await studio.clock.advance(500);
    destroyed.stream.destroy();
    await paused.stream.trigger('pause');
    finished.stream.finish();
    failed.stream.on('error', () => {}).destroy(new Error('enough'));
    await studio.clock.advance(1500);
    expect(counts(others)).toEqual([2000, 2000, 2000]);
    expect(counts([destroyed, paused, finished, failed])).toEqual([500, 500, 500, 500]);
    expect(card.streams).toEqual([paused.stream, ...others.map(({ stream }) => stream)]);
    const again = play(studio, card, 0, 8);
    await studio.machine.settle();
    await studio.clock.advance(500);
    expect(counts([again, ...others])).toEqual([500, 2500, 2500, 2500]);
  });

  test('one stream’s broken protocol ends that stream, and no other', async () => {
    const studio = await startStudio();
    const { card, takes } = await startAll(studio);
    await studio.clock.advance(500);
    const broken = takes.filter(({ stream }) => stream.device === 0 && stream.stream > 0);
    const others = takes.filter((take) => !broken.includes(take));
    const errors = broken.map(({ stream }) => closing(stream));
    await spoilEvents(
      studio,
      broken.map(({ stream }) => `/local/domain/1/device/vsnd/0/0/${stream.stream}`),
    );
    for (const error of errors) {
      expect(await error).toMatchObject({
        code: 'ERR_VSND_PROTOCOL',
        message: 'the backend sent an event of type 9; allowed: 0 (XENSND_EVT_CUR_POS)',
      });
    }
    await studio.clock.advance(1400);
    expect(counts(others)).toEqual(Array(5).fill(2000));
    expect([card.connected, card.streams.length]).toEqual([true, 5]);

    const again = card.createCaptureStream({ ...TEN_PERIODS, device: 0 });
    expect(await closing(again)).toMatchObject({ code: 'ERR_VSND_PROTOCOL' }); // its channel is over until the next connection
    await studio.clock.advance(100);
    expect(counts(others)).toEqual(Array(5).fill(2100));
  });

  test('a stream whose device takes its time to open keeps no other one waiting', async () => {
    const studio = await startStudio();
    const ready = deferred();
    const slow = studio.device('0:1/0');
    const { openCapture } = slow;
    slow.openCapture = async (...options) => {
      await ready.promise;
      return await openCapture(...options);
    };
    const { card, takes } = await startAll(studio);
    const late = takes.filter(({ stream }) => stream.device === 1 && stream.stream === 0);
    const others = takes.filter((take) => !late.includes(take));
    await studio.clock.advance(500);
    expect(counts(others)).toEqual(Array(6).fill(500));
    expect(late.map(({ stream }) => stream.state)).toEqual(['closed']);
    ready.resolve();
    await studio.machine.settle();
    await studio.clock.advance(500);
    expect([counts(late), counts(others)]).toEqual([[500], Array(6).fill(1000)]);
    expect(card.streams).toHaveLength(7);
  });

  test('a name that no stream has', async () => {
    const studio = await startStudio();
    studio.add(3, DEVICES);
    await studio.machine.settle();
    const card = await studio.open(3);
    expect(() => card.createPlaybackStream({ ...TEN_PERIODS, device: 1 })).toThrow(
      'device is 1; allowed: 0, 2',
    );
    expect(() => card.createCaptureStream({ ...TEN_PERIODS, device: 1, stream: 2 })).toThrow(
      'stream is 2; allowed: 0, 1',
    );
    expect(card.createCaptureStream({ ...TEN_PERIODS, device: 1, stream: 1 }).stream).toBe(1);
    expect(card.createCaptureStream(TEN_PERIODS).stream).toBe(2);
  });
});

/** The next position of these streams arrives as an event of a type that sndif.h does not have. */
async function spoilEvents({ clock, machine }: Studio, streamPaths: readonly string[]): Promise<void> {
  const xenstore = await XenStoreClient.open(machine.dom0);
  const grefs = streamPaths.map(async (path) => Number(await xenstore.read(`${path}/evt-ring-ref`)));
  const pages = await machine.dom0.mapper.map(1, await Promise.all(grefs));
  const letGo = machine.faults.holdNotifications({ domid: 1 });
  await clock.advance(100);
  for (let entry = 64; entry < pages.byteLength; entry += 64) {
    if (entry % 4096 !== 0) pages.copyIn(entry + 2, Uint8Array.of(9));
  }
  letGo();
  await machine.settle();
  await pages.release();
  await xenstore.close();
}
