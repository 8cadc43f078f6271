/** One step of a table: the next state, and what is to be done on the way, in this order. */
export interface Transition<State, Effect> {
  readonly to: State;
  readonly effects: readonly Effect[];
}

export interface MachineOptions<State, Event, Effect> {
  readonly initial: State;
  /** The table: the only thing that decides about states. */
  transition(from: State, event: Event): Transition<State, Effect>;
  /** Is told of each step, before its effects. */
  trace?(from: State, event: Event, to: State): void;
  /** Carries out one effect; what it gives is the next event. */
  run(effect: Effect): Promise<Event | undefined>;
  /**
   * Hears of an effect that has failed for good, and gives up what the machine is about: they differ from here on. That
   * keeps no effect behind it from being carried out: to release, above all.
   */
  onError(error: Error): void;
}

/** Runs a table: one event at a time, each with all its effects before the next is looked at. */
export class StateMachine<State, Event, Effect> {
  readonly #options: MachineOptions<State, Event, Effect>;
  #state: State;
  #events: Promise<void> = Promise.resolve();

  constructor(options: MachineOptions<State, Event, Effect>) {
    this.#options = options;
    this.#state = options.initial;
  }

  /** Takes an event after those before it; resolves when its effects have been carried out. */
  dispatch(event: Event): Promise<void> {
    return this.#enqueue(async () => event);
  }

  /** As {@link dispatch}, for the event that `effect` gives. */
  perform(effect: Effect): Promise<void> {
    return this.#enqueue(() => this.#attempt(effect));
  }

  /** Resolves when all events so far have been handled. */
  get idle(): Promise<void> {
    return this.#events;
  }

  #enqueue(first: () => Promise<Event | undefined>): Promise<void> {
    this.#events = this.#events.then(async () => this.#handle(await first()));
    return this.#events;
  }

  async #handle(first: Event | undefined): Promise<void> {
    for (let event = first; event !== undefined; ) {
      const { to, effects } = this.#options.transition(this.#state, event);
      this.#options.trace?.(this.#state, event, to);
      this.#state = to;
      event = undefined;
      for (const effect of effects) event = (await this.#attempt(effect)) ?? event;
    }
  }

  async #attempt(effect: Effect): Promise<Event | undefined> {
    try {
      return await this.#options.run(effect);
    } catch (error) {
      this.#options.onError(error as Error);
      return undefined;
    }
  }
}
