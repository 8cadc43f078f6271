import { VsndError } from '../errors.ts';
import type { Transition } from './machine.ts';
import { forEveryState, type OtherendState } from './state.ts';

/** The backend's side of one connection. */
export type BackendState =
  /** Wrote 1; looks at its own device. */
  | 'initialising'
  /** Wrote 2; waits for the frontend's Initialised. */
  | 'initWait'
  /** Reads what the frontend published, maps and binds it. */
  | 'connecting'
  /** Wrote 4. */
  | 'connected'
  /** Wrote 6: the frontend published nonsense, and must begin anew. */
  | 'closed'
  /** The device is being removed. */
  | 'removed';

/** What happens to the backend besides the frontend's states. */
export type BackendOwnEvent =
  | 'ready'
  | 'connectDone'
  | 'connectFailed'
  /** The toolstack removes the device, or the backend ends. */
  | 'remove';

export type BackendEvent = OtherendState | BackendOwnEvent;

/** What is to be done, in this order, before the next event is looked at. */
export type BackendEffect =
  /** Map and bind what the frontend published; gives 'connectDone' or 'connectFailed'. */
  | 'connect'
  /** Stop, unmap and unbind everything. */
  | 'disconnect'
  | 'writeInitWait'
  | 'writeConnected'
  | 'writeClosing'
  | 'writeClosed'
  /** The frontend may have moved on meanwhile: read its state again. */
  | 'readAgain'
  /** Our own state may have been lost: write it again where XenStore says something else. Not of the table. */
  | 'affirm';

export type BackendTransition = Transition<BackendState, BackendEffect>;

type Row = Record<OtherendState, BackendTransition> & Partial<Record<BackendOwnEvent, BackendTransition>>;

const go = (to: BackendState, ...effects: BackendEffect[]): BackendTransition => ({ to, effects });

/** Closing and Closed are passed through: the backend rests in InitWait, ready for the frontend's next try. */
const close = go('initWait', 'writeClosing', 'disconnect', 'writeClosed', 'writeInitWait', 'readAgain');
const reopen = go('initWait', 'writeInitWait', 'readAgain');

/** How a sndif backend answers its frontend: as the reference backend does, save that the frontend can leave 'closed' behind. */
export const BACKEND_TABLE: Record<BackendState, Row> = {
  initialising: {
    ...forEveryState(go('initialising')),
    ready: go('initWait', 'writeInitWait', 'readAgain'),
    remove: go('removed', 'writeClosed'),
  },
  initWait: {
    ...forEveryState(go('initWait')), // Connected: our predecessor's connection, whose rings are not ours to take over
    Initialised: go('connecting', 'connect'),
    remove: go('removed', 'writeClosing', 'writeClosed'),
  },
  connecting: {
    ...forEveryState(go('connecting')),
    connectDone: go('connected', 'writeConnected', 'readAgain'),
    connectFailed: go('closed', 'disconnect', 'writeClosing', 'writeClosed', 'readAgain'),
  },
  connected: {
    ...forEveryState(close),
    Initialised: go('connected'),
    Connected: go('connected'),
    remove: go('removed', 'writeClosing', 'disconnect', 'writeClosed'),
  },
  closed: {
    ...forEveryState(go('closed')),
    Initialising: reopen,
    Closing: reopen,
    Closed: reopen,
    remove: go('removed'),
  },
  removed: { ...forEveryState(go('removed')), remove: go('removed') },
};

/** The only way from one state to the next. Throws ERR_VSND_INVALID_STATE for an event that the state does not know. */
export function backendTransition(from: BackendState, event: BackendEvent): BackendTransition {
  const transition = BACKEND_TABLE[from][event];
  if (transition === undefined) {
    throw new VsndError('ERR_VSND_INVALID_STATE', `a backend in state ${from} cannot take '${event}'`);
  }
  return transition;
}
