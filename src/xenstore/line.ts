import { setMaxListeners } from 'node:events';
import { type Clock, timeout, wait } from '../clock.ts';
import { type Deferred, deferred } from '../deferred.ts';
import { isVsndError, VsndError } from '../errors.ts';
import type { XenStoreTransport } from '../xen/hypervisor.ts';
import { XenStoreConnection } from './connection.ts';

/** What becomes of the line: 'failed' where it has been down for as long as the patience is; it may be 'back' later all the same. */
export type LineChange = 'lost' | 'back' | 'failed';

/** Told of each change, and of the error behind 'lost' and 'failed'. */
export type LineFollower = (change: LineChange, error?: VsndError) => void;

export interface LineOptions {
  readonly clock: Clock;
  /** A new transport in place of a lost one. */
  open(): Promise<XenStoreTransport>;
  /** ns for which a lost connection, and a request that XenStore lacks the means for, are tried again; 0: not at all. */
  readonly patience: number;
  /** Called with each watch event; must not throw. */
  onEvent(path: string, token: string): void;
  /** Sets the watches anew. */
  restore(connection: XenStoreConnection): Promise<void>;
}

/** Refusals that say nothing against the request: it may be granted a little later. */
const TRANSIENT: ReadonlySet<string | undefined> = new Set([
  'EAGAIN',
  'EBUSY',
  'EIO',
  'ENOMEM',
  'ENOSPC', // the quota of transactions; also that of nodes, which others of this domain use up and give back
  'EQUOTA',
]);

/** ns from the first failure to the next try, doubled each time up to the longest. The very first try follows at once. */
const SHORTEST_PAUSE = 10e6;
const LONGEST_PAUSE = 1e9;

/** ns that a new connection has to stand before its loss is a new one, with all the patience there is. */
const STEADY = 1e9;

/**
 * A domain's line to XenStore: one connection after the other. A lost one is replaced, with its watches; what was asked
 * meanwhile, or not answered yet, is asked of the next one. Where there is none for as long as the patience is, requests
 * reject until there is one again.
 */
export class XenStoreLine {
  readonly #options: LineOptions;
  #connection: XenStoreConnection;
  /** Resolves with the connection that stands; rejects where the line has failed or been closed. */
  #standing: Deferred<XenStoreConnection>;
  /** ns: since when it has stood, which for the first one is long enough. */
  #stoodAt = Number.NEGATIVE_INFINITY;
  /** ns: when the one was lost with which the trouble began. */
  #lostAt = 0;
  #reconnections = 0;
  #earlierTrips = 0;
  #follower: LineFollower = () => {};
  #restoring: Promise<void> = Promise.resolve();
  #closed = false;
  /** Ends the pauses when the line is closed. */
  readonly #hurry = new AbortController();

  /** Takes the transport over. `firstRequestId` is a u32. */
  constructor(transport: XenStoreTransport, options: LineOptions, firstRequestId?: number) {
    this.#options = options;
    this.#connection = this.#connect(transport, firstRequestId);
    this.#standing = deferred();
    this.#standing.resolve(this.#connection);
    setMaxListeners(0, this.#hurry.signal); // one for each request that waits
  }

  /** Whether a connection stands. */
  get isOpen(): boolean {
    return this.#connection.isOpen;
  }

  /** Requests that have been answered. */
  get roundTrips(): number {
    return this.#earlierTrips + this.#connection.roundTrips;
  }

  /** How often a lost connection has been replaced. */
  get reconnections(): number {
    return this.#reconnections;
  }

  /** Sets the one who is told of changes from now on. */
  follow(follower: LineFollower): void {
    this.#follower = follower;
  }

  /**
   * Makes the attempt, at once, on the connection that stands, or on the next one; again, ever later, where it was lost or XenStore
   * lacked the means. What else it rejects with, or still after the patience is over, is thrown on.
   */
  async persist<T>(attempt: (connection: XenStoreConnection) => Promise<T>): Promise<T> {
    const { clock, patience } = this.#options;
    const deadline = clock.now() + patience;
    for (let refusals = 0; ; ) {
      const connection = this.isOpen ? this.#connection : await this.#standing.promise;
      try {
        return await attempt(connection);
      } catch (error) {
        if (patience === 0) throw error;
        if (!connection.isOpen) continue; // the next one stands soon, or there is none and why
        if (!isVsndError(error, 'ERR_VSND_XENSTORE') || !TRANSIENT.has(error.errno)) throw error;
        if (clock.now() >= deadline) throw error;
        await this.#pause(refusals++);
      }
    }
  }

  /** Idempotent. What is pending rejects with ERR_VSND_INVALID_STATE. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#fail(new VsndError('ERR_VSND_INVALID_STATE', 'the XenStore connection has been closed'));
    this.#hurry.abort();
    await this.#connection.close();
    await this.#restoring;
  }

  #connect(transport: XenStoreTransport, firstRequestId?: number): XenStoreConnection {
    const { clock, onEvent } = this.#options;
    const onEnd = (error: VsndError) => {
      if (connection === this.#connection && !this.#closed) this.#lose(error);
    };
    const connection: XenStoreConnection = new XenStoreConnection(transport, clock, {
      onEvent,
      onEnd,
      firstRequestId,
    });
    return connection;
  }

  /** Has replaced the connection that stands by the time in which anybody learns that it is lost. */
  #lose(error: VsndError): void {
    if (this.#options.patience === 0) {
      this.#fail(error);
      return;
    }
    this.#standing = deferred();
    this.#standing.promise.catch(() => {}); // nobody may be asking
    this.#restoring = this.#restore(error);
  }

  /** There is no connection to wait for. */
  #fail(error: VsndError): void {
    this.#standing.reject(error);
    this.#standing = deferred();
    this.#standing.promise.catch(() => {});
    this.#standing.reject(error);
  }

  /** Never rejects. */
  async #restore(loss: VsndError): Promise<void> {
    const { clock, patience } = this.#options;
    if (clock.now() - this.#stoodAt >= STEADY) this.#lostAt = clock.now();
    let cause = loss;
    const giveUp = () => {
      const error = outOfPatienceError(patience, cause);
      this.#fail(error);
      this.#follower('failed', error);
    };
    this.#follower('lost', loss);
    const rest = this.#lostAt + patience - clock.now();
    const timer = rest > 0 ? timeout(clock, rest, giveUp) : undefined;
    timer?.unref();
    if (timer === undefined) giveUp(); // lost again and again
    await retire(this.#connection);
    for (let failures = 0; !this.#closed; failures++) {
      await this.#pause(failures, { ref: false });
      if (this.#closed) break;
      try {
        this.#stand(await this.#replace());
        break;
      } catch (error) {
        cause = error as VsndError;
      }
    }
    timer?.cancel();
  }

  /** Another connection, with all watches. */
  async #replace(): Promise<XenStoreConnection> {
    const connection = this.#connect(await this.#options.open());
    try {
      if (!this.#closed) await this.#options.restore(connection);
      if (connection.end) throw connection.end;
      if (this.#closed) throw new VsndError('ERR_VSND_INVALID_STATE', 'the line has been closed meanwhile');
      return connection;
    } catch (error) {
      await retire(connection);
      throw error;
    }
  }

  #stand(connection: XenStoreConnection): void {
    this.#earlierTrips += this.#connection.roundTrips;
    this.#connection = connection;
    this.#stoodAt = this.#options.clock.now();
    this.#reconnections += 1;
    this.#standing.resolve(connection);
    this.#standing = deferred(); // that one may have been rejected long ago
    this.#standing.resolve(connection);
    this.#follower('back');
  }

  /** Ends at once when the line is closed. The first one takes no time. */
  async #pause(failures: number, { ref = true } = {}): Promise<void> {
    const delay = failures === 0 ? 0 : Math.min(SHORTEST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE);
    await wait(this.#options.clock, delay, { signal: this.#hurry.signal, ref });
  }
}

/** Closes what was lost; that its other end may object to it changes nothing. */
async function retire(connection: XenStoreConnection): Promise<void> {
  await connection.close().catch(() => {});
}

function outOfPatienceError(patience: number, cause: VsndError): VsndError {
  const message = `XenStore cannot be reached any more, for ${patience / 1e9} s by now: ${cause.message}`;
  return new VsndError('ERR_VSND_XENSTORE', message, { errno: cause.errno ?? 'EIO', cause });
}
