/** What most tests play and capture. */
export const STEREO = { rate: 48_000, channels: 2, format: 's16_le' } as const;

/** Bytes of a frame of it. */
export const FRAME = 4;

/** The same in a buffer of ten short periods: both wrap often. */
export const TEN_PERIODS = { ...STEREO, bufferFrames: 1000, periodFrames: 100 } as const;

/** u32s that only the seed decides (xorshift32). */
export function randomOf(seed: number): () => number {
  let state = Math.imul(seed, 0x9e37_79b1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Numbers from 0 to 1 that only the seed decides. */
export function fractionsOf(seed: number): () => number {
  const next = randomOf(seed);
  return () => next() / 2 ** 32;
}

/** `length` bytes that hardly ever repeat; others for another `seed`. */
export function noise(length: number, seed = 1): Buffer {
  const next = randomOf(seed);
  return Buffer.from(Uint8Array.from({ length }, () => next() >>> 24));
}
