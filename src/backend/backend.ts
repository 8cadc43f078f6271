import { DEVICE_CLASS } from '../config/fields.ts';
import { isVsndError } from '../errors.ts';
import { ReleaseStack } from '../release-stack.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import { XenStoreClient } from '../xenstore/client.ts';
import { BackendCard, type StreamAddress } from './card.ts';
import type { PcmDevice } from './pcm-device.ts';
import type { QueueMode } from './playback-queue.ts';
import type { BackendCardStatus } from './status.ts';
import { Turns } from './turns.ts';

/** Something that has happened, and to whom. */
export interface BackendLogEntry {
  readonly message: string;
  /** The guest. */
  readonly domid?: number | undefined;
  readonly devid?: number | undefined;
  /** '<PCM device>/<stream>' */
  readonly stream?: string | undefined;
}

export interface BackendOptions {
  /** The device behind a stream; asked once for each connection. */
  deviceFor(address: StreamAddress): PcmDevice;
  /** When octets leave the shared buffer; by default 'copy'. */
  queueMode?: QueueMode | undefined;
  /** One line for each event: '1/0: connected, 2 streams'. By default nowhere. */
  log?: ((line: string, entry: BackendLogEntry) => void) | undefined;
}

/** The vsnd backend of one domain: serves every card that the toolstack puts below its `backend/vsnd`. */
export class Backend {
  readonly #hypervisor: Hypervisor;
  readonly #xenstore: XenStoreClient;
  readonly #deviceFor: BackendOptions['deviceFor'];
  readonly #queueMode: QueueMode;
  readonly #turns: Turns;
  readonly #log: (entry: BackendLogEntry) => void;
  /** By '<frontend domid>/<devid>'. */
  readonly #cards = new Map<string, BackendCard>();
  readonly #releases = new ReleaseStack();
  #closed = false;

  /** Starts serving; cards are found, and appear and vanish, on their own from here on. */
  static async start(hypervisor: Hypervisor, options: BackendOptions): Promise<Backend> {
    const xenstore = await XenStoreClient.open(hypervisor);
    const backend = new Backend(hypervisor, xenstore, options);
    backend.#releases.push(() => xenstore.close());
    try {
      hypervisor.ref(); // a backend lives until it is closed
      backend.#releases.push(() => hypervisor.unref());
      const watch = await xenstore.watch(`backend/${DEVICE_CLASS}`, () => backend.#followToolstack());
      backend.#releases.push(() => watch.close());
      return backend;
    } catch (error) {
      await backend.close();
      throw error;
    }
  }

  private constructor(hypervisor: Hypervisor, xenstore: XenStoreClient, options: BackendOptions) {
    this.#hypervisor = hypervisor;
    this.#xenstore = xenstore;
    this.#deviceFor = options.deviceFor;
    this.#queueMode = options.queueMode ?? 'copy';
    this.#turns = new Turns(hypervisor.clock);
    this.#log = (entry) => options.log?.(formatLogEntry(entry), entry);
  }

  /** What all guests do, just now. */
  get status(): BackendCardStatus[] {
    return [...this.#cards.values()].map((card) => card.status);
  }

  /** Closes every card, and with it every device. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const cards = [...this.#cards.values()];
    this.#cards.clear();
    this.#releases.push(() => closeAll(cards));
    await this.#releases.releaseAll();
  }

  async #followToolstack(): Promise<void> {
    try {
      await this.#findCards();
    } catch (error) {
      if (!this.#closed) this.#log({ message: (error as Error).message });
    }
  }

  /** Compares the cards in XenStore with those being served. */
  async #findCards(): Promise<void> {
    const found = await this.#listCards();
    if (this.#closed) return;
    for (const [key, card] of this.#cards) {
      if (found.has(key)) continue;
      this.#cards.delete(key);
      await card.close();
      this.#log({ ...addressOf(key), message: 'removed' });
    }
    for (const key of found) if (!this.#cards.has(key)) await this.#addCard(key);
  }

  /**
   * '<frontend domid>/<devid>' of every card; a node that vanishes meanwhile has none. One that the toolstack has put
   * offline is to be closed: it waits for our Closed before it removes the nodes.
   */
  async #listCards(): Promise<Set<string>> {
    const list = async (path: string) => {
      const names = await this.#xenstore.directory(path).catch(noneIfAbsent);
      return names.filter((name) => /^\d+$/.test(name));
    };
    const domids = await list(`backend/${DEVICE_CLASS}`);
    const all = domids.map(async (domid) => {
      const devids = await list(`backend/${DEVICE_CLASS}/${domid}`);
      return devids.map((devid) => `${domid}/${devid}`);
    });
    const keys = (await Promise.all(all)).flat();
    const online = keys.map((key) => this.#xenstore.readIfPresent(`backend/${DEVICE_CLASS}/${key}/online`));
    const isOnline = (await Promise.all(online)).map((value) => value !== '0');
    return new Set(keys.filter((_, index) => isOnline[index]));
  }

  async #addCard(key: string): Promise<void> {
    const path = `backend/${DEVICE_CLASS}/${key}`;
    const { domid, devid } = addressOf(key);
    const frontendPath = await this.#xenstore.readIfPresent(`${path}/frontend`);
    const state = await this.#xenstore.readIfPresent(`${path}/state`);
    if (frontendPath === undefined || state === undefined) return; // the toolstack is not done with it, or just has removed it
    if (this.#closed) return;
    const card = new BackendCard({
      deviceFor: this.#deviceFor,
      queueMode: this.#queueMode,
      turns: this.#turns,
      hypervisor: this.#hypervisor,
      xenstore: this.#xenstore,
      path,
      frontendPath,
      frontendDomid: domid,
      devid,
      log: (message, stream) => this.#log({ domid, devid, stream, message }),
    });
    this.#cards.set(key, card);
    await card.start();
  }
}

/** All at once: one with a device that takes its time holds up no other. Throws the first failure when all are closed. */
async function closeAll(cards: readonly BackendCard[]): Promise<void> {
  const results = await Promise.allSettled(cards.map((card) => card.close()));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

/** A line for people: '1/0: stream 0/0: ...'. */
export function formatLogEntry({ domid, devid, stream, message }: BackendLogEntry): string {
  const card = domid === undefined ? '' : `${domid}/${devid}: `;
  return `${card}${stream === undefined ? '' : `stream ${stream}: `}${message}`;
}

function addressOf(key: string): { domid: number; devid: number } {
  const [domid = 0, devid = 0] = key.split('/').map(Number);
  return { domid, devid };
}

/** Only a list that is not there is empty: one that cannot be read says nothing about the cards. */
function noneIfAbsent(error: unknown): string[] {
  if (isVsndError(error, 'ERR_VSND_XENSTORE') && error.errno === 'ENOENT') return [];
  throw error;
}
