import { VsndError } from '../errors.ts';

/** A part of the buffer that does not wrap, in octets. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/** Where `length` octets from the absolute `position` lie in a buffer of `size` octets: one span, or two at the wrap. */
export function spans(position: number, length: number, size: number): Span[] {
  const offset = position % size;
  const first = Math.min(length, size - offset);
  const all = [
    { offset, length: first },
    { offset: 0, length: length - first },
  ];
  return all.filter((span) => span.length > 0);
}

/**
 * How far a playback buffer has been filled and played, in octets since OPEN: numbers that only grow.
 * `queued`: copied into the buffer. `applPtr`: of these, taken by the backend (WRITE answered). `hwPtr`: played.
 */
export class PlaybackPosition {
  readonly bufferBytes: number;
  readonly #frameBytes: number;
  #queued = 0;
  #applPtr = 0;
  #hwPtr = 0;

  /** `bufferBytes`: the audio area, whole frames of `frameBytes`. */
  constructor(bufferBytes: number, frameBytes: number) {
    if (bufferBytes < frameBytes || bufferBytes % frameBytes !== 0) {
      throw new VsndError(
        'ERR_VSND_INVALID_STATE',
        `a buffer of ${bufferBytes} octets for frames of ${frameBytes}`,
      );
    }
    this.bufferBytes = bufferBytes;
    this.#frameBytes = frameBytes;
  }

  get queued(): number {
    return this.#queued;
  }

  get applPtr(): number {
    return this.#applPtr;
  }

  get hwPtr(): number {
    return this.#hwPtr;
  }

  /** Octets, whole frames, that can go in without overwriting what has not been played. */
  get room(): number {
    const octets = this.bufferBytes - (this.#queued - this.#hwPtr);
    return octets - (octets % this.#frameBytes);
  }

  /** True where all that was put in has been played. */
  get isEmpty(): boolean {
    return this.#hwPtr === this.#queued;
  }

  /** Reserves the next `length` octets and says where they lie. Throws ERR_VSND_INVALID_STATE beyond {@link room}. */
  enqueue(length: number): Span[] {
    if (length > this.room || length % this.#frameBytes !== 0) {
      throw new VsndError('ERR_VSND_INVALID_STATE', `${length} octets into a room of ${this.room}`);
    }
    const where = spans(this.#queued, length, this.bufferBytes);
    this.#queued += length;
    return where;
  }

  /** Counts `length` octets whose WRITE was answered. */
  acknowledge(length: number): void {
    this.#applPtr = Math.min(this.#queued, this.#applPtr + length);
  }

  /**
   * Takes the octets played since OPEN, and says by how much that moved `hwPtr`. Fewer than before move nothing; more
   * than were written count as all of them.
   */
  report(played: number): number {
    const advance = Math.max(0, Math.min(played, this.#queued) - this.#hwPtr);
    this.#hwPtr += advance;
    return advance;
  }

  /** Where that lies which has been put in and not been played: oldest first. */
  get unplayed(): Span[] {
    const whole = this.#hwPtr - (this.#hwPtr % this.#frameBytes);
    return spans(whole, this.#queued - whole, this.bufferBytes);
  }

  /** The rest of the period that the last octet lies in, as spans of the buffer; none at a period's end. */
  restOfPeriod(periodBytes: number): Span[] {
    const rest = (periodBytes - (this.#queued % periodBytes)) % periodBytes;
    return spans(this.#queued, Math.min(rest, this.room), this.bufferBytes);
  }
}

/**
 * How far a capture buffer has been filled and read, in octets since START: numbers that only grow.
 * `hwPtr`: captured. `applPtr`: of these, asked for by READ.
 */
export class CapturePosition {
  readonly bufferBytes: number;
  readonly #frameBytes: number;
  #applPtr = 0;
  #hwPtr = 0;

  /** `bufferBytes`: the audio area, whole frames of `frameBytes`. */
  constructor(bufferBytes: number, frameBytes: number) {
    this.bufferBytes = bufferBytes;
    this.#frameBytes = frameBytes;
  }

  get applPtr(): number {
    return this.#applPtr;
  }

  get hwPtr(): number {
    return this.#hwPtr;
  }

  /** Octets, whole frames, that have been captured and not been asked for. */
  get available(): number {
    const octets = this.#hwPtr - this.#applPtr;
    return octets - (octets % this.#frameBytes);
  }

  /** More has been captured than the buffer holds: what is oldest is gone. */
  get isOverrun(): boolean {
    return this.available > this.bufferBytes;
  }

  /** Takes the octets captured since START, and says by how much that moved `hwPtr`. */
  report(captured: number): number {
    const advance = Math.max(0, captured - this.#hwPtr);
    this.#hwPtr += advance;
    return advance;
  }

  /** Takes the next `length` octets for a READ and says where in the buffer they are to be put. */
  dequeue(length: number): Span[] {
    const where = spans(this.#applPtr, length, this.bufferBytes);
    this.#applPtr += length;
    return where;
  }
}
