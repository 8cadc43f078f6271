import type { FrameFormat } from '../audio/audio-source.ts';
import { chooseTarget } from '../audio/target-format.ts';
import { type StreamPlace, streamsOf } from '../config/card.ts';
import { isVsndError } from '../errors.ts';
import type { Card } from '../frontend/card.ts';
import type { PlaybackStream } from '../frontend/playback-stream.ts';

/**
 * Takes a free playback stream for frames of `source`, by default of any PCM device: one that takes them as they are, else
 * the first one, set to what comes nearest. Where none is free it waits for one whose user has let go of it and whose
 * backend has not yet. Rejects as `createPlaybackStream()` throws, and with ERR_VSND_NOT_SUPPORTED.
 */
export async function takeStream(
  card: Card,
  source: FrameFormat,
  device: number | undefined,
): Promise<PlaybackStream> {
  for (;;) {
    try {
      return createStream(card, source, device);
    } catch (error) {
      const leaving = card.streams.find(
        ({ type, destroyed, closed }) => type === 'playback' && destroyed && !closed,
      );
      if (!isVsndError(error, 'ERR_VSND_NO_STREAM') || leaving === undefined) throw error;
      await new Promise((resolve) => leaving.once('close', resolve));
    }
  }
}

function createStream(card: Card, source: FrameFormat, device: number | undefined): PlaybackStream {
  try {
    return card.createPlaybackStream({ ...source, device });
  } catch (error) {
    const place = firstFreePlace(card, device);
    const isMisfit = isVsndError(error) && ['format', 'rate', 'channels'].includes(error.option ?? '');
    if (!isMisfit || place === undefined) throw error;
    const where = { device: place.device, stream: place.config.index };
    return card.createPlaybackStream({ ...chooseTarget(source, place.config), ...where });
  }
}

function firstFreePlace({ info, streams }: Card, device: number | undefined): StreamPlace | undefined {
  return streamsOf(info, { type: 'playback', device }).find(
    (place) => !streams.some((used) => used.device === place.device && used.stream === place.config.index),
  );
}
