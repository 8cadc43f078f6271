import { VsndError } from '../../errors.ts';
import type { XsPermission } from '../../wire/xenstore.ts';
import {
  changeTree,
  countOwned,
  findNode,
  NO_VALUE,
  nearestAncestor,
  nodeSize,
  parentPath,
  type StoreChange,
  type StoreNode,
  walk,
} from './store-tree.ts';

/**
 * xenstored's default limits for an unprivileged domain; the size of a node includes the names of its
 * children.
 */
export const STORE_QUOTA = { nodes: 1000, watches: 128, transactions: 10, nodeBytes: 2048 } as const;

/** The domain on whose behalf the store is used. */
export interface StoreActor {
  readonly domid: number;
  readonly privileged: boolean;
  /** Set by SET_TARGET: the domain whose permissions it has as well. */
  target: number | undefined;
}

/** A change to tell watches about, and whose readers may hear of it. */
export interface StoreEvent {
  readonly path: string;
  /** Concerns only watches of this very path: a node that went with its ancestor. */
  readonly exact: boolean;
  readonly permissions: readonly (readonly XsPermission[])[];
}

type Need = 'read' | 'write' | 'own';

/** What XenStore answers instead of a result: a name from xsd_errors. */
export function storeError(errno: string): VsndError {
  return new VsndError('ERR_VSND_XENSTORE', `XenStore answers ${errno}`, { errno });
}

/** True where `permissions` give the domain what it needs; Dom0 and the owner have everything. */
export function permits(permissions: readonly XsPermission[], actor: StoreActor, need: Need): boolean {
  const [owner, ...others] = permissions;
  const isActor = (entry: XsPermission) => entry.domid === actor.domid || entry.domid === actor.target;
  if (owner === undefined || actor.privileged || isActor(owner)) return true;
  const { access } = others.find(isActor) ?? owner;
  return need !== 'own' && (access === 'b' || access === need[0]);
}

/**
 * The store as one domain sees it from one moment on: a transaction, or a single request outside one. It
 * works on a snapshot and remembers what it touched, what it changed and whom to tell. Paths are absolute and
 * valid; every method throws {@link storeError}.
 */
export class StoreView {
  readonly #base: StoreNode;
  readonly #actor: StoreActor;
  readonly #nextGeneration: () => number;
  readonly #touched = new Set<string>();
  readonly #changes: StoreChange[] = [];
  readonly #events = new Map<string, StoreEvent>();
  #root: StoreNode;

  constructor(root: StoreNode, actor: StoreActor, nextGeneration: () => number) {
    this.#base = root;
    this.#root = root;
    this.#actor = actor;
    this.#nextGeneration = nextGeneration;
  }

  /** One event for each node changed, however often. */
  get events(): Iterable<StoreEvent> {
    return this.#events.values();
  }

  /**
   * `current` with the changes of this view; undefined where anything that it read or wrote has changed
   * meanwhile.
   */
  mergeInto(current: StoreNode): StoreNode | undefined {
    if (current === this.#base) return this.#root;
    for (const path of this.#touched) {
      if (findNode(current, path)?.generation !== findNode(this.#base, path)?.generation) return undefined;
    }
    return this.#changes.reduce(changeTree, current);
  }

  read(path: string): StoreNode {
    const node = this.#find(path, 'read');
    if (node === undefined) throw storeError('ENOENT');
    return node;
  }

  has(path: string): boolean {
    return this.#find(path, 'read') !== undefined;
  }

  write(path: string, value: Uint8Array): void {
    this.#atomically(() => {
      if (this.#find(path, 'write') === undefined) this.#create(path, value);
      else this.#change(path, (node, generation) => node && { ...node, value, generation });
    });
    this.#announce(path);
  }

  mkdir(path: string): void {
    if (this.#find(path, 'write') !== undefined) return;
    this.#atomically(() => this.#create(path, NO_VALUE));
    this.#announce(path);
  }

  remove(path: string): void {
    const node = this.#find(path, 'write');
    if (path === '/') throw storeError('EINVAL');
    this.#touched.add(parentPath(path));
    const parent = findNode(this.#root, parentPath(path));
    if (parent === undefined) throw storeError('ENOENT');
    if (node === undefined) return;
    for (const [below, removed] of walk(path, node)) {
      this.#touched.add(below);
      this.#addEvent({
        path: below,
        exact: below !== path,
        permissions: [removed.permissions, parent.permissions],
      });
    }
    this.#change(path, () => undefined);
  }

  setPermissions(path: string, permissions: readonly XsPermission[]): void {
    const node = this.#find(path, 'own');
    if (node === undefined) throw storeError('ENOENT');
    const newOwner = permissions[0]?.domid !== node.permissions[0]?.domid;
    if (newOwner && !this.#actor.privileged) throw storeError('EPERM');
    this.#atomically(() =>
      this.#change(path, (old, generation) => old && { ...old, permissions, generation }),
    );
    this.#announce(path, node.permissions);
  }

  /** Undefined for a node that is not there, as far as the domain may know. */
  #find(path: string, need: Need): StoreNode | undefined {
    this.#touched.add(path);
    const node = findNode(this.#root, path);
    const { permissions } = node ?? nearestAncestor(this.#root, path);
    if (!permits(permissions, this.#actor, need)) throw storeError('EACCES');
    return node;
  }

  /** Also creates what is missing above. */
  #create(path: string, value: Uint8Array): void {
    const above = parentPath(path);
    this.#touched.add(path).add(above);
    if (findNode(this.#root, above) === undefined) this.#create(above, NO_VALUE);
    const { domid, privileged } = this.#actor;
    if (!privileged && countOwned(this.#root, domid) >= STORE_QUOTA.nodes) throw storeError('ENOSPC');
    const [owner, ...others] = nearestAncestor(this.#root, path).permissions;
    const permissions =
      owner === undefined || privileged ? [owner, ...others] : [{ ...owner, domid }, ...others];
    const inherited = permissions.filter((entry) => entry !== undefined);
    this.#change(path, (_, generation) => ({
      value,
      permissions: inherited,
      generation,
      children: new Map(),
    }));
  }

  #change(
    path: string,
    apply: (node: StoreNode | undefined, generation: number) => StoreNode | undefined,
  ): void {
    const generation = this.#nextGeneration();
    const change = { path, generation, apply: (node: StoreNode | undefined) => apply(node, generation) };
    this.#root = changeTree(this.#root, change);
    this.#changes.push(change);
    if (!this.#actor.privileged) this.#checkSizes([path, parentPath(path)]);
  }

  #checkSizes(paths: string[]): void {
    for (const path of paths) {
      const node = findNode(this.#root, path);
      if (node !== undefined && nodeSize(node) >= STORE_QUOTA.nodeBytes) throw storeError('ENOSPC');
    }
  }

  /** A request that fails half-way leaves nothing behind in its transaction. */
  #atomically(action: () => void): void {
    const root = this.#root;
    const count = this.#changes.length;
    try {
      action();
    } catch (error) {
      this.#root = root;
      this.#changes.length = count;
      throw error;
    }
  }

  #announce(path: string, before: readonly XsPermission[] = []): void {
    const nodes = [findNode(this.#root, path), findNode(this.#root, parentPath(path))];
    const permissions = nodes.flatMap((node) => (node === undefined ? [] : [node.permissions]));
    if (before.length > 0) permissions.push(before);
    this.#addEvent({ path, exact: false, permissions });
  }

  #addEvent(event: StoreEvent): void {
    const known = this.#events.get(event.path);
    this.#events.set(event.path, { ...event, exact: event.exact && (known?.exact ?? true) });
  }
}
