import { describe, expect, it } from 'vitest';
import {
  knowsEvent,
  type StreamState,
  type SubstreamEffect,
  type SubstreamEvent,
  type SubstreamState,
  streamState,
  substreamTransition,
} from '../../src/pcm/substream.ts';
import { thrownBy } from '../wire/support.ts';

type Type = 'playback' | 'capture';
const TYPES: readonly Type[] = ['playback', 'capture'];

/** Each state, and what users are told of it. */
const PUBLIC: Record<SubstreamState, StreamState> = {
  closed: 'closed',
  closedHeld: 'paused',
  prepared: 'prepared',
  preparedHeld: 'paused',
  running: 'running',
  paused: 'paused',
  underrun: 'underrun',
  underrunHeld: 'paused',
  draining: 'draining',
  finished: 'finished',
};
const STATES = Object.keys(PUBLIC) as SubstreamState[];

/** Each event: true where no state of a capture substream takes it. */
const PLAYBACK_ONLY: Record<SubstreamEvent, boolean> = {
  opened: false,
  start: false,
  dry: true,
  refilled: true,
  overrun: false,
  end: false,
  endEmpty: true,
  played: true,
  playedNearly: true,
  stalled: true,
  pause: false,
  pauseNeedless: true,
  pauseRefused: false,
  resume: false,
  drop: false,
  lost: false,
  destroy: false,
};
const EVENTS = Object.keys(PLAYBACK_ONLY) as SubstreamEvent[];

/** Some states, some events, and what follows: the state, then the effects in their order. No entry: refused. */
type Statement = readonly [
  from: readonly SubstreamState[],
  events: readonly SubstreamEvent[],
  to: SubstreamState,
  ...effects: SubstreamEffect[],
];

const THROW_AWAY = ['triggerStop', 'close', 'reopen'] as const;

const BOTH: readonly Statement[] = [
  [['closed'], ['opened'], 'prepared'],
  [['closedHeld'], ['opened'], 'preparedHeld'],
  // Only a trigger starts: nothing plays or captures by itself.
  [['prepared'], ['start'], 'running', 'triggerStart'],
  // What is not running is held here; only what runs is paused at the backend.
  [['closed'], ['pause'], 'closedHeld'],
  [['prepared'], ['pause'], 'preparedHeld'],
  [['running'], ['pause'], 'paused', 'triggerPause'],
  [['closedHeld'], ['resume'], 'closed'],
  [['preparedHeld'], ['resume'], 'prepared'],
  [['paused'], ['resume'], 'running', 'triggerResume'],
  [['paused'], ['pauseRefused'], 'running'],
  // "STOP and START without CLOSE: prefer CLOSE and OPEN." A hold outlives it.
  [['running'], ['drop'], 'closed', ...THROW_AWAY],
  [['paused'], ['drop'], 'closedHeld', ...THROW_AWAY],
  [['closed'], ['drop'], 'closed'],
  [['closedHeld'], ['drop'], 'closedHeld'],
  // There is nobody left to tell STOP or CLOSE. A hold outlives it.
  [['closed', 'prepared', 'running'], ['lost'], 'closed', 'reopen'],
  [['closedHeld', 'preparedHeld', 'paused'], ['lost'], 'closedHeld', 'reopen'],
  // CLOSE also where OPEN was not answered: the question alone keeps the host device open.
  [['closed', 'closedHeld'], ['destroy'], 'finished', 'close'],
  // Queued sound is thrown away: CLOSE alone would play it.
  [['running', 'paused'], ['destroy'], 'finished', 'triggerStop', 'close'],
  [['finished'], ['lost', 'destroy'], 'finished'],
];

const DEMANDED: Record<Type, readonly Statement[]> = {
  playback: [
    ...BOTH,
    // An underrun ends by itself when data comes: no second START.
    [['running'], ['dry'], 'underrun', 'countXrun'],
    [['underrun'], ['refilled'], 'running'],
    [['underrun'], ['pause'], 'underrunHeld'],
    [['underrunHeld'], ['resume'], 'underrun'],
    // "PAUSE or RESUME when not running: -77": an underrun that nobody has seen yet.
    [['paused'], ['pauseNeedless'], 'underrunHeld'],
    // Less than the threshold is started by its end.
    [['prepared'], ['end'], 'draining', 'triggerStart'],
    [['running', 'underrun'], ['end'], 'draining'],
    [['closed', 'closedHeld', 'prepared', 'preparedHeld'], ['endEmpty'], 'finished', 'close'],
    // Who drains and pauses says 'end' again.
    [['draining'], ['pause'], 'paused', 'triggerPause'],
    // All is played: STOP loses nothing. Where that is not certain, CLOSE lets the rest play.
    [['draining'], ['played'], 'finished', 'triggerStop', 'close'],
    [['draining'], ['playedNearly'], 'finished', 'close'],
    [['draining'], ['stalled'], 'finished', 'warnStalled', 'close'],
    // ALSA's drain starts what was never started.
    [['prepared', 'preparedHeld'], ['destroy'], 'finished', 'triggerStop', 'close'],
    [['prepared', 'underrun'], ['drop'], 'closed', ...THROW_AWAY],
    [['preparedHeld', 'underrunHeld'], ['drop'], 'closedHeld', ...THROW_AWAY],
    // No more data comes: there is nothing to open again for.
    [['draining'], ['drop'], 'finished', 'triggerStop', 'close'],
    [['underrun', 'draining'], ['lost'], 'closed', 'reopen'],
    [['underrunHeld'], ['lost'], 'closedHeld', 'reopen'],
    [['underrun', 'underrunHeld', 'draining'], ['destroy'], 'finished', 'triggerStop', 'close'],
  ],
  capture: [
    ...BOTH,
    // "When the position falls back: STOP, START, count the loss."
    [['running'], ['overrun'], 'running', 'triggerStop', 'triggerStart', 'countXrun'],
    // 'end' comes when all has been read: nothing is left to be thrown away.
    [['prepared', 'preparedHeld'], ['destroy'], 'finished', 'close'],
    [['closed', 'closedHeld', 'prepared', 'preparedHeld'], ['end'], 'finished', 'close'],
    [['running', 'paused'], ['end'], 'finished', 'triggerStop', 'close'],
    // Nothing has been captured yet.
    [['prepared'], ['drop'], 'prepared'],
    [['preparedHeld'], ['drop'], 'preparedHeld'],
  ],
};

function demanded(type: Type, from: SubstreamState, event: SubstreamEvent): Statement | undefined {
  const found = DEMANDED[type].filter(([states, events]) => states.includes(from) && events.includes(event));
  if (found.length > 1) throw new Error(`two statements about '${event}' in ${from}`);
  return found[0];
}

describe.each(TYPES)('the table of a %s substream', (type) => {
  const cells = STATES.flatMap((from) => EVENTS.map((event) => ({ from, event })));

  it.each(cells)("in state $from says what follows from '$event', or refuses it", ({ from, event }) => {
    const statement = demanded(type, from, event);
    expect(knowsEvent(type, from, event)).toBe(statement !== undefined);
    if (statement === undefined) {
      expect(thrownBy(() => substreamTransition(type, from, event))).toMatchObject({
        name: 'VsndError',
        code: 'ERR_VSND_INVALID_STATE',
        message: `a ${type} substream in state ${from} cannot take '${event}'`,
      });
    } else {
      const [, , to, ...effects] = statement;
      expect(substreamTransition(type, from, event)).toEqual({ to, effects });
    }
  });

  it('knows each event somewhere, but those of the other kind', () => {
    const known = EVENTS.filter((event) => STATES.some((from) => knowsEvent(type, from, event)));
    const own = EVENTS.filter((event) => (type === 'capture' ? !PLAYBACK_ONLY[event] : event !== 'overrun'));
    expect(known).toEqual(own);
  });
});

it.each(Object.entries(PUBLIC))('a substream in state %s is %s to its user', (state, told) => {
  expect(streamState(state as SubstreamState)).toBe(told);
});

/** A substream and its session at the backend. */
interface Situation {
  readonly state: SubstreamState;
  readonly session: 'awaited' | 'open' | 'started' | 'paused' | 'none';
  /** The user's last word was 'pause'. */
  readonly isHeld: boolean;
}

const BEGIN: Situation = { state: 'closed', session: 'awaited', isHeld: false };

/** What an effect makes of a session; each is asked for only where it makes sense. */
function carryOut(effect: SubstreamEffect, session: Situation['session']): Situation['session'] {
  switch (effect) {
    case 'triggerStart':
      expect(session, 'START once, of what is open').toBe('open');
      return 'started';
    case 'triggerPause':
      expect(session).toBe('started');
      return 'paused';
    case 'triggerResume':
      expect(session).toBe('paused');
      return 'started';
    case 'triggerStop':
      expect(['open', 'started', 'paused'], 'STOP of what is open').toContain(session);
      return 'open';
    case 'close':
      return 'none';
    case 'reopen':
      expect(session, 'one session after the other').toBe('none');
      return 'awaited';
    default:
      return session;
  }
}

/** What an event means before anybody acts on it. */
function hear(event: SubstreamEvent, { session, isHeld }: Situation): Omit<Situation, 'state'> {
  switch (event) {
    case 'opened':
      return { session: 'open', isHeld };
    case 'lost':
      return { session: 'none', isHeld };
    case 'pause':
      return { session, isHeld: true };
    case 'resume':
      return { session, isHeld: false };
    case 'pauseNeedless':
      return { session: 'started', isHeld };
    case 'pauseRefused':
      return { session: 'started', isHeld: false };
    default:
      return { session, isHeld };
  }
}

function follow(type: Type, from: Situation, event: SubstreamEvent): Situation {
  const { to, effects } = substreamTransition(type, from.state, event);
  const heard = hear(event, from);
  const session = effects.reduce((before, effect) => carryOut(effect, before), heard.session);
  return { state: to, session, isHeld: heard.isHeld };
}

/** The events that can happen: those that the state knows, and an answer to OPEN only where one is awaited. */
function eventsIn(type: Type, { state, session }: Situation): SubstreamEvent[] {
  return EVENTS.filter(
    (event) => knowsEvent(type, state, event) && (event !== 'opened' || session === 'awaited'),
  );
}

const isStarted = ({ session }: Situation): boolean => session === 'started' || session === 'paused';

/** All situations that any events lead to. */
function explore(type: Type): Situation[] {
  const found = new Map([[JSON.stringify(BEGIN), BEGIN]]);
  for (const situation of found.values()) {
    for (const event of eventsIn(type, situation)) {
      const next = follow(type, situation, event);
      found.set(JSON.stringify(next), next);
    }
  }
  return [...found.values()];
}

describe.each(TYPES)('whatever happens to a %s substream', (type) => {
  const situations = explore(type);

  it('it comes to each of its states', () => {
    const own = type === 'playback' ? STATES : STATES.filter((name) => !/^underrun|draining/.test(name));
    expect(new Set(situations.map(({ state }) => state))).toEqual(new Set(own));
  });

  it('the backend has been told what the state says', () => {
    const SESSION: Record<SubstreamState, Situation['session']> = {
      closed: 'awaited',
      closedHeld: 'awaited',
      prepared: 'open',
      preparedHeld: 'open',
      running: 'started',
      paused: 'paused',
      underrun: 'started',
      underrunHeld: 'started',
      draining: 'started',
      finished: 'none',
    };
    for (const { state, session } of situations) expect([state, session]).toEqual([state, SESSION[state]]);
  });

  it("it is 'paused' to its user from 'pause' to 'resume', unless the backend refuses or all is over", () => {
    for (const { state, isHeld } of situations) {
      if (state !== 'finished') expect([state, streamState(state) === 'paused']).toEqual([state, isHeld]);
    }
  });

  it('what was started is stopped before it is closed, unless it is to play out', () => {
    for (const from of situations.filter(isStarted)) {
      for (const event of eventsIn(type, from)) {
        const { effects } = substreamTransition(type, from.state, event);
        const playsOut = event === 'playedNearly' || event === 'stalled';
        const order = effects.filter((effect) => effect === 'triggerStop' || effect === 'close');
        if (order.includes('close')) expect(order).toEqual(playsOut ? ['close'] : ['triggerStop', 'close']);
      }
    }
  });

  it("'destroy' ends it at once, and nothing follows from anything afterwards", () => {
    for (const from of situations) {
      const end = follow(type, from, 'destroy');
      expect(end).toMatchObject({ state: 'finished', session: 'none' });
      for (const event of eventsIn(type, end)) expect(follow(type, end, event)).toEqual(end);
    }
  });

  it("after 'lost', and 'drop' of what was started, only 'opened' leads on, or the end", () => {
    for (const from of situations.filter(({ state }) => state !== 'finished')) {
      const losses: SubstreamEvent[] = isStarted(from) ? ['lost', 'drop'] : ['lost'];
      for (const event of losses) {
        const next = follow(type, from, event);
        if (next.state === 'finished') continue;
        expect(next).toEqual({
          state: from.isHeld ? 'closedHeld' : 'closed',
          session: 'awaited',
          isHeld: from.isHeld,
        });
      }
    }
    for (const from of ['closed', 'closedHeld'] as const) {
      for (const event of EVENTS.filter((name) => name !== 'opened' && knowsEvent(type, from, name))) {
        expect(['closed', 'closedHeld', 'finished']).toContain(substreamTransition(type, from, event).to);
      }
    }
  });
});
