import type { PcmFormatName } from '../wire/pcm-format.ts';
import type { RunningState } from './running-state.ts';

/** What a stream does between OPEN and CLOSE. */
export interface OpenStreamStatus {
  /** Hz */
  readonly rate: number;
  readonly channels: number;
  readonly format: PcmFormatName;
  readonly state: RunningState;
  /** Frames played or captured since OPEN, or the last STOP. */
  readonly position: number;
  /** Frames that wait to be played, or have not been read. */
  readonly latency: number;
  readonly bufferFrames: number;
  /** How often playing went on after nothing had been left; or how often frames were lost. */
  readonly xruns: number;
}

/** Counts of a stream since its guest connected it: they only grow. */
export interface StreamTotals {
  /** Requests answered. */
  readonly requests: number;
  /** How often the guest's notifications of requests were looked into. */
  readonly notifications: number;
  /** Those of them behind which no request was. */
  readonly idleNotifications: number;
  /** Frames played or captured, over all OPENs. */
  readonly frames: number;
  /** {@link OpenStreamStatus.xruns}, over all OPENs. */
  readonly xruns: number;
}

export interface BackendStreamStatus {
  readonly type: 'playback' | 'capture';
  /** The PCM device's index, and the stream's in it. */
  readonly device: number;
  readonly stream: number;
  /** What the stream is behind: 'null: a clock that keeps nothing'. */
  readonly target: string;
  /** Undefined while the guest has not opened it. */
  readonly open: OpenStreamStatus | undefined;
  readonly totals: StreamTotals;
}

/** A guest's card. */
export interface BackendCardStatus {
  /** The guest. */
  readonly domid: number;
  readonly devid: number;
  /** Undefined until the guest has connected once, and where it has none. */
  readonly name: string | undefined;
  readonly connected: boolean;
  /** While it is connected. */
  readonly streams: readonly BackendStreamStatus[];
}

/** What the backend has asked of XenStore, since it was started. */
export interface BackendXenStoreStatus {
  /** Requests that were answered, refusals included. */
  readonly roundTrips: number;
  /** How often the connection was lost and made anew. */
  readonly reconnections: number;
}
