import { widenS24 } from '../wav/repack.ts';

/** Turns samples of so many octets, the highest first, into those of sndif's little-endian formats. */
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
  const swapped = samples.slice();
  for (let at = 0; at < samples.length; at += 3) {
    swapped[at] = samples[at + 2] as number;
    swapped[at + 2] = samples[at] as number;
  }
  return swapped;
}
