import { debuglog } from 'node:util';
import { type StreamPlace, streamsOf } from '../config/card.ts';
import { DEVICE_CLASS } from '../config/fields.ts';
import { abortable } from '../deferred.ts';
import { abortError, invalidArgError, isVsndError, VsndError } from '../errors.ts';
import { checkOptionNames } from '../option-names.ts';
import { ReleaseStack } from '../release-stack.ts';
import type { HwParamRanges } from '../wire/sndif.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import type { StreamEngine } from '../xen/stream-engine.ts';
import { OWNERS_PATIENCE, XenStoreClient } from '../xenstore/client.ts';
import { CaptureStream, type CaptureStreamOptions } from './capture-stream.ts';
import { type CardInfo, findCards, readCard } from './discovery.ts';
import { CardLink } from './link.ts';
import { PLAYBACK_OPTIONS, PlaybackStream, type PlaybackStreamOptions } from './playback-stream.ts';
import {
  HW_PARAMS_QUERY,
  type HwParamsAnswer,
  type HwParamsQuery,
  queryHwParams,
  rangesOfQuery,
} from './query-hw-params.ts';
import type { StreamSlot } from './stream-core.ts';
import { checkBoolean, STREAM_OPTIONS } from './stream-options.ts';

const debug = debuglog('vsnd');

/** How long a backend may take to connect, unless the caller says otherwise, ms. */
const DEFAULT_TIMEOUT_MS = 10_000;

/** Which card to open, and how. */
export interface CardOptions {
  /** The card's devid; by default the guest's first. */
  card?: number | undefined;
  /** How long the backend may take to connect, ms. */
  timeout?: number | undefined;
  /**
   * Whether streams outlive their backend, and a save and restore of the guest: they then wait for the next one, and go
   * on. Without it they are destroyed with ERR_VSND_BACKEND_GONE. By default false.
   */
  reconnect?: boolean | undefined;
  /**
   * What carries the frames of its streams, every period: a thread of the addon ('native'), which JavaScript that is busy does not
   * hold up, or JavaScript itself ('script'). By default 'native' where it can be had, unless VSND_ENGINE says otherwise.
   */
  engine?: EngineName | undefined;
  /** Aborting it gives up connecting. */
  signal?: AbortSignal | undefined;
}

/** What carries frames: a thread of the addon ('native'), or JavaScript ('script'). */
export type EngineName = 'native' | 'script';

/** A stream of either kind. */
type AnyStream = PlaybackStream | CaptureStream;
type StreamType = StreamSlot['type'];

/** A sound card of this guest that this process owns. When its backend is gone it waits for the next one. */
export class Card {
  readonly #hypervisor: Hypervisor;
  readonly #link: CardLink;
  readonly #reconnect: boolean;
  readonly #engine: StreamEngine | undefined;
  readonly #releases: ReleaseStack;
  /** What is in use, by '<device>/<stream>'; without a stream while it is being asked for its parameters. */
  readonly #inUse = new Map<string, AnyStream | undefined>();
  #closed: Promise<void> | undefined;

  /**
   * Takes the card, reads its configuration and connects to its backend. Rejects with ERR_VSND_CARD_BUSY (and `pid`),
   * ERR_VSND_NO_CARD, ERR_VSND_CONFIG, ERR_VSND_BACKEND_GONE, ERR_VSND_NOT_SUPPORTED, ERR_VSND_INVALID_ARG or an
   * AbortError, at once: opening the card again waits until the backend has let go of it, for 3 s at most. `releases`: what
   * is to be undone after the card has been closed.
   * @internal
   */
  static async open(
    hypervisor: Hypervisor,
    options: CardOptions = {},
    releases = new ReleaseStack(),
  ): Promise<Card> {
    checkOptions(options);
    const { signal, reconnect = false, timeout = DEFAULT_TIMEOUT_MS } = options;
    const engine = chooseEngine(hypervisor, options.engine);
    hypervisor.ref();
    releases.push(() => hypervisor.unref());
    let claimed: string | undefined;
    try {
      signal?.throwIfAborted();
      const { xenstore, devid } = await claimCard(hypervisor, options, releases);
      claimed = deviceOf(devid);
      const limits = { timeout: timeout * 1e6, signal };
      const link = await CardLink.open(hypervisor, xenstore, devid, limits, releases);
      hypervisor.unref(); // an idle card does not hold the process
      releases.push(() => hypervisor.ref());
      return new Card(hypervisor, link, { reconnect, engine }, releases);
    } catch (error) {
      const left = releases.releaseAll();
      if (claimed) letOthersWait(hypervisor, claimed, left);
      else await left;
      throw signal?.aborted ? abortError(signal) : error;
    }
  }

  private constructor(
    hypervisor: Hypervisor,
    link: CardLink,
    { reconnect, engine }: { reconnect: boolean; engine: StreamEngine | undefined },
    releases: ReleaseStack,
  ) {
    this.#hypervisor = hypervisor;
    this.#link = link;
    this.#reconnect = reconnect;
    this.#engine = engine;
    this.#releases = releases;
  }

  /** What XenStore said of the card when it was connected. */
  get info(): CardInfo {
    return this.#link.info;
  }

  /** Whether a backend is connected now. */
  get connected(): boolean {
    return this.#closed === undefined && this.#link.failure === undefined;
  }

  /** The streams that are in use. */
  get streams(): readonly AnyStream[] {
    return [...this.#inUse.values()].filter((stream) => stream !== undefined);
  }

  /**
   * A stream that plays what is written to it. Throws ERR_VSND_INVALID_ARG for what the card does not take,
   * ERR_VSND_NO_STREAM where every fitting stream is in use, ERR_VSND_NOT_SUPPORTED for a software volume of a format
   * without samples, and without `reconnect` ERR_VSND_BACKEND_GONE while there is no backend.
   */
  createPlaybackStream(options: PlaybackStreamOptions): PlaybackStream {
    checkOptionNames('createPlaybackStream()', options, PLAYBACK_OPTIONS);
    return this.#create('playback', options, (slot) => new PlaybackStream(slot, options));
  }

  /** A stream that gives what the card captures. Throws as {@link createPlaybackStream}. */
  createCaptureStream(options: CaptureStreamOptions): CaptureStream {
    checkOptionNames('createCaptureStream()', options, STREAM_OPTIONS);
    return this.#create('capture', options, (slot) => new CaptureStream(slot, options));
  }

  /**
   * What a stream that is not in use can be set to, by the backend's device: more than XenStore tells. Throws
   * ERR_VSND_INVALID_ARG, ERR_VSND_NO_STREAM; rejects with ERR_VSND_NOT_SUPPORTED, naming a parameter that cannot be
   * met, with ERR_VSND_STATUS where the backend does not know the question, and with ERR_VSND_BACKEND_GONE.
   */
  queryHwParams(query: HwParamsQuery = {}): Promise<HwParamsAnswer> {
    checkOptionNames('queryHwParams()', query, HW_PARAMS_QUERY);
    this.#assertOpen();
    const { type = 'playback' } = query;
    if (type !== 'playback' && type !== 'capture') throw invalidArgError('type', type, 'playback, capture');
    const [place] = this.#freePlaces(type, query);
    if (place === undefined) throw allInUseError(type);
    return this.#query(place, rangesOfQuery(query, place.config));
  }

  /** Destroys what still plays or captures, leaves the backend, and gives the card back. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** @internal What of {@link close} a process can do that ends here and now. */
  leaveNow(): void {
    this.#link.leaveNow();
  }

  /** For `await using`: {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#link.beginToLeave();
    const closing = this.streams.map(async (stream) => {
      if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve).destroy());
    });
    await Promise.all(closing);
    await this.#releases.releaseAll();
  }

  #assertOpen(): void {
    if (this.#closed) throw new VsndError('ERR_VSND_INVALID_STATE', 'the card has been closed');
  }

  /** Nobody else can have the stream meanwhile. */
  async #query(place: StreamPlace, asked: HwParamRanges): Promise<HwParamsAnswer> {
    const key = keyOf(place);
    this.#hypervisor.ref();
    this.#inUse.set(key, undefined);
    try {
      return await queryHwParams(await this.#link.attach(place.device, place.config), asked);
    } finally {
      this.#inUse.delete(key);
      this.#hypervisor.unref();
    }
  }

  /** The first free stream that takes the format; where none does, the first one's objection is the answer. */
  #create<T extends AnyStream>(
    type: StreamType,
    options: PlaybackStreamOptions | CaptureStreamOptions,
    make: (slot: StreamSlot) => T,
  ): T {
    checkBoolean('reconnect', options.reconnect);
    const reconnect = options.reconnect ?? this.#reconnect;
    this.#assertOpen();
    if (this.#link.failure && !reconnect) throw this.#link.failure;
    const free = this.#freePlaces(type, options);
    if (free.length === 0) throw allInUseError(type);
    const objections: unknown[] = [];
    for (const place of free) {
      try {
        return this.#occupy(place, make(this.#slot(type, place, reconnect)));
      } catch (error) {
        if (!isVsndError(error, 'ERR_VSND_INVALID_ARG')) throw error;
        objections.push(error);
      }
    }
    throw objections[0];
  }

  #occupy<T extends AnyStream>(place: StreamPlace, stream: T): T {
    this.#hypervisor.ref();
    this.#inUse.set(keyOf(place), stream);
    return stream;
  }

  #slot(type: StreamType, place: StreamPlace, reconnect: boolean): StreamSlot {
    const { device, config } = place;
    return {
      type,
      device,
      config,
      reconnect,
      hypervisor: this.#hypervisor,
      engine: this.#engine,
      attach: (signal) => this.#link.attach(device, config, signal),
      release: () => {
        this.#inUse.delete(keyOf(place));
        this.#hypervisor.unref();
      },
    };
  }

  #freePlaces(
    type: StreamType,
    wanted: { device?: number | undefined; stream?: number | undefined },
  ): StreamPlace[] {
    return this.#findPlaces(type, wanted).filter((place) => !this.#inUse.has(keyOf(place)));
  }

  /** The card's streams among which the caller chose. Throws ERR_VSND_INVALID_ARG where there is none. */
  #findPlaces(
    type: StreamType,
    { device, stream }: { device?: number | undefined; stream?: number | undefined },
  ): StreamPlace[] {
    const all = streamsOf(this.info, { type });
    if (all.length === 0) {
      throw new VsndError('ERR_VSND_NO_STREAM', `card ${this.info.devid} has no ${type} stream`);
    }
    const there = streamsOf(this.info, { type, device });
    if (there.length === 0) {
      throw invalidArgError('device', device, [...new Set(all.map((place) => place.device))].join(', '));
    }
    const chosen = stream === undefined ? there : there.filter(({ config }) => config.index === stream);
    if (chosen.length > 0) return chosen;
    throw invalidArgError('stream', stream, there.map(({ config }) => config.index).join(', '));
  }
}

function keyOf({ device, config }: StreamPlace): string {
  return `${device}/${config.index}`;
}

function allInUseError(type: StreamType): VsndError {
  return new VsndError('ERR_VSND_NO_STREAM', `every ${type} stream of the card that fits is in use`);
}

/** All cards of this guest; owns none of them. `onUnreadable` hears of those that cannot be read; without it they reject. */
export async function listCards(
  hypervisor: Hypervisor,
  onUnreadable?: (error: VsndError) => void,
): Promise<CardInfo[]> {
  const xenstore = await XenStoreClient.open(hypervisor);
  const read = async (devid: number): Promise<CardInfo[]> => {
    try {
      return [await readCard(xenstore, devid)];
    } catch (error) {
      if (!onUnreadable || !isVsndError(error, 'ERR_VSND_CONFIG')) throw error;
      onUnreadable(error);
      return [];
    }
  };
  try {
    const devids = await findCards(xenstore);
    return (await Promise.all(devids.map(read))).flat();
  } finally {
    await xenstore.close();
  }
}

/** The card's name among all devices. */
function deviceOf(devid: number): string {
  return `${DEVICE_CLASS}/${devid}`;
}

/** Who opens the device again in this process waits until it has been left. */
function letOthersWait({ leaving }: Hypervisor, device: string, left: Promise<void>): void {
  const failed = (error: Error) => debug('%s: %s', device, error.message);
  leaving.set(
    device,
    left.catch(failed).finally(() => leaving.delete(device)),
  );
}

/**
 * Claims the card before XenStore is touched: a second frontend's first write would end the first one's connection.
 * Which card is the first one only XenStore knows; it is 0, save where the toolstack removed that one.
 */
async function claimCard(
  hypervisor: Hypervisor,
  { card: wanted, signal }: CardOptions,
  releases: ReleaseStack,
) {
  const claim = async (devid: number) => {
    const device = deviceOf(devid);
    await abortable(Promise.resolve(hypervisor.leaving.get(device)), signal);
    return await hypervisor.claim(device);
  };
  let claimed = await claim(wanted ?? 0);
  releases.push(() => claimed.release());
  const xenstore = await XenStoreClient.open(hypervisor, { patience: OWNERS_PATIENCE });
  releases.push(() => xenstore.close());
  const [first = 0] = wanted === undefined ? await findCards(xenstore) : [wanted];
  if (first !== (wanted ?? 0)) {
    await claimed.release();
    claimed = await claim(first);
  }
  return { xenstore, devid: first };
}

/** Throws ERR_VSND_NOT_SUPPORTED where 'native' is asked for and cannot be had. */
function chooseEngine(hypervisor: Hypervisor, wanted: EngineName | undefined): StreamEngine | undefined {
  if (wanted === 'script') return undefined;
  const { engine } = hypervisor;
  if (wanted === undefined || engine) return engine;
  const { description } = hypervisor;
  throw new VsndError(
    'ERR_VSND_NOT_SUPPORTED',
    `${description} has no native engine; engine: 'script' does without it`,
  );
}

function checkOptions({ card, engine, timeout, reconnect }: CardOptions): void {
  checkBoolean('reconnect', reconnect);
  if (engine !== undefined && engine !== 'native' && engine !== 'script') {
    throw invalidArgError('engine', engine, 'native, script');
  }
  if (card !== undefined && (!Number.isInteger(card) || card < 0)) {
    throw invalidArgError('card', card, 'a devid: a whole number from 0');
  }
  if (timeout !== undefined && !(timeout > 0)) throw invalidArgError('timeout', timeout, 'more than 0 ms');
}
