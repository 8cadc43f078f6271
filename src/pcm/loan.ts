/** Where a stream's pacing stands; bytes of this session. */
export interface PacingStanding {
  /** Playback: put into the buffer. Capture: asked for. */
  readonly queued: number;
  /** Playback: taken by the backend. */
  readonly applied: number;
  /** Played, captured. */
  readonly position: number;
}

/** Where a stream's pacing stands that can be carried. */
export interface Loan extends PacingStanding {
  /** The backend's counter where `position` is 0; u64. */
  readonly origin: bigint;
}
