import type { Clock } from '../clock.ts';
import { invalidArg, isVsndError, protocolError } from '../errors.ts';
import { decodeXsStrings, encodeXsStrings, XsType } from '../wire/xenstore.ts';
import type { Hypervisor, XenStoreTransport } from '../xen/hypervisor.ts';
import { XenStoreConnection } from './connection.ts';
import { checkPath, XenStoreOperations } from './operations.ts';
import { type Watch, type WatchHandler, WatchQueue } from './watch.ts';

export type { Watch, WatchHandler } from './watch.ts';

/** What the body of a transaction works with: its own changes are visible to it, others' are not. */
export type XenStoreTransaction = XenStoreOperations;

const NO_PAYLOAD = new Uint8Array(1);

/**
 * A domain's view of XenStore over one connection of its own. Requests are sent at once and answered in any
 * order. A daemon that breaks the protocol ends the connection with ERR_VSND_PROTOCOL, a lost transport with
 * ERR_VSND_XENSTORE (EIO), 5 s without an answer with ERR_VSND_XENSTORE (ETIMEDOUT): everything pending rejects with it, and so does everything asked later.
 */
export class XenStoreClient extends XenStoreOperations {
  readonly #connection: XenStoreConnection;
  readonly #watches: Map<string, WatchQueue>;
  #nextToken = 1;

  /** Opens a connection of the domain's. */
  static async open(hypervisor: Pick<Hypervisor, 'openXenStore' | 'clock'>): Promise<XenStoreClient> {
    return new XenStoreClient(await hypervisor.openXenStore(), hypervisor.clock);
  }

  /** Takes the transport over. `firstRequestId` is a u32. */
  constructor(transport: XenStoreTransport, clock: Clock, options?: { firstRequestId?: number }) {
    const watches = new Map<string, WatchQueue>();
    const onEvent = (path: string, token: string): void => watches.get(token)?.add(path);
    const connection = new XenStoreConnection(transport, clock, onEvent, options);
    super(connection, 0);
    this.#connection = connection;
    this.#watches = watches;
  }

  /** False once it has been closed or lost. */
  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  /** Requests that XenStore has answered, refusals included. */
  get roundTrips(): number {
    return this.#connection.roundTrips;
  }

  /** Where the relative paths of a domain begin, whether it exists or not. */
  async domainPath(domid: number): Promise<string> {
    const payload = encodeXsStrings(String(domid));
    const operation = `get the path of domain ${domid}`;
    const [path] = decodeXsStrings(
      await this.#connection.request(XsType.getDomainPath, 0, payload, { operation }),
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
    const payload = encodeXsStrings(path, token);
    try {
      await this.#connection.request(XsType.watch, 0, payload, { operation: 'watch', path });
    } catch (error) {
      this.#watches.delete(token);
      throw error;
    }
    let closed: Promise<void> | undefined;
    const close = async (): Promise<void> => {
      queue.close();
      this.#watches.delete(token);
      // A connection that has ended has taken its watches with it.
      if (!this.isOpen) return;
      await this.#connection.request(XsType.unwatch, 0, payload, { operation: 'unwatch', path });
    };
    return {
      path,
      close: () => {
        closed ??= close();
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
    if (!Number.isInteger(retries) || retries < 0) throw invalidArg('retries', retries, 'integers from 0');
    for (let attempt = 0; ; attempt++) {
      const id = await this.#startTransaction();
      const result = await this.#abortOnError(id, body);
      try {
        await this.#endTransaction(id, 'T');
        return result;
      } catch (error) {
        if (!isVsndError(error, 'ERR_VSND_XENSTORE') || error.errno !== 'EAGAIN' || attempt >= retries)
          throw error;
      }
    }
  }

  /**
   * Idempotent. What is pending rejects with ERR_VSND_INVALID_STATE; watches and transactions are dropped.
   */
  async close(): Promise<void> {
    for (const queue of this.#watches.values()) queue.close();
    this.#watches.clear();
    await this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #startTransaction(): Promise<number> {
    const operation = 'start a transaction';
    const answer = await this.#connection.request(XsType.transactionStart, 0, NO_PAYLOAD, { operation });
    const [text = ''] = decodeXsStrings(answer);
    const id = Number(text);
    if (!/^\d{1,10}$/.test(text) || id === 0 || id > 0xffffffff) {
      throw protocolError('XenStore gives a transaction no number');
    }
    return id;
  }

  async #abortOnError<T>(id: number, body: (transaction: XenStoreTransaction) => Promise<T>): Promise<T> {
    try {
      return await body(new XenStoreOperations(this.#connection, id));
    } catch (error) {
      // The error of the body says more than one of the abort, which ends the transaction in any case.
      await this.#endTransaction(id, 'F').catch(() => {});
      throw error;
    }
  }

  async #endTransaction(id: number, verdict: 'T' | 'F'): Promise<void> {
    const operation = verdict === 'T' ? 'commit the transaction' : 'abort the transaction';
    await this.#connection.request(XsType.transactionEnd, id, encodeXsStrings(verdict), { operation });
  }
}
