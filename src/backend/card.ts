import { debuglog } from 'node:util';
import { type StreamConfig, type StreamPlace, streamsOf } from '../config/card.ts';
import { Field, type Fields } from '../config/fields.ts';
import { readCardConfig } from '../config/read-card.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { ReleaseStack } from '../release-stack.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import {
  type BackendEffect,
  type BackendEvent,
  type BackendState,
  backendTransition,
} from '../xenbus/backend-table.ts';
import { StateMachine } from '../xenbus/machine.ts';
import {
  formatXenbusState,
  type OtherendState,
  parseXenbusState,
  type XenbusStateName,
} from '../xenbus/state.ts';
import type { XenStoreClient } from '../xenstore/client.ts';
import { type Guest, isRepeated } from './guest.ts';
import type { PcmDevice } from './pcm-device.ts';
import type { QueueMode } from './playback-queue.ts';
import type { BackendCardStatus } from './status.ts';
import { BackendStream } from './stream.ts';
import type { Turns } from './turns.ts';

const debug = debuglog('vsnd');

const TRANSPORT_FIELDS = [Field.ringRef, Field.eventChannel, Field.evtRingRef, Field.evtEventChannel];

/** XENSND_PROTOCOL_VERSION, and all that there are of it. */
const PROTOCOL_VERSION = '2';

/** Characters of a card's name that are told: the guest may write 2000. */
const LONGEST_NAME = 80;

/** How often a connection is begun anew because its frontend has published other rings meanwhile. */
const ATTEMPTS = 5;

/** Different lines about a card's configuration that are remembered, and so written. */
const MOST_WARNINGS = 100;

/** Which stream of which guest is to be served. */
export interface StreamAddress {
  /** What the guest may have, and has: of all its cards. */
  readonly guest: Guest;
  /** The guest's domain. */
  readonly frontendDomid: number;
  /** The card's number in the guest. */
  readonly devid: number;
  /** The PCM device's index on the card. */
  readonly pcmDevice: number;
  /** The stream, as XenStore describes it. */
  readonly config: StreamConfig;
}

/** What a card is served with. */
export interface BackendCardOptions {
  /** Whose card it is. */
  readonly guest: Guest;
  readonly hypervisor: Hypervisor;
  readonly xenstore: XenStoreClient;
  /** The backend's node of this device. */
  readonly path: string;
  readonly frontendPath: string;
  readonly frontendDomid: number;
  readonly devid: number;
  readonly queueMode: QueueMode;
  readonly turns: Turns;
  deviceFor(address: StreamAddress): PcmDevice;
  /** What was to be done for the card cannot be done, and it is to be closed. */
  giveUp(error: Error): void;
  /** Takes note of what happens to the card: one line each. */
  log(message: string, stream?: string): void;
}

/** One guest's card, as its backend sees it: the xenbus handshake, and the streams while it is connected. */
export class BackendCard {
  readonly #options: BackendCardOptions;
  readonly #streams: { readonly device: number; readonly stream: BackendStream }[] = [];
  /** What the log has of the card's configuration. */
  readonly #warned = new Set<string>();
  #name: string | undefined;
  /** What our own state node says, as far as we know. */
  #ownState: string | undefined;
  #hasSaidVersions = false;
  readonly #releases = new ReleaseStack();
  readonly #machine: StateMachine<BackendState, BackendEvent, BackendEffect>;

  /** Throws {@link LimitRefusal} where the guest may have no more. */
  constructor(options: BackendCardOptions) {
    this.#options = options;
    this.#releases.push(options.guest.hold('cards', 1, 'one more card'));
    this.#machine = new StateMachine<BackendState, BackendEvent, BackendEffect>({
      initial: 'initialising',
      transition: backendTransition,
      trace: (from, event, to) => debug('%s: %s, %s -> %s', options.path, from, event, to),
      run: (effect) => this.#run(effect),
      onError: (error) => options.giveUp(error),
    });
  }

  /** What the guest does with it. */
  get status(): BackendCardStatus {
    const { frontendDomid: domid, devid } = this.#options;
    const streams = this.#streams.map(({ device, stream }) => ({ device, ...stream.status }));
    return { domid, devid, name: this.#name, connected: streams.length > 0, streams };
  }

  /** Says InitWait, and watches the frontend. */
  async start(): Promise<void> {
    const { xenstore, frontendPath, path } = this.#options;
    this.#ownState = await xenstore.readIfPresent(`${path}/state`);
    await this.#machine.dispatch('ready');
    // Returns when the event has been dealt with: a storm of them becomes one more, however long that takes.
    const watch = await xenstore.watch(`${frontendPath}/state`, () => this.#machine.perform('readAgain'));
    this.#releases.push(() => watch.close());
  }

  /** Sees to it that XenStore says of us what we have said: it may have lost that, or the toolstack have made the card anew. */
  async affirm(): Promise<void> {
    await this.#machine.perform('affirm');
  }

  /** Disconnects, says Closed, and lets go of everything. Idempotent. */
  async close(): Promise<void> {
    await this.#machine.dispatch('remove');
    await this.#releases.releaseAll();
  }

  async #run(effect: BackendEffect): Promise<BackendEvent | undefined> {
    switch (effect) {
      case 'connect':
        return await this.#connect();
      case 'disconnect':
        return await this.#disconnect();
      case 'readAgain':
        return await this.#readFrontendState();
      case 'writeInitWait':
        return await this.#writeState('InitWait');
      case 'writeConnected':
        return await this.#writeState('Connected');
      case 'writeClosing':
        return await this.#writeState('Closing');
      case 'writeClosed':
        return await this.#writeState('Closed');
      case 'affirm':
        return await this.#affirm();
    }
  }

  /**
   * 'Gone' where the guest is: Dom0 is told that there is no such node, a driver domain that it may not read it. What
   * XenStore cannot hand over is no state. Nothing while XenStore is out of reach: the watch tells of it when it is back.
   */
  async #readFrontendState(): Promise<OtherendState | undefined> {
    const { xenstore, frontendPath, log } = this.#options;
    try {
      return parseXenbusState(await xenstore.readIfPresent(`${frontendPath}/state`));
    } catch (error) {
      if (!isVsndError(error, 'ERR_VSND_XENSTORE')) throw error;
      if (error.errno === 'EACCES') return 'Gone';
      if (!xenstore.isOpen) return undefined;
      if (error.errno !== 'EINVAL' && error.errno !== 'E2BIG') throw error;
      log(error.message);
      return 'Unknown';
    }
  }

  async #connect(): Promise<BackendEvent> {
    const { guest, xenstore, frontendPath, log } = this.#options;
    try {
      await this.#checkVersion();
      const config = await readCardConfig(xenstore, frontendPath, guest.limit('streams'));
      for (const { message } of config.warnings) this.#warnOnce(message);
      this.#name = (config.longName ?? config.shortName)?.slice(0, LONGEST_NAME);
      const places = streamsOf(config);
      for (let attempt = 1; !(await this.#connectStreams(places)); attempt++) {
        if (attempt === ATTEMPTS) throw new VsndError('ERR_VSND_CONFIG', 'its rings change all the time');
        await Promise.all(this.#streams.splice(0).map(({ stream }) => stream.close()));
      }
      log(`connected, ${this.#streams.length} streams`);
      return 'connectDone';
    } catch (error) {
      if (!isRepeated(error)) log(`cannot connect: ${(error as Error).message}`);
      return 'connectFailed';
    }
  }

  #warnOnce(message: string): void {
    if (this.#warned.has(message) || this.#warned.size === MOST_WARNINGS) return;
    this.#warned.add(message);
    this.#options.log(message);
  }

  /** Says whether what has been connected is still what the frontend publishes: snd_xen_front may do that twice, and say so once. */
  async #connectStreams(places: readonly StreamPlace[]): Promise<boolean> {
    const read = () => Promise.all(places.map(({ config }) => this.#readTransport(config)));
    const published = await read();
    for (const [number, { device, config }] of places.entries()) {
      const stream = await this.#connectStream(device, config, published[number] ?? {});
      this.#streams.push({ device, stream });
    }
    return JSON.stringify(await read()) === JSON.stringify(published);
  }

  async #readTransport({ path }: StreamConfig): Promise<Fields> {
    const values = TRANSPORT_FIELDS.map(
      async (name) => [name, await this.#options.xenstore.readIfPresent(`${path}/${name}`)] as const,
    );
    return Object.fromEntries(await Promise.all(values));
  }

  /** sndif.h: "chosen among the ones supported by the backend". Nobody writes it today. */
  async #checkVersion(): Promise<void> {
    const { xenstore, frontendPath } = this.#options;
    const path = `${frontendPath}/${Field.frontendVersion}`;
    const version = await xenstore.readIfPresent(path);
    if (version === undefined || version === PROTOCOL_VERSION) return;
    const found = JSON.stringify(version.slice(0, 80));
    const message = `${path} is ${found}; allowed: "${PROTOCOL_VERSION}", the version of the protocol`;
    throw new VsndError('ERR_VSND_CONFIG', message, { path });
  }

  async #connectStream(pcmDevice: number, config: StreamConfig, fields: Fields): Promise<BackendStream> {
    const { guest, hypervisor, frontendDomid, devid, queueMode, turns, deviceFor, log } = this.#options;
    return await BackendStream.connect(fields, {
      guest,
      hypervisor,
      config,
      frontendDomid,
      queueMode,
      turns,
      device: deviceFor({ guest, frontendDomid, devid, pcmDevice, config }),
      warn: (message) => log(message, `${pcmDevice}/${config.index}`),
    });
  }

  async #disconnect(): Promise<undefined> {
    const streams = this.#streams.splice(0);
    await Promise.all(streams.map(({ stream }) => stream.close()));
    if (streams.length > 0) this.#options.log('disconnected');
  }

  /**
   * A state that is there is not written, left by a predecessor or not: a second InitWait makes snd_xen_front publish new
   * rings without telling. What is said with a state is there before it.
   */
  async #writeState(state: XenbusStateName): Promise<undefined> {
    const value = formatXenbusState(state);
    if (!this.#hasSaidVersions) await this.#write(Field.backendVersions, PROTOCOL_VERSION);
    this.#hasSaidVersions = true;
    if (value !== this.#ownState) await this.#write('state', value);
    this.#ownState = value;
  }

  async #affirm(): Promise<undefined> {
    const { xenstore, path } = this.#options;
    const [state, versions] = await Promise.all(
      ['state', Field.backendVersions].map((name) => xenstore.readIfPresent(`${path}/${name}`)),
    );
    if (state === undefined || this.#ownState === undefined) return;
    if (versions === undefined) await this.#write(Field.backendVersions, PROTOCOL_VERSION);
    if (state !== this.#ownState) await this.#write('state', this.#ownState);
  }

  /** A driver domain is not let where the toolstack has removed our node, and in Dom0 the keeper takes it away again. */
  async #write(name: string, value: string): Promise<void> {
    const { xenstore, path } = this.#options;
    try {
      await xenstore.write(`${path}/${name}`, value);
    } catch (error) {
      if (!isVsndError(error, 'ERR_VSND_XENSTORE') || error.errno !== 'EACCES') throw error;
      debug('%s: %s', path, error.message);
    }
  }
}
