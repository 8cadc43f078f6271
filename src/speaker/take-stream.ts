import { isVsndError } from '../errors.ts';
import type { Card } from '../frontend/card.ts';
import type { PlaybackStream, PlaybackStreamOptions } from '../frontend/playback-stream.ts';

/** Takes a free stream of the card; where none is, one whose user has let go of it and whose backend has not yet. */
export async function takeStream(card: Card, options: PlaybackStreamOptions): Promise<PlaybackStream> {
  for (;;) {
    try {
      return card.createPlaybackStream(options);
    } catch (error) {
      const leaving = card.streams.find(
        ({ type, destroyed, closed }) => type === 'playback' && destroyed && !closed,
      );
      if (!isVsndError(error, 'ERR_VSND_NO_STREAM') || leaving === undefined) throw error;
      await new Promise((resolve) => leaving.once('close', resolve));
    }
  }
}
