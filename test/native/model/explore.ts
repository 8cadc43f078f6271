/** One thing that may happen next, and what the world is like then. */
export interface Step<S> {
  readonly name: string;
  readonly next: S;
}

export interface Model<S> {
  readonly first: S;
  /** Everything that may happen next: threads go on in any order. */
  steps(state: S): Step<S>[];
  /** What is wrong with a state, whatever comes next. */
  wrong(state: S): string | undefined;
  /** What is wrong where nothing can happen any more. */
  stuck(state: S): string | undefined;
}

export interface Findings {
  readonly states: number;
  /** What is wrong, and the shortest way there; undefined where nothing is. */
  readonly mistake: { readonly what: string; readonly way: readonly string[] } | undefined;
}

/** Looks at every state that can be reached, the nearest first. States are plain values. */
export function explore<S>(model: Model<S>): Findings {
  const first = JSON.stringify(model.first);
  /** By state: where it was reached from, and by what. */
  const seen = new Map<string, { from: string; name: string } | undefined>([[first, undefined]]);
  const wayTo = (state: string): string[] => {
    const reached = seen.get(state);
    return reached ? [...wayTo(reached.from), reached.name] : [];
  };
  let level = [{ key: first, state: model.first }];
  while (level.length > 0) {
    const next: typeof level = [];
    for (const { key: from, state } of level) {
      const steps = model.steps(state);
      const what = model.wrong(state) ?? (steps.length === 0 ? model.stuck(state) : undefined);
      if (what !== undefined) return { states: seen.size, mistake: { what, way: wayTo(from) } };
      for (const step of steps) {
        const to = JSON.stringify(step.next);
        if (seen.has(to)) continue;
        seen.set(to, { from, name: step.name });
        next.push({ key: to, state: step.next });
      }
    }
    level = next;
  }
  return { states: seen.size, mistake: undefined };
}
