import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Varispeed } from '../../src/audio/varispeed.ts';
import '../wire/support.ts'; // how long properties may shrink

const RATE = 48_000;
const QUANTUM = 256;
/** Hz: one at which a misplaced frame shows. */
const PITCH = 3000;
const RADIANS = (2 * Math.PI * PITCH) / RATE;
const PPM = 1e-6;

const opened: Varispeed[] = [];

afterEach(() => {
  for (const varispeed of opened.splice(0)) varispeed.close();
});

async function open(format: 'float_le' | 's16_le' = 'float_le', channels = 2): Promise<Varispeed> {
  const varispeed = await Varispeed.create({ format, rate: RATE, channels });
  opened.push(varispeed);
  return varispeed;
}

/** A sine on the left and its cosine on the right: together they say how far the sound has come. */
class Rotor {
  #frames = 0;

  next(frames: number): Uint8Array {
    const samples = new Float32Array(2 * frames);
    for (let i = 0; i < frames; i++, this.#frames++) {
      samples[2 * i] = 0.5 * Math.sin(this.#frames * RADIANS);
      samples[2 * i + 1] = 0.5 * Math.cos(this.#frames * RADIANS);
    }
    return new Uint8Array(samples.buffer);
  }
}

/** How far the sound of a rotor moves from frame to frame. */
class Progress {
  #last: number | undefined;
  /** Frames that the sound has moved in all. */
  moved = 0;
  /** Frames: the least and the greatest step. */
  least = Number.POSITIVE_INFINITY;
  greatest = Number.NEGATIVE_INFINITY;
  /** By how much the loudness strays, of 1. */
  stray = 0;

  hear(octets: Uint8Array): void {
    const samples = new Float32Array(Uint8Array.from(octets).buffer);
    for (let i = 0; i < samples.length; i += 2) {
      const [sine = 0, cosine = 0] = samples.subarray(i, i + 2);
      this.stray = Math.max(this.stray, Math.abs(Math.hypot(sine, cosine) / 0.5 - 1));
      const angle = Math.atan2(sine, cosine);
      if (this.#last !== undefined)
        this.#step(((angle - this.#last + 3 * Math.PI) % (2 * Math.PI)) - Math.PI);
      this.#last = angle;
    }
  }

  #step(radians: number): void {
    const frames = radians / RADIANS;
    this.moved += frames;
    this.least = Math.min(this.least, frames);
    this.greatest = Math.max(this.greatest, frames);
  }
}

/** Runs a rotor through it, a quantum for each ratio. */
function run(varispeed: Varispeed, ratios: Iterable<number>): Progress {
  const rotor = new Rotor();
  const progress = new Progress();
  for (const ratio of ratios) progress.hear(varispeed.process(rotor.next(QUANTUM), ratio));
  return progress;
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe('Varispeed', () => {
  it('lets pass what goes in, bit for bit, at a ratio of 1', async () => {
    const varispeed = await open('s16_le', 2);
    const chunk = fc.uint8Array({ maxLength: 400 }).map((octets) => octets.subarray(0, octets.length & ~3));
    fc.assert(
      fc.property(fc.array(chunk), (chunks) => {
        for (const octets of chunks) expect(varispeed.process(octets, 1)).toEqual(octets);
        expect(varispeed.pendingFrames).toBe(0);
      }),
    );
  });

  it('leaves and comes back without a step in the sound', async () => {
    const varispeed = await open();
    const progress = run(varispeed, [...times(5, 1), ...times(5, 1 + PPM / 100), ...times(10, 1)]);
    expect(varispeed.pendingFrames).toBe(0);
    expect(progress.moved).toBeCloseTo(20 * QUANTUM - 1, 3);
    expect(progress.least).toBeGreaterThan(1 - 2 * PPM);
    expect(progress.greatest).toBeLessThan(1 + 2 * PPM);
    expect(progress.stray).toBeLessThan(2e-5); // what the filter takes off
  });

  it('knows where in the sound it is, whatever the ratios were', async () => {
    const varispeed = await open();
    const ratio = fc.double({ min: 0.995, max: 1.005, noNaN: true });
    fc.assert(
      fc.property(fc.array(ratio, { minLength: 1, maxLength: 40 }), (ratios) => {
        const last = ratios.at(-1) ?? 1;
        const all = [1, 1, ...ratios, ...times(4, last)]; // it has reached the last one
        const next = run(varispeed, all).moved + 1 / last;
        const phase = (next - varispeed.phase) % 1;
        expect(Math.min(Math.abs(phase), 1 - Math.abs(phase))).toBeLessThan(1e-3);
        expect(next + varispeed.pendingFrames).toBeCloseTo(all.length * QUANTUM, 2);
        varispeed.end();
      }),
      { numRuns: 30 },
    );
  });

  it.each([0.995, 0.999, 1.0002, 1.005])('moves the sound evenly at a ratio of %d', async (ratio) => {
    const varispeed = await open();
    run(varispeed, times(20, ratio)); // on its way there
    const rotor = new Rotor();
    const progress = new Progress();
    const warm = times(5, 0).map(() => varispeed.process(rotor.next(QUANTUM), ratio));
    progress.hear(warm.at(-1) ?? new Uint8Array(0));
    for (const _ of times(100, 0)) progress.hear(varispeed.process(rotor.next(QUANTUM), ratio));
    expect(progress.least).toBeCloseTo(1 / ratio, 4);
    expect(progress.greatest).toBeCloseTo(1 / ratio, 4);
  });

  it('glides to the nearest frame where it is left between two', async () => {
    const varispeed = await open();
    const glide = times(100, 1 + 12 * PPM); // 0.3 frames
    const progress = run(varispeed, [...glide, ...times(10, 1)]);
    expect(progress.least).toBeGreaterThan(1 - 1500 * PPM);
    expect(progress.greatest).toBeLessThan(1 + 1500 * PPM);
    expect(progress.moved).toBeCloseTo(110 * QUANTUM - 1, 3);
  });

  it('gives what it has kept back at the end', async () => {
    const varispeed = await open('s16_le', 1);
    const frames = Int16Array.from({ length: 4 * QUANTUM }, (_, i) => i);
    const octets = new Uint8Array(frames.buffer);
    const out = [varispeed.process(octets, 1 + PPM / 100), varispeed.end()];
    expect(varispeed.pendingFrames).toBe(0);
    expect(out.reduce((length, { byteLength }) => length + byteLength, 0)).toBe(octets.length);
    expect(varispeed.process(octets, 1)).toEqual(octets);
  });

  it('adds noise below -90 dB to 16 bits, and below -110 dB to floats', async () => {
    const noise = async (format: 's16_le' | 'float_le') => {
      const varispeed = await open(format, 1);
      const value = (frame: number) => 0.5 * Math.sin(frame * RADIANS);
      const ratio = 1.0002;
      const heard: number[] = [];
      for (let chunk = 0; chunk < 100; chunk++) {
        const sines = Float32Array.from({ length: QUANTUM }, (_, i) => value(chunk * QUANTUM + i));
        const samples = format === 's16_le' ? Int16Array.from(sines, (s) => Math.round(s * 32768)) : sines;
        const out = Uint8Array.from(varispeed.process(new Uint8Array(samples.buffer), ratio)).buffer;
        heard.push(
          ...(format === 's16_le'
            ? Array.from(new Int16Array(out), (s) => s / 32768)
            : new Float32Array(out)),
        );
      }
      return residue(heard.slice(heard.length / 2), RADIANS / ratio);
    };
    expect(await noise('s16_le')).toBeLessThan(-90);
    expect(await noise('float_le')).toBeLessThan(-110);
  });

  it('refuses a format that has no samples', async () => {
    await expect(Varispeed.create({ format: 'gsm', rate: RATE, channels: 1 })).rejects.toMatchObject({
      code: 'ERR_VSND_NOT_SUPPORTED',
      message: 'gsm cannot be resampled',
    });
  });
});

/** dB against the sine: all that is in `samples` beside a sine of that many radians a sample, by least squares. */
function residue(samples: readonly number[], radians: number): number {
  let [ss, sc, cc, xs, xc] = [0, 0, 0, 0, 0];
  samples.forEach((x, i) => {
    const [s, c] = [Math.sin(i * radians), Math.cos(i * radians)];
    ss += s * s;
    sc += s * c;
    cc += c * c;
    xs += x * s;
    xc += x * c;
  });
  const determinant = ss * cc - sc * sc;
  const [a, b] = [(xs * cc - xc * sc) / determinant, (xc * ss - xs * sc) / determinant];
  const power = samples.reduce((sum, x, i) => {
    const rest = x - a * Math.sin(i * radians) - b * Math.cos(i * radians);
    return sum + rest * rest;
  }, 0);
  return 10 * Math.log10(((power / samples.length) * 2) / (a * a + b * b));
}
