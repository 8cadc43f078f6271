import type { XsPermission } from '../../wire/xenstore.ts';

/** One node of XenStore; never changed, only replaced, so that a root is a snapshot of the whole store. */
export interface StoreNode {
  readonly value: Uint8Array;
  readonly permissions: readonly XsPermission[];
  /** New with each change of the value, of the permissions and of which children there are. */
  readonly generation: number;
  readonly children: ReadonlyMap<string, StoreNode>;
}

export const NO_VALUE: Uint8Array = new Uint8Array(0);

/** The path of the node above; '/' is above itself. */
export function parentPath(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** True where `path` is `ancestor` or below it. */
export function isWithin(path: string, ancestor: string): boolean {
  return path === ancestor || ancestor === '/' || path.startsWith(`${ancestor}/`);
}

/** The node at an absolute path. */
export function findNode(root: StoreNode, path: string): StoreNode | undefined {
  let node: StoreNode | undefined = root;
  for (const name of split(path)) node = node?.children.get(name);
  return node;
}

/** The node nearest above an absolute path that exists. */
export function nearestAncestor(root: StoreNode, path: string): StoreNode {
  let node = root;
  for (const name of split(parentPath(path))) {
    const child = node.children.get(name);
    if (child === undefined) break;
    node = child;
  }
  return node;
}

/** What becomes of the node at `path`: undefined for none, in either direction. */
export interface StoreChange {
  readonly path: string;
  readonly generation: number;
  readonly apply: (node: StoreNode | undefined) => StoreNode | undefined;
}

/**
 * The tree after a change of one node, whose parent exists: its path is copied, all else is common to both
 * trees.
 */
export function changeTree(root: StoreNode, change: StoreChange): StoreNode {
  return changeBelow(root, split(change.path), change) ?? root;
}

function changeBelow(
  node: StoreNode | undefined,
  names: string[],
  change: StoreChange,
): StoreNode | undefined {
  const [name, ...below] = names;
  if (name === undefined) return change.apply(node);
  if (node === undefined) return undefined;
  const old = node.children.get(name);
  const child = changeBelow(old, below, change);
  const children = new Map(node.children);
  if (child === undefined) children.delete(name);
  else children.set(name, child);
  const sameNames = (old === undefined) === (child === undefined);
  return { ...node, children, generation: sameNames ? node.generation : change.generation };
}

/** A node and all below it, with their paths, the upper ones first. */
export function* walk(path: string, node: StoreNode): Generator<[path: string, node: StoreNode]> {
  yield [path, node];
  for (const [name, child] of node.children)
    yield* walk(path === '/' ? `/${name}` : `${path}/${name}`, child);
}

/** How many nodes a domain owns. */
export function countOwned(node: StoreNode, domid: number): number {
  let count = node.permissions[0]?.domid === domid ? 1 : 0;
  for (const child of node.children.values()) count += countOwned(child, domid);
  return count;
}

/** The children's names as DIRECTORY gives them: each with its NUL. */
export function childList(node: StoreNode): Uint8Array {
  return Buffer.from([...node.children.keys()].map((name) => `${name}\0`).join(''));
}

/** What xenstored stores for a node, in bytes: header, permissions, value and the names of its children. */
export function nodeSize(node: StoreNode): number {
  return 24 + 8 * node.permissions.length + node.value.length + childList(node).length;
}

function split(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/');
}
