import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { testTone } from '../audio/test-tone.ts';
import { streamsOf } from '../config/card.ts';
import type { StreamName } from '../control/protocol.ts';
import { isVsndError, VsndError } from '../errors.ts';
import type { Card } from '../frontend/card.ts';
import { openCard } from '../open-card.ts';
import { sineSignal } from '../pcm/signal.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';

/** What every device plays and captures. */
const FORMAT = { format: 's16_le', rate: 48_000, channels: 2 } as const;

/** Hz, and of full scale: -20 dBFS. */
const FREQUENCY = 440;
const AMPLITUDE = 0.1;

/**
 * Plays a tone into each playback stream of a guest's card, and captures from each of the others, until `signal` aborts.
 * A stream that fails is told of, and the others go on; rejects with ERR_VSND_DEVICE when all have failed.
 */
export async function useEveryStream(
  hypervisor: Hypervisor,
  signal: AbortSignal,
  complain: (message: string) => void,
): Promise<void> {
  const card = await openCard({ hypervisor, signal });
  try {
    const uses = streamsOf(card.info).map(async ({ device, config: { index, type } }) => {
      const use = type === 'playback' ? playTone : capture;
      try {
        await use(card, { device, stream: index }, signal);
        return true;
      } catch (error) {
        if (!isVsndError(error)) throw error;
        complain(`stream ${device}/${index}: ${error.message}`);
        return false;
      }
    });
    const results = await Promise.all(uses);
    if (!results.includes(true)) throw new VsndError('ERR_VSND_DEVICE', 'no stream of the card can be used');
  } finally {
    await card.close();
  }
}

async function playTone(card: Card, used: Used, signal: AbortSignal): Promise<void> {
  const stream = card.createPlaybackStream({ ...FORMAT, ...used });
  const tone = { signal: sineSignal(FREQUENCY, FORMAT.rate), amplitude: AMPLITUDE, frames: Infinity };
  const pieces = testTone(FORMAT, { ...tone, isEnough: () => signal.aborted });
  await pipeline(Readable.from(pieces), stream);
}

async function capture(card: Card, used: Used, signal: AbortSignal): Promise<void> {
  const stream = card.createCaptureStream({ ...FORMAT, ...used });
  signal.addEventListener('abort', () => stream.finish(), { once: true });
  if (signal.aborted) stream.finish();
  await once(stream.resume(), 'end');
}

type Used = Pick<StreamName, 'device' | 'stream'>;
