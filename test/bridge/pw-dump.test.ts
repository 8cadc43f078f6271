import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ListSplitter, NodeGraph, parseNodes } from '../../src/bridge/pw-dump.ts';

const node = (id: number, info: unknown) => ({ id, type: 'PipeWire:Interface:Node', info });
const print = (objects: unknown[]) => `${JSON.stringify(objects, undefined, 2)}\n`;

const FIRST = print([
  { id: 0, type: 'PipeWire:Interface:Core', info: { props: { 'node.name': 'no node' } } },
  node(30, {
    state: 'suspended',
    'n-input-ports': 2,
    'n-output-ports': 1,
    props: { 'node.name': 'card', 'pipe.filename': '/f/sink' },
  }),
  node(31, { state: 'idle', props: { 'node.name': 'other', 'a]b': ['[', ']'] } }),
]);
const SECOND = print([node(30, { state: 'running' })]);
const THIRD = print([{ id: 31, info: null }]);

describe('what pw-dump prints', () => {
  it('tells of nodes, of what changes of them, and that they are removed', () => {
    const graph = new NodeGraph();
    graph.change(FIRST);
    expect(graph.nodes).toEqual([
      { name: 'card', fifo: '/f/sink', state: 'suspended', ports: 3 },
      { name: 'other', fifo: undefined, state: 'idle', ports: 0 },
    ]);
    graph.change(SECOND);
    graph.change(THIRD);
    expect(graph.nodes).toEqual([{ name: 'card', fifo: '/f/sink', state: 'running', ports: 3 }]);
  });

  it('may be more than one list', () => {
    expect(parseNodes(FIRST + THIRD).map(({ name }) => name)).toEqual(['card']);
  });

  it('is understood however it is cut', () => {
    const text = FIRST + SECOND + THIRD;
    fc.assert(
      fc.property(fc.array(fc.nat({ max: text.length })), (cuts) => {
        const splitter = new ListSplitter();
        const ends = [...cuts, text.length].sort((a, b) => a - b);
        const lists = ends.flatMap((end, i) => splitter.split(text.slice(ends[i - 1] ?? 0, end)));
        expect(lists.map((list) => JSON.parse(list))).toEqual(
          [FIRST, SECOND, THIRD].map((list) => JSON.parse(list)),
        );
      }),
    );
  });
});
