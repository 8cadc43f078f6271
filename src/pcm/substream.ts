import { VsndError } from '../errors.ts';

/** A playback substream, as its owner sees it. */
export type PlaybackState =
  /** Not open at the backend. */
  | 'closed'
  /** Open, filling up to the start threshold. */
  | 'prepared'
  | 'running'
  /** Running, with nothing left to play. */
  | 'underrun'
  /** No more data will come; the rest is being played. */
  | 'draining'
  /** Over, for good. */
  | 'finished';

export type PlaybackEvent =
  /** OPEN was answered. */
  | 'opened'
  /** The start threshold has been reached. */
  | 'threshold'
  /** The position has reached the end of the data. */
  | 'dry'
  /** Data went in. */
  | 'refilled'
  /** The last data went in. */
  | 'end'
  /** There was never any data. */
  | 'endEmpty'
  /** The last frame has been played. */
  | 'played'
  /** The position stands still although data remains. */
  | 'stalled'
  /** To be given up at once. */
  | 'destroy';

export type PlaybackEffect = 'triggerStart' | 'triggerStop' | 'close' | 'countUnderrun' | 'warnStalled';

export interface PlaybackTransition {
  readonly to: PlaybackState;
  readonly effects: readonly PlaybackEffect[];
}

const go = (to: PlaybackState, ...effects: PlaybackEffect[]): PlaybackTransition => ({ to, effects });

/** STOP before CLOSE, wherever sound may still be queued at the backend: CLOSE alone lets it play out. */
const TABLE: Record<PlaybackState, Partial<Record<PlaybackEvent, PlaybackTransition>>> = {
  closed: {
    opened: go('prepared'),
    destroy: go('finished'),
  },
  prepared: {
    threshold: go('running', 'triggerStart'),
    end: go('draining', 'triggerStart'),
    endEmpty: go('finished', 'close'),
    destroy: go('finished', 'close'),
  },
  running: {
    dry: go('underrun', 'countUnderrun'),
    end: go('draining'),
    destroy: go('finished', 'triggerStop', 'close'),
  },
  underrun: {
    refilled: go('running'),
    end: go('draining'),
    destroy: go('finished', 'triggerStop', 'close'),
  },
  draining: {
    played: go('finished', 'triggerStop', 'close'),
    stalled: go('finished', 'warnStalled', 'close'),
    destroy: go('finished', 'triggerStop', 'close'),
  },
  finished: {
    destroy: go('finished'),
  },
};

/** The only way from one state to the next. Throws ERR_VSND_INVALID_STATE for an event that the state does not know. */
export function playbackTransition(from: PlaybackState, event: PlaybackEvent): PlaybackTransition {
  const transition = TABLE[from][event];
  if (transition === undefined) {
    throw new VsndError(
      'ERR_VSND_INVALID_STATE',
      `a playback substream in state ${from} cannot take '${event}'`,
    );
  }
  return transition;
}
