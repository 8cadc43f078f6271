import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CapturePacing } from '../../src/pcm/capture-pacing.ts';
import type { Span } from '../../src/pcm/spans.ts';
import type { SubstreamEffect, SubstreamEvent } from '../../src/pcm/substream.ts';
import { ALL, bytesOf, type CommonStep, ModelledStream, must } from './modelled-stream.ts';

/** How a backend counts. */
type Counting =
  /** From START, by bytes, whatever was lost. */
  | 'plain'
  /** The same; 0 once its buffer has run over. */
  | 'falling'
  /** Some number, and from there. */
  | 'foreign'
  /** Always 0. */
  | 'frozen';

interface Sizes {
  readonly bufferFrames: number;
  readonly periodFrames: number;
}

interface Scenario {
  readonly counting: Counting;
  readonly frameBytes: number;
  /** Of one session after the other. */
  readonly sizes: readonly Sizes[];
  /** Bytes that the reader takes at once. */
  readonly most: number;
  readonly steps: readonly Step[];
}

type OwnStep =
  /** `share` of a buffer's time passes; 'goOn': and everybody does what is theirs. */
  | { readonly kind: 'pass' | 'goOn'; readonly share: number }
  | { readonly kind: 'want' | 'begin' | 'started' | 'stick' | 'finish' };

type Step = CommonStep | OwnStep;

/** A position, and when it was true. */
interface Reading {
  readonly position: bigint;
  readonly at: number;
}

/** What a backend has captured since one START. */
class Take {
  /** The number of the first byte: all that is ever captured is numbered in its order. */
  readonly first: number;
  readonly reported: Reading[] = [];
  captured = 0;
  /** Bytes that READs have been for. */
  asked = 0;
  isOverrun = false;
  isAnswered = false;
  isHeardOf = false;

  constructor(first: number) {
    this.first = first;
  }
}

/** READs that are under way together. */
interface Asked {
  readonly take: Take;
  readonly where: readonly Span[];
  readonly length: number;
  /** Frames that the position counts already. */
  readonly counted: number;
  unanswered: number;
}

/** A session at the backend. */
class Session {
  readonly size: number;
  readonly periodBytes: number;
  /** Which byte lies where. */
  readonly buffer: (number | undefined)[];
  readings: Reading[] = [];
  take: Take | undefined;
  asked: Asked | undefined;
  isPaused = false;

  constructor({ bufferFrames, periodFrames }: Sizes, frameBytes: number) {
    this.size = bufferFrames * frameBytes;
    this.periodBytes = periodFrames * frameBytes;
    this.buffer = Array(this.size);
  }
}

/** It is captured byte by byte, and READs fill the buffer with the oldest. */
class Capture extends ModelledStream<OwnStep> {
  readonly pacing: CapturePacing;
  readonly #scenario: Scenario;
  readonly #frameBytes: number;
  #session: Session | undefined;
  #sessions = 0;
  /** Bytes' time in which something was to be captured. */
  #clock = 0;
  /** The clock when the last position was true that has moved. */
  #movedAt = 0;
  #finishedAt = ALL;
  #captured = 0;
  #lastDelivered = -1;
  /** Frames that the position counts, and what has become of them. */
  #delivered = 0;
  #told = 0;
  #thrownAway = 0;

  constructor(scenario: Scenario) {
    super('capture');
    this.#scenario = scenario;
    this.#frameBytes = scenario.frameBytes;
    this.pacing = new CapturePacing(scenario.frameBytes, 1000);
  }

  get #elapsed(): number {
    return this.#clock - this.#movedAt;
  }

  protected act(step: OwnStep): void {
    const session = this.#session;
    switch (step.kind) {
      case 'pass':
        this.#pass(Math.ceil(step.share * (session?.size ?? 0)));
        break;
      case 'goOn':
        this.#started();
        this.#pass(Math.ceil(step.share * (session?.size ?? 0)));
        this.sample();
        this.deliver(ALL);
        this.answer(ALL);
        break;
      case 'want':
        this.pacing.want();
        this.proceed();
        break;
      case 'begin':
        this.pacing.begin();
        this.proceed();
        break;
      case 'started':
        this.#started();
        break;
      case 'stick':
        if (this.#scenario.counting !== 'frozen' || this.state !== 'running') break;
        this.pacing.paceByAnswers();
        this.proceed();
        break;
      case 'finish':
        this.#finishedAt = Math.min(this.#finishedAt, this.#clock);
        this.#told += this.pacing.finish(this.#elapsed);
        this.proceed();
        break;
    }
  }

  /** It is finished, and what is left comes, until it is over. */
  windUp(): void {
    this.carryOut({ kind: 'finish' });
    for (let rounds = 0; this.state !== 'finished'; rounds++) {
      must(rounds < 100, `there is no end in ${this.state}`);
      this.carryOut({ kind: 'resume' });
      this.carryOut({ kind: 'goOn', share: 0.1 });
    }
    expect(this.pacing.due('finished')).toBeUndefined();
  }

  protected run(effect: SubstreamEffect): void {
    const session = this.#session;
    if (session === undefined) return;
    switch (effect) {
      case 'triggerStart':
        session.take = new Take(this.#captured);
        this.#movedAt = this.#clock;
        break;
      case 'triggerStop':
        session.take = undefined;
        break;
      case 'triggerPause':
        this.#pauseBackend(session);
        break;
      case 'triggerResume':
        session.isPaused = false;
        break;
      case 'countXrun':
        this.#told += this.pacing.restart();
        break;
      case 'close':
        this.#session = undefined;
        break;
    }
  }

  #pauseBackend(session: Session): void {
    session.isPaused = !this.refusesPause;
    if (session.isPaused) return;
    this.apply('pauseRefused');
    this.proceed();
  }

  #started(): void {
    const take = this.#session?.take;
    if (take === undefined || take.isAnswered) return;
    this.deliver(ALL); // they were sent before
    take.isAnswered = true;
    this.pacing.started();
    this.proceed();
  }

  protected proceed(): void {
    this.#ask();
    this.applyDue();
  }

  protected prepareFor(due: SubstreamEvent): void {
    if (due !== 'end') this.pacing.start();
    else must(this.#isAllRead, `${this.pacing.latency} frames are lost, and nobody is told`);
  }

  /** At the end; a buffer may run over while the last of it is read. */
  get #isAllRead(): boolean {
    return this.pacing.latency === 0 || this.#clock > this.#finishedAt;
  }

  #ask(): void {
    const length = this.pacing.readable(this.#scenario.most, this.#elapsed, this.state);
    const most = Math.max(this.#scenario.most, this.#frameBytes);
    must(length % this.#frameBytes === 0 && length >= 0 && length <= most, `READ of ${length} bytes`);
    if (length === 0) return;
    const session = this.#session;
    const take = session?.take;
    if (session === undefined || take === undefined) throw new Error(`READ in ${this.state}`);
    must(session.asked === undefined, 'READ before another was answered');
    const where = this.pacing.ask(length);
    must(lengthOf(where) === length && length <= session.size, `READ of ${length}: ${JSON.stringify(where)}`);
    const counted = Math.max(0, Math.min(length, this.pacing.progress - take.asked));
    session.asked = { take, where, length, counted: counted / this.#frameBytes, unanswered: where.length };
    take.asked += length;
    if (this.pacing.isPacedByAnswers) return;
    must(!take.isOverrun, 'READ where the backend has run over');
    must(take.asked <= take.captured, `READ of ${take.asked} bytes, captured were ${take.captured}`);
  }

  /** READs are answered as soon as what they are for has been captured. */
  protected answer(count: number): void {
    const session = this.#session;
    const asked = session?.asked;
    if (session === undefined || asked === undefined || asked.take.captured < asked.take.asked) return;
    const done = asked.where.slice(asked.where.length - asked.unanswered).slice(0, count);
    for (const { length } of done)
      must(!this.pacing.answer(length), 'one of several answers moved something');
    asked.unanswered -= done.length;
    if (asked.unanswered > 0) return;
    let byte = asked.take.first + asked.take.asked - asked.length;
    for (const place of bytesOf(asked.where)) session.buffer[place] = byte++;
    this.#handOver(session, asked);
  }

  #handOver(session: Session, { take, where, length }: Asked): void {
    session.asked = undefined;
    const before = this.pacing.progress;
    must(this.pacing.deliver() === this.pacing.progress > before, 'something moved, or did not');
    const bytes = bytesOf(where).map((place) => session.buffer[place] ?? -1);
    const first = take.first + take.asked - length;
    must(first > this.#lastDelivered, `byte ${first} is delivered after ${this.#lastDelivered}`);
    must(
      bytes.every((byte, index) => byte === first + index),
      `${bytes} are delivered, not those from ${first} on`,
    );
    this.#lastDelivered = first + length - 1;
    this.#delivered += length / this.#frameBytes;
    this.proceed();
  }

  /** Not so long that nobody could tell what the first position means. */
  #pass(time: number): void {
    const session = this.#session;
    const take = session?.take;
    if (session === undefined || take === undefined || session.isPaused) return;
    const { size, periodBytes } = session;
    const { counting } = this.#scenario;
    const most = (counting === 'foreign' ? periodBytes : size + periodBytes) - take.captured;
    const length = counting === 'frozen' || take.isHeardOf ? time : Math.min(time, most);
    this.#clock += length;
    take.captured += length;
    this.#captured += length;
    const whole = take.captured - (take.captured % this.#frameBytes);
    take.isOverrun ||= whole - take.asked > size && !this.pacing.isPacedByAnswers;
  }

  protected sample(): void {
    const session = this.#session;
    const take = session?.take;
    if (session === undefined || take === undefined) return;
    const position = this.#positionOf(take, session);
    if (position === undefined) return;
    const reading = { position, at: this.#clock };
    session.readings.push(reading);
    if (take.isAnswered) take.reported.push(reading);
  }

  /** Who is paced by positions must not hear 0 for long: that would be one that is stuck. */
  #positionOf(take: Take, { periodBytes }: Session): bigint | undefined {
    if (this.#scenario.counting === 'frozen') return 0n;
    if (take.captured === 0) return undefined;
    if (this.#scenario.counting === 'falling' && take.isOverrun) return take.isHeardOf ? 0n : undefined;
    if (this.#scenario.counting !== 'foreign') return BigInt(take.captured);
    return take.captured < periodBytes ? undefined : 2n ** 40n + BigInt(take.captured);
  }

  protected deliver(count: number): void {
    const session = this.#session;
    if (session === undefined) return;
    for (const reading of session.readings.splice(0, count)) this.#report(reading);
    this.proceed();
  }

  #report({ position, at }: Reading): void {
    const before = this.pacing.progress;
    const outcome = this.pacing.report(position, this.state);
    must((outcome === 'moved') === this.pacing.progress > before, outcome);
    if (outcome === 'moved') this.#movedAt = at;
    if (outcome === 'moved' && this.#session?.take) this.#session.take.isHeardOf = true;
    if (outcome === 'stuck') this.pacing.paceByAnswers();
  }

  /** One that has been overtaken, and then what is true. */
  protected reportOld(): void {
    const session = this.#session;
    const [old] = session?.take?.reported ?? [];
    if (session === undefined || old === undefined || session.readings.length > 0) return;
    this.sample();
    session.readings.unshift(old);
    this.deliver(ALL);
  }

  protected open(): void {
    const sizes = this.#scenario.sizes[this.#sessions++ % this.#scenario.sizes.length] as Sizes;
    this.pacing.open(sizes);
    this.#session = new Session(sizes, this.#frameBytes);
    this.apply('opened');
    this.proceed();
  }

  protected lose(): void {
    if (this.#session === undefined) return;
    this.#throwAway();
    this.pacing.leave();
    this.#session = undefined;
    this.apply('lost');
    this.proceed();
  }

  protected drop(): void {
    this.#throwAway();
    this.apply('drop');
    this.pacing.drop();
    this.proceed();
  }

  #throwAway(): void {
    this.#thrownAway += this.#underWay + this.pacing.latency;
  }

  /** Frames that the position counts, and that have been asked for and not been delivered. */
  get #underWay(): number {
    return this.#session?.asked?.counted ?? 0;
  }

  protected check(): void {
    const { position, latency } = this.pacing;
    const all = this.#delivered + this.#told + this.#thrownAway + this.#underWay + latency;
    must(position === all, `of ${position} frames ${all} are accounted for`);
  }
}

function lengthOf(where: readonly Span[]): number {
  return where.reduce((sum, { length }) => sum + length, 0);
}

const sizes: fc.Arbitrary<Sizes> = fc
  .record({
    periodFrames: fc.integer({ min: 1, max: 12 }),
    periods: fc.integer({ min: 2, max: 4 }),
    odd: fc.constantFrom(0, 0, 1, 3),
  })
  .map(({ periodFrames, periods, odd }) => ({ periodFrames, bufferFrames: periods * periodFrames + odd }));

const count = fc.integer({ min: 1, max: 4 });
const share = fc.oneof(
  fc.double({ min: 0.01, max: 0.4, noNaN: true }),
  fc.double({ min: 0.01, max: 1.2, noNaN: true }),
);
const simply = <K extends Step['kind']>(...kinds: K[]) => fc.record({ kind: fc.constantFrom(...kinds) });
const step = fc.oneof(
  { weight: 24, arbitrary: simply('want') },
  { weight: 24, arbitrary: fc.record({ kind: fc.constant('goOn' as const), share }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant('pass' as const), share }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constantFrom('answer', 'deliver'), count }) },
  { weight: 8, arbitrary: simply('report', 'sample', 'repeat', 'reportOld') },
  { weight: 4, arbitrary: simply('begin', 'started', 'stick') },
  { weight: 4, arbitrary: simply('pause', 'pauseRefused', 'resume', 'resume', 'resume') },
  { weight: 4, arbitrary: simply('open') },
  { weight: 2, arbitrary: simply('drop', 'lose', 'lose') },
  { weight: 1, arbitrary: simply('finish') },
) as fc.Arbitrary<Step>;

const COUNTINGS: readonly Counting[] = ['plain', 'falling', 'foreign', 'frozen'];

const scenario = (counting: Counting): fc.Arbitrary<Scenario> =>
  fc.record({
    counting: fc.constant(counting),
    frameBytes: fc.constantFrom(1, 2, 4, 6),
    sizes: fc.array(sizes, { minLength: 1, maxLength: 3 }),
    most: fc.integer({ min: 1, max: 200 }),
    steps: fc
      .array(step, { maxLength: 80, size: 'max' })
      .map((steps): Step[] => [{ kind: 'open' }, ...steps]),
  });

describe('a capture', () => {
  it.each(COUNTINGS)(
    'from a backend whose counter is %s delivers each byte once, in order, and tells what is lost',
    (counting) => {
      fc.assert(
        fc.property(scenario(counting), (given) => {
          const capture = new Capture(given);
          for (const step of given.steps) capture.carryOut(step);
          capture.windUp();
        }),
        { numRuns: 600 },
      );
    },
  );
});
