import type { Loan, PacingStanding } from '../pcm/loan.ts';
import type { SharedMemory } from '../wire/memory.ts';

/** What does not change while a stream is open. */
export interface StreamShape {
  /** The audio area, and a period of it. */
  readonly bufferBytes: number;
  readonly periodBytes: number;
  readonly frameBytes: number;
  /** Hz */
  readonly rate: number;
}

/** What a stream shares with its backend. */
export interface StreamParts {
  readonly ring: SharedMemory;
  readonly events: SharedMemory;
  readonly buffer: SharedMemory;
  /** Their own ports: answers notify the first, events the second. */
  readonly ringPort: { readonly port: number };
  readonly eventPort: { readonly port: number };
}

/** A WRITE or READ that has not been answered. */
export interface Post {
  /** u16 */
  readonly id: number;
  readonly offset: number;
  readonly length: number;
}

/** Where a stream's ring and event page stand when they change hands; indexes are u32, ids u16, times ns of the clock. */
export interface ChannelStanding {
  readonly reqProd: number;
  readonly rspCons: number;
  readonly nextId: number;
  readonly inCons: number;
  readonly expectedEventId: number;
  readonly oldestSince: number;
  /** At most eight, the oldest first. */
  readonly posts: readonly Post[];
}

export interface Standing extends ChannelStanding, PacingStanding {}

/** Why a stream is no longer carried, in the order of native/engine/carrier.h. */
export const PARKED = ['not', 'taken', 'event', 'position', 'answer', 'end', 'overdue', 'storm'] as const;

export type Parked = (typeof PARKED)[number];

/** A position that a thread has counted. */
export interface CountedPosition {
  /** Of this session. */
  readonly bytes: number;
  /** ns: when it was found. */
  readonly time: number;
  /** A newer one was found with it: nobody knows when this one came. */
  readonly isLate: boolean;
}

/** What both directions have in common: a thread carries the ordinary period of one open stream, beside JavaScript. */
export interface StreamCarrier {
  /** Bytes in the staging ring, between JavaScript and the thread. */
  readonly staged: number;
  /** Bytes that were put into the buffer, or asked for, by the last period carried. */
  readonly queued: number;
  /**
   * Hands the stream over, and does what has come meanwhile; false where that was not ordinary: the stream is parked. `movedAt`:
   * when the position was last known to move, ns.
   */
  carry(standing: Standing, loan: Loan, movedAt: number): boolean;
  /** Takes the stream back, wherever it stands. */
  takeBack(): Standing & { readonly reason: Parked };
  /** Hands over each position that was counted since the last call. */
  takeReports(handler: (report: CountedPosition) => void): void;
  /** Wakes JavaScript at each position, or only when there are many. */
  wakeAtReports(isWoken: boolean): void;
  /** Counts the positions that have come, now and whenever one does, for `duration` ns: the thread does not rest then. */
  attend(duration: number): void;
  /** Copies out what is staged, the oldest first, as much as fits; says how much. For playback where it is parked. */
  take(into: Uint8Array): number;
  /**
   * Where another addon of this process puts the stream's bytes, or gets them from, in JavaScript's place (native/engine/port.h):
   * carried or parked, it is at this end of the staging ring then.
   */
  readonly port: unknown;
  /** The port takes and gives nothing from now on. Idempotent. */
  closePort(): void;
  /** Takes the stream back for good. Idempotent. */
  close(): void;
}

export interface PlaybackCarrier extends StreamCarrier {
  /** Stages the bytes of `source` from `start` on, whole frames, as many as have room; says how many. */
  write(source: Uint8Array, start: number): number;
  /** Wakes JavaScript once half of the staging ring is free. */
  wakeAtRoom(): void;
  /** Of a parked stream: so many bytes of this session have been played. */
  tellMoved(bytes: number): void;
  /** Nothing more will be written: parks the stream when all that is staged is in the buffer. */
  end(): void;
}

export interface CaptureCarrier extends StreamCarrier {
  /** Wakes JavaScript once there is something to take, or not at all. */
  wakeAtFrames(isWaiting: boolean): void;
  /** Of a parked stream: stages what has been captured, as much as has room. */
  stage(bytes: Uint8Array): void;
}

/** A thread of a hypervisor's, through which its ports are notified, and which can carry streams. */
export interface StreamEngine {
  /** Whether the thread runs before all that is not real-time. */
  readonly isRealTime: boolean;
  /** `stagingBytes`: of whole frames. `onWake`: JavaScript is wanted, for nothing that parks the stream. */
  playback(shape: StreamShape, parts: StreamParts, stagingBytes: number, onWake: () => void): PlaybackCarrier;
  capture(shape: StreamShape, parts: StreamParts, stagingBytes: number, onWake: () => void): CaptureCarrier;
}
