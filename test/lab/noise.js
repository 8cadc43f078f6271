// The same sound on both sides of the border: bytes that only their seed decides.

/** `length` bytes of noise, a multiple of 4. */
export function noise(seed, length) {
  const words = new Uint32Array(length / 4);
  let state = seed * 0x9e3779b1 || 1;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return Buffer.from(words.buffer);
}
