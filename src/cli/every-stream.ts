import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { testTone } from '../audio/test-tone.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { type Card, openCard, type StreamConfig } from '../index.ts';
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
    const streams = card.info.pcmDevices.flatMap(({ index, streams }) =>
      streams.map((stream) => ({ device: index, ...stream })),
    );
    const uses = streams.map(async (stream) => {
      try {
        await (stream.type === 'playback' ? playTone(card, stream, signal) : capture(card, stream, signal));
        return true;
      } catch (error) {
        if (!isVsndError(error)) throw error;
        complain(`stream ${stream.device}/${stream.index}: ${error.message}`);
        return false;
      }
    });
    const results = await Promise.all(uses);
    if (!results.includes(true)) throw new VsndError('ERR_VSND_DEVICE', 'no stream of the card can be used');
  } finally {
    await card.close();
  }
}

async function playTone(card: Card, { device, index }: Used, signal: AbortSignal): Promise<void> {
  const stream = card.createPlaybackStream({ ...FORMAT, device, stream: index });
  const tone = { signal: sineSignal(FREQUENCY, FORMAT.rate), amplitude: AMPLITUDE, frames: Infinity };
  const pieces = testTone(FORMAT, { ...tone, isEnough: () => signal.aborted });
  await pipeline(Readable.from(pieces), stream);
}

async function capture(card: Card, { device, index }: Used, signal: AbortSignal): Promise<void> {
  const stream = card.createCaptureStream({ ...FORMAT, device, stream: index });
  signal.addEventListener('abort', () => stream.finish(), { once: true });
  if (signal.aborted) stream.finish();
  await once(stream.resume(), 'end');
}

type Used = Pick<StreamConfig, 'index'> & { readonly device: number };
