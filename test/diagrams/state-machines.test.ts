import { expect, test } from 'vitest';
import { CAPTURE_PHASES } from '../../src/pcm/capture-pacing.ts';
import { SUBSTREAM_TABLES } from '../../src/pcm/substream.ts';
import { BACKEND_TABLE } from '../../src/xenbus/backend-table.ts';
import { FRONTEND_TABLE } from '../../src/xenbus/frontend-table.ts';
import { forEveryState } from '../../src/xenbus/state.ts';
import { describeMachine, type Machine } from './diagram.ts';

const PATH = new URL('../../docs/state-machines.md', import.meta.url);

const ANY_STATE = Object.keys(forEveryState(undefined));

const MACHINES: readonly Machine[] = [
  {
    title: 'A frontend on xenbus',
    about: `One connection of a card, in \`src/xenbus/frontend-table.ts\`. Events in capitals are states of the backend, as
XenStore has them.`,
    initial: 'initialising',
    table: FRONTEND_TABLE,
    families: { 'any state': ANY_STATE },
  },
  {
    title: 'A backend on xenbus',
    about: `One guest's card, in \`src/xenbus/backend-table.ts\`. Events in capitals are states of the frontend.`,
    initial: 'initialising',
    table: BACKEND_TABLE,
    families: { 'any state': ANY_STATE },
  },
  {
    title: 'Playback',
    about: 'A playback stream at its card, in `src/pcm/substream.ts`.',
    initial: 'closed',
    table: SUBSTREAM_TABLES.playback,
  },
  {
    title: 'Capture',
    about: 'A capture stream at its card, in `src/pcm/substream.ts`.',
    initial: 'closed',
    table: SUBSTREAM_TABLES.capture,
  },
  {
    title: 'The phases of capture',
    about: `How far a capture has come, beside its substream's state, in \`src/pcm/capture-pacing.ts\`.`,
    initial: 'idle',
    table: phases(),
  },
];

/** A phase leads to nothing but the next one. */
function phases(): Machine['table'] {
  const way = ([event, to]: [string, string]) => [event, { to, effects: [] }];
  return Object.fromEntries(
    Object.entries(CAPTURE_PHASES).map(([from, row]) => [
      from,
      Object.fromEntries(Object.entries(row).map(way)),
    ]),
  );
}

const INTRODUCTION = `# State machines

Made from the tables in \`src/\`: \`npx vitest run test/diagrams -u\` writes this page anew. An arrow has the events that take
it; the table below says what is done then, in that order. An event in *italics* is taken in so many states that it is not
drawn. One that changes nothing is left out.`;

test('docs/state-machines.md shows the tables (vitest -u writes it anew)', async () => {
  const page = `${[INTRODUCTION, ...MACHINES.map(describeMachine)].join('\n\n')}\n`;
  await expect(page).toMatchFileSnapshot(PATH.pathname);
});

/** The events of a cell, one by one. */
function eventsIn(cell: string): string[] {
  const [before = '', but] = cell.replaceAll('*', '').split(/any state(?: but )?/);
  const named = before.split(', ').filter((event) => event !== '');
  return but === undefined
    ? named
    : [...named, ...ANY_STATE.filter((state) => !but.split(', ').includes(state))];
}

test.each(MACHINES)('$title: what the table has is told, all of it, and nothing else', (machine) => {
  const { table } = machine;
  const rows = [...describeMachine(machine).matchAll(/^\| (.*) \| (.*) \| (.*) \| (.*) \|$/gm)].slice(2);
  const told = rows.flatMap(([, events = '', from = '', to, effects]) =>
    eventsIn(events).flatMap((event) =>
      from.split(', ').map((state) => [state, event, to, effects].join(' ')),
    ),
  );
  const there = Object.entries(table).flatMap(([from, row]) =>
    Object.entries(row).flatMap(([event, way]) =>
      way && (way.to !== from || way.effects.length > 0)
        ? [[from, event, way.to, way.effects.join(', ')].join(' ')]
        : [],
    ),
  );
  expect(told.toSorted()).toEqual(there.toSorted());
});
