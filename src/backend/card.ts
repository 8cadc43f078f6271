import { debuglog } from 'node:util';
import type { StreamConfig } from '../config/card.ts';
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
import { formatXenbusState, parseXenbusState, type XenbusStateName } from '../xenbus/state.ts';
import type { XenStoreClient } from '../xenstore/client.ts';
import type { PcmDevice } from './pcm-device.ts';
import type { QueueMode } from './playback-queue.ts';
import type { BackendCardStatus } from './status.ts';
import { BackendStream } from './stream.ts';
import type { Turns } from './turns.ts';

const debug = debuglog('vsnd');

const TRANSPORT_FIELDS = [Field.ringRef, Field.eventChannel, Field.evtRingRef, Field.evtEventChannel];

/** XENSND_PROTOCOL_VERSION, and all that there are of it. */
const PROTOCOL_VERSION = '2';

/** How often a connection is begun anew because its frontend has published other rings meanwhile. */
const ATTEMPTS = 5;

/** Lines that one connection of a stream may add to the log: a guest must not be able to fill a disk. */
const MAX_WARNINGS = 100;

/** Which stream of which guest is to be served. */
export interface StreamAddress {
  readonly frontendDomid: number;
  readonly devid: number;
  readonly pcmDevice: number;
  readonly config: StreamConfig;
}

/** A stream of the card: its PCM device, and what XenStore says of it. */
interface Place {
  readonly index: number;
  readonly config: StreamConfig;
}

/** What a card is served with. */
export interface BackendCardOptions {
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
  /** Takes note of what happens to the card: one line each. */
  log(message: string, stream?: string): void;
}

/** One guest's card, as its backend sees it: the xenbus handshake, and the streams while it is connected. */
export class BackendCard {
  readonly #options: BackendCardOptions;
  readonly #streams: { readonly device: number; readonly stream: BackendStream }[] = [];
  #name: string | undefined;
  readonly #releases = new ReleaseStack();
  readonly #machine: StateMachine<BackendState, BackendEvent, BackendEffect>;

  constructor(options: BackendCardOptions) {
    this.#options = options;
    this.#machine = new StateMachine<BackendState, BackendEvent, BackendEffect>({
      initial: 'initialising',
      transition: backendTransition,
      trace: (from, event, to) => debug('%s: %s, %s -> %s', options.path, from, event, to),
      run: (effect) => this.#run(effect),
      onError: (error) => options.log(error.message),
    });
  }

  /** What the guest does with it. */
  get status(): BackendCardStatus {
    const { frontendDomid: domid, devid } = this.#options;
    const streams = this.#streams.map(({ device, stream }) => ({ device, ...stream.status }));
    return { domid, devid, name: this.#name, connected: streams.length > 0, streams };
  }

  /** Watches the frontend and says InitWait. */
  async start(): Promise<void> {
    const { xenstore, frontendPath } = this.#options;
    await this.#machine.dispatch('ready');
    // Returns when the event has been dealt with: a storm of them becomes one more, however long that takes.
    const watch = await xenstore.watch(`${frontendPath}/state`, () => this.#machine.perform('readAgain'));
    this.#releases.push(() => watch.close());
  }

  /** Disconnects, says Closed as far as its node is still there, and lets go of everything. Idempotent. */
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
        return parseXenbusState(await this.#readFrontendState());
      case 'writeInitWait':
        return await this.#writeState('InitWait', { [Field.backendVersions]: PROTOCOL_VERSION });
      case 'writeConnected':
        return await this.#writeState('Connected');
      case 'writeClosing':
        return await this.#writeState('Closing');
      case 'writeClosed':
        return await this.#writeState('Closed');
    }
  }

  /** Undefined where the guest is gone: Dom0 is told that there is no such node, a driver domain that it may not read it. */
  async #readFrontendState(): Promise<string | undefined> {
    const { xenstore, frontendPath } = this.#options;
    try {
      return await xenstore.readIfPresent(`${frontendPath}/state`);
    } catch (error) {
      if (isVsndError(error, 'ERR_VSND_XENSTORE') && error.errno === 'EACCES') return undefined;
      throw error;
    }
  }

  async #connect(): Promise<BackendEvent> {
    const { xenstore, frontendPath, log } = this.#options;
    try {
      await this.#checkVersion();
      const { pcmDevices, longName, shortName } = await readCardConfig(xenstore, frontendPath);
      this.#name = longName ?? shortName;
      const places = pcmDevices.flatMap(({ index, streams }) => streams.map((config) => ({ index, config })));
      for (let attempt = 1; !(await this.#connectStreams(places)); attempt++) {
        if (attempt === ATTEMPTS) throw new VsndError('ERR_VSND_CONFIG', 'its rings change all the time');
        await Promise.all(this.#streams.splice(0).map(({ stream }) => stream.close()));
      }
      log(`connected, ${this.#streams.length} streams`);
      return 'connectDone';
    } catch (error) {
      log(`cannot connect: ${(error as Error).message}`);
      return 'connectFailed';
    }
  }

  /** Says whether what has been connected is still what the frontend publishes: snd_xen_front may do that twice, and say so once. */
  async #connectStreams(places: readonly Place[]): Promise<boolean> {
    const read = () => Promise.all(places.map(({ config }) => this.#readTransport(config)));
    const published = await read();
    for (const [number, { index, config }] of places.entries()) {
      const stream = await this.#connectStream(index, config, published[number] ?? {});
      this.#streams.push({ device: index, stream });
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
    const { hypervisor, frontendDomid, devid, queueMode, turns, deviceFor, log } = this.#options;
    return await BackendStream.connect(fields, {
      hypervisor,
      config,
      frontendDomid,
      queueMode,
      turns,
      device: deviceFor({ frontendDomid, devid, pcmDevice, config }),
      warn: atMost(MAX_WARNINGS, (message) => log(message, `${pcmDevice}/${config.index}`)),
    });
  }

  async #disconnect(): Promise<undefined> {
    const streams = this.#streams.splice(0);
    await Promise.all(streams.map(({ stream }) => stream.close()));
    if (streams.length > 0) this.#options.log('disconnected');
  }

  /**
   * The toolstack may have removed our node already: writing it again would leave a ruin. Nor is a state written that is
   * there, left by a predecessor: a second InitWait makes snd_xen_front publish new rings without telling.
   */
  async #writeState(
    state: XenbusStateName,
    fields: Readonly<Record<string, string>> = {},
  ): Promise<undefined> {
    const { xenstore, path } = this.#options;
    await xenstore.transaction(async (transaction) => {
      const before = await transaction.readIfPresent(`${path}/state`);
      if (before === undefined) return;
      for (const [name, value] of Object.entries(fields)) await transaction.write(`${path}/${name}`, value);
      const after = formatXenbusState(state);
      if (after !== before) await transaction.write(`${path}/state`, after);
    });
  }
}

function atMost(count: number, log: (message: string) => void): (message: string) => void {
  let left = count;
  return (message) => {
    left -= 1;
    if (left > 0) log(message);
    else if (left === 0) log(`${message}; what follows is not logged any more`);
  };
}
