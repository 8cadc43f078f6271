import { describe, expect, test } from 'vitest';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import { noise } from '../sound.ts';
import { type RawCard, withRawCard } from './setup.ts';

const PERIOD = 1200;
const FORMAT = { rate: 48_000, channels: 1, format: 'u8', periodFrames: PERIOD } as const;
const SECONDS = 48_000 / PERIOD;

/** What the device of a raw backend has played, frames; it plays on, or stands still, a period at a time. */
class Device {
  played = 0;
  readonly #raw: RawCard;

  constructor(raw: RawCard) {
    this.#raw = raw;
  }

  async play(periods: number): Promise<void> {
    for (let period = 0; period < periods; period++) {
      await this.#raw.clock.advance(PERIOD);
      this.played += PERIOD;
      this.#raw.backend.sendPosition(this.played);
      await this.#raw.machine.settle();
    }
  }

  async stand(frames: number): Promise<void> {
    await this.#raw.clock.advance(frames);
  }
}

function start({ card }: RawCard): { out: PlaybackStream; underruns: unknown[] } {
  const out = card.createPlaybackStream(FORMAT);
  const underruns: unknown[] = [];
  out.on('underrun', (underrun) => underruns.push(underrun));
  out.write(noise(60 * 48_000));
  return { out, underruns };
}

describe('an underrun at the host, between two positions', () => {
  test('is told, by its time, and counted apart', () =>
    withRawCard('p', async (raw) => {
      const { out, underruns } = start(raw);
      out.on('position', () => {}); // so that it is not a little old
      const device = new Device(raw);
      await raw.machine.settle();
      await device.play(5 * SECONDS);
      await device.stand(1792);
      await device.play(5 * SECONDS);
      expect(underruns).toEqual([
        { frames: expect.any(Number), count: 1, estimated: true, gap: expect.closeTo(37.3, 0) },
      ]);
      expect([out.underruns, out.estimatedUnderruns, out.position]).toEqual([0, 1, device.played]);
      // The clock has another line since: nothing has been told of a slow device, or of frames that were not played.
      expect(Math.abs(out.clock.frames - device.played)).toBeLessThan(PERIOD);
    }));

  test('is none where the process was away, and finds all positions at once', () =>
    withRawCard('p', async (raw) => {
      const { out, underruns } = start(raw);
      const device = new Device(raw);
      await raw.machine.settle();
      for (let times = 0; times < 4; times++) {
        await device.play(4 * SECONDS);
        await raw.clock.advance(3 * PERIOD);
        for (const period of [1, 2, 3]) raw.backend.putPosition(device.played + period * PERIOD);
        device.played += 3 * PERIOD;
      }
      await device.play(4 * SECONDS);
      expect([underruns, out.estimatedUnderruns]).toEqual([[], 0]);
    }));

  test('is none where the stream was paused', () =>
    withRawCard('p', async (raw) => {
      const { out, underruns } = start(raw);
      const device = new Device(raw);
      await raw.machine.settle();
      await device.play(4 * SECONDS);
      await out.trigger('pause');
      await device.stand(3 * 48_000);
      await out.trigger('resume');
      await device.play(4 * SECONDS);
      expect([underruns, out.estimatedUnderruns]).toEqual([[], 0]);
    }));
});

test('an overrun at the host is told of in the same way', () =>
  withRawCard('c', async (raw) => {
    const input = raw.card.createCaptureStream(FORMAT);
    const overruns: unknown[] = [];
    input.on('overrun', (overrun) => overruns.push(overrun)).resume();
    const device = new Device(raw);
    await raw.machine.settle();
    await device.play(5 * SECONDS);
    await device.stand(4800);
    await device.play(5 * SECONDS);
    expect(overruns).toEqual([{ lost: 4800, frames: expect.any(Number), count: 1, estimated: true }]);
    expect([input.overruns, input.estimatedOverruns]).toEqual([0, 1]);
    const closed = new Promise((resolve) => input.once('close', resolve));
    input.destroy();
    await closed;
  }));
