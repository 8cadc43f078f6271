import { expect, test } from 'vitest';
import { StateMachine, type Transition } from '../../src/xenbus/machine.ts';

type State = 'idle' | 'busy';
type Event = 'go' | 'done' | 'reset';
type Effect = 'work' | 'rest' | 'ask';

const TABLE: Record<State, Record<Event, Transition<State, Effect>>> = {
  idle: {
    go: { to: 'busy', effects: ['work', 'rest'] },
    done: { to: 'idle', effects: [] },
    reset: { to: 'idle', effects: [] },
  },
  busy: {
    go: { to: 'busy', effects: [] },
    done: { to: 'idle', effects: ['rest'] },
    reset: { to: 'idle', effects: ['rest'] },
  },
};

/** A machine whose effects are recorded, and take a turn each. */
function record(outcome: Partial<Record<Effect, Event | Error>> = {}) {
  const log: string[] = [];
  const machine = new StateMachine<State, Event, Effect>({
    initial: 'idle',
    transition: (from, event) => {
      log.push(`${from}, ${event}`);
      return TABLE[from][event];
    },
    run: async (effect) => {
      await new Promise((resolve) => setImmediate(resolve));
      log.push(effect);
      const result = outcome[effect];
      if (result instanceof Error) throw result;
      return result;
    },
    onError: (error) => log.push(`failed: ${error.message}`),
  });
  return { machine, log };
}

test('an event waits until all effects of the one before have been carried out', async () => {
  const { machine, log } = record();
  void machine.dispatch('go');
  await machine.dispatch('reset');
  expect(log).toEqual(['idle, go', 'work', 'rest', 'busy, reset', 'rest']);
});

test('the event that an effect gives comes before those that wait', async () => {
  const { machine, log } = record({ work: 'done' });
  void machine.dispatch('go');
  void machine.dispatch('reset');
  await machine.idle;
  expect(log).toEqual(['idle, go', 'work', 'rest', 'busy, done', 'rest', 'idle, reset']);
});

test('an effect that fails keeps neither those behind it nor later events from their turn', async () => {
  const { machine, log } = record({ work: new Error('broken') });
  await machine.dispatch('go');
  await machine.dispatch('reset');
  expect(log).toEqual(['idle, go', 'work', 'failed: broken', 'rest', 'busy, reset', 'rest']);
});

test('an effect may be asked for its event alone', async () => {
  const { machine, log } = record({ ask: 'go' });
  await machine.perform('ask');
  expect(log).toEqual(['ask', 'idle, go', 'work', 'rest']);
});
