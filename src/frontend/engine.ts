import type { BufferRequest } from '../wire/sndif.ts';

/**
 * The seam between a stream and whatever carries its frames to and from the backend. Above it is what is decided: states,
 * sessions, Node's streams. Below it is what happens every period.
 */

/** Carries the frames of one OPEN to the backend. */
export interface PlaybackEngine {
  /**
   * Takes bytes of whole frames, `source` from `start` on, as many as there is room for by the last position, where `pending`
   * bytes wait in all. Returns how many it took: they may be overwritten then.
   */
  write(source: Uint8Array, start: number, pending: number): number;
  /** Lets the backend know of what was written since the last call. */
  flush(): void;
  /** No old frames in the rest of the last period: a backend that reads the buffer as a DMA engine would may read on to its end. */
  silenceRestOfPeriod(): void;
  /** A copy of what was taken and has not been played: oldest first. */
  unplayed(): Uint8Array;
}

/** Carries the frames of one OPEN from the backend. */
export interface CaptureEngine {
  /** Asks for `length` bytes of whole frames, the oldest that were captured. One such question at a time. */
  ask(length: number): void;
  /** Notes that a part of what was asked for is there. */
  answer(): void;
  /** A copy of what was asked for, once all of it is there. */
  take(): Buffer | undefined;
}

/** Who is told by an engine. None of these may throw. */
export interface EngineUser {
  /** XENSND_EVT_CUR_POS: bytes since OPEN, as the backend counts them. */
  handlePosition(position: bigint): void;
  /** WRITE or READ of a part of the buffer has been answered with success. */
  handleAnswer(request: BufferRequest): void;
  /** WRITE or READ was refused. */
  handleRefusal(error: Error): void;
  /** Everything that was there has been handed over: what it comes to can be acted upon. */
  handleCaughtUp(): void;
  /** Called once; nothing can be asked any more. */
  handleFailure(error: Error): void;
}
