import {
  decodeXsStrings,
  encodeXsMessage,
  encodeXsStrings,
  encodeXsWrite,
  type XsMessage,
  XsMessageDecoder,
  XsType,
} from '../../src/wire/xenstore.ts';
import type { EmulatedDomain } from '../../src/xen/emulated/domain.ts';
import type { EmulatedXen } from '../../src/xen/emulated/xen.ts';
import type { XenStoreTransport } from '../../src/xen/hypervisor.ts';

/** One connection to an emulated XenStore: raw requests, answers as text, events gathered. */
export class Conversation {
  /** The events so far, as 'path token'. */
  readonly events: string[] = [];
  /** All messages so far, in order: 'event' or the request id. */
  readonly order: (number | 'event')[] = [];
  readonly transport: XenStoreTransport;
  readonly #xen: EmulatedXen;
  readonly #answers = new Map<number, XsMessage>();
  #requestId = 0;

  static async open(domain: EmulatedDomain): Promise<Conversation> {
    return new Conversation(domain.xen, await domain.openXenStore());
  }

  constructor(xen: EmulatedXen, transport: XenStoreTransport) {
    this.#xen = xen;
    this.transport = transport;
    const decoder = new XsMessageDecoder();
    transport.onData((chunk) => {
      for (const message of decoder.push(chunk)) this.#receive(message);
    });
  }

  /** The answer to any request once the machine has settled; undefined where there is none. */
  async raw(type: number, payload: Uint8Array, transactionId = 0): Promise<XsMessage | undefined> {
    const requestId = ++this.#requestId;
    this.transport.send(encodeXsMessage({ type, requestId, transactionId, payload }));
    await this.#xen.settle();
    return this.#answers.get(requestId);
  }

  /** The strings of the answer joined by a blank, or the name of the error. */
  async ask(type: number, args: string[], transactionId = 0): Promise<string | undefined> {
    const answer = await this.raw(type, encodeXsStrings(...args), transactionId);
    return answer && decodeXsStrings(answer.payload).join(' ');
  }

  read(path: string, transactionId = 0): Promise<string | undefined> {
    return this.ask(XsType.read, [path], transactionId);
  }

  async write(path: string, value: string, transactionId = 0): Promise<string | undefined> {
    const answer = await this.raw(XsType.write, encodeXsWrite(path, value), transactionId);
    return answer && decodeXsStrings(answer.payload).join(' ');
  }

  mkdir(path: string, transactionId = 0): Promise<string | undefined> {
    return this.ask(XsType.mkdir, [path], transactionId);
  }

  remove(path: string, transactionId = 0): Promise<string | undefined> {
    return this.ask(XsType.rm, [path], transactionId);
  }

  list(path: string, transactionId = 0): Promise<string | undefined> {
    return this.ask(XsType.directory, [path], transactionId);
  }

  permissions(path: string): Promise<string | undefined> {
    return this.ask(XsType.getPerms, [path]);
  }

  permit(path: string, ...permissions: string[]): Promise<string | undefined> {
    return this.ask(XsType.setPerms, [path, ...permissions]);
  }

  /** Sets a watch and drops its first event. */
  async watch(path: string, token = 't'): Promise<string | undefined> {
    const answer = await this.ask(XsType.watch, [path, token]);
    this.events.pop();
    return answer;
  }

  async start(): Promise<number> {
    return Number(await this.ask(XsType.transactionStart, ['']));
  }

  commit(transactionId: number): Promise<string | undefined> {
    return this.ask(XsType.transactionEnd, ['T'], transactionId);
  }

  abort(transactionId: number): Promise<string | undefined> {
    return this.ask(XsType.transactionEnd, ['F'], transactionId);
  }

  /** The events since the last call. */
  takeEvents(): string[] {
    return this.events.splice(0);
  }

  #receive(message: XsMessage): void {
    if (message.type === XsType.watchEvent) {
      this.events.push(decodeXsStrings(message.payload).join(' '));
      this.order.push('event');
    } else {
      this.#answers.set(message.requestId, message);
      this.order.push(message.requestId);
    }
  }
}
