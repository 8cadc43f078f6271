import { nextTurn } from '../clock.ts';
import { invalidArgError, VsndError } from '../errors.ts';
import type { AudioSource } from './audio-source.ts';
import type { Octets } from './octets.ts';

/** What one kind of recording says of itself, and how it is read: the rest is the same for all. */
export type Recording = Pick<AudioSource, 'kind' | 'format' | 'rate' | 'channels' | 'frames'> & {
  readonly warnings?: readonly string[];
  /** False where even a file cannot be entered but at its start. */
  readonly isSeekable?: boolean;
  /** Whole frames from `from` on, `from` being at most `frames`. */
  read(from: number): AsyncIterable<Uint8Array>;
};

/** A source that reads `recording` out of `octets`, and closes them. */
export function sourceOf(octets: Octets, recording: Recording): AudioSource {
  const { kind, format, rate, channels, frames, warnings = [] } = recording;
  const isSeekable = octets.size !== undefined && (recording.isSeekable ?? true);
  let isUsedUp = false;
  return {
    name: octets.name,
    kind,
    format,
    rate,
    channels,
    frames,
    isSeekable,
    warnings,
    read(from = 0) {
      if (!Number.isSafeInteger(from) || from < 0) throw invalidArgError('from', from, '0 or more (frames)');
      if (!isSeekable && from > 0)
        throw invalidArgError('from', from, `0: ${octets.name} cannot be entered elsewhere`);
      if (octets.size === undefined) {
        if (isUsedUp) throw new VsndError('ERR_VSND_INVALID_STATE', `${octets.name} has been read already`);
        isUsedUp = true;
      }
      return inTurns(recording.read(Math.min(from, frames ?? from)));
    },
    close: () => octets.close(),
  };
}

/** Decoding must not keep the rest of the program waiting, however fast the pieces are taken. */
async function* inTurns(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    yield piece;
    await nextTurn();
  }
}
