import { VsndError } from '../errors.ts';
import type { AudioSource } from './audio-source.ts';
import type { Warnings } from './warnings.ts';

/** What one kind of recording says of itself, and how it is read: the rest is the same for all. */
export type Recording = Pick<AudioSource, 'kind' | 'format' | 'rate' | 'channels' | 'frames'> & {
  readonly warnings: Warnings;
  /**
   * Whole frames from `from` on, all that there are: `frames` is a hint. Returns where another recording begins behind them, if
   * one does.
   */
  read(from: number): AsyncGenerator<Uint8Array, number | undefined>;
};

/** A header promises sound, and what follows holds none: that is not an empty recording. */
export function noFramesError(name: string): VsndError {
  return new VsndError('ERR_VSND_FILE', `${name} holds no frames: what follows its header is no sound`);
}
