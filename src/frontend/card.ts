import type { StreamConfig } from '../config/card.ts';
import { DEVICE_CLASS } from '../config/fields.ts';
import { abortError, invalidArg, isVsndError, VsndError } from '../errors.ts';
import { ReleaseStack } from '../release-stack.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import { XenStoreClient } from '../xenstore/client.ts';
import { Connection } from './connection.ts';
import { type CardInfo, findCards, readCard } from './discovery.ts';
import { PlaybackStream, type PlaybackStreamOptions } from './playback-stream.ts';

/** How long a backend may take to connect, unless the caller says otherwise, ms. */
const DEFAULT_TIMEOUT_MS = 10_000;

export interface CardOptions {
  /** The card's devid; by default the guest's first. */
  card?: number | undefined;
  /** How long the backend may take to connect, ms. */
  timeout?: number | undefined;
  /** Aborting it gives up connecting. */
  signal?: AbortSignal | undefined;
}

/** A sound card of this guest that this process owns. */
export class Card {
  readonly #info: CardInfo;
  readonly #hypervisor: Hypervisor;
  readonly #connection: Connection;
  readonly #releases: ReleaseStack;
  readonly #streams = new Map<string, PlaybackStream>();
  #closed: Promise<void> | undefined;

  /**
   * Takes the card, reads its configuration and connects to its backend. Rejects with ERR_VSND_CARD_BUSY (and `pid`),
   * ERR_VSND_NO_CARD, ERR_VSND_CONFIG, ERR_VSND_BACKEND_GONE, ERR_VSND_INVALID_ARG or an AbortError; nothing is left then.
   * `releases`: what is to be undone after the card has been closed.
   */
  static async open(
    hypervisor: Hypervisor,
    options: CardOptions = {},
    releases = new ReleaseStack(),
  ): Promise<Card> {
    checkOptions(options);
    const { signal } = options;
    hypervisor.ref();
    releases.push(() => hypervisor.unref());
    try {
      signal?.throwIfAborted();
      const { xenstore, devid } = await claimCard(hypervisor, options.card, releases);
      const info = await readCard(xenstore, devid);
      const connection = new Connection(hypervisor, xenstore, { ...info, streamPaths: streamPaths(info) });
      releases.push(() => connection.close());
      const giveUp = () => void connection.close();
      signal?.addEventListener('abort', giveUp, { once: true });
      try {
        signal?.throwIfAborted();
        await connection.open((options.timeout ?? DEFAULT_TIMEOUT_MS) * 1e6);
      } finally {
        signal?.removeEventListener('abort', giveUp);
      }
      hypervisor.unref(); // an idle card does not hold the process
      releases.push(() => hypervisor.ref());
      return new Card(info, hypervisor, connection, releases);
    } catch (error) {
      await releases.releaseAll();
      throw signal?.aborted ? abortError(signal) : error;
    }
  }

  private constructor(
    info: CardInfo,
    hypervisor: Hypervisor,
    connection: Connection,
    releases: ReleaseStack,
  ) {
    this.#info = info;
    this.#hypervisor = hypervisor;
    this.#connection = connection;
    this.#releases = releases;
  }

  /** What XenStore said of the card when it was opened. */
  get info(): CardInfo {
    return this.#info;
  }

  /**
   * A stream that plays what is written to it. Throws ERR_VSND_INVALID_ARG for what the card does not take,
   * ERR_VSND_NO_STREAM where every fitting stream is in use, ERR_VSND_BACKEND_GONE after the backend has gone.
   */
  createPlaybackStream(options: PlaybackStreamOptions): PlaybackStream {
    const { failure } = this.#connection;
    if (this.#closed) throw new VsndError('ERR_VSND_INVALID_STATE', 'the card has been closed');
    if (failure) throw failure;
    const free = this.#findPlaybackStreams(options).filter(({ path }) => !this.#streams.has(path));
    if (free.length === 0) {
      throw new VsndError('ERR_VSND_NO_STREAM', 'every playback stream of the card that fits is in use');
    }
    return this.#createOnFirst(free, options);
  }

  /** Destroys what still plays, leaves the backend, and gives the card back. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const closing = [...this.#streams.values()].map(async (stream) => {
      if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve).destroy());
    });
    await Promise.all(closing);
    await this.#releases.releaseAll();
  }

  /** The card's playback streams among which the caller chose. Throws ERR_VSND_INVALID_ARG where there is none. */
  #findPlaybackStreams({ device, stream }: PlaybackStreamOptions): StreamConfig[] {
    const { pcmDevices } = this.#info;
    const devices = device === undefined ? pcmDevices : pcmDevices.filter(({ index }) => index === device);
    const playback = devices.flatMap(({ streams }) => streams.filter(({ type }) => type === 'playback'));
    const chosen = stream === undefined ? playback : playback.filter(({ index }) => index === stream);
    if (chosen.length > 0) return chosen;
    const having = pcmDevices.filter(({ streams }) => streams.some(({ type }) => type === 'playback'));
    if (stream !== undefined && playback.length > 0) {
      throw invalidArg('stream', stream, playback.map(({ index }) => index).join(', '));
    }
    if (device !== undefined)
      throw invalidArg('device', device, having.map(({ index }) => index).join(', ') || 'none');
    throw new VsndError('ERR_VSND_NO_STREAM', `card ${this.#info.devid} has no playback stream`);
  }

  /** The first stream that takes the format; where none does, the first one's objection is the answer. */
  #createOnFirst(candidates: StreamConfig[], options: PlaybackStreamOptions): PlaybackStream {
    const objections: unknown[] = [];
    for (const config of candidates) {
      try {
        return this.#create(config, options);
      } catch (error) {
        if (!isVsndError(error, 'ERR_VSND_INVALID_ARG')) throw error;
        objections.push(error);
      }
    }
    throw objections[0];
  }

  #create(config: StreamConfig, options: PlaybackStreamOptions): PlaybackStream {
    const stream = new PlaybackStream(
      {
        hypervisor: this.#hypervisor,
        backendDomid: this.#info.backendDomid,
        config,
        channel: this.#connection.channel(config.path),
        release: () => {
          this.#streams.delete(config.path);
          this.#hypervisor.unref();
        },
      },
      options,
    );
    this.#hypervisor.ref();
    this.#streams.set(config.path, stream);
    return stream;
  }
}

/** All cards of this guest; owns none of them. */
export async function listCards(hypervisor: Hypervisor): Promise<CardInfo[]> {
  const xenstore = await XenStoreClient.open(hypervisor);
  try {
    const devids = await findCards(xenstore);
    return await Promise.all(devids.map((devid) => readCard(xenstore, devid)));
  } finally {
    await xenstore.close();
  }
}

/**
 * Claims the card before XenStore is touched: a second frontend's first write would end the first one's connection.
 * Which card is the first one only XenStore knows; it is 0, save where the toolstack removed that one.
 */
async function claimCard(hypervisor: Hypervisor, wanted: number | undefined, releases: ReleaseStack) {
  const claim = (devid: number) => hypervisor.claim(`${DEVICE_CLASS}/${devid}`);
  let claimed = await claim(wanted ?? 0);
  releases.push(() => claimed.release());
  const xenstore = await XenStoreClient.open(hypervisor);
  releases.push(() => xenstore.close());
  const [first = 0] = wanted === undefined ? await findCards(xenstore) : [wanted];
  if (first !== (wanted ?? 0)) {
    await claimed.release();
    claimed = await claim(first);
  }
  return { xenstore, devid: first };
}

function streamPaths({ pcmDevices }: CardInfo): string[] {
  return pcmDevices.flatMap(({ streams }) => streams.map(({ path }) => path));
}

function checkOptions({ card, timeout }: CardOptions): void {
  if (card !== undefined && (!Number.isInteger(card) || card < 0)) {
    throw invalidArg('card', card, 'a devid: a whole number from 0');
  }
  if (timeout !== undefined && !(timeout > 0)) throw invalidArg('timeout', timeout, 'more than 0 ms');
}
