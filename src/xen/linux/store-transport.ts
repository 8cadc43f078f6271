import { isVsndError, VsndError } from '../../errors.ts';
import type { Holding, ReleaseStack } from '../../release-stack.ts';
import { encodeXsMessage, encodeXsStrings, XsMessageDecoder, XsType } from '../../wire/xenstore.ts';
import type { XenStoreTransport } from '../hypervisor.ts';
import type { XenbusDevice } from './addon.ts';
import { withDevice } from './device-error.ts';

/** Where a message has its request id, u32. */
const REQUEST_ID_OFFSET = 4;

/**
 * An open /dev/xen/xenbus, which takes one message a write, of 4096 bytes in all (EINVAL, E2BIG). The kernel
 * keeps one buffer for each open file and sends from it later, without a copy: a write before the answer to
 * the last one would change what that one asks. So one request is under way, the others wait here.
 */
export class LinuxStoreTransport implements XenStoreTransport {
  readonly #device: XenbusDevice;
  readonly #holding: Holding;
  #onData: ((chunk: Uint8Array) => void) | undefined;
  #onClose: ((error: Error) => void) | undefined;
  #lost: Error | undefined;
  readonly #answers = new XsMessageDecoder();
  readonly #waiting: Uint8Array[] = [];
  #underWay = false;

  /** `releases` close the device. */
  constructor(device: XenbusDevice, releases: ReleaseStack) {
    this.#device = device;
    this.#holding = releases.push(() => device.close());
  }

  send(message: Uint8Array): void {
    if (!this.#holding.active) {
      throw new VsndError('ERR_VSND_INVALID_STATE', 'the XenStore connection has been closed');
    }
    if (this.#underWay || this.#waiting.length > 0) this.#waiting.push(new Uint8Array(message));
    else this.#write(message);
  }

  /** What comes before there is a handler waits in the kernel. */
  onData(handler: (chunk: Uint8Array) => void): void {
    this.#onData = handler;
    if (this.#holding.active && this.#lost === undefined) withDevice(() => this.#device.start(this.#receive));
  }

  onClose(handler: (error: Error) => void): void {
    this.#onClose = handler;
    if (this.#lost !== undefined) this.#lose(this.#lost);
  }

  close(): Promise<void> {
    return this.#holding.end();
  }

  readonly #receive = (): void => {
    let chunk: Uint8Array | undefined;
    try {
      chunk = withDevice(() => this.#device.read(), 'ERR_VSND_XENSTORE');
    } catch (error) {
      this.#lose(error as Error);
      return;
    }
    if (chunk?.length === 0) {
      this.#lose(new VsndError('ERR_VSND_XENSTORE', 'XenStore has closed the connection', { errno: 'EIO' }));
    } else if (chunk !== undefined) {
      this.#onData?.(chunk);
      this.#followAnswers(chunk);
    }
  };

  /** A device whose other end is gone is as good as closed: whoever asked learns of it by that. */
  #write(message: Uint8Array): void {
    try {
      withDevice(() => this.#device.write(message), 'ERR_VSND_XENSTORE');
    } catch (error) {
      if (!isVsndError(error) || error.errno !== 'EPIPE') throw error;
      this.#lose(error);
    }
    this.#underWay = true;
  }

  /** Every message but a watch event is the answer to the one request that is under way. */
  #followAnswers(chunk: Uint8Array): void {
    try {
      const messages = this.#answers.push(chunk);
      if (messages.some(({ type }) => type !== XsType.watchEvent)) this.#underWay = false;
      if (this.#answers.heldBytes === 0) this.#writeNext();
    } catch (error) {
      this.#lose(error as Error);
    }
  }

  #writeNext(): void {
    while (!this.#underWay && this.#holding.active) {
      const message = this.#waiting.shift();
      if (message === undefined) return;
      try {
        this.#write(message);
      } catch (error) {
        this.#onData?.(refusalOf(message, error as VsndError));
      }
    }
  }

  #lose(error: Error): void {
    this.#lost = error;
    this.#device.close();
    const handler = this.#onClose;
    if (handler !== undefined) queueMicrotask(() => this.#holding.active && handler(error));
  }
}

/** What the daemon would have answered, had the kernel not refused the request. */
function refusalOf(message: Uint8Array, { errno = 'EIO' }: VsndError): Uint8Array {
  const requestId = new DataView(message.buffer, message.byteOffset).getUint32(REQUEST_ID_OFFSET, true);
  return encodeXsMessage({
    type: XsType.error,
    requestId,
    transactionId: 0,
    payload: encodeXsStrings(errno),
  });
}
