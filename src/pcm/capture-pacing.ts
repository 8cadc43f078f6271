import type { Loan, PacingStanding } from './loan.ts';
import { type ReportOutcome, STILL_REPORTS } from './playback-pacing.ts';
import { PositionCounter } from './position-counter.ts';
import { type Span, spans } from './spans.ts';
import type { SubstreamEvent, SubstreamState } from './substream.ts';

/** How far a capture has come, beside its substream's state. */
export type CapturePhase =
  /** Nobody has asked for anything. */
  | 'idle'
  /** Somebody has read, or asked for START: captures whenever it can. */
  | 'begun'
  /** START has not been answered: what positions say is of before. */
  | 'starting'
  /** Asks for what the position says there is. */
  | 'byPositions'
  /** The position does not move: a READ is answered when it has been captured. */
  | 'byAnswers'
  /** What there is is read, and nothing more. */
  | 'finishing';

export type CapturePhaseEvent = 'begin' | 'start' | 'started' | 'stuck' | 'finish' | 'leave' | 'drop';

/** What a phase does not know leaves it as it is. */
export const CAPTURE_PHASES: Record<CapturePhase, Partial<Record<CapturePhaseEvent, CapturePhase>>> = {
  idle: { begin: 'begun', finish: 'finishing' },
  begun: { start: 'starting', finish: 'finishing', drop: 'idle' },
  starting: { started: 'byPositions', stuck: 'byAnswers', finish: 'finishing', leave: 'begun', drop: 'idle' },
  byPositions: { start: 'starting', stuck: 'byAnswers', finish: 'finishing', leave: 'begun', drop: 'idle' },
  byAnswers: { start: 'starting', finish: 'finishing', leave: 'begun', drop: 'idle' },
  finishing: {},
};

/** Whether the reader has room, and whether READs for it are under way. */
type Demand = 'none' | 'wanted' | 'asked';

/** States in which the backend's buffer holds what was captured. */
const OPEN: ReadonlySet<SubstreamState> = new Set(['running', 'paused']);

/** Seconds of sound that may lie between two positions. */
const LONGEST_LEAP = 60;

/**
 * The pacing of capture: how far the shared buffer has been filled and read, and what is due by that. Takes what has
 * happened, says what follows from it; does nothing itself. Counts are bytes since START and only grow: `hwPtr` were
 * captured, `applPtr` of these asked for by READ.
 */
export class CapturePacing {
  readonly frameBytes: number;
  readonly #rate: number;
  #bufferBytes = 0;
  #periodBytes = 0;
  #applPtr = 0;
  #hwPtr = 0;
  #counter = new PositionCounter(0);
  /** Frames captured in earlier sessions, and before overruns. */
  #capturedBefore = 0;
  #phase: CapturePhase = 'idle';
  #demand: Demand = 'none';
  /** Reports since START that showed no movement at all. */
  #stillReports = 0;

  /** `rate` in Hz. */
  constructor(frameBytes: number, rate: number) {
    this.frameBytes = frameBytes;
    this.#rate = rate;
  }

  /** Frames captured since the stream was created, as reported, lost ones included. */
  get position(): number {
    return this.#capturedBefore + Math.floor(this.#hwPtr / this.frameBytes);
  }

  /** Frames that have been captured and not been asked for. */
  get latency(): number {
    return Math.floor(this.#available / this.frameBytes);
  }

  /** Frames beyond which the position cannot be: there are none. */
  get end(): number {
    return Number.POSITIVE_INFINITY;
  }

  /** Bytes reported as captured since START. */
  get progress(): number {
    return this.#hwPtr;
  }

  /** Frames that the backend has to play out: none. */
  get unplayedFrames(): number {
    return 0;
  }

  /** OPEN was answered. */
  open({
    bufferFrames,
    periodFrames,
  }: {
    readonly bufferFrames: number;
    readonly periodFrames: number;
  }): void {
    this.#bufferBytes = bufferFrames * this.frameBytes;
    this.#periodBytes = periodFrames * this.frameBytes;
    this.#beginAnew();
  }

  /** The session is over: what the backend had captured and was not asked for, or has not answered, is lost with it. */
  leave(): void {
    this.#take('leave');
    if (this.#demand === 'asked') this.#demand = 'wanted';
    this.#beginAnew();
  }

  /** What was captured is thrown away. A reader that waits goes on waiting. */
  drop(): void {
    this.#take('drop');
    if (this.#demand === 'asked') this.#demand = 'wanted';
    if (this.#demand === 'wanted') this.#take('begin');
    this.#beginAnew();
  }

  /** The reader has room. */
  want(): void {
    if (this.#demand === 'none') this.#demand = 'wanted';
    this.#take('begin');
  }

  /** START was asked for, before anybody reads. */
  begin(): void {
    this.#take('begin');
  }

  /** START is on its way. */
  start(): void {
    this.#take('start');
  }

  /** START was answered, and positions of before have been handed over: they were not counted. */
  started(): void {
    this.#take('started');
    this.#stillReports = 0;
  }

  /** Nothing more is to be captured than what there is by now. `elapsed`: bytes' time since the last report. Returns frames that are lost. */
  finish(elapsed: number): number {
    if (this.#phase === 'finishing') return 0;
    const lost = this.#isOverrun || this.#mayHaveRunOver(elapsed) ? this.latency : 0;
    if (lost > 0) this.#beginAnew();
    this.#take('finish');
    return lost;
  }

  /** STOP and START: what was captured and not read is lost. Returns frames. */
  restart(): number {
    const lost = this.latency;
    this.#beginAnew();
    return lost;
  }

  /** The backend's counter reads `position`. */
  report(position: bigint, state: SubstreamState): ReportOutcome {
    if (!OPEN.has(state)) return 'ignored';
    if (this.#phase === 'byAnswers') return 'still';
    if (this.#phase !== 'byPositions') return 'ignored';
    const captured = this.#counter.read(position, this.#possible);
    if (this.#hasNeverMoved(captured, state)) return 'stuck';
    return this.#advanceTo(captured) ? 'moved' : 'still';
  }

  /** Bytes that can have been captured: a first position beyond is not ours alone, a later one makes no sense. */
  get #possible(): number {
    const { count } = this.#counter;
    const more = LONGEST_LEAP * this.#rate * this.frameBytes;
    return count === 0 ? this.#bufferBytes + 2 * this.#periodBytes : count + more;
  }

  #hasNeverMoved(captured: number, state: SubstreamState): boolean {
    if (captured > 0 || state !== 'running') return false;
    this.#stillReports++;
    return this.#stillReports > this.#bufferBytes / this.#periodBytes + STILL_REPORTS;
  }

  /** Whether answers set the pace, because the position does not move. */
  get isPacedByAnswers(): boolean {
    return this.#phase === 'byAnswers';
  }

  /** The position does not move: from now on a period is asked for at a time. */
  paceByAnswers(): boolean {
    this.#take('stuck');
    return false;
  }

  /** A READ was answered; its bytes come with all others of their kind: see {@link deliver}. */
  answer(_length: number): boolean {
    return false;
  }

  /** Everything that was asked for is there, and goes to the reader. Says whether that moved the position. */
  deliver(): boolean {
    this.#demand = 'none';
    return this.#advanceTo(this.#applPtr); // beyond what was reported only where answers set the pace
  }

  /** What the numbers say is due in this state, once all that can be read has been asked for. */
  due(state: SubstreamState): SubstreamEvent | undefined {
    if (this.#phase === 'finishing') {
      return this.#demand === 'asked' || state === 'finished' ? undefined : 'end';
    }
    if (state === 'prepared' && this.#phase === 'begun') return 'start';
    if (state === 'running' && this.#phase === 'byPositions' && this.#isOverrun) return 'overrun';
    return undefined;
  }

  /**
   * Bytes, whole frames, to ask for now: at most `most`, what the reader takes at once; 0 where nothing is to be had.
   * `elapsed`: bytes' time since the last report. Where answers set the pace: a period, of a second at most.
   */
  readable(most: number, elapsed: number, state: SubstreamState): number {
    if (!OPEN.has(state) || this.#demand === 'asked') return 0;
    if (this.#demand === 'none' && this.#phase !== 'finishing') return 0;
    const whole = Math.max(most - (most % this.frameBytes), this.frameBytes);
    if (this.#phase === 'byAnswers') {
      return Math.min(this.#periodBytes, this.#rate * this.frameBytes, whole);
    }
    if (this.#isOverrun || this.#mayHaveRunOver(elapsed)) return 0;
    return Math.min(this.#available, whole);
  }

  /** Takes the next `length` bytes for READs, and says where in the buffer they are to be put. */
  ask(length: number): Span[] {
    this.#demand = 'asked';
    const where = spans(this.#applPtr, length, this.#bufferBytes);
    this.#applPtr += length;
    return where;
  }

  /** Whether the reader waits. */
  get isWanted(): boolean {
    return this.#demand === 'wanted';
  }

  /** Whether what there is is read, and nothing more. */
  get isFinishing(): boolean {
    return this.#phase === 'finishing';
  }

  /** Where it stands, for another to carry on with the ordinary; undefined where something is not. */
  lend(state: SubstreamState): Loan | undefined {
    const { origin } = this.#counter;
    const isPlain = state === 'running' && this.#phase === 'byPositions' && this.#demand !== 'asked';
    if (!isPlain || origin === undefined || this.#isOverrun || this.#counter.count !== this.#hwPtr) {
      return undefined;
    }
    return { queued: this.#applPtr, applied: 0, position: this.#hwPtr, origin };
  }

  /** Whoever carries on has counted `captured` bytes, and asked for `queued`. */
  follow(captured: number, queued: number): void {
    this.#advanceTo(captured);
    this.#applPtr = Math.max(this.#applPtr, queued);
  }

  /** Goes on from where another has left it. `isAsked`: READs of it have not been answered. */
  takeBack({ queued, position }: PacingStanding, isAsked: boolean): void {
    this.follow(position, queued);
    this.#counter.follow(position);
    if (isAsked) this.#demand = 'asked';
  }

  /** Bytes, whole frames, that have been captured and not been asked for. */
  get #available(): number {
    const bytes = this.#hwPtr - this.#applPtr;
    return Math.max(0, bytes - (bytes % this.frameBytes));
  }

  /** A counter that falls is the reference backend's sign: a READ would now block it for 10 s. */
  get #isOverrun(): boolean {
    return this.#available > this.#bufferBytes || this.#counter.hasFallen;
  }

  /** The buffer may have run over since the last report: the next one says. */
  #mayHaveRunOver(elapsed: number): boolean {
    return this.#available + elapsed > this.#bufferBytes;
  }

  #advanceTo(captured: number): boolean {
    const moved = captured > this.#hwPtr;
    if (moved) this.#hwPtr = captured;
    return moved;
  }

  #beginAnew(): void {
    this.#capturedBefore = this.position;
    this.#applPtr = this.#hwPtr = 0;
    this.#counter = new PositionCounter(this.#periodBytes);
  }

  #take(event: CapturePhaseEvent): void {
    this.#phase = CAPTURE_PHASES[this.#phase][event] ?? this.#phase;
  }
}
