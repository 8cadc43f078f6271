import type { CapturePacing } from '../pcm/capture-pacing.ts';
import type { PlaybackPacing } from '../pcm/playback-pacing.ts';
import type {
  CaptureCarrier,
  ChannelStanding,
  PlaybackCarrier,
  StreamCarrier,
  StreamEngine,
  StreamShape,
} from '../xen/stream-engine.ts';
import type { Borrower } from './channel.ts';
import type { CaptureEngine, EngineUser, PlaybackEngine } from './engine.ts';
import { type EngineParts, ScriptCapture, ScriptPlayback } from './script-engine.ts';

/** What the engines that lend a stream to a thread work with. */
export interface NativeParts extends EngineParts {
  readonly engine: StreamEngine;
  readonly shape: StreamShape;
  /** Bytes that may wait between JavaScript and the thread. */
  readonly stagingBytes: number;
  readonly user: CarriedUser;
}

/** What a carrier must know of who is told. */
export interface CarriedUser extends EngineUser {
  /** Whether each position is to be told at once. */
  readonly hearsPositions: boolean;
  /** When the position was last known to move, ns. */
  readonly movedAt: number;
}

/** A loan that has led to nothing is not made again before so many occasions have passed, at most. */
const MOST_PATIENCE = 64;

/** Playback by a thread, and in JavaScript whatever is not ordinary: both take their bytes out of the staging ring. */
export class NativePlayback implements PlaybackEngine, Borrower {
  readonly #pacing: PlaybackPacing;
  readonly #parts: NativeParts;
  readonly #script: ScriptPlayback;
  readonly #carrier: PlaybackCarrier;
  readonly #loan: LoanBook;
  #isFinished = false;

  constructor(pacing: PlaybackPacing, parts: NativeParts) {
    const { engine, shape, channel, buffer, stagingBytes } = parts;
    this.#pacing = pacing;
    this.#parts = parts;
    this.#script = new ScriptPlayback(pacing, parts);
    this.#carrier = engine.playback(shape, { ...channel.parts, buffer: buffer.pages }, stagingBytes, () =>
      this.#handleWake(),
    );
    this.#loan = new LoanBook(this.#carrier, parts);
  }

  get isCarried(): boolean {
    return this.#loan.isOut;
  }

  get staged(): number {
    return this.#carrier.staged;
  }

  write(source: Uint8Array, start: number): number {
    return this.#carrier.write(source, start);
  }

  flush(isWaiting: boolean): boolean {
    const hasRoom = !this.isCarried && this.#pump();
    if (!this.isCarried) {
      this.#carrier.tellMoved(this.#pacing.progress);
      this.#lend();
    }
    this.#loan.listen();
    if (isWaiting && !hasRoom && this.isCarried) this.#carrier.wakeAtRoom();
    return hasRoom;
  }

  finish(): boolean {
    this.#isFinished = true;
    if (this.isCarried) this.#carrier.end();
    return !this.isCarried && this.staged === 0;
  }

  silenceRestOfPeriod(): void {
    this.#script.silenceRestOfPeriod();
  }

  unplayed(): Uint8Array {
    this.#carrier.closePort();
    return Buffer.concat([this.#script.unplayed(), this.#unstage(this.staged)]);
  }

  openPort(): unknown {
    return this.#carrier.port;
  }

  refresh(): void {
    this.#loan.takeReports();
  }

  attend(duration: number): void {
    this.#loan.attend(duration);
  }

  giveBack(): ChannelStanding {
    const standing = this.#loan.end();
    this.#pacing.takeBack(standing);
    if (this.#isFinished && this.staged === 0) this.#pacing.finish(); // before positions that came meanwhile say 'dry'
    return standing;
  }

  close(): void {
    this.#carrier.close();
  }

  /** What is staged goes into the buffer as far as there is room; says whether any did. */
  #pump(): boolean {
    const { staged } = this;
    const room = staged > 0 ? this.#pacing.room(staged, this.#parts.substream.state) : 0;
    if (room > 0) this.#script.write(this.#unstage(room), 0, staged);
    this.#script.flush();
    return room > 0;
  }

  #unstage(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    return bytes.subarray(0, this.#carrier.take(bytes));
  }

  #lend(): void {
    const isOver = this.#isFinished && this.staged === 0;
    const loan = isOver ? undefined : this.#pacing.lend(this.#parts.substream.state);
    if (loan === undefined || !this.#loan.begin(this, loan)) return;
    if (this.#isFinished) this.#carrier.end();
  }

  #handleWake(): void {
    this.refresh();
    this.#parts.user.handleCaughtUp();
  }
}

/** Capture by a thread, which reads ahead into the staging ring; in JavaScript whatever is not ordinary. */
export class NativeCapture implements CaptureEngine, Borrower {
  readonly #pacing: CapturePacing;
  readonly #parts: NativeParts;
  readonly #script: ScriptCapture;
  readonly #carrier: CaptureCarrier;
  readonly #loan: LoanBook;
  #isPorted = false;

  constructor(pacing: CapturePacing, parts: NativeParts) {
    const { engine, shape, channel, buffer, stagingBytes } = parts;
    this.#pacing = pacing;
    this.#parts = parts;
    this.#script = new ScriptCapture(pacing, parts);
    this.#carrier = engine.capture(shape, { ...channel.parts, buffer: buffer.pages }, stagingBytes, () =>
      this.#handleWake(),
    );
    this.#loan = new LoanBook(this.#carrier, parts);
  }

  get isCarried(): boolean {
    return this.#loan.isOut;
  }

  get staged(): number {
    return this.#carrier.staged;
  }

  ask(length: number): void {
    this.#script.ask(length);
  }

  answer(): void {
    this.#script.answer();
  }

  /** What was asked for is newer than all that is staged. */
  take(): Buffer | undefined {
    const asked = this.#script.take();
    if (this.#isPorted) return asked;
    const staged = asked || this.#isDue ? this.#unstage() : undefined;
    return asked && staged ? Buffer.concat([staged, asked]) : (asked ?? staged);
  }

  get #isDue(): boolean {
    if (this.staged === 0 || this.#script.isWaiting) return false;
    return this.#pacing.isFinishing || this.#pacing.isWanted;
  }

  unread(): Buffer | undefined {
    this.#carrier.closePort();
    return this.#unstage();
  }

  openPort(): unknown {
    this.#isPorted = true;
    return this.#carrier.port;
  }

  get portRoom(): number {
    return this.#parts.stagingBytes - this.staged;
  }

  stage(frames: Uint8Array): void {
    this.#carrier.stage(frames);
  }

  rest(): void {
    const loan = this.isCarried ? undefined : this.#pacing.lend(this.#parts.substream.state);
    if (loan !== undefined) this.#loan.begin(this, loan);
    this.#loan.listen();
    if (this.isCarried) this.#carrier.wakeAtFrames(this.#pacing.isWanted && !this.#isPorted);
  }

  refresh(): void {
    this.#loan.takeReports();
  }

  attend(duration: number): void {
    this.#loan.attend(duration);
  }

  giveBack(): ChannelStanding {
    const standing = this.#loan.end();
    this.#pacing.takeBack(standing, standing.posts.length > 0);
    this.#script.resume(standing.posts);
    return standing;
  }

  close(): void {
    this.#carrier.close();
  }

  #unstage(): Buffer | undefined {
    const bytes = Buffer.allocUnsafe(this.staged);
    return bytes.length > 0 ? bytes.subarray(0, this.#carrier.take(bytes)) : undefined;
  }

  #handleWake(): void {
    this.refresh();
    this.#parts.user.handleCaughtUp();
  }
}

type Loan = Parameters<StreamCarrier['carry']>[1];

/** Keeps the books of a stream that goes to and fro between JavaScript and a carrier. */
class LoanBook {
  readonly #carrier: StreamCarrier;
  readonly #parts: NativeParts;
  #isOut = false;
  #isListening = false;
  /** Positions that were counted in this loan. */
  #reports = 0;
  /** Occasions to be let pass after a loan that led to nothing, and how many of these are left. */
  #patience = 0;
  #left = 0;

  constructor(carrier: StreamCarrier, parts: NativeParts) {
    this.#carrier = carrier;
    this.#parts = parts;
  }

  get isOut(): boolean {
    return this.#isOut;
  }

  /** Says whether the stream is carried now. */
  begin(borrower: Borrower, loan: Loan): boolean {
    if (this.#left > 0) {
      this.#left--;
      return false;
    }
    const { channel, user } = this.#parts;
    const standing = channel.lend(borrower);
    if (standing === undefined) return false;
    this.#isOut = true;
    this.#reports = 0;
    if (this.#carrier.carry({ ...standing, ...loan }, loan, user.movedAt)) return true;
    channel.handleParked();
    return false;
  }

  /** Users may begin to listen at any time. */
  listen(): void {
    const { hearsPositions } = this.#parts.user;
    if (hearsPositions === this.#isListening) return;
    this.#isListening = hearsPositions;
    this.#carrier.wakeAtReports(hearsPositions);
  }

  attend(duration: number): void {
    if (this.#isOut) this.#carrier.attend(duration);
    this.takeReports();
  }

  end(): ReturnType<StreamCarrier['takeBack']> {
    const standing = this.#carrier.takeBack();
    this.takeReports();
    this.#isOut = false;
    const { reason } = standing;
    const isFruitful = reason === 'taken' || reason === 'end' || (this.#reports > 0 && reason !== 'storm');
    this.#patience = isFruitful ? 0 : Math.min(Math.max(1, 2 * this.#patience), MOST_PATIENCE);
    this.#left = this.#patience;
    return standing;
  }

  takeReports(): void {
    this.#carrier.takeReports((report) => {
      this.#reports++;
      this.#parts.user.handleCounted(report, this.#carrier.queued);
    });
  }
}
