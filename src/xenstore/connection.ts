import { type Clock, type Timer, timeout } from '../clock.ts';
import { isVsndError, protocolError, VsndError } from '../errors.ts';
import {
  decodeXsStrings,
  encodeXsMessage,
  type XsMessage,
  XsMessageDecoder,
  XsType,
} from '../wire/xenstore.ts';
import type { XenStoreTransport } from '../xen/hypervisor.ts';

/** How long the daemon may take for one answer, ns. */
const ANSWER_TIMEOUT = 5e9;

/** What is asked, in words for an error message, and of which path. */
export interface Purpose {
  readonly operation: string;
  readonly path?: string;
}

/** What a connection tells its owner. */
export interface ConnectionOptions {
  /** Called with each watch event; must not throw. */
  readonly onEvent: (path: string, token: string) => void;
  /** Called once, when the connection is over, before anybody else learns of it. */
  readonly onEnd: (error: VsndError) => void;
  /** A u32; by default 1. */
  readonly firstRequestId?: number | undefined;
}

interface Pending {
  readonly type: number;
  readonly purpose: Purpose;
  readonly resolve: (payload: Uint8Array) => void;
  readonly reject: (error: VsndError) => void;
}

/**
 * Requests and their answers over one transport, any number under way at once. Each request settles exactly
 * once; what breaks the protocol, a lost transport, and 5 s without an answer end the connection and with it all
 * that is pending.
 */
export class XenStoreConnection {
  readonly #transport: XenStoreTransport;
  readonly #decoder = new XsMessageDecoder();
  readonly #pending = new Map<number, Pending>();
  readonly #options: ConnectionOptions;
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #nextId: number;
  #roundTrips = 0;
  #end: VsndError | undefined;

  constructor(transport: XenStoreTransport, clock: Clock, options: ConnectionOptions) {
    this.#transport = transport;
    this.#clock = clock;
    this.#options = options;
    this.#nextId = (options.firstRequestId ?? 1) >>> 0;
    transport.onData((chunk) => this.#receive(chunk));
    transport.onClose((cause) => {
      const message = `XenStore: the connection was lost: ${cause.message}`;
      this.#fail(new VsndError('ERR_VSND_XENSTORE', message, { errno: 'EIO', cause }));
    });
  }

  get isOpen(): boolean {
    return this.#end === undefined;
  }

  /** What has ended it. */
  get end(): VsndError | undefined {
    return this.#end;
  }

  /** Requests that have been answered, refusals included. */
  get roundTrips(): number {
    return this.#roundTrips;
  }

  /**
   * Resolves with the answer's payload. Rejects with ERR_VSND_XENSTORE, or with what ended the connection.
   */
  request(type: number, transactionId: number, payload: Uint8Array, purpose: Purpose): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) throw this.#end;
      const requestId = this.#takeId();
      const message = encodeXsMessage({ type, requestId, transactionId, payload });
      this.#pending.set(requestId, { type, purpose, resolve, reject });
      if (this.#pending.size === 1) this.#watchOldest();
      try {
        this.#transport.send(message);
      } catch (cause) {
        this.#pending.delete(requestId);
        this.#watchOldest();
        throw refusedError(purpose, (isVsndError(cause) && cause.errno) || 'EIO', cause);
      }
    });
  }

  /** Idempotent. Rejects what is pending with ERR_VSND_INVALID_STATE. */
  async close(): Promise<void> {
    this.#fail(new VsndError('ERR_VSND_INVALID_STATE', 'the XenStore connection has been closed'));
    await this.#transport.close();
  }

  /** The next u32 that no pending request has. */
  #takeId(): number {
    while (this.#pending.has(this.#nextId)) this.#nextId = (this.#nextId + 1) >>> 0;
    const id = this.#nextId;
    this.#nextId = (id + 1) >>> 0;
    return id;
  }

  #receive(chunk: Uint8Array): void {
    if (this.#end !== undefined) return;
    try {
      for (const message of this.#decoder.push(chunk)) this.#dispatch(message);
    } catch (error) {
      if (!isVsndError(error, 'ERR_VSND_PROTOCOL')) throw error;
      this.#fail(error);
    }
  }

  #dispatch({ type, requestId, payload }: XsMessage): void {
    if (type === XsType.watchEvent) {
      const [path, token] = decodeXsStrings(payload);
      if (path === undefined || token === undefined)
        throw protocolError('a XenStore event without path or token');
      this.#options.onEvent(path, token);
      return;
    }
    const request = this.#pending.get(requestId);
    if (request === undefined)
      throw protocolError(`XenStore answers a request ${requestId}, which is not pending`);
    if (type !== request.type && type !== XsType.error) {
      throw protocolError(`XenStore answers a request of type ${request.type} with type ${type}`);
    }
    this.#pending.delete(requestId);
    this.#roundTrips += 1;
    this.#watchOldest();
    if (type === XsType.error) {
      request.reject(refusedError(request.purpose, decodeXsStrings(payload)[0] ?? 'an empty error'));
    } else {
      request.resolve(payload);
    }
  }

  /** A daemon that has stopped answering ends the connection: nothing that waits for it must wait for ever. */
  #watchOldest(): void {
    this.#timer?.cancel();
    const [oldest] = this.#pending.values();
    this.#timer =
      oldest &&
      timeout(this.#clock, ANSWER_TIMEOUT, () => this.#fail(refusedError(oldest.purpose, 'ETIMEDOUT')));
  }

  #fail(error: VsndError): void {
    if (this.#end !== undefined) return;
    this.#end = error;
    this.#timer?.cancel();
    this.#options.onEnd(error);
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}

function refusedError({ operation, path }: Purpose, errno: string, cause?: unknown): VsndError {
  const where = path === undefined ? '' : ` ${path}`;
  const message = `XenStore: cannot ${operation}${where}: ${errno}`;
  return new VsndError('ERR_VSND_XENSTORE', message, { errno, ...(path !== undefined && { path }), cause });
}
