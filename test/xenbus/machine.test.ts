import { describe, expect, it } from 'vitest';
import { deferred } from '../../src/deferred.ts';
import { StateMachine, type Transition } from '../../src/xenbus/machine.ts';

type State = 'idle' | 'busy' | 'done';
type Event = 'begin' | 'end' | 'again';
type Effect = 'first' | 'second' | 'ask' | 'fail';

const TABLE: Record<State, Partial<Record<Event, Transition<State, Effect>>>> = {
  idle: {
    begin: { to: 'busy', effects: ['first', 'second'] },
    again: { to: 'busy', effects: ['ask', 'second'] },
  },
  busy: { end: { to: 'done', effects: ['fail', 'second'] }, again: { to: 'busy', effects: ['second'] } },
  done: {},
};

/** A machine that writes down what it does; an effect is carried out by `run`, if given. */
function start(run: (effect: Effect) => Promise<Event | undefined> = async () => undefined) {
  const log: string[] = [];
  const machine = new StateMachine<State, Event, Effect>({
    initial: 'idle',
    transition: (from, event) => {
      log.push(`${from} ${event}`);
      const transition = TABLE[from][event];
      if (transition === undefined) throw new Error(`no ${event} in ${from}`);
      return transition;
    },
    run: async (effect) => {
      const event = await run(effect);
      log.push(effect);
      return event;
    },
    onError: (error) => log.push(`error: ${error.message}`),
  });
  return { machine, log };
}

describe('a state machine', () => {
  it('carries out all effects of an event, in order, before it looks at the next one', async () => {
    const slow = deferred();
    const { machine, log } = start(async (effect) => {
      if (effect === 'first') await slow.promise;
      return undefined;
    });
    const dispatched = [machine.dispatch('begin'), machine.dispatch('again')];
    await new Promise((resolve) => setImmediate(resolve));
    expect(log).toEqual(['idle begin']);
    slow.resolve();
    await Promise.all(dispatched);
    expect(log).toEqual(['idle begin', 'first', 'second', 'busy again', 'second']);
  });

  it('takes the event that an effect gives when all effects are done, before those that wait', async () => {
    const { machine, log } = start(async (effect) => (effect === 'ask' ? 'end' : undefined));
    const later = machine.dispatch('again');
    await machine.dispatch('again').catch((error: Error) => log.push(error.message));
    await later;
    expect(log).toEqual([
      'idle again',
      'ask',
      'second',
      'busy end',
      'fail',
      'second',
      'done again',
      'no again in done',
    ]);
  });

  it('takes the event that an effect performed by itself gives, if it gives one', async () => {
    const { machine, log } = start(async (effect) => (effect === 'ask' ? 'begin' : undefined));
    await machine.perform('second');
    expect(log).toEqual(['second']);
    await machine.perform('ask');
    expect(log).toEqual(['second', 'ask', 'idle begin', 'first', 'second']);
  });

  it('carries out the effects behind one that failed, and goes on', async () => {
    const { machine, log } = start(async (effect) => {
      if (effect === 'fail') throw new Error('failed');
      return undefined;
    });
    await machine.dispatch('begin');
    await machine.dispatch('end');
    expect(log.slice(3)).toEqual(['busy end', 'error: failed', 'second']);
    await machine.perform('fail');
    expect(log.at(-1)).toBe('error: failed');
  });

  it('is idle when all events so far have been handled', async () => {
    const { machine, log } = start();
    await machine.idle;
    void machine.dispatch('begin');
    void machine.dispatch('again');
    await machine.idle;
    expect(log).toEqual(['idle begin', 'first', 'second', 'busy again', 'second']);
  });
});
