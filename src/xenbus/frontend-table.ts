import { VsndError } from '../errors.ts';
import type { Transition } from './machine.ts';
import { forEveryState, type OtherendState } from './state.ts';

/** The frontend's side of one connection. */
export type FrontendState =
  /** Wrote 1; waits for the backend's InitWait. */
  | 'initialising'
  /** Allocates rings and ports and publishes them. */
  | 'publishing'
  /** Wrote 3; waits for the backend's Connected. */
  | 'initialised'
  /** Wrote 4. */
  | 'connected'
  /** Wrote 5; waits until the backend has let go. */
  | 'closing'
  /** Wrote 6, by its own will. */
  | 'closed'
  /** The connection is over; wrote 1, and keeps what was published until the backend has let go of it. */
  | 'holding'
  /** As 'holding', but the user wants to leave then. */
  | 'holdingToLeave'
  /** The backend ended the connection, or never made it. */
  | 'lost';

/** What happens to the frontend besides the backend's states. */
export type FrontendOwnEvent =
  | 'published'
  | 'publishFailed'
  /** The user wants to leave. */
  | 'leave'
  /** The backend did not answer in time, or broke the protocol. */
  | 'silence'
  /** What was published has been kept for as long as it is worth it. */
  | 'heldEnough';

export type FrontendEvent = OtherendState | FrontendOwnEvent;

/** What is to be done, in this order, before the next event is looked at. */
export type FrontendEffect =
  /** Allocate and publish every stream of the card; gives 'published' or 'publishFailed'. */
  | 'publish'
  | 'writeInitialising'
  | 'writeInitialised'
  | 'writeConnected'
  | 'writeClosing'
  | 'writeClosed'
  /** The backend may have moved on meanwhile: read its state again. */
  | 'readAgain'
  /** Requests can be made now. */
  | 'announceConnected'
  /** Requests can't be made any more: fail what is pending. */
  | 'announceLost'
  | 'announceClosed'
  /** Leave nothing in our rings that a backend could take for a request. */
  | 'resetRings'
  /** Gives 'heldEnough' after a while. */
  | 'hold'
  /** Give ports and pages back, the last first. */
  | 'release';

export type FrontendTransition = Transition<FrontendState, FrontendEffect>;

type Row = Record<OtherendState, FrontendTransition> & Partial<Record<FrontendOwnEvent, FrontendTransition>>;

const go = (to: FrontendState, ...effects: FrontendEffect[]): FrontendTransition => ({ to, effects });

/** Initialising again tells a backend that lives to let go, and invites one that comes back (sndif.h, recovery flow). */
const LOSE = ['announceLost', 'resetRings', 'writeInitialising'] as const;
/** Nothing of ours is bound: by a backend that waits, or is not there, or while we have published nothing. */
const lose = go('lost', ...LOSE, 'release');
/**
 * A backend that comes back at once may have read our 3 or 4 before our 1: it binds what that stood for, and only then
 * reads the 1. Until it has let go, ports and pages stay where they are, and nothing in them asks it for anything.
 */
const loseHolding = go('holding', ...LOSE, 'hold');
const leave = go('closing', 'writeClosing', 'readAgain');
const left = go('closed', 'writeClosed', 'announceClosed', 'release');

/**
 * sndif.h's state diagram, with what the reference backend adds to it: its Closing and Closed are transient, so before
 * the connection they mean "wait for InitWait", and afterwards any state but Connected means that it is over.
 */
export const FRONTEND_TABLE: Record<FrontendState, Row> = {
  initialising: {
    ...forEveryState(go('initialising')), // Connected: it still holds a predecessor's connection
    Gone: lose,
    InitWait: go('publishing', 'publish'),
    leave: left, // nothing was published
    silence: lose,
  },
  publishing: {
    ...forEveryState(go('publishing')),
    published: go('initialised', 'writeInitialised', 'readAgain'),
    publishFailed: lose,
  },
  initialised: {
    ...forEveryState(loseHolding),
    Gone: lose,
    Initialising: go('initialised'), // it has been restarted, and will find our Initialised
    InitWait: go('initialised'),
    Initialised: go('initialised'),
    Connected: go('connected', 'writeConnected', 'announceConnected'),
    leave,
    silence: loseHolding,
  },
  connected: {
    ...forEveryState(loseHolding),
    Gone: lose,
    InitWait: lose,
    Connected: go('connected'), // a watch fires also for what has been read already
    leave,
    silence: loseHolding,
  },
  holding: {
    ...forEveryState(go('holding')), // its 1 is a beginning, its 4 a false one, its 5 and 6 are passed through
    InitWait: go('lost', 'release'),
    Gone: go('lost', 'release'),
    heldEnough: go('lost', 'release'),
    leave: go('holdingToLeave'),
    silence: go('holding'),
  },
  holdingToLeave: {
    ...forEveryState(go('holdingToLeave')),
    InitWait: left,
    Gone: left,
    heldEnough: left,
    leave: go('holdingToLeave'),
    silence: go('holdingToLeave'),
  },
  closing: {
    ...forEveryState(left),
    Initialised: go('closing'),
    Connected: go('closing'),
    Closing: go('closing'),
    Reconfiguring: go('closing'),
    Reconfigured: go('closing'),
    leave: go('closing'),
    silence: left,
  },
  closed: {
    ...forEveryState(go('closed')),
    leave: go('closed'),
    silence: go('closed'),
    heldEnough: go('closed'),
  },
  lost: { ...forEveryState(go('lost')), leave: go('lost'), silence: go('lost'), heldEnough: go('lost') },
};

/** The only way from one state to the next. Throws ERR_VSND_INVALID_STATE for an event that the state does not know. */
export function frontendTransition(from: FrontendState, event: FrontendEvent): FrontendTransition {
  const transition = FRONTEND_TABLE[from][event];
  if (transition === undefined) {
    throw new VsndError('ERR_VSND_INVALID_STATE', `a frontend in state ${from} cannot take '${event}'`);
  }
  return transition;
}
