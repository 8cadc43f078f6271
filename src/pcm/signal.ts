/** Gives one sample after the other: numbers of full scale. */
export type Signal = () => number;

/** Frequencies are told apart by thousandths of a Hz. */
const STEPS = 1000;

/** A sine of `frequency` Hz (to 0.001) and full scale: sample n is sin(2 pi n frequency / rate), however large n becomes. */
export function sineSignal(frequency: number, rate: number): Signal {
  // In whole numbers, so that no error adds up: the phase goes on by a step a sample, and a cycle is once around.
  const step = Math.round(frequency * STEPS);
  const cycle = rate * STEPS;
  let phase = 0;
  return () => {
    const value = Math.sin((2 * Math.PI * phase) / cycle);
    phase = (phase + step) % cycle;
    return value;
  };
}

/** Hz: below it, what is called pink here is white. */
const PINK_FROM = 10;

/**
 * Pink noise: 3.01 dB less an octave, within 1 dB from 50 Hz to 15 kHz at 44.1 kHz or more, by first-order poles and zeros
 * in turn, an octave apart. As loud (RMS) as a sine of full scale: its peaks are some 9 dB higher. The same seed gives the
 * same noise.
 */
export function pinkNoise(rate: number, seed = 1): Signal {
  const impulse = pinkFilter(rate);
  let energy = impulse(1) ** 2;
  for (let n = 1; n < rate; n++) energy += impulse(0) ** 2;
  // Uniform noise from -1 to 1 has a power of 1/3, a sine of full scale one of 1/2.
  const gain = Math.sqrt(3 / 2 / energy);
  const white = whiteNoise(seed);
  const filter = pinkFilter(rate);
  return () => gain * filter(white());
}

function pinkFilter(rate: number): (sample: number) => number {
  const at = (frequency: number) => Math.exp((-2 * Math.PI * frequency) / rate);
  const sections: { pole: number; zero: number; before: number; after: number }[] = [];
  for (let frequency = PINK_FROM; frequency < rate / 2; frequency *= 4) {
    sections.push({ pole: at(frequency), zero: at(frequency * 2), before: 0, after: 0 });
  }
  return (sample) => {
    let value = sample;
    for (const section of sections) {
      const after = value - section.zero * section.before + section.pole * section.after;
      section.before = value;
      section.after = after;
      value = after;
    }
    return value;
  };
}

/** Uniform, from -1 to 1: Marsaglia's xorshift. */
function whiteNoise(seed: number): Signal {
  let state = seed | 0 || 1; // 0 would stay 0
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state / 0x8000_0000;
  };
}
