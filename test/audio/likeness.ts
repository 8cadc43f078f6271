import type { Signal } from './recordings.js';

const FULL_SCALE = 0x8000;

/** float_le frames against a signal of 16 bits, `shift` frames later: how far above the difference the signal is, in dB. */
function signalToNoise(bytes: Buffer, { samples, channels }: Signal, shift: number): number {
  let power = 0;
  let noise = 0;
  for (let at = 0; at < samples.length; at++) {
    const from = at + shift * channels;
    const expected = (samples[at] as number) / FULL_SCALE;
    const decoded = from < 0 || from * 4 >= bytes.length ? 0 : bytes.readFloatLE(from * 4);
    power += expected ** 2;
    noise += (decoded - expected) ** 2;
  }
  return 10 * Math.log10(power / noise);
}

/** At 0, and how like the signal it is there; `shift` is where it is most like it. */
export function likeness(bytes: Buffer, signal: Signal): { shift: number; decibels: number } {
  const candidates = [0, -1, 1, -2, 2, -529, 529, -576, 576, -1105, 1105, -312, 312].map((shift) => ({
    shift,
    decibels: signalToNoise(bytes, signal, shift),
  }));
  return candidates.reduce((best, other) => (other.decibels > best.decibels ? other : best));
}

/** How strong `tone` Hz is in one channel of float_le frames. */
export function strengthOf(
  tone: number,
  bytes: Buffer,
  channel: number,
  channels: number,
  rate: number,
): number {
  let real = 0;
  let imaginary = 0;
  for (let frame = 0; (frame + 1) * channels * 4 <= bytes.length; frame++) {
    const sample = bytes.readFloatLE((frame * channels + channel) * 4);
    real += sample * Math.cos((2 * Math.PI * tone * frame) / rate);
    imaginary += sample * Math.sin((2 * Math.PI * tone * frame) / rate);
  }
  return Math.hypot(real, imaginary);
}

/** Between two of the same length, in float_le. */
export function largestDifference(a: Buffer, b: Buffer): number {
  let largest = 0;
  for (let at = 0; at < a.length; at += 4) {
    largest = Math.max(largest, Math.abs(a.readFloatLE(at) - b.readFloatLE(at)));
  }
  return largest;
}
