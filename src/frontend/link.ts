import { debuglog } from 'node:util';
import { wait } from '../clock.ts';
import { type StreamConfig, streamsOf } from '../config/card.ts';
import { DEVICE_CLASS } from '../config/fields.ts';
import { abortable, deferred } from '../deferred.ts';
import { abortError, isVsndError, VsndError } from '../errors.ts';
import type { ReleaseStack } from '../release-stack.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import type { Watch, XenStoreClient } from '../xenstore/client.ts';
import { Connection } from './connection.ts';
import { publishConfigWarning } from './diagnostics.ts';
import { type CardInfo, readCard, withDoubts } from './discovery.ts';
import type { StreamAttachment } from './session.ts';

const debug = debuglog('vsnd');

/** ns: how long a predecessor's sound may be played out; its format, and so its time, is not known. */
const LONGEST_PLAY_OUT = 2e9;

/** ns: a backend that refuses is tried again no sooner. */
const PAUSE = 1e9;

/** How often a connection is tried again that this guest itself could not make. */
const ATTEMPTS = 10;

/** A card's tie to its backend: one connection after the other, for as long as the card is open. */
export class CardLink {
  readonly #hypervisor: Hypervisor;
  readonly #xenstore: XenStoreClient;
  readonly #devid: number;
  #info: CardInfo;
  #connection: Connection;
  #watch: Watch | undefined;
  /** Why the last connection ended, until the next one stands. */
  #loss: Error | undefined;
  /** There will be no further connection. */
  #isOver = false;
  /** Resolves when the next connection stands, or there will be none. */
  #turn = deferred();
  /** ns: when connecting again was tried last. */
  #triedAt = Number.NEGATIVE_INFINITY;
  /** Aborts when something about the device has changed: to be tried again. */
  #changed = new AbortController();
  #isClosed = false;
  /** ns: when the user began to leave. */
  #leavingSince: number | undefined;
  #keeping: Promise<void> = Promise.resolve();

  /**
   * Connects for the first time. Rejects as {@link Connection.open}, and with the signal's AbortError, at once: what is still
   * to be waited for is among `releases`.
   */
  static async open(
    hypervisor: Hypervisor,
    xenstore: XenStoreClient,
    devid: number,
    { timeout, signal }: { timeout: number; signal?: AbortSignal | undefined },
    releases: ReleaseStack,
  ): Promise<CardLink> {
    const info = await readCard(xenstore, devid);
    for (const warning of info.warnings) {
      debug('%s', warning.message);
      publishConfigWarning(warning);
    }
    await letPredecessorPlayOut(hypervisor, info, signal);
    signal?.throwIfAborted();
    const link = new CardLink(hypervisor, xenstore, info);
    releases.push(() => link.close());
    try {
      await abortable(link.#connection.open({ timeout }), signal);
      link.#watch = await xenstore.watch(`device/${DEVICE_CLASS}/${devid}/backend`, () => link.#verify());
      signal?.throwIfAborted();
    } catch (error) {
      throw withDoubts(error, info);
    }
    link.#keeping = link.#keepConnected();
    return link;
  }

  private constructor(hypervisor: Hypervisor, xenstore: XenStoreClient, info: CardInfo) {
    this.#hypervisor = hypervisor;
    this.#xenstore = xenstore;
    this.#devid = info.devid;
    this.#info = info;
    this.#connection = this.#connectionTo(info);
    xenstore.follow((change, error) => {
      if (change === 'failed' && error) this.#connection.giveUp(error);
      else this.#changed.abort();
    });
  }

  /** What XenStore said of the card when it was connected. */
  get info(): CardInfo {
    return this.#info;
  }

  /** Why no connection stands; undefined where one does. */
  get failure(): Error | undefined {
    return this.#loss ?? this.#connection.failure;
  }

  /**
   * The place of a stream of PCM device `device` on the connection that stands. Rejects with {@link failure}
   * where there is none; with a `signal`, waits for the next one until it aborts.
   */
  async attach(
    device: number,
    { index, type }: Pick<StreamConfig, 'index' | 'type'>,
    signal?: AbortSignal,
  ): Promise<StreamAttachment> {
    for (let failure = this.failure; failure !== undefined; failure = this.failure) {
      if (signal === undefined || this.#isOver) throw failure;
      await abortable(this.#turn.promise, signal);
    }
    const config = this.#info.pcmDevices[device]?.streams[index];
    if (config?.type !== type) {
      throw new VsndError('ERR_VSND_NO_STREAM', `the card has no ${type} stream ${device}/${index} any more`);
    }
    const { backendDomid } = this.#info;
    return {
      hypervisor: this.#hypervisor,
      backendDomid,
      config,
      channel: this.#connection.channel(config.path),
    };
  }

  /** As far as that can be done at once, for a process that ends: see {@link Connection.leaveNow}. */
  leaveNow(): void {
    if (this.failure === undefined && !this.#isClosed) this.#connection.leaveNow();
  }

  /** What is waited for from now on until {@link close} counts as waited for there. */
  beginToLeave(): void {
    this.#leavingSince ??= this.#hypervisor.clock.now();
  }

  /** Leaves the backend. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#changed.abort();
    await this.#connection.close(this.#leavingSince);
    await this.#keeping;
    await this.#watch?.close();
  }

  #connectionTo(info: CardInfo): Connection {
    const streamPaths = streamsOf(info).map(({ config }) => config.path);
    return new Connection(this.#hypervisor, this.#xenstore, { ...info, streamPaths });
  }

  /** Makes a new connection whenever the last one has been lost. */
  async #keepConnected(): Promise<void> {
    while (!this.#isOver) {
      await this.#connection.ended;
      this.#loss = this.#connection.failure;
      if (this.#isClosed || this.#loss === undefined) break;
      try {
        await this.#reconnect();
        this.#loss = undefined;
      } catch (error) {
        this.#loss = error as Error;
        this.#isOver = true;
      }
      this.#turn.resolve();
      this.#turn = deferred();
    }
    this.#isOver = true;
    this.#turn.resolve();
  }

  /** Resolves when a connection stands. Rejects when the card has been closed, or this guest cannot make one. */
  async #reconnect(): Promise<void> {
    for (let failures = 0; ; ) {
      await this.#pause();
      if (this.#isClosed) break;
      this.#changed = new AbortController();
      this.#triedAt = this.#hypervisor.clock.now();
      try {
        this.#info = await readCard(this.#xenstore, this.#devid);
        if (this.#isClosed) break;
        this.#connection = this.#connectionTo(this.#info);
        return await this.#connection.open();
      } catch (error) {
        debug('%s: cannot connect again: %s', this.#info.path, (error as Error).message);
        await this.#connection.ended;
        if (
          this.#xenstore.isOpen &&
          !isVsndError(error, 'ERR_VSND_BACKEND_GONE') &&
          !isVsndError(error, 'ERR_VSND_NO_CARD')
        )
          failures++;
        if (failures >= ATTEMPTS) throw error;
      }
    }
    throw new VsndError('ERR_VSND_INVALID_STATE', 'the card has been closed');
  }

  /** Until a second after the last try, or until something about the device changes. Does not hold the process. */
  async #pause(): Promise<void> {
    const { clock } = this.#hypervisor;
    await wait(clock, this.#triedAt + PAUSE - clock.now(), { signal: this.#changed.signal, ref: false });
  }

  /** The backend's place in our own directory is made anew when the guest is restored, and with another card. */
  async #verify(): Promise<void> {
    this.#changed.abort();
    if (this.#isClosed) return;
    try {
      const home = await this.#xenstore.read('domid');
      const path = `/local/domain/${home.trim()}/device/${DEVICE_CLASS}/${this.#devid}`;
      const backendPath = await this.#xenstore.readIfPresent(`${path}/backend`);
      await this.#connection.verify({ path, backendPath: backendPath ?? '' });
    } catch (error) {
      debug('cannot look at the device: %s', (error as Error).message);
    }
  }
}

/**
 * Some backends crash where a connection ends while its device plays. A frontend that died has left its state at 4:
 * what it had queued is given the time to be played out, before our 1 ends its connection.
 */
async function letPredecessorPlayOut(
  { clock }: Hypervisor,
  { state, backendState, pcmDevices }: CardInfo,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (state !== 'Connected' || backendState !== 'Connected') return;
  const times = streamsOf({ pcmDevices }).map(({ config: { bufferBytes, rates, formats, channels } }) => {
    const sampleBytes = Math.min(...formats.map((format) => pcmFormat(format).sampleBytes ?? 1));
    return (bufferBytes * 1e9) / (Math.min(...rates) * channels.min * sampleBytes);
  });
  await wait(clock, Math.min(Math.max(0, ...times), LONGEST_PLAY_OUT), { signal });
  if (signal?.aborted) throw abortError(signal);
}
