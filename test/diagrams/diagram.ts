/** A state machine's table: what becomes of a state by an event that it knows. */
export type Table = Readonly<
  Record<
    string,
    Readonly<Partial<Record<string, { readonly to: string; readonly effects: readonly string[] }>>>
  >
>;

export interface Machine {
  readonly title: string;
  /** What the machine is of. */
  readonly about: string;
  readonly initial: string;
  readonly table: Table;
  /** Events that belong together, by what they are called together. */
  readonly families?: Readonly<Record<string, readonly string[]>>;
}

/** What becomes of a state by an event. */
interface Way {
  readonly from: string;
  readonly event: string;
  readonly to: string;
  readonly effects: readonly string[];
}

/** At least one. */
type Some<T> = readonly [T, ...T[]];

/** An event that takes so many states to the same one is not drawn: its arrows would cross all others. */
const COMMON = 3;

/** Characters of a line on an arrow. */
const LINE = 18;

/** A machine in Markdown: its diagram, for Mermaid, and a table of what is done on each way. */
export function describeMachine({ title, about, initial, table, families = {} }: Machine): string {
  const ways = waysOf(table);
  const drawn = withoutCommon(ways);
  const arrows = groups(drawn, ({ from, to }) => [from, to]).map((between) => {
    const [{ from, to }] = between;
    return `  ${from} --> ${to}: ${broken(summed(between, families)).join('<br/>')}`;
  });
  const ends = endsOf(table, ways).map((state) => `  ${state} --> [*]`);
  const diagram = ['```mermaid', 'stateDiagram-v2', `  [*] --> ${initial}`, ...arrows, ...ends, '```'];
  const common = ways.filter((way) => !drawn.includes(way));
  const rows = [
    ...rowsOf(drawn, (same) => summed(same, families)),
    ...groups(common, ({ event }) => event).flatMap((one) => rowsOf(one, ([{ event }]) => `*${event}*`)),
  ];
  const effects = ['| event | from | to | what is done |', '| --- | --- | --- | --- |', ...rows];
  return [`## ${title}`, about, diagram.join('\n'), effects.join('\n')].join('\n\n');
}

/** What changes nothing is none. */
function waysOf(table: Table): Way[] {
  return Object.entries(table).flatMap(([from, row]) =>
    Object.entries(row).flatMap(([event, transition]) => {
      if (transition === undefined || (transition.to === from && transition.effects.length === 0)) return [];
      return [{ from, event, ...transition }];
    }),
  );
}

/** Without the most common events, as far as every state can still be reached. */
function withoutCommon(ways: readonly Way[]): readonly Way[] {
  const alike = groups(ways, ({ event, to }) => [event, to]).filter(({ length }) => length >= COMMON);
  return alike
    .toSorted((one, other) => other.length - one.length)
    .reduce<readonly Way[]>((drawn, group) => {
      const rest = drawn.filter((way) => !group.includes(way));
      const [{ to }] = group;
      return rest.some((way) => way.to === to && way.from !== to) ? rest : drawn;
    }, ways);
}

/** Those with the same key together, in the order of the first of each. */
function groups<T>(all: readonly T[], keyOf: (one: T) => unknown): Some<T>[] {
  const found = new Map<string, [T, ...T[]]>();
  for (const one of all) {
    const key = JSON.stringify(keyOf(one));
    const group = found.get(key);
    if (group) group.push(one);
    else found.set(key, [one]);
  }
  return [...found.values()];
}

/** States that are reached, and never left. */
function endsOf(table: Table, ways: readonly Way[]): string[] {
  return Object.keys(table).filter(
    (state) => ways.some(({ to }) => to === state) && !ways.some(({ from }) => from === state),
  );
}

/** The events of some ways in few words: most of a family by its name, less those that are not meant. */
function summed(ways: readonly Way[], families: NonNullable<Machine['families']>): string {
  const events = ways.map(({ event }) => event);
  const words = Object.entries(families).flatMap(([name, members]) => {
    const missing = members.filter((member) => !events.includes(member));
    if (missing.length >= members.length / 2) return [];
    return [missing.length === 0 ? name : `${name} but ${missing.join(', ')}`];
  });
  const told = words.length > 0 ? Object.values(families).flat() : [];
  return [...events.filter((event) => !told.includes(event)), ...words].join(', ');
}

/** In lines, broken between words. */
function broken(text: string): string[] {
  return text.match(new RegExp(`.{1,${LINE}}(?= |$)|\\S+`, 'g'))?.map((line) => line.trim()) ?? [];
}

/** A row for all ways by the same events, to the same state, on which the same is done. */
function rowsOf(ways: readonly Way[], events: (same: Some<Way>) => string): string[] {
  const alike = groups(ways, ({ from, to, effects }) => [from, to, effects]).map((same) => {
    const [{ from, to, effects }] = same;
    return { events: events(same), from, to, effects: effects.join(', ') };
  });
  return groups(alike, ({ events, to, effects }) => [events, to, effects]).map((same) => {
    const [{ events, to, effects }] = same;
    return `| ${events} | ${same.map(({ from }) => from).join(', ')} | ${to} | ${effects} |`;
  });
}
