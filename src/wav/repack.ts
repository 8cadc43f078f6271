/**
 * WAV's 24 bit samples, 3 octets each, as sndif's s24_le: 4 octets, the sign in the highest. Whole samples
 * only.
 */
export function widenS24(packed: Uint8Array): Uint8Array {
  const samples = packed.length / 3;
  const wide = new Uint8Array(samples * 4);
  for (let sample = 0; sample < samples; sample++) {
    const from = sample * 3;
    const to = sample * 4;
    const top = packed[from + 2] ?? 0;
    wide[to] = packed[from] ?? 0;
    wide[to + 1] = packed[from + 1] ?? 0;
    wide[to + 2] = top;
    wide[to + 3] = top & 0x80 ? 0xff : 0;
  }
  return wide;
}

/**
 * sndif's s24_le as WAV's 3 octets a sample; whatever the fourth octet says is dropped. Whole samples only.
 */
export function packS24(wide: Uint8Array): Uint8Array {
  const samples = wide.length / 4;
  const packed = new Uint8Array(samples * 3);
  for (let sample = 0; sample < samples; sample++) {
    const from = sample * 4;
    const to = sample * 3;
    packed[to] = wide[from] ?? 0;
    packed[to + 1] = wide[from + 1] ?? 0;
    packed[to + 2] = wide[from + 2] ?? 0;
  }
  return packed;
}
