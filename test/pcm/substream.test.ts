import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type PlaybackEffect,
  type PlaybackEvent,
  type PlaybackState,
  playbackTransition,
} from '../../src/pcm/substream.ts';
import { thrownBy } from '../wire/support.ts';

const STATES: readonly PlaybackState[] = [
  'closed',
  'prepared',
  'running',
  'underrun',
  'draining',
  'finished',
];
const EVENTS: readonly PlaybackEvent[] = [
  'opened',
  'threshold',
  'dry',
  'refilled',
  'end',
  'endEmpty',
  'played',
  'stalled',
  'destroy',
];

/** Every event that a state may take; what is not here is refused. */
const ALLOWED: readonly (readonly [PlaybackState, PlaybackEvent, PlaybackState, ...PlaybackEffect[]])[] = [
  // Nothing is open yet, and nothing has to be closed.
  ['closed', 'opened', 'prepared'],
  ['closed', 'destroy', 'finished'],
  // Only a trigger starts playback; less than the threshold is started by its end.
  ['prepared', 'threshold', 'running', 'triggerStart'],
  ['prepared', 'end', 'draining', 'triggerStart'],
  ['prepared', 'endEmpty', 'finished', 'close'],
  ['prepared', 'destroy', 'finished', 'close'],
  // An underrun ends by itself when data comes: no second START.
  ['running', 'dry', 'underrun', 'countUnderrun'],
  ['running', 'end', 'draining'],
  ['underrun', 'refilled', 'running'],
  ['underrun', 'end', 'draining'],
  // What is being given up is thrown away: STOP, then CLOSE.
  ['running', 'destroy', 'finished', 'triggerStop', 'close'],
  ['underrun', 'destroy', 'finished', 'triggerStop', 'close'],
  ['draining', 'destroy', 'finished', 'triggerStop', 'close'],
  // All is played: nothing is lost by STOP. Silent positions: STOP would throw away what CLOSE lets play.
  ['draining', 'played', 'finished', 'triggerStop', 'close'],
  ['draining', 'stalled', 'finished', 'warnStalled', 'close'],
  ['finished', 'destroy', 'finished'],
];

const cells = STATES.flatMap((from) => EVENTS.map((event) => ({ from, event })));

describe('the table of a playback substream', () => {
  it.each(cells)("in state $from says what follows from '$event', or refuses it", ({ from, event }) => {
    const row = ALLOWED.find(([state, name]) => state === from && name === event);
    if (row === undefined) {
      expect(thrownBy(() => playbackTransition(from, event))).toMatchObject({
        name: 'VsndError',
        code: 'ERR_VSND_INVALID_STATE',
        message: `a playback substream in state ${from} cannot take '${event}'`,
      });
    } else {
      const [, , to, ...effects] = row;
      expect(playbackTransition(from, event)).toEqual({ to, effects });
    }
  });
});

describe('whatever happens to a playback substream', () => {
  const walks = fc.array(fc.constantFrom(...EVENTS), { maxLength: 40, size: 'max' });

  /** Takes the events that each state knows, and passes over the others. */
  function walk(events: readonly PlaybackEvent[]): { states: PlaybackState[]; effects: PlaybackEffect[] } {
    const states: PlaybackState[] = ['closed'];
    const effects: PlaybackEffect[] = [];
    for (const event of events) {
      const from = states.at(-1) ?? 'closed';
      if (!ALLOWED.some(([state, name]) => state === from && name === event)) continue;
      const transition = playbackTransition(from, event);
      states.push(transition.to);
      effects.push(...transition.effects);
    }
    return { states, effects };
  }

  it('it is started at most once, closed once if it was opened, and asked for nothing afterwards', () => {
    fc.assert(
      fc.property(walks, (events) => {
        const { states, effects } = walk([...events, 'destroy']);
        const count = (wanted: PlaybackEffect) => effects.filter((effect) => effect === wanted).length;
        expect(states.at(-1)).toBe('finished');
        expect(count('triggerStart')).toBe(states.some((s) => /running|draining/.test(s)) ? 1 : 0);
        expect(count('close')).toBe(states.includes('prepared') ? 1 : 0);
        if (effects.includes('close')) expect(effects.at(-1)).toBe('close');
        expect(count('countUnderrun')).toBe(states.filter((state) => state === 'underrun').length);
      }),
    );
  });

  it('it is stopped only after it was started, and right before it is closed', () => {
    fc.assert(
      fc.property(walks, (events) => {
        const { effects } = walk(events);
        const stop = effects.indexOf('triggerStop');
        if (stop === -1) return;
        expect(effects.slice(stop)).toEqual(['triggerStop', 'close']);
        expect(effects.indexOf('triggerStart')).toBeGreaterThanOrEqual(0);
        expect(effects.indexOf('triggerStart')).toBeLessThan(stop);
      }),
    );
  });
});
