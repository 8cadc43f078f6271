import { DEFAULT_SIZE } from '../pulse/command.ts';
import type { LatencyWish, PlaybackAttributes, RecordAttributes } from '../pulse/requests.ts';

/** Bytes that a stream's buffer has at most: MAX_MEMBLOCKQ_LENGTH. */
export const MOST_BUFFERED = 4 << 20;

/** s: what is played where a client leaves it open (DEFAULT_TLENGTH_MSEC, DEFAULT_PROCESS_MSEC). */
const USUAL_TARGET = 2;
const USUAL_REQUEST = 0.02;

/** s: what is sent at a time to one that records, where it leaves it open; and at most: some ask for hours. */
const USUAL_FRAGMENT = 0.025;
const LONGEST_FRAGMENT = 0.05;

/**
 * Reports of the position while what waits at the card is played. Each costs a turn; half of what waits may run out before
 * the sink plays silence, and that must be more than one.
 */
export const REPORTS = 3;

/** A stream's samples. */
interface Bytes {
  readonly frameBytes: number;
  readonly bytesPerSecond: number;
}

/** s: what a client would have wait at the card, by its attributes. */
export function cardShare(
  attributes: PlaybackAttributes,
  { adjustLatency, earlyRequests }: LatencyWish,
  bytes: Bytes,
): number {
  const { targetLength, leastRequest } = resolve(attributes, bytes);
  if (earlyRequests) return leastRequest / bytes.bytesPerSecond;
  const rest = Math.max(0, targetLength - 2 * leastRequest) / bytes.bytesPerSecond;
  // Beside two requests its queue needs only what the card takes at a time. The rest waits at the card: it helps where the server is late, too.
  return adjustLatency ? (rest * REPORTS) / (REPORTS + 1) : rest;
}

/**
 * What a playback stream's buffer is to have, as PulseAudio decides it. `card`: s that wait at the card; `tick`: s that
 * it takes at a time.
 */
export function negotiatePlayback(
  wished: PlaybackAttributes,
  { adjustLatency }: LatencyWish,
  bytes: Bytes,
  { card, tick }: { readonly card: number; readonly tick: number },
): PlaybackAttributes {
  const { frameBytes, bytesPerSecond } = bytes;
  const frames = (length: number) => roundUp(length, frameBytes);
  const resolved = resolve(wished, bytes);
  const leastRequest = Math.max(frameBytes, roundDown(resolved.leastRequest, frameBytes));
  const own = resolved.targetLength - (adjustLatency ? card * bytesPerSecond : 0);
  const least = 2 * leastRequest + tick * bytesPerSecond;
  const targetLength = Math.min(frames(Math.max(own, least)), roundDown(MOST_BUFFERED, frameBytes));
  const maxLength = Math.max(frames(resolved.maxLength), targetLength);
  const most = Math.max(frameBytes, targetLength + frameBytes - leastRequest);
  const { prebuffer } = wished;
  return { maxLength, targetLength, leastRequest, prebuffer: Math.min(frames(prebuffer), most) };
}

/** What a record stream's buffer is to have. */
export function negotiateRecord(
  wished: RecordAttributes,
  { frameBytes, bytesPerSecond }: Bytes,
): RecordAttributes {
  const usual = Math.min(wished.fragmentSize, LONGEST_FRAGMENT * bytesPerSecond);
  const size = wished.fragmentSize === DEFAULT_SIZE ? USUAL_FRAGMENT * bytesPerSecond : usual;
  const fragmentSize = Math.max(frameBytes, roundDown(size, frameBytes));
  const most = roundDown(MOST_BUFFERED, frameBytes);
  const maxLength = Math.min(Math.max(roundUp(wished.maxLength, frameBytes), fragmentSize), most);
  return { maxLength, fragmentSize };
}

/** With what is left open chosen, and nothing beyond what there can be. */
function resolve(wished: PlaybackAttributes, { frameBytes, bytesPerSecond }: Bytes) {
  const most = roundDown(MOST_BUFFERED, frameBytes);
  const chosen = (value: number, usual: number) => (value === DEFAULT_SIZE || value === 0 ? usual : value);
  const targetLength = Math.min(chosen(wished.targetLength, USUAL_TARGET * bytesPerSecond), most);
  const leastRequest = chosen(
    wished.leastRequest,
    Math.min(USUAL_REQUEST * bytesPerSecond, targetLength / 4),
  );
  return {
    maxLength: Math.min(wished.maxLength, most),
    targetLength,
    leastRequest: Math.min(leastRequest, targetLength / 2),
  };
}

function roundUp(length: number, frameBytes: number): number {
  return Math.ceil(length / frameBytes) * frameBytes;
}

function roundDown(length: number, frameBytes: number): number {
  return Math.floor(length / frameBytes) * frameBytes;
}
