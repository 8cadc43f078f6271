import { VsndError } from '../errors.ts';

/** A substream, as its owner sees it. 'Held': the user has paused it. */
export type SubstreamState =
  /** Not open at the backend, or not yet. */
  | 'closed'
  | 'closedHeld'
  /** Open; playback fills up to the start threshold, capture waits for a reader. */
  | 'prepared'
  | 'preparedHeld'
  | 'running'
  /** Paused at the backend. */
  | 'paused'
  /** Playback that runs, with nothing left to play. */
  | 'underrun'
  | 'underrunHeld'
  /** Playback to which no more data will come; the rest is being played. */
  | 'draining'
  /** Over, for good. */
  | 'finished';

export type SubstreamEvent =
  /** OPEN was answered. */
  | 'opened'
  /** The start threshold has been reached; somebody reads. */
  | 'start'
  /** The position has reached the end of the data. */
  | 'dry'
  /** Data went in. */
  | 'refilled'
  /** More was captured than there was room for. */
  | 'overrun'
  /** The last data went in, or is to be read. */
  | 'end'
  /** There was never any data. */
  | 'endEmpty'
  /** The last frame has been played. */
  | 'played'
  /** All but what the position cannot show has been played: CLOSE plays that out. */
  | 'playedNearly'
  /** The position stands still although data remains. */
  | 'stalled'
  | 'pause'
  /** The backend has nothing to play, and so nothing to pause. */
  | 'pauseNeedless'
  | 'pauseRefused'
  | 'resume'
  /** What is queued is to be thrown away. */
  | 'drop'
  /** The connection is gone; another one is to come. */
  | 'lost'
  /** To be given up at once. */
  | 'destroy';

export type SubstreamEffect =
  | 'triggerStart'
  | 'triggerPause'
  | 'triggerResume'
  | 'triggerStop'
  | 'close'
  /** Open again, on the connection that stands or the next one. */
  | 'reopen'
  | 'countXrun'
  | 'warnStalled';

export interface SubstreamTransition {
  readonly to: SubstreamState;
  readonly effects: readonly SubstreamEffect[];
}

type Table = Record<SubstreamState, Partial<Record<SubstreamEvent, SubstreamTransition>>>;

const go = (to: SubstreamState, ...effects: SubstreamEffect[]): SubstreamTransition => ({ to, effects });

/** STOP before CLOSE, wherever sound may be queued at the backend: CLOSE alone plays it out, even where START never came. */
const stopAndLeave = go('finished', 'triggerStop', 'close');
const leave = go('finished', 'close');

/** STOP and START do not begin again reliably at a reference backend: CLOSE and OPEN do. */
const dropTo = (state: SubstreamState) => go(state, 'triggerStop', 'close', 'reopen');

const closed = {
  closed: {
    opened: go('prepared'),
    pause: go('closedHeld'),
    drop: go('closed'),
    lost: go('closed', 'reopen'),
    destroy: leave,
  },
  closedHeld: {
    opened: go('preparedHeld'),
    resume: go('closed'),
    drop: go('closedHeld'),
    lost: go('closedHeld', 'reopen'),
    destroy: leave,
  },
  finished: {
    lost: go('finished'),
    destroy: go('finished'),
  },
} satisfies Partial<Table>;

/** Paused while draining is 'paused': who drains says 'end' again after RESUME. */
const PLAYBACK: Table = {
  ...closed,
  closed: { ...closed.closed, endEmpty: leave },
  closedHeld: { ...closed.closedHeld, endEmpty: leave },
  prepared: {
    start: go('running', 'triggerStart'),
    pause: go('preparedHeld'),
    end: go('draining', 'triggerStart'),
    endEmpty: leave,
    drop: dropTo('closed'),
    lost: go('closed', 'reopen'),
    destroy: stopAndLeave,
  },
  preparedHeld: {
    resume: go('prepared'),
    endEmpty: leave,
    drop: dropTo('closedHeld'),
    lost: go('closedHeld', 'reopen'),
    destroy: stopAndLeave,
  },
  running: {
    dry: go('underrun', 'countXrun'),
    pause: go('paused', 'triggerPause'),
    end: go('draining'),
    drop: dropTo('closed'),
    lost: go('closed', 'reopen'),
    destroy: stopAndLeave,
  },
  paused: {
    pauseNeedless: go('underrunHeld'),
    pauseRefused: go('running'),
    resume: go('running', 'triggerResume'),
    drop: dropTo('closedHeld'),
    lost: go('closedHeld', 'reopen'),
    destroy: stopAndLeave,
  },
  underrun: {
    refilled: go('running'),
    pause: go('underrunHeld'),
    end: go('draining'),
    drop: dropTo('closed'),
    lost: go('closed', 'reopen'),
    destroy: stopAndLeave,
  },
  underrunHeld: {
    resume: go('underrun'),
    drop: dropTo('closedHeld'),
    lost: go('closedHeld', 'reopen'),
    destroy: stopAndLeave,
  },
  draining: {
    played: stopAndLeave,
    playedNearly: leave,
    stalled: go('finished', 'warnStalled', 'close'),
    pause: go('paused', 'triggerPause'),
    drop: stopAndLeave,
    lost: go('closed', 'reopen'),
    destroy: stopAndLeave,
  },
};

/** An overrun needs STOP before START: the backend's device stands still since, or has no room. */
const CAPTURE: Table = {
  ...closed,
  closed: { ...closed.closed, end: leave },
  closedHeld: { ...closed.closedHeld, end: leave },
  prepared: {
    start: go('running', 'triggerStart'),
    pause: go('preparedHeld'),
    end: leave,
    drop: go('prepared'),
    lost: go('closed', 'reopen'),
    destroy: leave,
  },
  preparedHeld: {
    resume: go('prepared'),
    end: leave,
    drop: go('preparedHeld'),
    lost: go('closedHeld', 'reopen'),
    destroy: leave,
  },
  running: {
    overrun: go('running', 'triggerStop', 'triggerStart', 'countXrun'),
    pause: go('paused', 'triggerPause'),
    end: stopAndLeave,
    drop: dropTo('closed'),
    lost: go('closed', 'reopen'),
    destroy: stopAndLeave,
  },
  paused: {
    pauseRefused: go('running'),
    resume: go('running', 'triggerResume'),
    end: stopAndLeave,
    drop: dropTo('closedHeld'),
    lost: go('closedHeld', 'reopen'),
    destroy: stopAndLeave,
  },
  // Playback's own.
  underrun: {},
  underrunHeld: {},
  draining: {},
};

export const SUBSTREAM_TABLES = { playback: PLAYBACK, capture: CAPTURE };

/** The only way from one state to the next. Throws ERR_VSND_INVALID_STATE for an event that the state does not know. */
export function substreamTransition(
  type: 'playback' | 'capture',
  from: SubstreamState,
  event: SubstreamEvent,
): SubstreamTransition {
  const transition = SUBSTREAM_TABLES[type][from][event];
  if (transition === undefined) {
    throw new VsndError(
      'ERR_VSND_INVALID_STATE',
      `a ${type} substream in state ${from} cannot take '${event}'`,
    );
  }
  return transition;
}

/** Whether the state knows the event. */
export function knowsEvent(
  type: 'playback' | 'capture',
  from: SubstreamState,
  event: SubstreamEvent,
): boolean {
  return SUBSTREAM_TABLES[type][from][event] !== undefined;
}

/** What users are told of a state. */
export type StreamState = 'closed' | 'prepared' | 'running' | 'paused' | 'underrun' | 'draining' | 'finished';

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

export function streamState(state: SubstreamState): StreamState {
  return PUBLIC[state];
}
