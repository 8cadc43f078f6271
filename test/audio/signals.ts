/** `frames` of a sine at half of full scale, from frame `first` on. */
export function sine(frequency: number, rate: number, frames: number, first = 0): Float32Array {
  const step = (2 * Math.PI * frequency) / rate;
  return Float32Array.from({ length: frames }, (_, n) => 0.5 * Math.sin(step * (first + n)));
}

/** dB, of the power of a sine at half of full scale. */
export function decibels(samples: Float32Array): number {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return 10 * Math.log10(power / 0.125);
}

/** What of `samples` is the sine that {@link sine} makes, by least squares. */
export function compareToSine(
  samples: Float32Array,
  { frequency, rate, first = 0 }: { frequency: number; rate: number; first?: number },
): { snr: number; gain: number; phase: number } {
  const step = (2 * Math.PI * frequency) / rate;
  let [ss, sc, cc, ys, yc] = [0, 0, 0, 0, 0];
  samples.forEach((sample, n) => {
    const [s, c] = [Math.sin(step * (first + n)), Math.cos(step * (first + n))];
    ss += s * s;
    sc += s * c;
    cc += c * c;
    ys += sample * s;
    yc += sample * c;
  });
  const determinant = ss * cc - sc * sc;
  const a = (ys * cc - yc * sc) / determinant;
  const b = (yc * ss - ys * sc) / determinant;
  let [signal, rest] = [0, 0];
  samples.forEach((sample, n) => {
    const fitted = a * Math.sin(step * (first + n)) + b * Math.cos(step * (first + n));
    signal += fitted * fitted;
    rest += (sample - fitted) ** 2;
  });
  return {
    snr: 10 * Math.log10(signal / rest),
    gain: 20 * Math.log10(Math.hypot(a, b) / 0.5),
    phase: Math.atan2(b, a),
  };
}
