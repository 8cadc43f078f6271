import { VsndError } from '../errors.ts';
import type { AudioSource, FrameFormat } from './audio-source.ts';
import { type Octets, readOctets } from './octets.ts';
import { sourceOf } from './source.ts';
import { ENDS_EARLY, Warnings } from './warnings.ts';

/** Octets in one read. */
const BLOCK_BYTES = 64 * 1024;

/** Samples that lie in a file as they are, one frame after the other. */
export interface PcmLayout extends FrameFormat {
  readonly kind: string;
  /** Octets of one sample in the file. */
  readonly containerBytes: number;
  /** Where the first frame is, in octets. */
  readonly dataOffset: number;
  /** Octets of sound; undefined: up to the end. */
  readonly dataBytes: number | undefined;
  /** Samples of the file in `format`; where it is left out they are so already. */
  readonly convert?: ((samples: Uint8Array) => Uint8Array) | undefined;
}

/** Uncompressed sound in `octets`: what of it is there. */
export function openPcm(octets: Octets, layout: PcmLayout): AudioSource {
  const { containerBytes, dataOffset, dataBytes, convert = (samples) => samples } = layout;
  const frameBytes = layout.channels * containerBytes;
  // What comes through a stream may be happening now: it must not wait for a large block to be full.
  const mostFrames = octets.size === undefined ? Math.ceil(layout.rate / 50) : layout.rate;
  const blockFrames = Math.max(1, Math.min(Math.floor(BLOCK_BYTES / frameBytes), mostFrames));
  const availableBytes = octets.size === undefined ? undefined : Math.max(0, octets.size - dataOffset);
  const bytes = least(dataBytes, availableBytes);
  const frames = bytes === undefined ? undefined : Math.floor(bytes / frameBytes);
  const warnings = new Warnings();
  if (dataBytes !== undefined && bytes !== undefined && bytes < dataBytes) warnings.add(ENDS_EARLY);

  async function* read(from: number): AsyncGenerator<Uint8Array> {
    const end = frames ?? Number.POSITIVE_INFINITY;
    for (let frame = from; frame < end; frame += blockFrames) {
      const length = Math.min(blockFrames, end - frame) * frameBytes;
      const block = await readOctets(octets, dataOffset + frame * frameBytes, length);
      if (block.length < length && octets.size !== undefined) {
        throw new VsndError('ERR_VSND_FILE', `${octets.name} became shorter while it was read`);
      }
      const whole = block.length - (block.length % frameBytes);
      if (whole > 0) yield convert(block.subarray(0, whole));
      if (block.length < length) {
        if (frames !== undefined) warnings.add(ENDS_EARLY);
        return;
      }
    }
  }

  return sourceOf(octets, { ...layout, frames, warnings: warnings.texts, read });
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : Math.min(a, b ?? a);
}
