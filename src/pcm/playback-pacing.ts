import { VsndError } from '../errors.ts';
import type { Loan, PacingStanding } from './loan.ts';
import { PositionCounter } from './position-counter.ts';
import { type Span, spans } from './spans.ts';
import type { SubstreamEvent, SubstreamState } from './substream.ts';

/** What a report of the position has come to. */
export type ReportOutcome =
  /** It means nothing in this state. */
  | 'ignored'
  | 'moved'
  | 'still'
  /** Report after report nothing has moved: this backend's position never will. */
  | 'stuck';

/** Sizes of the audio area, and when START is due, in frames. */
export interface PlaybackSizes {
  readonly bufferFrames: number;
  readonly periodFrames: number;
  readonly startThresholdFrames: number;
}

/** States in which frames may go into the shared buffer. */
const FILLS: ReadonlySet<SubstreamState> = new Set([
  'prepared',
  'preparedHeld',
  'running',
  'paused',
  'underrun',
]);

/** States in which a position means something: nothing moves before START or after STOP. */
const LISTENS: ReadonlySet<SubstreamState> = new Set([
  'running',
  'paused',
  'underrun',
  'underrunHeld',
  'draining',
]);

/** States before START: what fits goes in, and nothing is worth waiting for. */
const FILLS_UP: ReadonlySet<SubstreamState> = new Set(['prepared', 'preparedHeld']);

/** Reports that may show no movement although all is well, beyond a whole buffer of them. */
export const STILL_REPORTS = 2;

/** Part of a period: fewer frames beyond a period's end are not worth a WRITE of their own, where more waits than has room. */
const WORTHWHILE = 1 / 8;

/**
 * The pacing of playback: how far the shared buffer has been filled and played, and what is due by that. Takes what has
 * happened, says what follows from it; does nothing itself. All counts are bytes since OPEN and only grow:
 * `queued` were put into the buffer, `applPtr` of these taken by the backend (WRITE answered), `hwPtr` played.
 */
export class PlaybackPacing {
  readonly frameBytes: number;
  readonly #rate: number;
  #bufferBytes = 0;
  #periodBytes = 0;
  #startBytes = 0;
  #queued = 0;
  #applPtr = 0;
  #hwPtr = 0;
  #counter = new PositionCounter(0);
  /** Frames played in earlier sessions. */
  #playedBefore = 0;
  /** Where the backend ran out of data and has not been heard of since it has more. */
  #stoodAt: number | undefined;
  #paced: 'byPositions' | 'byAnswers' = 'byPositions';
  /** Reports since START that showed no movement at all. */
  #stillReports = 0;
  /** The last report since data went in showed no movement. */
  #stands = false;
  #isStartWanted = false;
  #isEnding = false;

  /** `rate` in Hz. */
  constructor(frameBytes: number, rate: number) {
    this.frameBytes = frameBytes;
    this.#rate = rate;
  }

  /** Frames played since the stream was created, as reported. */
  get position(): number {
    return this.#playedBefore + Math.floor(this.#hwPtr / this.frameBytes);
  }

  /** Frames that have been put in since the stream was created, played or not. */
  get end(): number {
    return this.#playedBefore + this.#queued / this.frameBytes;
  }

  /** Frames in the buffer that have not been reported as played. */
  get latency(): number {
    return Math.ceil((this.#queued - this.#hwPtr) / this.frameBytes);
  }

  /** Bytes reported as played since OPEN. */
  get progress(): number {
    return this.#hwPtr;
  }

  /** Bytes that have been put in since OPEN. */
  get queued(): number {
    return this.#queued;
  }

  /** Frames that may still be to come out of the backend: what it has taken without saying when may be all of them. */
  get unplayedFrames(): number {
    return this.#paced === 'byAnswers' ? this.#bufferBytes / this.frameBytes : this.latency;
  }

  /** OPEN was answered: nothing is in the buffer. */
  open({ bufferFrames, periodFrames, startThresholdFrames }: PlaybackSizes): void {
    this.#bufferBytes = bufferFrames * this.frameBytes;
    this.#periodBytes = periodFrames * this.frameBytes;
    this.#startBytes = Math.min(startThresholdFrames, bufferFrames) * this.frameBytes;
    this.#counter = new PositionCounter(this.#periodBytes);
    this.#stoodAt = undefined;
    this.#paced = 'byPositions';
    this.#stillReports = 0;
  }

  /** The session is over: what it has not played was not played. */
  leave(): void {
    this.#playedBefore = this.position;
    this.#queued = this.#applPtr = this.#hwPtr = 0;
    this.#isEnding = false;
  }

  /** What was written is thrown away, and with it the wish to start before the threshold. */
  drop(): void {
    this.leave();
    this.#isStartWanted = false;
  }

  /** START was asked for: it is due with the first frame. */
  begin(): void {
    this.#isStartWanted = true;
  }

  /** START was answered. Positions of before say nothing, and so are no harm. */
  started(): void {}

  /** Everything that was ever written is in the buffer. */
  finish(): void {
    this.#isEnding = true;
  }

  /**
   * Bytes that may go in now, whole frames, where `pending` wait. What the backend has not taken yet is not overwritten,
   * whatever it says of its position. Where more waits than has room, it goes in up to the end of a period rather than a few
   * frames beyond: by so much a position is often ahead, and each WRITE costs.
   */
  room(pending: number, state: SubstreamState): number {
    if (!FILLS.has(state)) return 0;
    if (this.#paced === 'byAnswers') return Math.min(pending, this.#roomByAnswers);
    const most = this.#free;
    if (pending <= most || FILLS_UP.has(state)) return Math.min(pending, most);
    const beyond = (this.#queued + most) % this.#periodBytes;
    return beyond < WORTHWHILE * this.#periodBytes ? Math.max(0, most - beyond) : most;
  }

  /** One WRITE at a time, of a second at most: a device may take as long to make room for it. */
  get #roomByAnswers(): number {
    if (this.#queued > this.#applPtr) return 0;
    return Math.min(this.#free, this.#periodBytes, this.#rate * this.frameBytes);
  }

  /** Bytes, whole frames, in which nothing lies that is still to be played or taken. */
  get #free(): number {
    const free = this.#bufferBytes - (this.#queued - Math.min(this.#hwPtr, this.#applPtr));
    return free - (free % this.frameBytes);
  }

  /** There would be more room, had the backend answered WRITEs of what it has played. */
  get isHeldByAnswers(): boolean {
    return this.#applPtr < this.#hwPtr;
  }

  /** Where the next bytes go, from the buffer's beginning. */
  get offset(): number {
    return this.#queued % this.#bufferBytes;
  }

  /** Bytes from {@link offset} to the buffer's end. */
  get untilWrap(): number {
    return this.#bufferBytes - this.offset;
  }

  /** `length` bytes have been put in at {@link offset}, not across the buffer's end. */
  enqueue(length: number): void {
    const used = this.#queued - this.#hwPtr;
    if (length > this.#bufferBytes - used) {
      const room = this.#bufferBytes - used;
      throw new VsndError('ERR_VSND_INVALID_STATE', `${length} bytes into a room of ${room}`);
    }
    this.#queued += length;
    this.#stands = false;
  }

  /** A WRITE of `length` bytes was answered. Says whether that moved the position. */
  answer(length: number): boolean {
    this.#applPtr = Math.min(this.#queued, this.#applPtr + length);
    return this.#paced === 'byAnswers' && this.#advanceTo(this.#applPtr);
  }

  /** The backend's counter reads `position`. */
  report(position: bigint, state: SubstreamState): ReportOutcome {
    if (!LISTENS.has(state)) return 'ignored';
    if (this.#paced === 'byAnswers') return 'still';
    const played = this.#counter.read(position, this.#queued, this.#stoodAt);
    if (this.#stoodAt !== undefined && played > this.#stoodAt) this.#stoodAt = undefined;
    if (this.#hasNeverMoved(played, state)) return 'stuck';
    return this.#advanceTo(played) ? 'moved' : 'still';
  }

  /** A backend that reports, period after period, that nothing has been played of what it has taken. */
  #hasNeverMoved(played: number, state: SubstreamState): boolean {
    if (played > 0 || state !== 'running') return false;
    this.#stillReports++;
    const most = this.#bufferBytes / this.#periodBytes + STILL_REPORTS;
    return this.#stillReports > most && this.#applPtr > 0;
  }

  /** Whether answers set the pace, because the position does not move. */
  get isPacedByAnswers(): boolean {
    return this.#paced === 'byAnswers';
  }

  /**
   * The position does not move: from now on what the backend has taken counts as played. No audio is skipped so: what it
   * has answered it has copied, or it would be too late by now anyway. Says whether that moved the position.
   */
  paceByAnswers(): boolean {
    this.#paced = 'byAnswers';
    return this.#advanceTo(this.#applPtr);
  }

  /** Fewer than before move nothing. */
  #advanceTo(played: number): boolean {
    const hwPtr = Math.max(this.#hwPtr, played);
    this.#stands = hwPtr === this.#hwPtr;
    this.#hwPtr = hwPtr;
    return !this.#stands;
  }

  /** Where it stands, for another to carry on with the ordinary; undefined where something is not. */
  lend(state: SubstreamState): Loan | undefined {
    const { origin } = this.#counter;
    const isPlain = state === 'running' && this.#paced === 'byPositions' && this.#stoodAt === undefined;
    if (!isPlain || origin === undefined || this.#counter.count !== this.#hwPtr) return undefined;
    if (this.#isEnding || this.#hwPtr === this.#queued) return undefined;
    return { queued: this.#queued, applied: this.#applPtr, position: this.#hwPtr, origin };
  }

  /** Whoever carries on has counted `played` bytes, and put `queued` in. */
  follow(played: number, queued: number): void {
    this.#hwPtr = Math.max(this.#hwPtr, played);
    this.#queued = Math.max(this.#queued, queued);
    this.#stands = false;
  }

  /** Goes on from where another has left it. */
  takeBack({ queued, applied, position }: PacingStanding): void {
    this.follow(position, queued);
    this.#applPtr = applied;
    this.#counter.follow(position);
  }

  /** What the numbers say is due in this state. */
  due(state: SubstreamState): SubstreamEvent | undefined {
    switch (state) {
      case 'running':
        if (this.#isEnding) return 'end';
        return this.#hwPtr === this.#queued && this.#paced === 'byPositions' ? this.#runDry() : undefined;
      case 'underrun':
        if (this.#isEnding) return 'end';
        return this.#hwPtr < this.#queued ? 'refilled' : undefined;
      case 'prepared':
        if (this.#isEnding) return this.#queued > 0 ? 'end' : 'endEmpty';
        return this.#queued >= (this.#isStartWanted ? this.frameBytes : this.#startBytes)
          ? 'start'
          : undefined;
      case 'preparedHeld':
      case 'closed':
      case 'closedHeld':
        return this.#isEnding && this.#queued === 0 ? 'endEmpty' : undefined;
      case 'draining':
        return this.#endOfDrain();
      default:
        return undefined;
    }
  }

  #runDry(): SubstreamEvent {
    this.#stoodAt = this.#hwPtr;
    return 'dry';
  }

  /** Backends round the position down: the last frame may never be reported. */
  #endOfDrain(): SubstreamEvent | undefined {
    const rest = this.#queued - this.#hwPtr;
    if (rest === 0) return this.#paced === 'byAnswers' ? 'playedNearly' : 'played';
    return rest <= this.frameBytes && this.#stands ? 'playedNearly' : undefined;
  }

  /** Where that lies which has been put in and not been played: oldest first. */
  get unplayed(): Span[] {
    const whole = this.#hwPtr - (this.#hwPtr % this.frameBytes);
    return spans(whole, this.#queued - whole, this.#bufferBytes);
  }

  /** The rest of the period that the last byte lies in, as far as there is room; none at a period's end. */
  get restOfPeriod(): Span[] {
    const rest = (this.#periodBytes - (this.#queued % this.#periodBytes)) % this.#periodBytes;
    return spans(this.#queued, Math.min(rest, this.#free), this.#bufferBytes);
  }
}
