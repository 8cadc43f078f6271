import type { Clock } from '../clock.ts';
import { deferred } from '../deferred.ts';
import { invalidArgError, isVsndError, protocolError } from '../errors.ts';
import { decodeXsStrings, encodeXsStrings, XsType } from '../wire/xenstore.ts';
import type { Hypervisor, XenStoreTransport } from '../xen/hypervisor.ts';
import type { XenStoreConnection } from './connection.ts';
import { type LineFollower, XenStoreLine } from './line.ts';
import { checkPath, XenStoreOperations } from './operations.ts';
import { type Watch, type WatchHandler, WatchQueue } from './watch.ts';

export type { Watch, WatchHandler } from './watch.ts';

/** What the body of a transaction works with: its own changes are visible to it, others' are not. */
export type XenStoreTransaction = XenStoreOperations;

/** How an owner of cards uses XenStore: ns for which it is tried again what has failed. */
export const OWNERS_PATIENCE = 10e9;

/** An unprivileged domain may have 10 under way; two are left to its kernel. */
const MOST_TRANSACTIONS = 8;

const NO_PAYLOAD = new Uint8Array(1);

/**
 * A domain's view of XenStore. Requests are sent at once and answered in any order. A daemon that breaks the protocol
 * ends the connection with ERR_VSND_PROTOCOL, a lost transport with ERR_VSND_XENSTORE (EIO), 5 s without an answer with
 * ERR_VSND_XENSTORE (ETIMEDOUT): everything pending rejects with it, and so does everything asked later.
 *
 * With `patience` (ns, by default 0) a connection that ends is replaced instead, and what was asked is asked again; so is
 * what XenStore refuses for want of something (EAGAIN, EBUSY, EIO, ENOMEM, ENOSPC). Watches are set anew, and so their
 * handlers called: whoever reads again what his watches tell of has missed nothing. Where that fails for `patience`,
 * requests reject with ERR_VSND_XENSTORE until there is a connection again.
 */
export class XenStoreClient extends XenStoreOperations {
  readonly #line: XenStoreLine;
  readonly #watches: Map<string, WatchQueue>;
  #nextToken = 1;
  #transactions = 0;
  readonly #waiting: (() => void)[] = [];

  /** Opens a connection of the domain's. */
  static async open(
    hypervisor: Pick<Hypervisor, 'openXenStore' | 'clock'>,
    { patience = 0 } = {},
  ): Promise<XenStoreClient> {
    const open = () => hypervisor.openXenStore();
    return new XenStoreClient(await open(), hypervisor.clock, { patience, open });
  }

  /** Takes the transport over. `firstRequestId` is a u32; `open` gives another transport, where there is patience. */
  constructor(
    transport: XenStoreTransport,
    clock: Clock,
    {
      firstRequestId,
      patience = 0,
      open = async () => transport,
    }: { firstRequestId?: number; patience?: number; open?: () => Promise<XenStoreTransport> } = {},
  ) {
    const watches = new Map<string, WatchQueue>();
    const onEvent = (path: string, token: string): void => watches.get(token)?.add(path);
    const restore = async (connection: XenStoreConnection) => {
      const set = [...watches].filter(([, { isSet }]) => isSet);
      const restoreOne = async ([token, { path }]: (typeof set)[number]) => {
        await requestWatch(connection, path, token);
        if (!watches.has(token)) await requestUnwatch(connection, path, token); // closed meanwhile
      };
      await Promise.all(set.map(restoreOne));
    };
    const line = new XenStoreLine(transport, { clock, patience, open, onEvent, restore }, firstRequestId);
    super((type, payload, purpose) =>
      line.persist((connection) => connection.request(type, 0, payload, purpose)),
    );
    this.#line = line;
    this.#watches = watches;
  }

  /** Whether a connection stands. */
  get isOpen(): boolean {
    return this.#line.isOpen;
  }

  /** Requests that XenStore has answered, refusals included. */
  get roundTrips(): number {
    return this.#line.roundTrips;
  }

  /** How often the connection was lost and has been made anew. */
  get reconnections(): number {
    return this.#line.reconnections;
  }

  /** Sets the one who is told when the connection is lost, back, or has failed. */
  follow(follower: LineFollower): void {
    this.#line.follow(follower);
  }

  /** Where the relative paths of a domain begin, whether it exists or not. */
  async domainPath(domid: number): Promise<string> {
    const payload = encodeXsStrings(String(domid));
    const operation = `get the path of domain ${domid}`;
    const [path] = decodeXsStrings(
      await this.#line.persist((connection) =>
        connection.request(XsType.getDomainPath, 0, payload, { operation }),
      ),
    );
    if (path === undefined) throw protocolError('XenStore gives no path for a domain');
    return path;
  }

  /**
   * Watches a path and all below it, '@introduceDomain' or '@releaseDomain'. The handler is called once in
   * any case, possibly before the promise resolves, and then for changes: with each changed path, one call at
   * a time, the next one when the promise of the last one has resolved. Equal paths that come meanwhile are
   * merged, and more than 64 different ones become the watched path, so that a storm of events costs no
   * memory.
   */
  async watch(path: string, handler: WatchHandler): Promise<Watch> {
    checkPath(path);
    const token = String(this.#nextToken++);
    const queue = new WatchQueue(path, handler);
    this.#watches.set(token, queue);
    try {
      await this.#line.persist((connection) => requestWatch(connection, path, token));
      queue.isSet = true;
    } catch (error) {
      this.#watches.delete(token);
      throw error;
    }
    let closed: Promise<void> | undefined;
    return {
      path,
      close: () => {
        closed ??= this.#unwatch(token, queue);
        return closed;
      },
    };
  }

  /**
   * Runs `body` in a transaction: all of its changes, or none. Another domain's change of anything that it
   * read or wrote makes it run again, at most `retries` times (20), then rejects with ERR_VSND_XENSTORE and
   * EAGAIN. What `body` throws aborts the transaction and is thrown on.
   */
  async transaction<T>(
    body: (transaction: XenStoreTransaction) => Promise<T>,
    { retries = 20 } = {},
  ): Promise<T> {
    if (!Number.isInteger(retries) || retries < 0)
      throw invalidArgError('retries', retries, 'integers from 0');
    if (this.#transactions === MOST_TRANSACTIONS) await this.#turn();
    else this.#transactions += 1;
    try {
      return await this.#line.persist(async (connection) => {
        for (let attempt = 0; ; attempt++) {
          const id = await startTransaction(connection);
          const result = await abortOnError(connection, id, body);
          try {
            await endTransaction(connection, id, 'T');
            return result;
          } catch (error) {
            if (!isVsndError(error, 'ERR_VSND_XENSTORE') || error.errno !== 'EAGAIN' || attempt >= retries)
              throw error;
          }
        }
      });
    } finally {
      this.#giveTurn();
    }
  }

  /**
   * Idempotent. What is pending rejects with ERR_VSND_INVALID_STATE; watches and transactions are dropped.
   */
  async close(): Promise<void> {
    for (const queue of this.#watches.values()) queue.close();
    this.#watches.clear();
    await this.#line.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Rejects only as a request does: a connection that has ended has taken its watches with it. */
  async #unwatch(token: string, queue: WatchQueue): Promise<void> {
    queue.close();
    this.#watches.delete(token);
    if (!this.isOpen) return;
    const { path } = queue;
    let first: XenStoreConnection | undefined;
    await this.#line.persist(async (connection) => {
      first ??= connection;
      if (connection !== first) return;
      try {
        await requestUnwatch(connection, path, token);
      } catch (error) {
        if (connection.isOpen) throw error;
      }
    });
  }

  #turn(): Promise<void> {
    const { promise, resolve } = deferred();
    this.#waiting.push(resolve);
    return promise;
  }

  /** To the one who has waited longest. */
  #giveTurn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#transactions -= 1;
    else next();
  }
}

async function requestWatch(connection: XenStoreConnection, path: string, token: string): Promise<void> {
  await connection.request(XsType.watch, 0, encodeXsStrings(path, token), { operation: 'watch', path });
}

async function requestUnwatch(connection: XenStoreConnection, path: string, token: string): Promise<void> {
  const payload = encodeXsStrings(path, token);
  await connection.request(XsType.unwatch, 0, payload, { operation: 'unwatch', path });
}

async function startTransaction(connection: XenStoreConnection): Promise<number> {
  const operation = 'start a transaction';
  const answer = await connection.request(XsType.transactionStart, 0, NO_PAYLOAD, { operation });
  const [text = ''] = decodeXsStrings(answer);
  const id = Number(text);
  if (!/^\d{1,10}$/.test(text) || id === 0 || id > 0xffffffff) {
    throw protocolError('XenStore gives a transaction no number');
  }
  return id;
}

async function abortOnError<T>(
  connection: XenStoreConnection,
  id: number,
  body: (transaction: XenStoreTransaction) => Promise<T>,
): Promise<T> {
  try {
    return await body(
      new XenStoreOperations((type, payload, purpose) => connection.request(type, id, payload, purpose)),
    );
  } catch (error) {
    // The error of the body says more than one of the abort, which ends the transaction in any case.
    await endTransaction(connection, id, 'F').catch(() => {});
    throw error;
  }
}

async function endTransaction(connection: XenStoreConnection, id: number, verdict: 'T' | 'F'): Promise<void> {
  const operation = verdict === 'T' ? 'commit the transaction' : 'abort the transaction';
  await connection.request(XsType.transactionEnd, id, encodeXsStrings(verdict), { operation });
}
