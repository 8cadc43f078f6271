import { describe, expect, it } from 'vitest';
import {
  type BackendEffect,
  type BackendEvent,
  type BackendState,
  backendTransition,
} from '../../src/xenbus/backend-table.ts';
import {
  type FrontendEffect,
  type FrontendEvent,
  type FrontendState,
  frontendTransition,
} from '../../src/xenbus/frontend-table.ts';
import type { OtherendState } from '../../src/xenbus/state.ts';
import { thrownBy } from '../wire/support.ts';

/** Everything that the other end's node can say, in the order of its numbers. */
const OTHEREND: readonly OtherendState[] = [
  'Unknown',
  'Initialising',
  'InitWait',
  'Initialised',
  'Connected',
  'Closing',
  'Closed',
  'Reconfiguring',
  'Reconfigured',
  'Gone',
];

/** A state, some events, and what follows: the state, then the effects in their order. No entry: refused. */
type Statement<S, E, F> = readonly [from: S, events: readonly E[], to: S, ...effects: F[]];

function statementOf<S, E, F>(all: readonly Statement<S, E, F>[], from: S, event: E) {
  const found = all.filter(([state, events]) => state === from && events.includes(event));
  if (found.length > 1) throw new Error(`two statements about '${String(event)}' in ${String(from)}`);
  return found[0];
}

const except = (...states: OtherendState[]): OtherendState[] => OTHEREND.filter((s) => !states.includes(s));

describe('the frontend', () => {
  const OWN: readonly FrontendEvent[] = ['published', 'publishFailed', 'leave', 'silence', 'heldEnough'];
  const STATES: readonly FrontendState[] = [
    'initialising',
    'publishing',
    'initialised',
    'connected',
    'closing',
    'closed',
    'holding',
    'holdingToLeave',
    'lost',
  ];

  /** Whatever ends a connection: nothing pending is answered, and 1 tells a living backend to let go. */
  const LOSE = ['lost', 'announceLost', 'resetRings', 'writeInitialising', 'release'] as const;
  /** A backend may have read our 3 or 4, and be about to bind: it finds ports and pages, and no request in them. */
  const HOLD = ['holding', 'announceLost', 'resetRings', 'writeInitialising', 'hold'] as const;

  const DEMANDED: readonly Statement<FrontendState, FrontendEvent, FrontendEffect>[] = [
    // A backend at 4, 5 or 6 is letting go of a predecessor and comes to 2; one at 1 looks at its device.
    ['initialising', except('InitWait', 'Gone'), 'initialising'],
    // Only a backend at 2 takes what is published; then comes 3, and 4 never before the backend's 4.
    ['initialising', ['InitWait'], 'publishing', 'publish'],
    ['initialising', ['Gone', 'silence'], ...LOSE],
    ['initialising', ['leave'], 'closed', 'writeClosed', 'announceClosed', 'release'],
    ['publishing', OTHEREND, 'publishing'],
    // The backend may be ready before anybody looks, and no watch tells of a state that stays.
    ['publishing', ['published'], 'initialised', 'writeInitialised', 'readAgain'],
    ['publishing', ['publishFailed'], ...LOSE],
    // It reads and maps at 2, and a backend that begins anew (1, 2) finds state 3.
    ['initialised', ['Initialising', 'InitWait', 'Initialised'], 'initialised'],
    ['initialised', ['Connected'], 'connected', 'writeConnected', 'announceConnected'],
    // "One missing node closes the whole device for good": waiting would not help.
    ['initialised', ['Closing', 'Closed', 'Unknown', 'Reconfiguring', 'Reconfigured'], ...HOLD],
    // Its 2 is from before our 3: it may be about to bind.
    ['initialised', ['silence'], ...HOLD],
    ['initialised', ['Gone'], ...LOSE],
    // Any other state of the backend while connected: this connection is over.
    ['connected', ['Connected'], 'connected'],
    ['connected', except('Connected', 'InitWait', 'Gone'), ...HOLD],
    ['connected', ['silence'], ...HOLD],
    // At 2 it has let go already.
    ['connected', ['InitWait', 'Gone'], ...LOSE],
    // The backend has everything mapped as long as it is at 3 or 4, and until its 5 is over.
    ['closing', ['Initialised', 'Connected', 'Closing', 'Reconfiguring', 'Reconfigured', 'leave'], 'closing'],
    // Its 6 is transient, and may never be seen: 1 and 2 say the same.
    [
      'closing',
      ['Initialising', 'InitWait', 'Closed', 'Gone', 'Unknown', 'silence'],
      'closed',
      'writeClosed',
      'announceClosed',
      'release',
    ],
    ['initialised', ['leave'], 'closing', 'writeClosing', 'readAgain'],
    ['connected', ['leave'], 'closing', 'writeClosing', 'readAgain'],
    // Over: nothing is announced twice, and nothing is written behind a successor's back.
    ['closed', [...OTHEREND, 'leave', 'silence', 'heldEnough'], 'closed'],
    ['lost', [...OTHEREND, 'leave', 'silence', 'heldEnough'], 'lost'],
    // 5, 6, 1 and a false 4 are what a backend passes through that has read our 4 when it started: it still has it all bound.
    ['holding', [...except('InitWait', 'Gone'), 'silence'], 'holding'],
    ['holding', ['InitWait', 'Gone', 'heldEnough'], 'lost', 'release'],
    ['holding', ['leave'], 'holdingToLeave'],
    ['holdingToLeave', [...except('InitWait', 'Gone'), 'leave', 'silence'], 'holdingToLeave'],
    [
      'holdingToLeave',
      ['InitWait', 'Gone', 'heldEnough'],
      'closed',
      'writeClosed',
      'announceClosed',
      'release',
    ],
  ];

  const cells = STATES.flatMap((from) => [...OTHEREND, ...OWN].map((event) => ({ from, event })));

  it.each(cells)('$from, told $event, does what the protocol demands', ({ from, event }) => {
    const statement = statementOf(DEMANDED, from, event);
    if (statement === undefined) {
      expect(thrownBy(() => frontendTransition(from, event))).toMatchObject({
        name: 'VsndError',
        code: 'ERR_VSND_INVALID_STATE',
        message: `a frontend in state ${from} cannot take '${event}'`,
      });
    } else {
      const [, , to, ...effects] = statement;
      expect(frontendTransition(from, event)).toEqual({ to, effects });
    }
  });

  it('has an answer to each state of the backend at any time, and to silence whenever it waits', () => {
    for (const from of STATES) {
      for (const event of OTHEREND) expect(() => frontendTransition(from, event)).not.toThrow();
      if (from === 'publishing') continue; // it waits for nobody then
      for (const event of ['leave', 'silence'] as const)
        expect(() => frontendTransition(from, event)).not.toThrow();
    }
  });
});

describe('the backend', () => {
  const OWN: readonly BackendEvent[] = ['ready', 'connectDone', 'connectFailed', 'remove'];
  const STATES: readonly BackendState[] = [
    'initialising',
    'initWait',
    'connecting',
    'connected',
    'closed',
    'removed',
  ];

  /** 5 and 6 are transient: it ends at 2, ready for the next connection. */
  const CLOSE = [
    'initWait',
    'writeClosing',
    'disconnect',
    'writeClosed',
    'writeInitWait',
    'readAgain',
  ] as const;

  const DEMANDED: readonly Statement<BackendState, BackendEvent, BackendEffect>[] = [
    ['initialising', OTHEREND, 'initialising'],
    ['initialising', ['ready'], 'initWait', 'writeInitWait', 'readAgain'],
    ['initialising', ['remove'], 'removed', 'writeClosed'],
    // A frontend at 4 is connected to a predecessor of ours, with grants that are not for us.
    ['initWait', except('Initialised'), 'initWait'],
    ['initWait', ['Initialised'], 'connecting', 'connect'],
    ['initWait', ['remove'], 'removed', 'writeClosing', 'writeClosed'],
    ['connecting', OTHEREND, 'connecting'],
    ['connecting', ['connectDone'], 'connected', 'writeConnected', 'readAgain'],
    // One missing node closes the whole device, with nothing left mapped.
    ['connecting', ['connectFailed'], 'closed', 'disconnect', 'writeClosing', 'writeClosed', 'readAgain'],
    ['connected', ['Initialised', 'Connected'], 'connected'],
    // 1 is a frontend that begins anew, 5 and 6 one that leaves; errors of the frontend count as 6.
    ['connected', except('Initialised', 'Connected'), ...CLOSE],
    ['connected', ['remove'], 'removed', 'writeClosing', 'disconnect', 'writeClosed'],
    ['closed', ['Initialising', 'Closing', 'Closed'], 'initWait', 'writeInitWait', 'readAgain'],
    // It is still the same nonsense that was published, or nothing.
    ['closed', except('Initialising', 'Closing', 'Closed'), 'closed'],
    ['closed', ['remove'], 'removed'],
    ['removed', [...OTHEREND, 'remove'], 'removed'],
  ];

  const cells = STATES.flatMap((from) => [...OTHEREND, ...OWN].map((event) => ({ from, event })));

  it.each(cells)('$from, told $event, does what the protocol demands', ({ from, event }) => {
    const statement = statementOf(DEMANDED, from, event);
    if (statement === undefined) {
      expect(thrownBy(() => backendTransition(from, event))).toMatchObject({
        name: 'VsndError',
        code: 'ERR_VSND_INVALID_STATE',
        message: `a backend in state ${from} cannot take '${event}'`,
      });
    } else {
      const [, , to, ...effects] = statement;
      expect(backendTransition(from, event)).toEqual({ to, effects });
    }
  });

  it('has an answer to each state of the frontend at any time, and to its removal whenever it waits', () => {
    for (const from of STATES) {
      for (const event of OTHEREND) expect(() => backendTransition(from, event)).not.toThrow();
      if (from !== 'connecting') expect(() => backendTransition(from, 'remove')).not.toThrow();
    }
  });
});
