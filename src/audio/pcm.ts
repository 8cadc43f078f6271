import { VsndError } from '../errors.ts';
import type { FrameFormat } from './audio-source.ts';
import { type Bytes, passing, readBytes } from './bytes.ts';
import { type BehindSound, behindSound } from './pcm-end.ts';
import { noFramesError, type Recording } from './recording.ts';
import { ENDS_EARLY, GOES_ON, Warnings } from './warnings.ts';

/** Bytes in one read. */
const BLOCK_BYTES = 64 * 1024;

/** Samples that lie in a file as they are, one frame after the other. */
export interface PcmLayout extends FrameFormat {
  readonly kind: string;
  /** Bytes of one sample in the file. */
  readonly containerBytes: number;
  /** Where the first frame is, in bytes. */
  readonly dataOffset: number;
  /** Bytes of sound, as the header says; undefined: up to the end. */
  readonly dataBytes: number | undefined;
  /** The byte order of the chunks that may stand behind the sound; left out, there are none. */
  readonly chunks?: 'little-endian' | 'big-endian' | undefined;
  /** Samples of the file in `format`; where it is left out they are so already. */
  readonly convert?: ((samples: Uint8Array) => Uint8Array) | undefined;
  /** What the header has wrong. */
  readonly warning?: string | undefined;
}

/** Sizes that say "not known", whatever else they say: writers to a pipe take 0, and numbers near 2 and 4 GiB. */
const UNKNOWN_SIZES: readonly (readonly [least: number, most: number])[] = [
  [0, 0],
  [0x7fff_0000, 0x8000_0000],
  [0xffff_0000, 0xffff_ffff],
];
const isUnknown = (bytes: number): boolean =>
  UNKNOWN_SIZES.some(([least, most]) => bytes >= least && bytes <= most);

/** Uncompressed sound in `bytes`: what of it is there. Rejects with ERR_VSND_FILE. */
export async function openPcm(bytes: Bytes, layout: PcmLayout): Promise<Recording> {
  const { name, size } = bytes;
  const { containerBytes, dataOffset, dataBytes: promised, convert = (samples) => samples } = layout;
  const frameBytes = layout.channels * containerBytes;
  // What comes through a stream may be happening now: it must not wait for a large block to be full.
  const mostFrames = size === undefined ? Math.ceil(layout.rate / 50) : layout.rate;
  const blockFrames = Math.max(1, Math.min(Math.floor(BLOCK_BYTES / frameBytes), mostFrames));
  const warnings = new Warnings();
  if (layout.warning !== undefined) warnings.add(layout.warning);
  const isPromise = promised !== undefined && !isUnknown(promised);
  let hasMore = false;
  const end = size === undefined ? undefined : await endOfSound(size);
  const frames = hasMore
    ? undefined
    : end !== undefined
      ? framesTo(end)
      : isPromise
        ? Math.floor(promised / frameBytes)
        : undefined;
  if (frames === 0 && promised !== 0 && (await readBytes(bytes, dataOffset, 1)).length > 0)
    throw noFramesError(name);

  function behind(end: number): Promise<BehindSound> {
    const { chunks } = layout;
    const isPadded = ((end - dataOffset) & 1) === 1;
    return behindSound(bytes, end, isPromise, chunks && { isPadded, isBigEndian: chunks === 'big-endian' });
  }

  function framesTo(end: number): number {
    return Math.floor((end - dataOffset) / frameBytes);
  }

  /** In a file. */
  async function endOfSound(size: number): Promise<number> {
    const available = Math.max(dataOffset, size);
    if (promised === undefined) return available;
    const end = dataOffset + promised;
    if (end > available && isPromise) warnings.add(ENDS_EARLY);
    if (end >= available) return available;
    const { goesOn, more } = await behind(end);
    hasMore = more !== undefined;
    if (goesOn && isPromise) warnings.add(GOES_ON);
    return goesOn ? available : end;
  }

  async function* read(from: number): AsyncGenerator<Uint8Array, number | undefined> {
    const known = end ?? (promised === undefined ? Number.POSITIVE_INFINITY : dataOffset + promised);
    const isWhole = yield* readTo(from, framesTo(known));
    if (!isWhole || known === Number.POSITIVE_INFINITY) return undefined;
    const { goesOn, next, more } = await behind(known);
    if (more) return yield* (await openPcm(passing(bytes), { ...layout, ...more })).read(0);
    if (!goesOn || end !== undefined) return next;
    if (isPromise) warnings.add(GOES_ON);
    yield* readTo(framesTo(known), Number.POSITIVE_INFINITY);
    return undefined;
  }

  /** Returns false where they end before that. */
  async function* readTo(from: number, end: number): AsyncGenerator<Uint8Array, boolean> {
    for (let frame = from; frame < end; frame += blockFrames) {
      const length = Math.min(blockFrames, end - frame) * frameBytes;
      const block = await readBytes(bytes, dataOffset + frame * frameBytes, length);
      if (block.length < length && size !== undefined)
        throw new VsndError('ERR_VSND_FILE', `${name} became shorter while it was read`);
      const whole = block.length - (block.length % frameBytes);
      if (whole > 0) yield convert(block.subarray(0, whole));
      else if (frame === 0 && block.length > 0) throw noFramesError(name);
      if (block.length < length) {
        if (isPromise && end !== Number.POSITIVE_INFINITY) warnings.add(ENDS_EARLY);
        return false;
      }
    }
    return true;
  }

  return { ...layout, frames, warnings, read };
}
