// Compares what the backend recorded with what the guest was told to play.
import { buffer } from 'node:stream/consumers';
import { openAudio } from '../../../dist/audio/open-audio.js';
import { noise } from '../noise.js';

/**
 * Throws unless the WAV file holds this noise in its rate and format, and behind it at most `silence`
 * bytes of silence.
 */
export async function expectRecording(path, { seed, frames, rate = 48_000, channels = 2, silence = 0 }) {
  const wav = await openAudio(path);
  try {
    const found = await buffer(wav.read());
    const expected = noise(seed, frames * channels * 2);
    if (wav.rate !== rate || wav.channels !== channels || wav.format !== 's16_le') {
      throw new Error(`${path} is ${wav.format}, ${wav.rate} Hz, ${wav.channels} channels`);
    }
    expectSame(path, found.subarray(0, expected.length), expected);
    const rest = found.subarray(expected.length);
    if (rest.length > silence) throw new Error(`${path}: ${rest.length} bytes follow; allowed: ${silence}`);
    if (rest.some((byte) => byte !== 0)) throw new Error(`${path}: what follows is not silence`);
  } finally {
    await wav.close();
  }
}

/** Throws unless the WAV file holds these bytes, and nothing else. */
export async function expectBytes(path, expected) {
  const wav = await openAudio(path);
  try {
    const found = await buffer(wav.read());
    expectSame(path, found, expected);
  } finally {
    await wav.close();
  }
}

function expectSame(path, found, expected) {
  if (found.equals(expected)) return;
  const at = found.findIndex((byte, index) => byte !== expected[index]);
  const where = at === -1 ? `it ends after ${found.length} bytes` : `byte ${at} differs`;
  throw new Error(`${path} is not what was played: ${where} of ${expected.length}`);
}
