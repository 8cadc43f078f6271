import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PlaybackPacing, type PlaybackSizes } from '../../src/pcm/playback-pacing.ts';
import type { Span } from '../../src/pcm/spans.ts';
import type { SubstreamEffect, SubstreamEvent } from '../../src/pcm/substream.ts';
import { u64 } from '../wire/support.ts';
import { ALL, bytesOf, type CommonStep, ModelledStream, must, range } from './modelled-stream.ts';

/** How a backend gets at the bytes: it copies them when it is told of a WRITE, or plays them where they lie. */
type Access = 'copies' | 'inPlace';

/** How a backend counts. */
type Counting =
  /** From 0, by bytes. */
  | 'plain'
  /** The last frame does not show, and parts of frames do not. */
  | 'low'
  /** Some number, and from there. */
  | 'foreign'
  /** From 0, and from 0 again after an xrun. */
  | 'restarting'
  /** Always 0. */
  | 'frozen'
  /** It says anything. */
  | 'lying';

interface Scenario {
  readonly access: Access;
  readonly counting: Counting;
  readonly frameBytes: number;
  /** Of one session after the other. */
  readonly sizes: readonly PlaybackSizes[];
  readonly steps: readonly Step[];
}

type OwnStep =
  | { readonly kind: 'write'; readonly frames: number }
  /** The backend takes so many WRITEs. */
  | { readonly kind: 'serve'; readonly count: number }
  /** `share` of a buffer; 'goOn': and everybody knows of it. */
  | { readonly kind: 'play' | 'goOn'; readonly share: number }
  | { readonly kind: 'lie'; readonly position: bigint }
  | { readonly kind: 'start' | 'end' };

type Step = CommonStep | OwnStep;

const SILENCE = -1;

/** A session at the backend. Bytes have numbers: those in which they were written. */
class Session {
  readonly size: number;
  /** The number of the byte that went in first. */
  readonly first: number;
  /** Which byte lies where. */
  readonly buffer: number[];
  readonly requests: Span[] = [];
  readonly answers: number[] = [];
  readonly events: bigint[] = [];
  readonly reported: bigint[] = [];
  /** Copies of what the backend has been told of. */
  readonly taken: number[] = [];
  queued = 0;
  heard = 0;
  isRunning = false;
  /** What had been heard when the counter was 0. */
  began = 0;

  constructor(size: number, first: number) {
    this.size = size;
    this.first = first;
    this.buffer = Array(size).fill(SILENCE);
  }
}

/** What is heard is played byte by byte out of what is in the buffer. */
class Playback extends ModelledStream<OwnStep> {
  readonly pacing: PlaybackPacing;
  readonly #scenario: Scenario;
  readonly #frameBytes: number;
  #session: Session | undefined;
  #sessions = 0;
  #written = 0;
  /** The number of the byte that is to go in next. */
  #next = 0;
  #hasEnded = false;
  #isDropped = false;
  /** Where the stream had last run dry. */
  #stoodAt = -1;
  #inquiries = 0;

  constructor(scenario: Scenario) {
    super('playback');
    this.#scenario = scenario;
    this.#frameBytes = scenario.frameBytes;
    this.pacing = new PlaybackPacing(scenario.frameBytes, 8);
  }

  /** Everything there is to know of it: where that does not change, it stands still. */
  get #summary(): string {
    const { position, progress, isPacedByAnswers } = this.pacing;
    const { heard, requests, answers } = this.#session ?? new Session(0, 0);
    const counts = [this.#sessions, this.#next, position, progress, heard, requests.length, answers.length];
    return [this.state, isPacedByAnswers, ...counts].join();
  }

  get #pending(): number {
    return this.#written - this.#next;
  }

  get #isTrue(): boolean {
    const { counting } = this.#scenario;
    return counting !== 'lying' && counting !== 'frozen' && !this.pacing.isPacedByAnswers;
  }

  protected act(step: OwnStep): void {
    const session = this.#session;
    switch (step.kind) {
      case 'write':
        this.#write(step.frames * this.#frameBytes);
        break;
      case 'serve':
        this.#serve(step.count);
        break;
      case 'play':
        this.#play(Math.ceil(step.share * (session?.size ?? 0)));
        break;
      case 'goOn':
        this.#serve(ALL);
        this.answer(ALL);
        this.#play(Math.ceil(step.share * (session?.size ?? 0)));
        this.sample();
        this.deliver(ALL);
        break;
      case 'lie':
        if (this.#scenario.counting === 'lying') session?.events.push(step.position);
        break;
      case 'start':
        this.pacing.begin();
        this.proceed();
        break;
      case 'end':
        this.#hasEnded = true;
        this.proceed();
        break;
    }
  }

  /** Everybody does what is theirs, until it is over. */
  windUp(): void {
    this.carryOut({ kind: 'end' });
    for (let standstills = 0; this.state !== 'finished'; ) {
      const before = this.#summary;
      this.carryOut({ kind: 'open' });
      this.carryOut({ kind: 'resume' });
      this.carryOut({ kind: 'goOn', share: 1 / 3 });
      if (this.#summary !== before) standstills = 0;
      else if (++standstills > 8) expect.unreachable(`stands still: ${before}`);
      else if (standstills > 4) this.#inquire();
    }
    expect([this.#pending, this.pacing.due('finished')]).toEqual([0, undefined]);
  }

  protected run(effect: SubstreamEffect): void {
    const session = this.#session;
    if (session === undefined) return;
    if (effect === 'triggerStart' || effect === 'triggerResume') session.isRunning = true;
    else if (effect === 'triggerPause') this.#pauseBackend(session);
    else if (effect === 'triggerStop') this.#session = undefined;
    else if (effect === 'close') {
      this.#serve(ALL);
      session.isRunning = true;
      this.#play(ALL); // CLOSE alone plays out
      this.#session = undefined;
    }
    if (this.state === 'finished') this.#checkHeard(session);
  }

  #checkHeard(session: Session): void {
    if (this.#session !== undefined || this.#isDropped || !this.#isTrue) return;
    expect(session.heard, 'bytes heard at the end').toBe(session.queued);
  }

  #pauseBackend(session: Session): void {
    if (this.refusesPause) this.apply('pauseRefused');
    else if (session.heard === session.taken.length) this.apply('pauseNeedless');
    else session.isRunning = false;
    if (this.refusesPause) this.proceed();
  }

  #write(length: number): void {
    if (this.#hasEnded || this.state === 'finished') return;
    this.#written += length;
    this.proceed();
  }

  protected proceed(): void {
    this.applyDue();
    this.#fill();
    if (this.#hasEnded && this.#pending === 0) this.pacing.finish();
    this.applyDue();
  }

  protected prepareFor(due: SubstreamEvent): void {
    if (due === 'end') this.#silence(this.pacing.restOfPeriod);
    if (due === 'dry') this.#stoodAt = this.pacing.progress;
  }

  #silence(where: readonly Span[]): void {
    const session = this.#session;
    if (session === undefined) return;
    let position = session.queued;
    for (const byte of bytesOf(where)) {
      must(byte === position % session.size, `silence at ${byte}`);
      this.#expectFree(session, position++);
      session.buffer[byte] = SILENCE;
    }
  }

  /** What lay where byte number `position` of the session is to go has been played, or copied by a backend that lies. */
  #expectFree(session: Session, position: number): void {
    const done = this.#isTrue || this.#scenario.access === 'inPlace' ? session.heard : session.taken.length;
    must(position - session.size < done, 'a byte that is still needed is overwritten');
  }

  #fill(): void {
    const session = this.#session;
    const room = this.pacing.room(this.#pending, this.state);
    must(room % this.#frameBytes === 0 && room >= 0 && room <= this.#pending, `the room is ${room}`);
    if (room === 0) return;
    if (session === undefined) throw new Error(`room in ${this.state}`);
    const first = Math.min(room, this.pacing.untilWrap);
    for (const length of [first, room - first]) {
      if (length === 0) continue;
      const { offset } = this.pacing;
      for (const byte of bytesOf([{ offset, length }])) {
        this.#expectFree(session, session.queued++);
        session.buffer[byte] = this.#next++;
      }
      this.pacing.enqueue(length);
      session.requests.push({ offset, length });
    }
  }

  /** The backend takes WRITEs. */
  #serve(count: number): void {
    const session = this.#session;
    if (session === undefined) return;
    for (const request of session.requests.splice(0, count)) {
      for (const byte of bytesOf([request])) session.taken.push(session.buffer[byte] ?? SILENCE);
      session.answers.push(request.length);
    }
  }

  protected answer(count: number): void {
    for (const length of this.#session?.answers.splice(0, count) ?? []) this.pacing.answer(length);
    if (this.#session) this.proceed();
  }

  #play(length: number): void {
    const session = this.#session;
    if (!session?.isRunning) return;
    for (let left = length; left > 0; left--, session.heard++) {
      const { heard } = session;
      if (heard === session.taken.length) {
        if (this.#scenario.counting === 'restarting') session.began = heard; // an xrun
        return;
      }
      const isCopied = this.#scenario.access === 'copies';
      const byte = isCopied ? session.taken[heard] : session.buffer[heard % session.size];
      must(byte === session.first + heard, `byte ${byte} is heard after ${session.first + heard - 1}`);
    }
  }

  /** The backend notes its position; undefined where it has nothing to say. */
  protected sample(): void {
    const session = this.#session;
    if (session === undefined) return;
    const position = this.#positionOf(session);
    if (position === undefined) return;
    session.events.push(position);
    session.reported.push(position);
  }

  #positionOf(session: Session): bigint | undefined {
    const played = session.heard;
    switch (this.#scenario.counting) {
      case 'frozen':
        return 0n;
      case 'low': {
        const shown = played - this.#frameBytes;
        return shown < this.#frameBytes ? undefined : BigInt(shown - (shown % this.#frameBytes));
      }
      case 'foreign': // whoever shares a device says nothing before a period is over
        return played < this.#periodBytes ? undefined : 2n ** 40n + BigInt(played);
      case 'restarting':
        return played === session.began ? undefined : BigInt(played - session.began);
      default:
        return played === 0 ? undefined : BigInt(played);
    }
  }

  get #sizes(): PlaybackSizes {
    const { sizes } = this.#scenario;
    return sizes[(this.#sessions - 1) % sizes.length] as PlaybackSizes;
  }

  get #periodBytes(): number {
    return this.#sizes.periodFrames * this.#frameBytes;
  }

  protected deliver(count: number): void {
    const session = this.#session;
    if (session === undefined) return;
    for (const position of session.events.splice(0, count)) this.#report(position);
    this.proceed();
  }

  #report(position: bigint): void {
    const before = this.pacing.progress;
    const outcome = this.pacing.report(position, this.state);
    must((outcome === 'moved') === this.pacing.progress > before, outcome);
    if (outcome === 'stuck') this.pacing.paceByAnswers();
  }

  /** One that has been overtaken; nobody could tell it from a counter that has begun again where it had run dry. */
  protected reportOld(): void {
    const session = this.#session;
    const { counting } = this.#scenario;
    const [old] = session?.reported ?? [];
    if (session === undefined || old === undefined || session.events.length > 0) return;
    if (counting === 'restarting' || this.pacing.progress <= this.#stoodAt) return;
    this.#report(old);
    this.sample();
    this.deliver(1);
  }

  protected open(): void {
    const sizes = this.#scenario.sizes[this.#sessions++ % this.#scenario.sizes.length] as PlaybackSizes;
    this.pacing.open(sizes);
    this.#session = new Session(sizes.bufferFrames * this.#frameBytes, this.#next);
    this.#stoodAt = -1;
    this.apply('opened');
    this.proceed();
  }

  protected lose(): void {
    const session = this.#session;
    if (session === undefined) return;
    const unplayed = bytesOf(this.pacing.unplayed).map((byte) => session.buffer[byte]);
    const { progress } = this.pacing;
    const first = session.first + progress - (progress % this.#frameBytes);
    expect(unplayed, 'what is taken out').toEqual(range(first, this.#next));
    this.pacing.leave();
    this.#next = first;
    this.#session = undefined;
    this.apply('lost');
  }

  protected drop(): void {
    this.#isDropped = true;
    this.apply('drop');
    this.#next = this.#written;
    this.pacing.drop();
    this.proceed();
    this.#isDropped = false;
  }

  /** Nothing has moved for long. */
  #inquire(): void {
    must(++this.#inquiries < 100, `stands still, again and again, ${this.state}`);
    must(
      this.#scenario.counting !== 'plain',
      `stands still, ${this.state}, although the counter says it all`,
    );
    if (this.state === 'draining') this.apply('stalled');
    else if (this.#scenario.access === 'inPlace') this.lose();
    else if (this.state === 'running') this.pacing.paceByAnswers();
    else return;
    this.proceed();
  }

  protected check(): void {
    const { position, end, progress, latency } = this.pacing;
    must(position <= end, `the position is ${position}, beyond ${end}`);
    must(latency === end - position, `${latency} frames are between ${position} and ${end}`);
    if (this.#session === undefined) return;
    const { queued, heard } = this.#session;
    must(progress <= queued, `${progress} of ${queued} bytes have been played`);
    must(!this.#isTrue || progress <= heard, `${progress} bytes have been played, ${heard} been heard`);
  }
}

const sizes: fc.Arbitrary<PlaybackSizes> = fc
  .record({
    periodFrames: fc.integer({ min: 1, max: 12 }),
    periods: fc.integer({ min: 2, max: 4 }),
    odd: fc.constantFrom(0, 0, 1, 3),
    startThresholdFrames: fc.integer({ min: 1, max: 30 }),
  })
  .map(({ periodFrames, periods, odd, startThresholdFrames }) => ({
    periodFrames,
    bufferFrames: periods * periodFrames + odd,
    startThresholdFrames,
  }));

const count = fc.integer({ min: 1, max: 4 });
const share = fc.double({ min: 0.01, max: 1, noNaN: true });
const simply = <K extends Step['kind']>(...kinds: K[]) => fc.record({ kind: fc.constantFrom(...kinds) });
const step = fc.oneof(
  { weight: 24, arbitrary: fc.record({ kind: fc.constant('write' as const), frames: fc.nat(24) }) },
  { weight: 24, arbitrary: fc.record({ kind: fc.constant('goOn' as const), share }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('play' as const), share }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constantFrom('serve', 'answer', 'deliver'), count }) },
  { weight: 8, arbitrary: simply('report', 'sample', 'repeat', 'reportOld') },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('lie' as const), position: lies() }) },
  { weight: 4, arbitrary: simply('pause', 'pauseRefused', 'resume', 'resume', 'resume') },
  { weight: 4, arbitrary: simply('open', 'start') },
  { weight: 2, arbitrary: simply('drop', 'lose', 'lose') },
  { weight: 1, arbitrary: simply('end') },
) as fc.Arbitrary<Step>;

function lies(): fc.Arbitrary<bigint> {
  return fc.oneof(fc.nat(300).map(BigInt), u64);
}

const LIARS: readonly Counting[] = ['lying', 'frozen'];
const COUNTINGS: readonly Counting[] = ['plain', 'low', 'foreign', 'restarting', ...LIARS];

const scenario = (access: Access, counting: Counting): fc.Arbitrary<Scenario> =>
  fc.record({
    access: fc.constant(access),
    counting: fc.constant(counting),
    frameBytes: fc.constantFrom(1, 2, 4, 6),
    sizes: fc.array(sizes, { minLength: 1, maxLength: 3 }),
    steps: fc
      .array(step, { maxLength: 80, size: 'max' })
      .map((steps): Step[] => [{ kind: 'open' }, ...steps]),
  });

describe.each(COUNTINGS)('a backend whose counter is %s', (counting) => {
  // What such a one says is all there is to go by: it must copy to play what it was given.
  const accesses: readonly Access[] = LIARS.includes(counting) ? ['copies'] : ['copies', 'inPlace'];

  it.each(accesses)(
    'and that %s plays every byte once, in order, whatever happens, and comes to an end',
    (access) => {
      fc.assert(
        fc.property(scenario(access, counting), (given) => {
          const playback = new Playback(given);
          for (const step of given.steps) playback.carryOut(step);
          playback.windUp();
        }),
        { numRuns: 400 },
      );
    },
  );
});
