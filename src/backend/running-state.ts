import type { SndifTriggerName } from '../wire/sndif.ts';
import { Refusal } from './refusal.ts';

/** What a stream does between OPEN and CLOSE. */
export type RunningState = 'stopped' | 'running' | 'paused';

/** STOP is right at any time. */
const TRIGGERS: Record<SndifTriggerName, { from?: RunningState; to: RunningState }> = {
  start: { from: 'stopped', to: 'running' },
  pause: { from: 'running', to: 'paused' },
  resume: { from: 'paused', to: 'running' },
  stop: { to: 'stopped' },
};

/** The state after a trigger. Throws {@link Refusal} (EBADFD) for one that the state does not allow. */
export function stateAfter(state: RunningState, trigger: SndifTriggerName): RunningState {
  const { from = state, to } = TRIGGERS[trigger];
  if (from === state) return to;
  throw new Refusal('EBADFD', `TRIGGER ${trigger.toUpperCase()} of a stream that is ${state}`);
}
