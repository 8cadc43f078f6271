import { describe, expect, test } from 'vitest';
import { pinkNoise, type Signal, sineSignal } from '../../src/pcm/signal.ts';

const RATES = [44_100, 48_000, 96_000, 192_000];

/** The power of a signal at a frequency, averaged over windows of a tenth of a second (Hann; Goertzel's recurrence), dB. */
function powersAt(signal: Signal, rate: number, frequencies: readonly number[], windows: number): number[] {
  const length = Math.round(rate / 10);
  const shape = Float64Array.from({ length }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / length));
  const sums = frequencies.map(() => 0);
  for (let window = 0; window < windows; window++) {
    const samples = shape.map((weight) => weight * signal());
    for (const [index, frequency] of frequencies.entries()) {
      const factor = 2 * Math.cos((2 * Math.PI * frequency) / rate);
      let [one, two] = [0, 0];
      for (const sample of samples) [one, two] = [sample + factor * one - two, one];
      sums[index] = (sums[index] ?? 0) + one * one + two * two - factor * one * two;
    }
  }
  return sums.map((sum) => 10 * Math.log10(sum / windows));
}

describe('a sine', () => {
  test('has its frequency, and no error that adds up', () => {
    const signal = sineSignal(997.125, 44_100);
    const samples = Array.from({ length: 44_100 * 8 + 3 }, signal);
    for (const n of [0, 1, 2, 1000, 44_100]) {
      expect(samples[n]).toBeCloseTo(Math.sin((2 * Math.PI * 997.125 * n) / 44_100), 9);
    }
    // Eight seconds are a whole number of its cycles.
    expect(samples.slice(-3)).toEqual(samples.slice(0, 3));
  });
});

describe('pink noise', () => {
  test.each(RATES)('falls by 3 dB an octave, within 1 dB from 50 Hz to 15 kHz, at %d Hz', (rate) => {
    // Eight to an octave below 15 kHz, in neighbours that are averaged: a single one is noisy.
    const bands = Array.from({ length: 9 }, (_, octave) => 55 * 2 ** octave).filter((hz) => hz < 15_000);
    const around = bands.flatMap((band) =>
      [0.92, 0.95, 0.98, 1.01, 1.04, 1.07].map((factor) => band * factor),
    );
    const powers = powersAt(pinkNoise(rate), rate, around, 100);
    const pink = powers.map((power, index) => power + 10 * Math.log10(around[index] ?? 1));
    const levels = bands.map((_, band) => {
      const near = pink.slice(band * 6, band * 6 + 6);
      return near.reduce((sum, level) => sum + level, 0) / near.length;
    });
    const mean = levels.reduce((sum, level) => sum + level, 0) / levels.length;
    for (const [band, level] of levels.entries()) {
      expect(Math.abs(level - mean), `${bands[band]} Hz: ${level - mean} dB`).toBeLessThan(1);
    }
  });

  test.each([8000, ...RATES])('is as loud as a sine of full scale, at %d Hz', (rate) => {
    const signal = pinkNoise(rate);
    let energy = 0;
    for (let n = 0; n < rate * 20; n++) energy += signal() ** 2;
    expect(10 * Math.log10((energy / (rate * 20)) * 2)).toBeCloseTo(0, 0);
  });

  test('is the same for the same seed, and another for another', () => {
    const [one, same, other] = [pinkNoise(48_000, 7), pinkNoise(48_000, 7), pinkNoise(48_000, 8)];
    const first = Array.from({ length: 100 }, one);
    expect(Array.from({ length: 100 }, same)).toEqual(first);
    expect(Array.from({ length: 100 }, other)).not.toEqual(first);
  });
});
