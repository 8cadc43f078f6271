import { VsndError } from '../../errors.ts';
import type { Holding } from '../../release-stack.ts';
import { type XsMessage, XsMessageDecoder, XsType } from '../../wire/xenstore.ts';
import type { XenStoreTransport } from '../hypervisor.ts';
import type { StoreConnection } from './store-server.ts';
import type { EmulatedXen } from './xen.ts';

/** What /dev/xen/xenbus takes of one message, header and payload together, in bytes. */
const DEVICE_LIMIT = 4096;

/** Throws the error that write() gives for a message too long for the device. */
export function checkDeviceWrite(bytes: number): void {
  if (bytes > DEVICE_LIMIT) throw writeError(`${bytes} bytes; allowed: at most ${DEVICE_LIMIT}`, 'EINVAL');
}

/** An open /dev/xen/xenbus: bytes to the store's server and back, each way through the machine's queue. */
export class EmulatedTransport implements XenStoreTransport {
  readonly #xen: EmulatedXen;
  readonly #connection: StoreConnection;
  readonly #holding: Holding;
  #decoder = new XsMessageDecoder();
  #arrived: Uint8Array[] = [];
  #lost: Error | undefined;
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #onClose: ((error: Error) => void) | undefined;

  /** `hold` ends the connection. */
  constructor(xen: EmulatedXen, domid: number, hold: (connection: StoreConnection) => Holding) {
    this.#xen = xen;
    this.#connection = xen.store.connect(domid, {
      deliver: (message) => this.#deliver(message),
      onLost: (error) => this.#lose(error),
    });
    this.#holding = hold(this.#connection);
  }

  send(message: Uint8Array): void {
    if (!this.#holding.active) {
      throw new VsndError('ERR_VSND_INVALID_STATE', 'the XenStore connection has been closed');
    }
    checkDeviceWrite(this.#decoder.heldBytes + message.length);
    const request = this.#complete(message);
    if (request !== undefined) this.#xen.schedule(() => this.#receive(request));
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    this.#onData = handler;
    if (this.#arrived.length > 0) this.#xen.schedule(this.#flush);
  }

  onClose(handler: (error: Error) => void): void {
    this.#onClose = handler;
    if (this.#lost !== undefined) this.#lose(this.#lost);
  }

  async close(): Promise<void> {
    this.#arrived = [];
    await this.#holding.end();
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
    if (
      !this.#holding.active ||
      this.#lost !== undefined ||
      this.#xen.rules.isMuted(this.#connection.actor.domid)
    )
      return;
    const errno = this.#xen.rules.refusal(this.#connection.actor.domid, request.type);
    if (errno === undefined) {
      this.#xen.store.receive(this.#connection, request);
      return;
    }
    if (request.type === XsType.transactionEnd) this.#connection.transactions.delete(request.transactionId);
    this.#xen.store.refuse(this.#connection, request, errno);
  }

  #lose(error: Error): void {
    this.#lost = error;
    const handler = this.#onClose;
    if (handler !== undefined) this.#xen.schedule(() => this.#holding.active && handler(error));
  }

  #deliver(message: Uint8Array): void {
    if (this.#xen.rules.isMuted(this.#connection.actor.domid)) return;
    this.#arrived.push(message);
    if (this.#arrived.length === 1 && this.#onData !== undefined) this.#xen.schedule(this.#flush);
  }

  /** All that has come since the last time is one chunk, as one read() gives it. */
  readonly #flush = (): void => {
    const [first, ...more] = this.#arrived;
    this.#arrived = [];
    if (first === undefined || !this.#holding.active) return;
    const bytes = more.length === 0 ? first : Buffer.concat([first, ...more]);
    const size = this.#xen.rules.chunkSizes.get(this.#connection.actor.domid) ?? bytes.length;
    for (let start = 0; start < bytes.length; start += size)
      this.#onData?.(bytes.subarray(start, start + size));
  };
}

function writeError(reason: string, errno: string): VsndError {
  return new VsndError('ERR_VSND_XENSTORE', `XenStore: cannot write to the device: ${reason}`, { errno });
}
