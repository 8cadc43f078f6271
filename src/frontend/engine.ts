import type { BufferRequest } from '../wire/sndif.ts';
import type { CountedPosition } from '../xen/stream-engine.ts';

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
  /**
   * Lets the backend know of what was written since the last call. `isWaiting`: more is to be written. Says whether some of that has
   * room now.
   */
  flush(isWaiting: boolean): boolean;
  /** Nothing more will be written: whether all of it is in the buffer, or the user will be told when it is. */
  finish(): boolean;
  /** Another carries the stream: what is due by the numbers is not ours to say. */
  readonly isCarried: boolean;
  /** Bytes that it has taken, and that are not in the buffer yet. */
  readonly staged: number;
  /** Tells the user of positions that were counted beside JavaScript. */
  refresh(): void;
  /** The same, of all that have come; and for so many ns they are counted as they come. */
  attend(duration: number): void;
  /** Gives everything back that it has; what it has taken is lost. Nothing else is called after that. */
  close(): void;
  /** No old frames in the rest of the last period: a backend that reads the buffer as a DMA engine would may read on to its end. */
  silenceRestOfPeriod(): void;
  /** A copy of what was taken and has not been played: oldest first. Nothing is taken any more. */
  unplayed(): Uint8Array;
  /** Has another addon put in the frames from now on: see {@link StreamPort}. Undefined where it can't. */
  openPort(): unknown;
}

/** Carries the frames of one OPEN from the backend. */
export interface CaptureEngine {
  /** Asks for `length` bytes of whole frames, the oldest that were captured. One such question at a time. */
  ask(length: number): void;
  /** Notes that a part of what was asked for is there. */
  answer(): void;
  /** A copy of what was captured beside JavaScript and what was asked for, once all of it is there, for a reader that waits. */
  take(): Buffer | undefined;
  /** A copy of what was captured beside JavaScript and never taken: what is left of a session that is lost. */
  unread(): Buffer | undefined;
  /** Has another addon take the frames from now on: see {@link StreamPort}. Undefined where it can't. */
  openPort(): unknown;
  /** Bytes that have room for the port, and {@link take} gives only what was asked for: it is to be staged. */
  readonly portRoom: number;
  /** Puts bytes of whole frames where the port finds them. */
  stage(frames: Uint8Array): void;
  /** Everything has been asked for that can be: another may carry the stream on. */
  rest(): void;
  readonly isCarried: boolean;
  /** Bytes that it has, and that nobody has taken. */
  readonly staged: number;
  refresh(): void;
  attend(duration: number): void;
  close(): void;
}

/** Where another addon of this process has a stream's frames, with no JavaScript on the way: native/engine/port.h. */
export interface StreamPort {
  readonly port: unknown;
  /** Playback: bytes that were put in since OPEN, before the port was there. */
  readonly written: number;
}

/** Who is told by an engine. None of these may throw. */
export interface EngineUser {
  /** What it posts. */
  readonly op: 'write' | 'read';
  /** XENSND_EVT_CUR_POS: bytes since OPEN, as the backend counts them. */
  handlePosition(position: bigint): void;
  /** The engine has counted a position by itself. `queued`: bytes that it has put in or asked for by now. */
  handleCounted(position: CountedPosition, queued: number): void;
  /** WRITE or READ of a part of the buffer has been answered with success. */
  handleAnswer(request: BufferRequest): void;
  /** WRITE or READ was refused. */
  handleRefusal(error: Error): void;
  /** Everything that was there has been handed over: what it comes to can be acted upon. */
  handleCaughtUp(): void;
  /** Called once; nothing can be asked any more. */
  handleFailure(error: Error): void;
}
