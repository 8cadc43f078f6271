import fc from 'fast-check';
import { expect, test } from 'vitest';
import { VsndError } from '../../src/errors.ts';
import { changeTree, findNode, type StoreNode } from '../../src/xen/emulated/store-tree.ts';
import { StoreView } from '../../src/xen/emulated/store-view.ts';

/** The store as a flat map, without generations, snapshots or path copying. */
type Model = Map<string, string>;

type Op = { kind: 'write' | 'read' | 'remove'; path: string; value: string };
type Step = { actor: 0 | 1; op: Op } | { actor: 0 | 1; end: 'T' | 'F' };

const dom0 = { domid: 0, privileged: true, target: undefined };
const path = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
  .map((names) => `/${names.join('/')}`);
const op = fc.record({
  kind: fc.constantFrom('write', 'read', 'remove'),
  path,
  value: fc.constantFrom('1', '2'),
});
const actor = fc.constantFrom(0, 1);
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ actor, op }) },
  { weight: 1, arbitrary: fc.record({ actor, end: fc.constantFrom('T', 'F') }) },
);

function applyToModel(model: Model, { kind, path, value }: Op): string {
  if (kind === 'read') return model.get(path) ?? 'ENOENT';
  const parent = path.slice(0, path.lastIndexOf('/'));
  if (kind === 'remove') {
    if (parent !== '' && !model.has(parent)) return 'ENOENT';
    for (const key of [...model.keys()]) if (`${key}/`.startsWith(`${path}/`)) model.delete(key);
    return 'OK';
  }
  for (let end = path.indexOf('/', 1); end !== -1; end = path.indexOf('/', end + 1)) {
    if (!model.has(path.slice(0, end))) model.set(path.slice(0, end), '');
  }
  model.set(path, value);
  return 'OK';
}

function applyToView(view: StoreView, { kind, path, value }: Op): string {
  try {
    if (kind === 'read') return Buffer.from(view.read(path).value).toString();
    if (kind === 'remove') view.remove(path);
    else view.write(path, Buffer.from(value));
    return 'OK';
  } catch (error) {
    if (error instanceof VsndError) return error.errno ?? error.message;
    throw error;
  }
}

function flatten(node: StoreNode, path = ''): [string, string][] {
  return [...node.children].flatMap(([name, child]): [string, string][] => [
    [`${path}/${name}`, Buffer.from(child.value).toString()],
    ...flatten(child, `${path}/${name}`),
  ]);
}

function emptyRoot(): StoreNode {
  return {
    value: new Uint8Array(0),
    permissions: [{ access: 'n', domid: 0 }],
    generation: 0,
    children: new Map(),
  };
}

test('transactions that commit are as if each had run alone, at the moment of its end', () => {
  fc.assert(
    fc.property(fc.array(step as fc.Arbitrary<Step>, { maxLength: 40 }), (steps) => {
      let generation = 0;
      let root = emptyRoot();
      const model: Model = new Map();
      const open = () => ({
        view: new StoreView(root, dom0, () => ++generation),
        log: [] as { op: Op; result: string }[],
      });
      const transactions = [open(), open()];
      for (const step of steps) {
        const transaction = transactions[step.actor];
        if (transaction === undefined) continue;
        if ('op' in step) {
          transaction.log.push({ op: step.op, result: applyToView(transaction.view, step.op) });
          continue;
        }
        const merged = step.end === 'T' ? transaction.view.mergeInto(root) : undefined;
        if (merged !== undefined) {
          root = merged;
          // What was seen inside must be what would be seen now.
          for (const { op, result } of transaction.log) expect(applyToModel(model, op)).toBe(result);
        }
        expect(new Map(flatten(root))).toEqual(model);
        transactions[step.actor] = open();
      }
    }),
    { numRuns: 500 },
  );
});

test('removing what has no parent depends on there being none', () => {
  let generation = 0;
  const nextGeneration = () => ++generation;
  const root = emptyRoot();
  const removing = new StoreView(root, dom0, nextGeneration);
  expect(applyToView(removing, { kind: 'remove', path: '/a/b', value: '' })).toBe('ENOENT');
  const writing = new StoreView(root, dom0, nextGeneration);
  writing.write('/a', Buffer.from('1'));
  const changed = writing.mergeInto(root);
  expect(changed && removing.mergeInto(changed)).toBeUndefined();
});

test('a change copies its path only, and leaves the tree before it as it was', () => {
  let root = emptyRoot();
  const make = (path: string, generation: number) => {
    const apply = (): StoreNode => ({ ...emptyRoot(), generation });
    root = changeTree(root, { path, generation, apply });
  };
  make('/a', 1);
  make('/a/b', 2);
  make('/c', 3);
  const before = root;
  make('/a/b/d', 4);
  expect(findNode(root, '/c')).toBe(findNode(before, '/c'));
  expect(findNode(before, '/a/b/d')).toBeUndefined();
  expect(findNode(root, '/a/b')?.generation).toBe(4);
  expect(findNode(root, '/a')?.generation).toBe(findNode(before, '/a')?.generation);
});
