import type { Clock } from '../clock.ts';
import { type StreamConfig, streamsOf } from '../config/card.ts';
import type { Card } from '../frontend/card.ts';
import { maxBufferFrames, type PcmSpec } from '../pcm/hw-params.ts';

/** What a path knows of what it has carried. */
export interface PathStatistics {
  /** Frames that the programs of the guest have played into the sink, or that have been handed on to the source. */
  readonly frames: number;
  /** Whether the card's stream is open: sound is being carried. */
  readonly active: boolean;
  /**
   * A sink's underruns: how often the card had nothing to play although a program was playing. A source's overruns: how
   * often the card captured more than the server took.
   */
  readonly xruns: number;
  /** Times that frames were dropped or repeated to follow the server's clock; never on PulseAudio. */
  readonly slips: number;
  /** Frames between the server and the card's loudspeaker or microphone: in the FIFO, here, and in the card's buffer. */
  readonly latencyFrames: number;
  /** The same, ms. */
  readonly latency: number;
}

/** What a path tells. */
export interface PathEvents {
  /** The card's stream has been opened for sound that came, or that somebody wants. */
  handleStart(): void;
  /** Nothing has come for {@link IDLE_TIME}, or nobody wants it any more: the stream has been closed. */
  handleStop(): void;
  handleXrun(count: number): void;
  /** The card's backend has gone; the path waits for the next one. */
  handleBackendLost(error: Error): void;
  handleBackendBack(gap: number): void;
  handleWarning(code: string, message: string): void;
  /** The other end of the FIFO has gone. */
  handleServerGone(reason: string): void;
  /** The card's stream cannot go on. */
  handleFailure(error: Error): void;
}

/** What every path is made from. */
export interface PathContext {
  readonly card: Card;
  /** The PCM device's index; undefined for the first with a free stream. */
  readonly device: number | undefined;
  readonly spec: PcmSpec;
  readonly clock: Clock;
  /** Never resample. */
  readonly exact: boolean;
  readonly events: PathEvents;
}

/** Carries the sound of one endpoint between its FIFO and a stream of the card. */
export interface Path {
  readonly statistics: PathStatistics;
  /** Whether any program uses the endpoint, as the server says. */
  setUsed(isUsed: boolean): void;
  /** The card's volume may be another one: the server's users are to see it. */
  refreshVolume?(): void;
  /** Closes the stream and the FIFO's end. Never rejects. Idempotent. */
  close(): Promise<void>;
}

/** Frames that the buffer of the card's stream can have. */
export function mostBufferFrames(type: StreamConfig['type'], { card, device, spec }: PathContext): number {
  const [place] = streamsOf(card.info, { type, device });
  return place === undefined ? Number.POSITIVE_INFINITY : maxBufferFrames(spec, place.config.bufferBytes);
}

/** Frames between two reports of the position, where so many wait at the card; not below what a card can. */
export function periodFor({ rate }: PcmSpec, latencyFrames: number): number {
  return Math.max(Math.floor(latencyFrames / PERIODS), Math.ceil(rate / 1000));
}

/** Reports of the position in a buffer: with each, frames are handed on, and what waits for it is latency. */
export const PERIODS = 8;

/** ns without data after which a playback stream is closed. */
export const IDLE_TIME = 2e9;
