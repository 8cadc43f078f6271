import { DEVICE_CLASS, Field } from '../config/fields.ts';
import { deferred } from '../deferred.ts';
import { isVsndError, type VsndError } from '../errors.ts';
import { checkOptionNames, type OptionNames } from '../option-names.ts';
import { ReleaseStack } from '../release-stack.ts';
import { Repeater } from '../repeater.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import { OWNERS_PATIENCE, XenStoreClient } from '../xenstore/client.ts';
import type { LineChange } from '../xenstore/line.ts';
import type { StreamAddress } from './card.ts';
import { CardKeeper } from './card-keeper.ts';
import { type GuestStatus, Guests } from './guest.ts';
import { LIMITS, type LimitSetting } from './limits.ts';
import { type BackendLogEntry, formatLogEntry, LogBudget } from './log.ts';
import type { PcmDevice } from './pcm-device.ts';
import type { QueueMode } from './playback-queue.ts';
import type { BackendCardStatus, BackendXenStoreStatus } from './status.ts';
import { Turns } from './turns.ts';

/** Where the toolstack puts cards: <frontend domid>/<devid> below it. */
const ROOT = `backend/${DEVICE_CLASS}`;

/** Nodes of a card that nobody but its backend changes while it is served, or given up. */
const OWN_FIELDS: ReadonlySet<string | undefined> = new Set(['state', Field.backendVersions]);

/** What a {@link Backend} serves its guests with. */
export interface BackendOptions {
  /** The device behind a stream; asked once for each connection. */
  deviceFor(address: StreamAddress): PcmDevice;
  /** When bytes leave the shared buffer; by default 'copy'. */
  queueMode?: QueueMode | undefined;
  /** What guests may have, where that is not the default: see LIMITS. */
  limits?: readonly LimitSetting[] | undefined;
  /** One line for each event: '1/0: connected, 2 streams'. By default there is no log. */
  log?: ((line: string, entry: BackendLogEntry) => void) | undefined;
}

const BACKEND_OPTIONS: OptionNames<BackendOptions> = {
  deviceFor: true,
  queueMode: true,
  limits: true,
  log: true,
};

/** The vsnd backend of one domain: serves every card that the toolstack puts below its `backend/vsnd`. */
export class Backend {
  readonly #hypervisor: Hypervisor;
  readonly #xenstore: XenStoreClient;
  readonly #deviceFor: BackendOptions['deviceFor'];
  readonly #queueMode: QueueMode;
  readonly #turns: Turns;
  /** For what is of no one guest. */
  readonly #ownLog: LogBudget;
  /** By '<frontend domid>/<devid>'. */
  readonly #keepers = new Map<string, CardKeeper>();
  readonly #guests: Guests;
  readonly #releases = new ReleaseStack();
  readonly #failed = deferred<VsndError>();
  readonly #listing = new Repeater(() => this.#lookAtAll());
  #closed = false;

  /** Starts serving; cards are found, and appear and vanish, on their own from here on. */
  static async start(hypervisor: Hypervisor, options: BackendOptions): Promise<Backend> {
    checkOptionNames<BackendOptions>('Backend.start()', options, BACKEND_OPTIONS);
    const xenstore = await XenStoreClient.open(hypervisor, { patience: OWNERS_PATIENCE });
    const backend = new Backend(hypervisor, xenstore, options);
    backend.#releases.push(() => xenstore.close());
    try {
      hypervisor.ref(); // a backend lives until it is closed
      backend.#releases.push(() => hypervisor.unref());
      const watch = await xenstore.watch(ROOT, (path) => backend.#followToolstack(path));
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
    const { limits = [] } = options;
    const { clock } = hypervisor;
    const log = (entry: BackendLogEntry) => options.log?.(formatLogEntry(entry), entry);
    const bytesPerMinute = LIMITS['log-bytes-per-minute'].default;
    this.#ownLog = new LogBudget({ bytesPerMinute, clock, log });
    this.#guests = new Guests({ limits, clock, log });
    xenstore.follow((change, error) => this.#followXenStore(change, error));
  }

  /** What all guests do, just now. */
  get status(): BackendCardStatus[] {
    return [...this.#keepers.values()].map(({ status }) => status).filter((status) => status !== undefined);
  }

  /** What each guest's limits have done to it. */
  get guests(): GuestStatus[] {
    return this.#guests.status;
  }

  /** What it has asked of XenStore so far. */
  get xenstore(): BackendXenStoreStatus {
    const { roundTrips, reconnections } = this.#xenstore;
    return { roundTrips, reconnections };
  }

  /** Resolves with ERR_VSND_XENSTORE when XenStore has been out of reach for 10 s: what guests play goes on, but no guest can connect. */
  get failed(): Promise<VsndError> {
    return this.#failed.promise;
  }

  /** Closes every card, and with it every device. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const keepers = [...this.#keepers.values()];
    this.#keepers.clear();
    this.#releases.push(() => closeAll(keepers));
    await this.#releases.releaseAll();
  }

  /** When XenStore is back, every watch has been set anew, and is called: all cards are looked at. */
  #followXenStore(change: LineChange, error: VsndError | undefined): void {
    if (change === 'back') this.#ownLog.log({ message: 'XenStore is back' });
    if (error === undefined) return;
    this.#ownLog.log({ message: change === 'lost' ? `${error.message}; it is opened again` : error.message });
    if (change === 'failed') this.#failed.resolve(error);
  }

  /** `path`: what has changed, or may have, at or below {@link ROOT}. Waits for nothing. */
  #followToolstack(path: string): void {
    const [domid, devid, field] = path.slice(ROOT.length + 1).split('/');
    if (!domid) this.#listing.ask();
    else if (!isNumber(domid)) return;
    else if (devid === undefined) void this.#lookAtGuest(domid);
    else if (isNumber(devid)) this.#lookAtCard(`${domid}/${devid}`, field);
  }

  async #lookAtAll(): Promise<void> {
    await this.#lookBelow(ROOT, (domid) => void this.#lookAtGuest(domid), this.#domids);
  }

  async #lookAtGuest(domid: string): Promise<void> {
    const own = `${domid}/`;
    const known = this.#keys.filter((key) => key.startsWith(own)).map((key) => key.slice(own.length));
    await this.#lookBelow(`${ROOT}/${domid}`, (devid) => this.#lookAtCard(`${own}${devid}`), known);
  }

  /** Looks at what a directory lists, and at what is known to have been there. Never rejects. */
  async #lookBelow(path: string, look: (name: string) => void, known: readonly string[]): Promise<void> {
    try {
      const names = await this.#xenstore.directory(path).catch(noneIfAbsent);
      new Set([...names.filter(isNumber), ...known]).forEach(look);
    } catch (error) {
      if (!this.#closed) this.#ownLog.log({ message: (error as Error).message });
    }
  }

  #lookAtCard(key: string, field?: string): void {
    if (this.#closed) return;
    const keeper = this.#keepers.get(key) ?? this.#createKeeper(key);
    if ((keeper.isServing || keeper.isGivenUp) && OWN_FIELDS.has(field)) return;
    keeper.look();
  }

  get #keys(): string[] {
    return [...this.#keepers.keys()];
  }

  get #domids(): string[] {
    return this.#keys.map((key) => key.slice(0, key.indexOf('/')));
  }

  #createKeeper(key: string): CardKeeper {
    const { domid, devid } = addressOf(key);
    const guests = this.#guests;
    const keeper = new CardKeeper({
      /** The one that is remembered when it is asked for. */
      get guest() {
        return guests.find(domid);
      },
      deviceFor: this.#deviceFor,
      queueMode: this.#queueMode,
      turns: this.#turns,
      hypervisor: this.#hypervisor,
      xenstore: this.#xenstore,
      path: `${ROOT}/${key}`,
      frontendDomid: domid,
      devid,
      log: (message, stream) => guests.find(domid).log({ devid, stream, message }),
      onEmpty: () => this.#keepers.delete(key),
      onFreed: () => this.#lookAgain(),
    });
    this.#keepers.set(key, keeper);
    return keeper;
  }

  #lookAgain(): void {
    for (const keeper of this.#keepers.values()) if (keeper.isGivenUp) keeper.look();
  }
}

/** All at once: one with a device that takes its time holds up no other. Throws the first failure when all are closed. */
async function closeAll(cards: readonly CardKeeper[]): Promise<void> {
  const results = await Promise.allSettled(cards.map((card) => card.close()));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

function isNumber(name: string): boolean {
  return /^\d+$/.test(name);
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
