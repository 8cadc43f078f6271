import { PassThrough } from 'node:stream';
import { describe, expect, test } from 'vitest';
import type { CaptureFeed, DeviceParams } from '../../src/backend/pcm-device.ts';
import { ReadableVoice } from '../../src/backend/readable-voice.ts';
import { ManualClock } from '../../src/clock.ts';
import { noise } from '../sound.ts';

/** A period is 480 frames, 10 ms. */
const PARAMS: DeviceParams = { rate: 48_000, channels: 2, format: 'u8', frameBytes: 2, periodBytes: 960 };
const PERIOD = 480;

function start({ isLive = false, params = {} as Partial<DeviceParams> } = {}) {
  const clock = new ManualClock();
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  clock.settleWith(turn);
  const source = new PassThrough({ highWaterMark: 1 << 20 });
  const captured: Uint8Array[] = [];
  const failures: Error[] = [];
  const feed: CaptureFeed = {
    captured: (bytes) => void captured.push(bytes.slice()),
    failed: (error) => void failures.push(error),
  };
  const voice = new ReadableVoice({ ...PARAMS, ...params }, feed, source, { clock, isLive });
  const write = async (bytes: Uint8Array) => {
    source.write(bytes);
    await turn();
  };
  return {
    ...{ clock, source, voice, failures, write, turn },
    bytes: () => Buffer.concat(captured),
    frames: () => Buffer.concat(captured).length / 2,
  };
}

describe('a device behind a Readable', () => {
  test('is its own clock: what comes at the rate is captured when it comes', async () => {
    const { clock, voice, write, bytes, frames } = start();
    const sound = noise(20 * 2 * PERIOD);
    voice.start();
    for (let period = 0; period < 20; period++) {
      await clock.advance(PERIOD);
      await write(sound.subarray(period * 960, (period + 1) * 960));
      expect(frames()).toBe((period + 1) * PERIOD);
    }
    expect(Buffer.compare(bytes(), sound)).toBe(0);
  });

  test('may be slow, or a little fast', async () => {
    for (const period of [0.995, 1, 3]) {
      const { clock, voice, write, frames } = start();
      voice.start();
      await clock.advance(10);
      for (let count = 1; count <= 300; count++) {
        await clock.advance(PERIOD * period);
        await write(noise(960));
        expect(frames()).toBe(count * PERIOD);
      }
    }
  });

  test('that gives all at once is held back to 1 % above the rate', async () => {
    const { clock, voice, write, bytes, frames, source } = start();
    const sound = noise(96_000 * 2);
    voice.start();
    await write(sound);
    expect(frames()).toBe(0);
    await clock.advance(48_000);
    expect(frames()).toBeGreaterThan(48_000);
    expect(frames()).toBeLessThanOrEqual(48_480);
    expect(source.readableLength).toBe(sound.length - bytes().length);
    await clock.advance(48_000);
    expect(Buffer.compare(bytes(), sound)).toBe(0);
  });

  test('that was late may be taken two periods at once, and no more', async () => {
    const { clock, voice, write, frames } = start();
    voice.start();
    await clock.advance(48_000);
    await write(noise(10 * 960));
    expect(frames()).toBe(2 * PERIOD);
    await clock.advance(PERIOD);
    expect(frames()).toBe(3 * PERIOD);
  });

  test('gives whole frames, wherever the pieces are cut', async () => {
    const { clock, voice, write, bytes } = start({ params: { frameBytes: 8, periodBytes: 960 } });
    const sound = noise(8 * 20);
    voice.start();
    await clock.advance(100);
    for (const byte of sound) {
      await write(Uint8Array.of(byte));
      expect(bytes().length % 8).toBe(0);
    }
    expect(bytes()).toEqual(Buffer.from(sound));
  });

  test('is not read before START, nor while paused', async () => {
    const { clock, voice, write, bytes } = start();
    await write(noise(960, 1));
    await clock.advance(5000);
    expect(bytes()).toHaveLength(0);
    voice.start();
    await clock.advance(PERIOD);
    expect(bytes()).toEqual(Buffer.from(noise(960, 1)));
    voice.pause();
    await write(noise(960, 2));
    await clock.advance(5000);
    expect(bytes()).toHaveLength(960);
    voice.resume();
    await clock.advance(PERIOD);
    expect(bytes()).toEqual(Buffer.concat([noise(960, 1), noise(960, 2)]));
  });

  test('that is live is heard only while the stream runs', async () => {
    const { clock, voice, write, bytes, source } = start({ isLive: true });
    await write(noise(4000, 1));
    await clock.advance(5000);
    expect(source.readableLength).toBe(0);
    voice.start();
    await clock.advance(PERIOD);
    await write(noise(960, 2));
    // More than the limit lets through before PAUSE.
    await write(noise(9600, 3));
    expect(source.readableLength).toBeGreaterThan(0);
    voice.pause();
    expect(source.readableLength).toBe(0);
    await write(noise(960, 4));
    expect(source.readableLength).toBe(0);
    await clock.advance(5000);
    voice.resume();
    await clock.advance(PERIOD);
    await write(noise(960, 5));
    expect(bytes().subarray(0, 960)).toEqual(Buffer.from(noise(960, 2)));
    expect(bytes().subarray(-960)).toEqual(Buffer.from(noise(960, 5)));
    expect(bytes().length).toBeLessThan(2 * 960 + 100);
  });
});

describe('the end of the data', () => {
  test('comes after all of it, with silence behind, at the rate', async () => {
    const { clock, voice, source, bytes, frames, turn, failures } = start();
    const sound = noise(960 * 10 + 3);
    voice.start();
    source.end(sound);
    await turn();
    await clock.advance(10 * PERIOD);
    const played = frames();
    await clock.advance(100 * PERIOD);
    const silent = Buffer.alloc(bytes().length - sound.length, 0x80);
    expect(Buffer.compare(bytes(), Buffer.concat([sound, silent]))).toBe(0);
    expect(Math.abs(frames() - played - 100 * PERIOD)).toBeLessThanOrEqual(PERIOD);
    expect(failures).toEqual([]);
    voice.stop();
    expect(clock.pendingTimers).toBe(0);
  });

  test('before START is silence from there on, with pauses', async () => {
    const { clock, voice, source, bytes, frames, turn } = start();
    source.end();
    await turn();
    await clock.advance(5000);
    expect(frames()).toBe(0);
    voice.start();
    await turn();
    await clock.advance(PERIOD + 100);
    voice.pause();
    await clock.advance(5000);
    voice.resume();
    await clock.advance(PERIOD - 100);
    expect(bytes()).toEqual(Buffer.alloc(2 * 960, 0x80));
    await voice.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

test('a Readable that fails is a device that failed, once', async () => {
  const { clock, voice, source, failures, turn, write, frames } = start();
  voice.start();
  await write(noise(96_000));
  await clock.advance(PERIOD);
  const before = frames();
  source.destroy(new Error('pulled out'));
  await turn();
  await clock.advance(5000);
  expect(failures).toMatchObject([{ message: 'pulled out' }]);
  expect(frames()).toBe(before);
  expect(clock.pendingTimers).toBe(0);
});
