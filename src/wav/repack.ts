import type { WavHeader } from './header.ts';

/**
 * WAV's 24 bit samples, 3 bytes each, as sndif's s24_le: 4 bytes, the sign in the highest. Whole samples
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
 * sndif's s24_le as WAV's 3 bytes a sample; whatever the fourth byte says is dropped. Whole samples only.
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

/** Turns samples of so many bytes, the highest first, into those of sndif's little-endian formats. */
export function fromBigEndian(containerBytes: number): ((samples: Uint8Array) => Uint8Array) | undefined {
  if (containerBytes === 1) return undefined;
  if (containerBytes === 3) return (samples) => widenS24(swap24(samples));
  return (samples) => {
    const swapped = Buffer.from(samples);
    return containerBytes === 2
      ? swapped.swap16()
      : containerBytes === 4
        ? swapped.swap32()
        : swapped.swap64();
  };
}

function swap24(samples: Uint8Array): Uint8Array {
  const swapped = new Uint8Array(samples);
  for (let at = 0; at < samples.length; at += 3) {
    swapped[at] = samples[at + 2] as number;
    swapped[at + 2] = samples[at] as number;
  }
  return swapped;
}

/** Turns samples as they lie in a WAV file into those of its format; undefined where they are so already. */
export function wavConverter({
  format,
  containerBytes,
  isBigEndian,
}: WavHeader): ((samples: Uint8Array) => Uint8Array) | undefined {
  if (isBigEndian) return fromBigEndian(containerBytes);
  return format === 's24_le' && containerBytes === 3 ? widenS24 : undefined;
}
