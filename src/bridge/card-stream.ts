import type { EventEmitter } from 'node:events';
import type { CaptureStream } from '../frontend/capture-stream.ts';
import type { PlaybackStream, PlaybackStreamOptions } from '../frontend/playback-stream.ts';
import type { StreamWarning } from '../frontend/stream-events.ts';
import type { PcmSpec } from '../pcm/hw-params.ts';
import type { PathEvents } from './path.ts';

/** What a stream of the card is asked for, of an endpoint's frames. */
export function formatOf({ rate, channels, format }: PcmSpec): Pick<PcmSpec, 'rate' | 'channels' | 'format'> {
  return { rate, channels, format };
}

/** A buffer of the card, and as much that waits beside it while it is full: what is more would be latency. */
export function bufferOf(
  { frameBytes }: PcmSpec,
  bufferFrames: number,
): Pick<PlaybackStreamOptions, 'bufferFrames' | 'highWaterMark'> {
  return { bufferFrames, highWaterMark: bufferFrames * frameBytes };
}

/** Passes on what a stream of the card tells, whichever way its sound goes. */
export function relayEvents(stream: EventEmitter, events: PathEvents): void {
  stream
    .on('disconnect', ({ error }: { error: Error }) => events.handleBackendLost(error))
    .on('reconnect', ({ gap }: { gap: number }) => events.handleBackendBack(gap))
    .on('warning', ({ code, message }: StreamWarning) => events.handleWarning(code, message))
    .on('error', (error: Error) => events.handleFailure(error));
}

/** Ends a stream at once; resolves when the card has let go of it. */
export async function endStream(stream: PlaybackStream | CaptureStream | undefined): Promise<void> {
  if (stream === undefined || stream.closed) return;
  await new Promise<void>((resolve) => {
    stream.once('close', () => resolve());
    stream.destroy();
  });
}
