import { describe, expect, test } from 'vitest';
import { explore } from './explore.ts';
import { acquire, fence, type Instruction, load, processors, release, store } from './memory.ts';

type Outcome = Readonly<Record<string, number>>;

interface Pattern {
  readonly where: string;
  /** What the engine does. */
  readonly ours: readonly Instruction[];
  /** What the peer, or the other thread, does. */
  readonly theirs: readonly Instruction[];
  readonly forbidden: (registers: Outcome, memory: Outcome) => boolean;
  /** The same with an order left out, on either side: what must be found. */
  readonly mistakes: readonly (readonly Instruction[])[];
}

/** Each place where native/engine orders what it does with memory, by its comment there. Places are 0 at first. */
const PATTERNS: readonly Pattern[] = [
  {
    where: 'FrontRing::Publish(): the requests before the index that announces them',
    ours: [store('request', 1), release('req_prod', 1)],
    theirs: [acquire('req_prod', 'prod'), load('request', 'request')],
    forbidden: ({ prod, request }) => prod === 1 && request === 0,
    mistakes: [[store('request', 1), store('req_prod', 1)]],
  },
  {
    where: 'FrontRing::Publish(): our index before reading what the peer waits for',
    ours: [release('req_prod', 1), fence, acquire('req_event', 'event')],
    theirs: [release('req_event', 1), fence, acquire('req_prod', 'prod')],
    forbidden: ({ event, prod }) => event === 0 && prod === 0, // not notified, and asleep
    mistakes: [[release('req_prod', 1), load('req_event', 'event')]],
  },
  {
    where: 'FrontRing::Peek(): the index before the entries it announces',
    ours: [acquire('rsp_prod', 'prod'), load('response', 'response')],
    theirs: [store('response', 1), release('rsp_prod', 1)],
    forbidden: ({ prod, response }) => prod === 1 && response === 0,
    mistakes: [[load('rsp_prod', 'prod'), load('response', 'response')]],
  },
  {
    where: 'FrontRing::Rearm(): our wish before the last look',
    ours: [release('rsp_event', 1), fence, acquire('rsp_prod', 'prod')],
    theirs: [release('rsp_prod', 1), fence, acquire('rsp_event', 'event')],
    forbidden: ({ event, prod }) => event === 0 && prod === 0,
    mistakes: [[release('rsp_event', 1), load('rsp_prod', 'prod')]],
  },
  {
    where: 'EventPage::Peek(): the index before the events it announces',
    ours: [acquire('in_prod', 'prod'), load('slot', 'slot')],
    theirs: [store('slot', 1), release('in_prod', 1)],
    forbidden: ({ prod, slot }) => prod === 1 && slot === 0,
    mistakes: [[load('in_prod', 'prod'), load('slot', 'slot')]],
  },
  {
    where: "EventPage::Advance(): our copy and the mark before the slot is the backend's again",
    ours: [load('slot', 'copy'), store('slot', 255), release('in_cons', 1)],
    theirs: [acquire('in_cons', 'cons'), store('slot', 2)], // which it does only where it has seen in_cons
    forbidden: ({ cons, copy }, { slot }) => cons === 1 && (copy === 2 || slot === 255),
    mistakes: [[load('slot', 'copy'), store('slot', 255), store('in_cons', 1)]],
  },
  {
    where: 'StagingRing::Write(): the bytes before the count that announces them',
    ours: [store('bytes', 1), release('written', 1)],
    theirs: [acquire('written', 'written'), load('bytes', 'bytes')],
    forbidden: ({ written, bytes }) => written === 1 && bytes === 0,
    mistakes: [[store('bytes', 1), store('written', 1)]],
  },
  {
    where: "StagingRing::Read(): our copy before the room is the writer's again",
    ours: [load('bytes', 'copy'), release('read', 1)],
    theirs: [acquire('read', 'read'), store('bytes', 2)],
    forbidden: ({ read, copy }) => read === 1 && copy === 2,
    mistakes: [[load('bytes', 'copy'), store('read', 1)]],
  },
  {
    where:
      'PlaybackCarrier::Move(): our wish before the last look, where PlaybackHandle::Write() looks at the wish',
    ours: [store('hungry', 1), fence, acquire('written', 'written')],
    theirs: [release('written', 1), fence, acquire('hungry', 'hungry')],
    forbidden: ({ hungry, written }) => hungry === 0 && written === 0, // staged, and nobody moves it
    mistakes: [[store('hungry', 1), acquire('written', 'written')]],
  },
  {
    where: 'Gauge::Report(): the report before the count that announces it',
    ours: [store('report', 1), release('count', 1)],
    theirs: [acquire('count', 'count'), load('report', 'report')],
    forbidden: ({ count, report }) => count === 1 && report === 0,
    mistakes: [[store('report', 1), store('count', 1)]],
  },
];

describe.each(PATTERNS)('$where', ({ ours, theirs, forbidden, mistakes }) => {
  test('holds on a weakly ordered machine', () => {
    expect(explore(processors([ours, theirs], forbidden)).mistake).toBeUndefined();
  });

  test.each(mistakes.map((mistake) => [mistake]))('and would not with %j', (mistake) => {
    expect(explore(processors([mistake, theirs], forbidden)).mistake).toBeDefined();
  });
});
