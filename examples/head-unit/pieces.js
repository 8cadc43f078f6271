// Frames in pieces of 10 ms, all of them s16_le: `{ format, rate, channels, octets }` is a sound as a whole.

const SAMPLE_BYTES = 2;
const FULL_SCALE = 32_768;

/** Nothing is heard, dBFS. */
export const SILENT = [-Infinity, -Infinity];

/** Octets of a frame of the sound. */
export const frameBytesOf = ({ channels }) => SAMPLE_BYTES * channels;

/** Seconds of the sound. */
export const durationOf = (sound) => sound.octets.length / frameBytesOf(sound) / sound.rate;

/** Each piece of the sound, and at which of its frames it begins. */
export function* piecesOf(sound) {
  const frameBytes = frameBytesOf(sound);
  const pieceBytes = Math.round(sound.rate / 100) * frameBytes;
  for (let offset = 0; offset < sound.octets.length; offset += pieceBytes) {
    yield { piece: sound.octets.subarray(offset, offset + pieceBytes), frame: offset / frameBytes };
  }
}

/** The highest level of each channel in a piece, dBFS. */
export function peaksOf(piece, { channels }) {
  const samples = new Int16Array(piece.buffer, piece.byteOffset, piece.length / SAMPLE_BYTES);
  const peaks = new Array(channels).fill(0);
  for (const [index, sample] of samples.entries()) {
    const channel = index % channels;
    peaks[channel] = Math.max(peaks[channel], Math.abs(sample));
  }
  return peaks.map((peak) => 20 * Math.log10(peak / FULL_SCALE));
}

/** A sound of two arrays of samples from -1 to 1. */
export function stereo(rate, left, right) {
  const samples = new Int16Array(left.length * 2);
  for (const [frame, sample] of left.entries()) {
    samples[2 * frame] = (FULL_SCALE - 1) * sample;
    samples[2 * frame + 1] = (FULL_SCALE - 1) * right[frame];
  }
  return { format: 's16_le', rate, channels: 2, octets: new Uint8Array(samples.buffer) };
}
