import { VsndError } from '../../errors.ts';
import { type XsMessage, XsMessageDecoder, XsType } from '../../wire/xenstore.ts';
import type { XenStoreTransport } from '../hypervisor.ts';
import type { Faults } from './faults.ts';
import type { Lease } from './lease.ts';
import type { StoreConnection, StoreServer } from './store-server.ts';

/** What /dev/xen/xenbus takes of one message, header and payload together, in octets. */
const DEVICE_LIMIT = 4096;

/** Throws the error that write() gives for a message too long for the device. */
export function checkDeviceWrite(octets: number): void {
  if (octets > DEVICE_LIMIT) throw writeError(`${octets} octets; allowed: at most ${DEVICE_LIMIT}`, 'EINVAL');
}

/** An open /dev/xen/xenbus: octets to the store's server and back, each way through the machine's queue. */
export class EmulatedTransport implements XenStoreTransport {
  readonly #schedule: (step: () => void) => void;
  readonly #server: StoreServer;
  readonly #faults: Faults;
  readonly #connection: StoreConnection;
  readonly #lease: Lease;
  #decoder = new XsMessageDecoder();
  #arrived: Uint8Array[] = [];
  #lost: Error | undefined;
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #onClose: ((error: Error) => void) | undefined;

  constructor(options: {
    domid: number;
    server: StoreServer;
    faults: Faults;
    schedule: (step: () => void) => void;
    lease: (connection: StoreConnection) => Lease;
  }) {
    this.#server = options.server;
    this.#faults = options.faults;
    this.#schedule = options.schedule;
    this.#connection = options.server.connect(options.domid, {
      deliver: (message) => this.#deliver(message),
      onLost: (error) => this.#lose(error),
    });
    this.#lease = options.lease(this.#connection);
  }

  send(message: Uint8Array): void {
    if (!this.#lease.active) {
      throw new VsndError('ERR_VSND_INVALID_STATE', 'the XenStore connection has been closed');
    }
    checkDeviceWrite(this.#decoder.heldBytes + message.length);
    const request = this.#complete(message);
    if (request !== undefined) this.#schedule(() => this.#receive(request));
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    this.#onData = handler;
    if (this.#arrived.length > 0) this.#schedule(this.#flush);
  }

  onClose(handler: (error: Error) => void): void {
    this.#onClose = handler;
    if (this.#lost !== undefined) this.#lose(this.#lost);
  }

  async close(): Promise<void> {
    this.#arrived = [];
    await this.#lease.end();
  }

  /** The device takes one message in any number of writes, and drops what follows it in the same write. */
  #complete(chunk: Uint8Array): XsMessage | undefined {
    try {
      const [request] = this.#decoder.push(chunk);
      if (request !== undefined) this.#decoder = new XsMessageDecoder();
      return request;
    } catch (error) {
      this.#decoder = new XsMessageDecoder();
      throw writeError((error as Error).message, 'E2BIG');
    }
  }

  #receive(request: XsMessage): void {
    if (!this.#lease.active || this.#lost !== undefined || this.#faults.isMuted(this.#connection.actor.domid))
      return;
    const errno = this.#faults.refusal(this.#connection.actor.domid, request.type);
    if (errno === undefined) {
      this.#server.receive(this.#connection, request);
      return;
    }
    if (request.type === XsType.transactionEnd) this.#connection.transactions.delete(request.transactionId);
    this.#server.refuse(this.#connection, request, errno);
  }

  #lose(error: Error): void {
    this.#lost = error;
    const handler = this.#onClose;
    if (handler !== undefined) this.#schedule(() => this.#lease.active && handler(error));
  }

  #deliver(message: Uint8Array): void {
    if (this.#faults.isMuted(this.#connection.actor.domid)) return;
    this.#arrived.push(message);
    if (this.#arrived.length === 1 && this.#onData !== undefined) this.#schedule(this.#flush);
  }

  /** All that has come since the last time is one chunk, as one read() gives it. */
  readonly #flush = (): void => {
    const [first, ...more] = this.#arrived;
    this.#arrived = [];
    if (first === undefined || !this.#lease.active) return;
    const bytes = more.length === 0 ? first : Buffer.concat([first, ...more]);
    const size = this.#faults.chunkSize(this.#connection.actor.domid) ?? bytes.length;
    for (let start = 0; start < bytes.length; start += size)
      this.#onData?.(bytes.subarray(start, start + size));
  };
}

function writeError(reason: string, errno: string): VsndError {
  return new VsndError('ERR_VSND_XENSTORE', `XenStore: cannot write to the device: ${reason}`, { errno });
}
