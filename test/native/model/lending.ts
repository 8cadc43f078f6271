import type { Model, Step } from './explore.ts';

/** What can be left out, and must then be found. */
export type LendingMistake =
  /** A port of a parked stream is read, and JavaScript is not told. */
  | 'untold port'
  /** The thread does not unmask what it has handled. */
  | 'left masked'
  /** Where the stream stands is read, and only then the thread kept from it. */
  | 'standing read too early'
  /** JavaScript takes events without having taken the stream back. */
  | 'not taken back';

interface Stream {
  /** Events that the peer has made, of these the one that is not ordinary, and how many were acted upon. */
  readonly made: number;
  readonly odd: number;
  readonly handled: number;
  readonly isPending: boolean;
  readonly isMasked: boolean;
  readonly isCarried: boolean;
  /** JavaScript has lent it, and has not taken it back. */
  readonly isLent: boolean;
  /** Where each side stands in the event page, as it has it in its own memory. */
  readonly ofThread: number;
  readonly ofJs: number;
}

/** What JavaScript does between two looks of others. */
type Act = readonly ['takeBack' | 'claim' | 'take' | 'lend', number] | readonly ['unmask', readonly number[]];

interface World {
  readonly streams: readonly Stream[];
  /** Ports that the kernel tells of, each masked. */
  readonly queue: readonly number[];
  readonly batch: readonly number[];
  readonly handledPorts: readonly number[];
  readonly thread: 'waits' | 'handles' | 'unmasks' | 'tells' | 'sends';
  readonly handedOn: readonly number[];
  readonly hasNews: boolean;
  /** uv_async, coalesced. */
  readonly isAwaited: boolean;
  /** What JavaScript is in the middle of, and what it does in a turn of its own. */
  readonly acts: readonly Act[];
  readonly soon: readonly number[];
  /** How often the user will still use a stream, at any time. */
  readonly uses: number;
  readonly wrong: string | undefined;
}

/** A port for events of each stream; `odd`: which event of each is not ordinary, -1: none. */
export function lending(
  odd: readonly number[],
  { events = 2, uses = 1, mistake }: { events?: number; uses?: number; mistake?: LendingMistake } = {},
): Model<World> {
  const stream = (index: number): Stream => ({
    made: 0,
    odd: index,
    handled: 0,
    isPending: false,
    isMasked: false,
    isCarried: true,
    isLent: true,
    ofThread: 0,
    ofJs: 0,
  });
  return {
    first: {
      streams: odd.map(stream),
      queue: [],
      batch: [],
      handledPorts: [],
      thread: 'waits',
      handedOn: [],
      hasNews: false,
      isAwaited: false,
      acts: [],
      soon: [],
      uses,
      wrong: undefined,
    },
    steps: (world) => [...peer(world, events), ...thread(world, mistake), ...javascript(world, mistake)],
    wrong: ({ wrong }) => wrong,
    stuck: ({ streams }) =>
      streams.some(({ handled }) => handled < events)
        ? 'an event was lost: nobody looks any more'
        : undefined,
  };
}

const changed = (world: World, index: number, change: Partial<Stream>): World => ({
  ...world,
  streams: world.streams.map((stream, at) => (at === index ? { ...stream, ...change } : stream)),
});

const streamOf = (world: World, index: number): Stream => {
  const stream = world.streams[index];
  if (stream === undefined) throw new RangeError(`no stream ${index}`);
  return stream;
};

function delivered(world: World, index: number): World {
  const { isPending, isMasked } = streamOf(world, index);
  if (!isPending || isMasked) return world;
  return {
    ...changed(world, index, { isPending: false, isMasked: true }),
    queue: [...world.queue, index],
  };
}

const unmasked = (world: World, ports: readonly number[]): World =>
  ports.reduce((before, port) => delivered(changed(before, port, { isMasked: false }), port), world);

/** The events from `from` on are acted upon, up to `until`; twice, or with one left out, is wrong. */
function acted(world: World, index: number, from: number, until: number): World {
  const { handled } = streamOf(world, index);
  if (from === until) return world;
  const after = changed(world, index, { handled: Math.max(handled, until) });
  if (from === handled) return after;
  return { ...after, wrong: from < handled ? 'an event was handled twice' : 'an event was skipped' };
}

/** What the thread does with a carried stream's events: whether it carries it still. */
function worked(world: World, index: number): World {
  const { made, odd, ofThread } = streamOf(world, index);
  const isOdd = odd >= ofThread && odd < made;
  const until = isOdd ? odd : made;
  return changed(acted(world, index, ofThread, until), index, { ofThread: until, isCarried: !isOdd });
}

function handedOn(world: World, port: number, mistake: LendingMistake | undefined): World {
  const ports = world.handedOn.includes(port) ? world.handedOn : [...world.handedOn, port];
  return { ...world, handedOn: ports, hasNews: world.hasNews || mistake !== 'untold port' };
}

function peer(world: World, events: number): Step<World>[] {
  return world.streams.flatMap(({ made }, index) =>
    made === events
      ? []
      : [
          {
            name: `the backend reports ${made} of ${index}`,
            next: delivered(changed(world, index, { made: made + 1, isPending: true }), index),
          },
        ],
  );
}

/** Loop::Run: each of its steps is one hold of the lock, or one system call. */
function thread(world: World, mistake: LendingMistake | undefined): Step<World>[] {
  const step = (name: string, next: World): Step<World>[] => [{ name: `the thread ${name}`, next }];
  const { queue, batch, handledPorts, hasNews } = world;
  switch (world.thread) {
    case 'waits': {
      if (queue.length === 0) return hasNews ? step('wakes', { ...world, thread: 'tells' }) : [];
      return step(`reads ${queue}`, { ...world, queue: [], batch: queue, thread: 'handles' });
    }
    case 'handles': {
      let next: World = { ...world, batch: [], handledPorts: [], thread: 'unmasks' };
      for (const port of batch) {
        if (streamOf(next, port).isCarried) next = worked(next, port);
        if (streamOf(next, port).isCarried) next = { ...next, handledPorts: [...next.handledPorts, port] };
        else next = handedOn(next, port, mistake);
      }
      return step(`handles ${batch}`, next);
    }
    case 'unmasks': {
      const ports = mistake === 'left masked' ? [] : handledPorts;
      return step(
        `unmasks ${handledPorts}`,
        unmasked({ ...world, handledPorts: [], thread: 'tells' }, ports),
      );
    }
    case 'tells':
      return step('looks for news', { ...world, hasNews: false, thread: hasNews ? 'sends' : 'waits' });
    case 'sends':
      return step('sends', { ...world, isAwaited: true, thread: 'waits' });
  }
}

/** One act at a time: a hold of the lock, or what only JavaScript looks at. */
function javascript(world: World, mistake: LendingMistake | undefined): Step<World>[] {
  const [act, ...acts] = world.acts;
  if (act !== undefined) {
    const next = perform({ ...world, acts }, act, mistake);
    return [{ name: `JavaScript: ${act.join(' ')}`, next }];
  }
  const steps: Step<World>[] = [];
  if (world.isAwaited) {
    const ports = world.handedOn;
    const handlers = ports.flatMap((port): Act[] => [
      ['takeBack', port],
      ['take', port],
      ['lend', port],
    ]);
    const next: World = { ...world, isAwaited: false, handedOn: [], acts: [...handlers, ['unmask', ports]] };
    steps.push({ name: `JavaScript is woken for ${ports}`, next });
  }
  const [soon, ...later] = world.soon;
  if (soon !== undefined) {
    steps.push({
      name: `JavaScript goes on with ${soon}`,
      next: {
        ...world,
        soon: later,
        acts: [
          ['takeBack', soon],
          ['take', soon],
          ['lend', soon],
        ],
      },
    });
  }
  if (world.uses > 0) {
    for (const index of world.streams.keys()) {
      steps.push({
        name: `the user uses ${index}`,
        next: {
          ...world,
          uses: world.uses - 1,
          acts: [
            ['takeBack', index],
            ['take', index],
            ['lend', index],
          ],
        },
      });
    }
  }
  return steps;
}

function perform(world: World, act: Act, mistake: LendingMistake | undefined): World {
  if (act[0] === 'unmask') return unmasked(world, act[1]);
  const [what, index] = act;
  const stream = streamOf(world, index);
  if (what === 'takeBack') {
    if (!stream.isLent || mistake === 'not taken back') return world;
    if (mistake === 'standing read too early') {
      return { ...changed(world, index, { ofJs: stream.ofThread }), acts: [['claim', index], ...world.acts] };
    }
    return changed(world, index, { isLent: false, isCarried: false, ofJs: stream.ofThread });
  }
  if (what === 'claim') {
    return changed(world, index, { isLent: false, isCarried: false });
  }
  if (what === 'take') {
    return changed(acted(world, index, stream.ofJs, stream.made), index, { ofJs: stream.made });
  }
  if (stream.isLent && mistake !== 'not taken back') return world;
  const carried = changed(world, index, { isLent: true, isCarried: true, ofThread: stream.ofJs });
  const looked = worked(carried, index);
  if (streamOf(looked, index).isCarried) return looked;
  const back = changed(looked, index, { isLent: false, ofJs: streamOf(looked, index).ofThread });
  return { ...back, soon: [...back.soon, index] };
}
