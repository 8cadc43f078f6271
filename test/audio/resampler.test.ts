import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Resampler, type ResamplerOptions } from '../../src/audio/resampler.ts';
import { thrownBy } from '../wire/support.ts';
import { compareToSine, decibels, sine } from './signals.ts';

let open: Resampler[] = [];

async function create(options: ResamplerOptions): Promise<Resampler> {
  const resampler = await Resampler.create(options);
  open.push(resampler);
  return resampler;
}

beforeEach(() => {
  open = [];
});

afterEach(() => {
  for (const resampler of open) resampler.close();
});

const concat = (pieces: readonly Float32Array[]) => Float32Array.from(pieces.flatMap((piece) => [...piece]));

/** All of `frames` at one ratio, in pieces of at most `pieceFrames`. */
function resampleAll(resampler: Resampler, frames: Float32Array, ratio: number, pieceFrames = 4800) {
  const length = pieceFrames * resampler.channels;
  const pieces: Float32Array[] = [];
  for (let start = 0; start < frames.length; start += length) {
    pieces.push(resampler.process(frames.subarray(start, start + length), ratio));
  }
  return concat([...pieces, resampler.end()]);
}

// The first test: the package is loaded once.
it('leaves the errors of the process to the process', async () => {
  const listeners = () => [process.listeners('uncaughtException'), process.listeners('unhandledRejection')];
  const before = listeners();
  await create({ channels: 1 });
  expect(listeners()).toEqual(before);
});

describe('the sound', () => {
  it.each([
    ['best', 44_100, 48_000, 20_000, 135],
    ['best', 48_000, 44_100, 20_000, 135],
    ['best', 96_000, 48_000, 20_000, 135],
    ['medium', 44_100, 48_000, 18_000, 115],
    ['medium', 48_000, 44_100, 18_000, 115],
  ] as const)(
    '%s, %i to %i Hz: sines up to %i Hz, where they were, %i dB above all else',
    async (quality, from, to, top, snr) => {
      const resampler = await create({ channels: 1, quality });
      for (const frequency of [50, 997, top / 2, top]) {
        const out = resampleAll(resampler, sine(frequency, from, from / 2), to / from);
        const measured = compareToSine(out.subarray(1000, -1000), { frequency, rate: to, first: 1000 });
        expect(measured.snr).toBeGreaterThan(snr);
        expect(measured.gain).toBeCloseTo(0, 1);
        expect(Math.abs(measured.phase)).toBeLessThan(1e-5);
      }
    },
  );

  it.each([
    ['best', -145],
    ['medium', -115],
  ] as const)('%s: what the new rate cannot have is %i dB at most', async (quality, level) => {
    const resampler = await create({ channels: 1, quality });
    const out = resampleAll(resampler, sine(23_500, 48_000, 48_000), 44_100 / 48_000);
    expect(decibels(out.subarray(1000, -1000))).toBeLessThan(level);
  });

  it('the frames of all channels stay together', async () => {
    const resampler = await create({ channels: 8 });
    const mono = await create({ channels: 1 });
    const voices = Array.from({ length: 8 }, (_, channel) => sine(100 + 50 * channel, 44_100, 5000));
    const frames = Float32Array.from({ length: 8 * 5000 }, (_, n) => voices[n % 8]?.[Math.floor(n / 8)] ?? 0);
    const out = resampleAll(resampler, frames, 48_000 / 44_100, 999);
    voices.forEach((voice, channel) => {
      expect(out.filter((_, n) => n % 8 === channel)).toEqual(resampleAll(mono, voice, 48_000 / 44_100, 999));
    });
  });
});

describe('the length', () => {
  const RATES = [8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000];

  it('is round(frames * ratio), and no sample depends on how the sound was cut', async () => {
    const resampler = await create({ channels: 2, quality: 'medium' });
    const property = fc.property(
      fc.constantFrom(...RATES),
      fc.constantFrom(...RATES),
      fc.nat({ max: 20_000 }),
      fc.integer({ min: 1, max: 20_000 }),
      (from, to, count, pieceFrames) => {
        const frames = Float32Array.from({ length: count * 2 }, (_, n) => Math.sin(n * n));
        const ratio = to / from;
        resampler.reset();
        const out = resampleAll(resampler, frames, ratio, Math.max(pieceFrames, Math.ceil(count / 50)));
        expect(out.length).toBe(Math.round(count * ratio) * 2);
        const whole = resampleAll(resampler, frames, ratio, 20_000);
        const difference = out.reduce(
          (most, sample, n) => Math.max(most, Math.abs(sample - (whole[n] ?? 9))),
          0,
        );
        expect(difference).toBeLessThan(1e-6);
      },
    );
    fc.assert(property, { numRuns: 40 });
  });

  it('an impulse stays where it was', async () => {
    const resampler = await create({ channels: 1 });
    const frames = new Float32Array(2000);
    frames[0] = frames[1000] = frames[1999] = 1;
    const out = resampleAll(resampler, frames, 2);
    const peaks = [...out.keys()].filter((n) => (out[n] ?? 0) > 0.9);
    expect(peaks).toEqual([0, 2000, 3998]);
  });

  it('pendingFrames: what is still to come', async () => {
    const resampler = await create({ channels: 1 });
    expect(resampler.pendingFrames).toBe(0);
    const out = resampler.process(new Float32Array(4410), 48_000 / 44_100);
    expect(resampler.pendingFrames).toBe(4800 - out.length);
    expect(resampler.end()).toHaveLength(4800 - out.length);
    expect(resampler.pendingFrames).toBe(0);
    expect(resampler.end()).toHaveLength(0);
  });

  it('after end(), and reset(), it is as new', async () => {
    const resampler = await create({ channels: 1 });
    const frames = sine(440, 48_000, 3000);
    const first = resampleAll(resampler, frames, 0.5);
    expect(resampleAll(resampler, frames, 0.5)).toEqual(first);
    resampler.process(frames, 1.7);
    resampler.reset();
    expect(resampleAll(resampler, frames, 0.5)).toEqual(first);
  });
});

describe('a ratio that changes', () => {
  it('bends a sine without a click', async () => {
    const resampler = await create({ channels: 1 });
    const step = 2 * Math.PI * (1000 / 48_000);
    const pieces: Float32Array[] = [];
    for (let block = 0; block < 200; block++) {
      const ratio = 1 + 0.005 * Math.sin(block / 5);
      pieces.push(resampler.process(sine(1000, 48_000, 512, block * 512), ratio));
    }
    const out = concat(pieces).subarray(1000);
    expect(out.length).toBeGreaterThan(95_000);
    // A sine obeys s[n - 1] + s[n + 1] = 2 cos(step) s[n]; a jump of 0.001 would miss that by as much.
    for (let n = 1; n < out.length - 1; n++) {
      const [before = 0, here = 0, after = 0] = out.subarray(n - 1, n + 2);
      expect(Math.abs(before + after - 2 * Math.cos(step) * here)).toBeLessThan(2e-4);
    }
  });

  it('the frames that come are those that are due, whatever the ratio does', async () => {
    const resampler = await create({ channels: 1 });
    let framesOut = 0;
    for (let block = 0; block < 400; block++) {
      framesOut += resampler.process(new Float32Array(1024), 1 + 0.004 * Math.sin(block)).length;
      expect(resampler.pendingFrames).toBeLessThan(200);
    }
    framesOut += resampler.end().length;
    expect(Math.abs(framesOut - 400 * 1024)).toBeLessThan(10);
  });
});

describe('wrong use', () => {
  it.each([0, 9, 1.5, Number.NaN])('%d channels', async (channels) => {
    await expect(Resampler.create({ channels })).rejects.toMatchObject({
      code: 'ERR_VSND_INVALID_ARG',
      message: `channels is ${channels}; allowed: 1 to 8`,
    });
  });

  it('a quality that there is not', async () => {
    const created = Resampler.create({ channels: 1, quality: 'fast' as 'best' });
    await expect(created).rejects.toMatchObject({ message: 'quality is "fast"; allowed: best, medium' });
  });

  it.each([0, -1, 257, 1 / 257, Number.NaN])('a ratio of %d', async (ratio) => {
    const resampler = await create({ channels: 1 });
    const error = thrownBy(() => resampler.process(new Float32Array(8), ratio));
    expect(error).toMatchObject({ code: 'ERR_VSND_INVALID_ARG', option: 'ratio' });
  });

  it('a part of a frame', async () => {
    const resampler = await create({ channels: 2 });
    const error = thrownBy(() => resampler.process(new Float32Array(3), 1));
    expect(error).toMatchObject({ message: 'frames is 3; allowed: multiples of 2 samples' });
  });
});
