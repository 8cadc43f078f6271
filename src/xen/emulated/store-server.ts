import { isVsndError } from '../../errors.ts';
import {
  decodeXsPermission,
  encodeXsMessage,
  encodeXsPermission,
  encodeXsStrings,
  isXsPath,
  XS_PAYLOAD_MAX,
  XS_REL_PATH_MAX,
  type XsMessage,
  XsType,
} from '../../wire/xenstore.ts';
import { childList, isWithin, NO_VALUE, type StoreNode } from './store-tree.ts';
import {
  permits,
  STORE_QUOTA,
  type StoreActor,
  type StoreEvent,
  StoreView,
  storeError,
} from './store-view.ts';

const OK = encodeXsStrings('OK');

/** One user of the store: its watches and transactions end with it. */
export interface StoreConnection {
  /** Another one after a restore of the domain. */
  actor: StoreActor;
  readonly watches: StoreWatch[];
  readonly transactions: Map<number, StoreView>;
  /** Called with each whole message for the domain. */
  readonly deliver: (message: Uint8Array) => void;
  /** Called when the store ends the connection. */
  readonly onLost: (error: Error) => void;
}

export interface StoreWatch {
  /** Absolute, or '@introduceDomain', '@releaseDomain'. */
  readonly path: string;
  readonly token: string;
  /**
   * How many characters of an event's path the domain does not see: its home's, where the watch is relative.
   */
  readonly hidden: number;
}

/**
 * The XenStore daemon: takes messages of xs_wire.h and gives messages back, for any number of connections.
 */
export class StoreServer {
  readonly #domains = new Map<number, StoreActor>();
  readonly #connections = new Set<StoreConnection>();
  #root: StoreNode = {
    value: NO_VALUE,
    permissions: [{ access: 'n', domid: 0 }],
    generation: 0,
    children: new Map(),
  };
  #generation = 0;
  #transactionId = 0;

  /** Makes a domain known. */
  introduce(domid: number, privileged = false): void {
    this.#domains.set(domid, { domid, privileged, target: undefined });
    this.#fire({ path: '@introduceDomain', exact: true, permissions: [this.#root.permissions] });
  }

  /** Forgets a domain and drops its connections; its nodes stay. */
  release(domid: number): void {
    if (!this.#domains.delete(domid)) return;
    for (const connection of this.connectionsOf(domid)) this.disconnect(connection);
    this.#fire({ path: '@releaseDomain', exact: true, permissions: [this.#root.permissions] });
  }

  /**
   * The connections of a domain go on as those of another one, as its kernel sees to after a restore: silent
   * while `prepare` runs, then with their watches set anew, relative ones below the new home, and fired; without
   * their transactions.
   */
  restore(from: number, to: number, prepare: () => void): void {
    const connections = this.connectionsOf(from);
    const { privileged } = this.#actor(from);
    for (const connection of connections) this.#connections.delete(connection);
    this.release(from);
    this.introduce(to, privileged);
    prepare();
    for (const connection of connections) {
      this.#connections.add(connection);
      connection.actor = this.#actor(to);
      connection.transactions.clear();
      for (const { path, hidden, token } of connection.watches.splice(0)) {
        this.#addWatch(connection, watchOf(connection, path.slice(hidden), token));
      }
    }
  }

  connect(domid: number, handlers: Pick<StoreConnection, 'deliver' | 'onLost'>): StoreConnection {
    const connection = { actor: this.#actor(domid), watches: [], transactions: new Map(), ...handlers };
    this.#connections.add(connection);
    return connection;
  }

  disconnect(connection: StoreConnection): void {
    this.#connections.delete(connection);
    connection.watches.length = 0;
    connection.transactions.clear();
  }

  connectionsOf(domid: number): StoreConnection[] {
    return [...this.#connections].filter(({ actor }) => actor.domid === domid);
  }

  /** Uses the store without a connection, in one transaction, as the toolstack in Dom0 does. */
  run<T>(action: (view: StoreView) => T, domid = 0): T {
    const view = this.#view(this.#actor(domid));
    const result = action(view);
    this.#commit(view);
    return result;
  }

  /** Handles one request. */
  receive(connection: StoreConnection, request: XsMessage): void {
    try {
      const payload = this.#handle(connection, request);
      if (payload !== undefined) this.#reply(connection, request, payload);
    } catch (error) {
      if (!isVsndError(error)) throw error;
      // What the wire's decoders refuse carries no errno.
      this.refuse(connection, request, error.errno ?? 'EINVAL');
    }
  }

  /** Answers a request with an error. */
  refuse(connection: StoreConnection, request: XsMessage, errno: string): void {
    this.#reply(connection, { ...request, type: XsType.error }, encodeXsStrings(errno));
  }

  /** Fires the domain's watches that concern `path`, although nothing there has changed. */
  fireFor(domid: number, path: string): void {
    for (const connection of this.connectionsOf(domid)) {
      for (const watch of connection.watches) {
        if (isWithin(path, watch.path)) this.#sendEvent(connection, watch, path);
      }
    }
  }

  /** The payload of the answer; undefined where none is due any more. */
  #handle(connection: StoreConnection, request: XsMessage): Uint8Array | undefined {
    const { type, payload } = request;
    switch (type) {
      case XsType.directory:
        return this.#directory(this.#read(connection, request, onlyArg(payload)));
      case XsType.directoryPart: {
        const [path, offset] = args(payload, 2);
        return directoryPart(this.#read(connection, request, path), number(offset));
      }
      case XsType.read:
        return this.#read(connection, request, onlyArg(payload)).value;
      case XsType.getPerms: {
        const { permissions } = this.#read(connection, request, onlyArg(payload));
        return encodeXsStrings(...permissions.map(encodeXsPermission));
      }
      case XsType.write: {
        const nul = payload.indexOf(0);
        const path = absolutePath(connection, onlyArg(payload.subarray(0, nul + 1)));
        return this.#using(connection, request, (view) => view.write(path, payload.slice(nul + 1)));
      }
      case XsType.mkdir:
        return this.#using(connection, request, (view) =>
          view.mkdir(absolutePath(connection, onlyArg(payload))),
        );
      case XsType.rm:
        return this.#using(connection, request, (view) =>
          view.remove(absolutePath(connection, onlyArg(payload))),
        );
      case XsType.setPerms: {
        const [path, ...permissions] = args(payload);
        if (permissions.length === 0) throw storeError('EINVAL');
        return this.#using(connection, request, (view) =>
          view.setPermissions(absolutePath(connection, path), permissions.map(decodeXsPermission)),
        );
      }
      case XsType.watch:
        return this.#watch(connection, request);
      case XsType.unwatch: {
        const [path, token] = args(payload, 2);
        const absolute = watchPath(connection, path);
        const index = connection.watches.findIndex(
          (watch) => watch.path === absolute && watch.token === token,
        );
        if (index === -1) throw storeError('ENOENT');
        connection.watches.splice(index, 1);
        return OK;
      }
      case XsType.resetWatches:
        connection.watches.length = 0;
        connection.transactions.clear();
        return OK;
      case XsType.transactionStart:
        return this.#startTransaction(connection, request);
      case XsType.transactionEnd:
        return this.#endTransaction(connection, request);
      case XsType.getDomainPath:
        return encodeXsStrings(homeOf(number(onlyArg(payload))));
      case XsType.isDomainIntroduced:
        return encodeXsStrings(this.#domains.has(number(onlyArg(payload))) ? 'T' : 'F');
      case XsType.introduce:
      case XsType.release:
      case XsType.resume:
      case XsType.setTarget:
      case XsType.control:
        return this.#administer(connection, request);
      default:
        throw storeError('ENOSYS');
    }
  }

  #read(connection: StoreConnection, request: XsMessage, path: string | undefined): StoreNode {
    const absolute = absolutePath(connection, path);
    return this.#viewOf(connection, request).read(absolute);
  }

  /** A change: inside the request's transaction, or at once. */
  #using(connection: StoreConnection, request: XsMessage, change: (view: StoreView) => void): Uint8Array {
    const view = this.#viewOf(connection, request);
    change(view);
    if (request.transactionId === 0) this.#commit(view);
    return OK;
  }

  #viewOf(connection: StoreConnection, { transactionId }: XsMessage): StoreView {
    if (transactionId === 0) return this.#view(connection.actor);
    const view = connection.transactions.get(transactionId);
    if (view === undefined) throw storeError('ENOENT');
    return view;
  }

  #view(actor: StoreActor): StoreView {
    return new StoreView(this.#root, actor, () => ++this.#generation);
  }

  #commit(view: StoreView): void {
    const root = view.mergeInto(this.#root);
    if (root === undefined) throw storeError('EAGAIN');
    this.#root = root;
    for (const event of view.events) this.#fire(event);
  }

  #directory(node: StoreNode): Uint8Array {
    const list = childList(node);
    if (list.length > XS_PAYLOAD_MAX) throw storeError('E2BIG');
    return list;
  }

  /** The same path and token twice are two watches, as they are through /dev/xen/xenbus. */
  #watch(connection: StoreConnection, request: XsMessage): undefined {
    const [path = '', token = ''] = args(request.payload, 2);
    const { actor } = connection;
    const watch = watchOf(connection, path, token);
    const count = this.connectionsOf(actor.domid).reduce((sum, { watches }) => sum + watches.length, 0);
    if (!actor.privileged && count >= STORE_QUOTA.watches) throw storeError('E2BIG');
    this.#reply(connection, request, OK);
    this.#addWatch(connection, watch);
    return undefined;
  }

  #addWatch(connection: StoreConnection, watch: StoreWatch): void {
    connection.watches.push(watch);
    this.#sendEvent(connection, watch, watch.path);
  }

  #startTransaction(connection: StoreConnection, { transactionId }: XsMessage): Uint8Array {
    const { actor } = connection;
    if (transactionId !== 0) throw storeError('EBUSY');
    const open = this.connectionsOf(actor.domid).reduce(
      (sum, { transactions }) => sum + transactions.size,
      0,
    );
    if (!actor.privileged && open >= STORE_QUOTA.transactions) throw storeError('ENOSPC');
    this.#transactionId = (this.#transactionId + 1) >>> 0 || 1;
    connection.transactions.set(this.#transactionId, this.#view(actor));
    return encodeXsStrings(String(this.#transactionId));
  }

  #endTransaction(connection: StoreConnection, request: XsMessage): Uint8Array | undefined {
    // The kernel behind /dev/xen/xenbus swallows this one.
    if (request.transactionId === 0) return undefined;
    const view = this.#viewOf(connection, request);
    const verdict = onlyArg(request.payload);
    if (verdict !== 'T' && verdict !== 'F') throw storeError('EINVAL');
    connection.transactions.delete(request.transactionId);
    if (verdict === 'T') this.#commit(view);
    return OK;
  }

  /** What only Dom0 may ask. */
  #administer({ actor }: StoreConnection, { type, payload }: XsMessage): Uint8Array {
    if (!actor.privileged) throw storeError('EACCES');
    if (type === XsType.control) throw storeError('EINVAL');
    const [domid, other] = args(payload).map(number);
    if (domid === undefined) throw storeError('EINVAL');
    if (type === XsType.introduce) {
      this.introduce(domid);
      return OK;
    }
    const domain = this.#domains.get(domid);
    if (domain === undefined || domain === actor)
      throw storeError(domain === undefined ? 'ENOENT' : 'EINVAL');
    if (type === XsType.release) this.release(domid);
    if (type === XsType.setTarget) domain.target = other;
    return OK;
  }

  #fire({ path, exact, permissions }: StoreEvent): void {
    for (const connection of this.#connections) {
      if (!permissions.some((entries) => permits(entries, connection.actor, 'read'))) continue;
      for (const watch of connection.watches) {
        if (exact ? watch.path === path : isWithin(path, watch.path))
          this.#sendEvent(connection, watch, path);
      }
    }
  }

  #sendEvent({ deliver }: StoreConnection, { token, hidden }: StoreWatch, path: string): void {
    const payload = encodeXsStrings(path.slice(hidden), token);
    deliver(encodeXsMessage({ type: XsType.watchEvent, requestId: 0, transactionId: 0, payload }));
  }

  #reply(connection: StoreConnection, request: XsMessage, payload: Uint8Array): void {
    connection.deliver(encodeXsMessage({ ...request, payload }));
  }

  #actor(domid: number): StoreActor {
    const actor = this.#domains.get(domid);
    if (actor === undefined) throw storeError('ENOENT');
    return actor;
  }
}

/** Where a domain's relative paths begin. */
export function homeOf(domid: number): string {
  return `/local/domain/${domid}`;
}

function absolutePath({ actor }: StoreConnection, path: string | undefined): string {
  const home = homeOf(actor.domid);
  if (path === undefined || path.startsWith('@') || !isXsPath(path)) throw storeError('EINVAL');
  const absolute = path.startsWith('/') ? path : `${home}/${path}`;
  // xenstored applies the limit of relative paths to the same paths in their absolute form, too.
  const relative = absolute.replace(/^\/local\/domain\/\d+\//, '');
  if (relative !== absolute && relative.length > XS_REL_PATH_MAX) throw storeError('EINVAL');
  return absolute;
}

function watchOf(connection: StoreConnection, path: string, token: string): StoreWatch {
  const relative = !path.startsWith('/') && !path.startsWith('@');
  const hidden = relative ? homeOf(connection.actor.domid).length + 1 : 0;
  return { path: watchPath(connection, path), token, hidden };
}

function watchPath(connection: StoreConnection, path = ''): string {
  return path === '@introduceDomain' || path === '@releaseDomain' ? path : absolutePath(connection, path);
}

/**
 * A part of the children's names: generation, NUL, names from `offset` on, and one more NUL at the list's
 * end.
 */
function directoryPart(node: StoreNode, offset: number): Uint8Array {
  const list = childList(node).subarray(offset);
  const generation = encodeXsStrings(String(node.generation));
  const room = XS_PAYLOAD_MAX - generation.length - 1;
  if (list.length <= room) return Buffer.concat([generation, list, new Uint8Array(1)]);
  return Buffer.concat([generation, list.subarray(0, list.lastIndexOf(0, room - 1) + 1)]);
}

/**
 * The NUL-terminated strings of a request; throws EINVAL for another number of them, or without the last NUL.
 */
function args(payload: Uint8Array, count?: number): string[] {
  const strings = Buffer.from(payload).toString().split('\0');
  if (strings.pop() !== '' || (count !== undefined && strings.length !== count)) throw storeError('EINVAL');
  return strings;
}

function onlyArg(payload: Uint8Array): string {
  return args(payload, 1)[0] ?? '';
}

function number(text = ''): number {
  if (!/^\d{1,10}$/.test(text)) throw storeError('EINVAL');
  return Number(text);
}
