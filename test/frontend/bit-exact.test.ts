import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openCard } from '../../src/open-card.ts';
import { startTestGuest, type TestGuestOptions } from '../../src/testing.ts';
import { PCM_FORMATS, type PcmFormatName } from '../../src/wire/pcm-format.ts';
import { noise } from '../sound.ts';
import { playUntil } from './setup.ts';

interface Play {
  rate: number;
  channels: number;
  format: PcmFormatName;
  frames: number;
  chunkBytes: number;
  /** 1: each chunk waits for the one before it; more: they are merged on their way. */
  highWaterMark?: number | undefined;
  bufferFrames?: number | undefined;
  periodFrames?: number | undefined;
  startThresholdFrames?: number | undefined;
}

/** Plays a noise in chunks, and compares what the card has heard with it, byte by byte. */
async function expectExact(play: Play, queueMode: TestGuestOptions['queueMode']): Promise<void> {
  const { frames, chunkBytes, ...options } = play;
  const guest = await startTestGuest({ rate: play.rate, queueMode, fields: { 'buffer-size': '262144' } });
  const card = await openCard({ hypervisor: guest.hypervisor });
  const out = card.createPlaybackStream(options);
  const source = noise(frames * out.frameBytes);
  const chunks = Array.from({ length: Math.ceil(source.length / chunkBytes) }, (_, n) =>
    source.subarray(n * chunkBytes, (n + 1) * chunkBytes),
  );
  await playUntil(guest, pipeline(Readable.from(chunks), out));
  const heard = Buffer.from(guest.device.heard());
  expect(heard.length).toBe(source.length);
  expect(heard.equals(source)).toBe(true);
  expect(out.position).toBe(frames);
  expect(out.underruns).toBe(0);
  await card.close();
  await guest.close();
}

describe.each(['copy', 'direct'] as const)(
  'what is written is what is heard, with a backend in mode %s',
  (mode) => {
    test.each([
      ['s16_le', 1, 8000],
      ['s24_le', 2, 48_000],
      ['s32_le', 6, 44_100],
      ['float_le', 8, 96_000],
      ['float64_le', 2, 192_000],
      ['u8', 1, 11_025],
      ['s16_be', 2, 44_100],
    ] as const)('%s, %i channels, %i Hz', (format, channels, rate) =>
      expectExact({ format, channels, rate, frames: Math.round(rate / 3) + 1, chunkBytes: 10_007 }, mode),
    );

    test('byte by byte', () =>
      expectExact({ format: 's16_le', channels: 2, rate: 8000, frames: 1001, chunkBytes: 1 }, mode));

    test('any format, layout, buffer, period, threshold and chunk', async () => {
      const formats = PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined).map(
        ({ name }) => name,
      );
      const plays = fc
        .record({
          format: fc.constantFrom(...formats),
          channels: fc.integer({ min: 1, max: 8 }),
          rate: fc.constantFrom(8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000),
          frames: fc.integer({ min: 1, max: 3000 }),
          chunkBytes: fc.integer({ min: 1, max: 9000 }),
          highWaterMark: fc.constantFrom(1, 1000, 100_000),
          buffer: fc.double({ min: 0, max: 1, noNaN: true }),
          period: fc.double({ min: 0, max: 1, noNaN: true }),
          startThresholdFrames: fc.option(fc.integer({ min: 1, max: 2000 }), { nil: undefined }),
        })
        .map(({ buffer, period, ...play }): Play => {
          const least = Math.ceil(play.rate / 1000);
          const bufferFrames = 4 * least + Math.floor(buffer * 1500);
          return {
            ...play,
            bufferFrames,
            periodFrames: least + Math.floor(period * (bufferFrames / 4 - least)),
          };
        });
      await fc.assert(
        fc.asyncProperty(plays, (play) => expectExact(play, mode)),
        { numRuns: 60 },
      );
    }, 60_000);
  },
);
