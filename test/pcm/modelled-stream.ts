import { expect } from 'vitest';
import type { Span } from '../../src/pcm/spans.ts';
import {
  knowsEvent,
  type SubstreamEffect,
  type SubstreamEvent,
  type SubstreamState,
  substreamTransition,
} from '../../src/pcm/substream.ts';

export const ALL = Number.POSITIVE_INFINITY;

/** What can happen to a stream of either direction. */
export type CommonStep =
  /** So many answers, or positions, arrive. */
  | { readonly kind: 'answer' | 'deliver'; readonly count: number }
  /** The backend notes its position. 'report': and it arrives. 'repeat': twice. 'reportOld': one that has been overtaken, too. */
  | { readonly kind: 'sample' | 'report' | 'repeat' | 'reportOld' }
  | { readonly kind: 'pause' | 'pauseRefused' | 'resume' | 'drop' | 'lose' | 'open' };

/** A stream and its backend, as simple as can be, byte by byte; its states are those of the substream's table. */
export abstract class ModelledStream<OwnStep extends { readonly kind: string }> {
  state: SubstreamState = 'closed';
  protected refusesPause = false;
  readonly #type: 'playback' | 'capture';
  #position = 0;

  constructor(type: 'playback' | 'capture') {
    this.#type = type;
  }

  abstract readonly pacing: {
    readonly position: number;
    due(state: SubstreamState): SubstreamEvent | undefined;
  };
  protected abstract act(step: OwnStep): void;
  protected abstract run(effect: SubstreamEffect): void;
  protected abstract answer(count: number): void;
  protected abstract sample(): void;
  protected abstract deliver(count: number): void;
  protected abstract reportOld(): void;
  protected abstract drop(): void;
  protected abstract lose(): void;
  protected abstract open(): void;
  protected abstract proceed(): void;
  /** What is to hold after each step. */
  protected abstract check(): void;
  /** What the stream does before it takes the event that is due. */
  protected abstract prepareFor(due: SubstreamEvent): void;

  carryOut(step: CommonStep | OwnStep): void {
    this.#carryOut(step as CommonStep);
    const { position } = this.pacing;
    must(position >= this.#position, `the position fell from ${this.#position} to ${position}`);
    this.#position = position;
    this.check();
  }

  #carryOut(step: CommonStep): void {
    switch (step.kind) {
      case 'answer':
        this.answer(step.count);
        break;
      case 'deliver':
        this.deliver(step.count);
        break;
      case 'sample':
        this.sample();
        break;
      case 'report':
      case 'repeat':
        this.sample();
        if (step.kind === 'repeat') this.sample();
        this.deliver(ALL);
        break;
      case 'reportOld':
        this.reportOld();
        break;
      case 'pause':
      case 'pauseRefused':
        this.refusesPause = step.kind === 'pauseRefused';
        if (this.knows('pause')) this.apply('pause');
        break;
      case 'resume':
        if (!this.knows('resume')) break;
        this.apply('resume');
        this.proceed();
        break;
      case 'drop':
        if (this.knows('drop')) this.drop();
        break;
      case 'lose':
        this.lose();
        break;
      case 'open':
        if (this.knows('opened')) this.open();
        break;
      default:
        this.act(step as unknown as OwnStep);
    }
  }

  protected knows(event: SubstreamEvent): boolean {
    return knowsEvent(this.#type, this.state, event);
  }

  protected apply(event: SubstreamEvent): void {
    must(this.knows(event), `${event} in ${this.state}`);
    const { to, effects } = substreamTransition(this.#type, this.state, event);
    this.state = to;
    for (const effect of effects) this.run(effect);
  }

  protected applyDue(): void {
    for (let times = 0; ; times++) {
      const due = this.pacing.due(this.state);
      if (due === undefined) return;
      must(times < 5, `${due} in ${this.state}, and no end`);
      this.prepareFor(due);
      this.apply(due);
    }
  }
}

/** As expect(), of which there would be very many. */
export function must(isTrue: boolean, otherwise: string): void {
  if (!isTrue) expect.unreachable(otherwise);
}

/** The bytes of the buffer that the spans name, in their order. */
export function bytesOf(where: readonly Span[]): number[] {
  return where.flatMap(({ offset, length }) => range(offset, offset + length));
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}
