import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openAudio } from '../../src/audio/open-audio.ts';
import { pcmFormat } from '../../src/wire/pcm-format.ts';
import { useDirectory } from '../wav/files.ts';
import { contents, fixture, framesFrom, trickle } from './contents.ts';
import { largestDifference, likeness, strengthOf } from './likeness.ts';
import { withOnePage } from './ogg-pages.ts';
import { SIGNALS, TONES, wavOf } from './recordings.js';

const files = useDirectory();

const LOSSLESS = [
  ['noise8.flac', 'FLAC', 'u8', SIGNALS.noise8],
  ['noise16.flac', 'FLAC', 's16_le', SIGNALS.noise16],
  ['noise24.flac', 'FLAC', 's24_le', SIGNALS.noise24],
  ['noise16.oga', 'Ogg FLAC', 's16_le', SIGNALS.noise16],
] as const;

describe('lossless', () => {
  test.each(LOSSLESS)('%s: %s as %s, byte for byte', async (name, kind, format, signal) => {
    const { bytes: expected } = await contents(files.put('x.wav', wavOf(signal)));
    const { rate, channels, frames } = signal;
    const whole = { kind, format, rate, channels, frames, warnings: [] };
    const fromFile = await contents(fixture(name));
    expect(fromFile).toMatchObject({ ...whole, isSeekable: true });
    expect(fromFile.bytes.equals(expected)).toBe(true);

    const fromStream = await contents(trickle(readFileSync(fixture(name)), 1000));
    expect(fromStream).toMatchObject({
      ...whole,
      frames: kind === 'FLAC' ? frames : undefined,
      isSeekable: false,
    });
    expect(fromStream.bytes.equals(expected)).toBe(true);
  });
});

test('FLAC of other depths is refused: its decoder does not know them', async () => {
  const message = 'noise20.flac holds FLAC with 20 bits a sample; allowed: 8, 16, 24';
  await expect(openAudio(fixture('noise20.flac'))).rejects.toThrow(message);
});

const LOSSY = [
  ['cbr.mp3', 'MP3', SIGNALS.sweep44, 20],
  ['vbr.mp3', 'MP3', SIGNALS.sweep44, 20],
  ['sweep.ogg', 'Ogg Vorbis', SIGNALS.sweep44, 12],
  ['mono.ogg', 'Ogg Vorbis', SIGNALS.sweep22, 12],
  ['sweep.opus', 'Ogg Opus', SIGNALS.sweep48, 20],
] as const;

describe('lossy', () => {
  test.each(LOSSY)('%s: %s of the right length, at the right place', async (name, kind, signal, decibels) => {
    const { rate, channels, frames } = signal;
    const whole = { kind, format: 'float_le', rate, channels, warnings: [] };
    const fromFile = await contents(fixture(name));
    expect(fromFile).toMatchObject({ ...whole, frames, isSeekable: true });
    expect(fromFile.bytes.length).toBe(frames * channels * 4);
    const like = likeness(fromFile.bytes, signal);
    expect(like.shift).toBe(0);
    expect(like.decibels).toBeGreaterThan(decibels);

    const fromStream = await contents(trickle(readFileSync(fixture(name)), 1000));
    expect(fromStream).toMatchObject({ ...whole, isSeekable: false });
    expect(fromStream.bytes.equals(fromFile.bytes)).toBe(true);
  });

  test.each([
    ['untagged.mp3', 'MP3', SIGNALS.sweep22, 576],
    ['layer2.mp2', 'MP2', SIGNALS.sweep44, 1152],
  ] as const)(
    '%s: whole frames, where the file says nothing of its length',
    async (name, kind, signal, step) => {
      const { kind: found, frames = 0, rate, bytes } = await contents(fixture(name));
      expect([found, rate]).toEqual([kind, signal.rate]);
      expect(frames).toBeGreaterThanOrEqual(signal.frames);
      expect(frames % step).toBe(0);
      expect(bytes.length).toBe(frames * signal.channels * 4);
    },
  );

  test.each(['tones.ogg', 'tones.opus'])('%s: 5.1 in the order of WAV', async (name) => {
    const { bytes, channels, rate, frames } = await contents(fixture(name));
    expect({ channels, rate, frames }).toEqual({ channels: 6, rate: 48_000, frames: SIGNALS.tones.frames });
    TONES.forEach((own, channel) => {
      const strengths = TONES.map((tone) => strengthOf(tone, bytes, channel, channels, rate));
      const strongest = strengths.indexOf(Math.max(...strengths));
      expect(TONES[strongest], `channel ${channel}`).toBe(own);
    });
  });
});

describe('from any frame on', () => {
  test.each([
    ...LOSSLESS.map(([name]) => name),
    ...LOSSY.map(([name]) => name),
    'untagged.mp3',
    'layer2.mp2',
  ])('%s', async (name) => {
    const source = await openAudio(fixture(name));
    const { frames = 0, channels, format } = source;
    const frameBytes = channels * (pcmFormat(format).sampleBytes ?? 1);
    const whole = await framesFrom(source, 0);
    const places = [0, 1, 2, 575, 576, 577, 1151, 1152, 1500].map((step) => step % frames);
    for (const from of [
      ...places,
      Math.floor(frames / 2),
      Math.floor(frames * 0.77),
      frames - 1,
      frames,
      frames + 5,
    ]) {
      const rest = await framesFrom(source, from);
      const expected = whole.subarray(from * frameBytes);
      expect(rest.length, `from ${from}`).toBe(expected.length);
      // A decoder of Opus remembers more than its 80 ms, and mpg123 rounds otherwise where it began elsewhere.
      if (format === 'float_le') expect(largestDifference(rest, expected), `from ${from}`).toBeLessThan(1e-3);
      else expect(rest.equals(expected), `from ${from}`).toBe(true);
    }
    await source.close();
  });

  test('in a page of three seconds', async () => {
    const whole = await contents(fixture('sweep.opus'));
    const path = files.put('x.opus', withOnePage(readFileSync(fixture('sweep.opus'))));
    for (const from of [0, 100, 100_000]) {
      const { bytes, frames, warnings } = await contents(path, {}, from);
      expect({ frames, warnings }).toEqual({ frames: whole.frames, warnings: [] });
      expect(bytes.equals(whole.bytes.subarray(from * 8)), `from ${from}`).toBe(true);
    }
  });

  test('is left, and read again', async () => {
    const source = await openAudio(fixture('sweep.ogg'));
    for await (const piece of source.read(5000)) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    expect((await framesFrom(source, 0)).length).toBe(8 * SIGNALS.sweep44.frames);
    await source.close();
  });
});
