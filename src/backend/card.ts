import { debuglog } from 'node:util';
import type { StreamConfig } from '../config/card.ts';
import { Field, type Fields } from '../config/fields.ts';
import { readCardConfig } from '../config/read-card.ts';
import { isVsndError } from '../errors.ts';
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
import { BackendStream } from './stream.ts';

const debug = debuglog('vsnd');

const TRANSPORT_FIELDS = [Field.ringRef, Field.eventChannel, Field.evtRingRef, Field.evtEventChannel];

/** Lines that one connection of a stream may add to the log: a guest must not be able to fill a disk. */
const MAX_WARNINGS = 100;

/** Which stream of which guest is to be served. */
export interface StreamAddress {
  readonly frontendDomid: number;
  readonly devid: number;
  readonly pcmDevice: number;
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
  deviceFor(address: StreamAddress): PcmDevice;
  /** Takes note of what happens to the card: one line each. */
  log(message: string, stream?: string): void;
}

/** One guest's card, as its backend sees it: the xenbus handshake, and the streams while it is connected. */
export class BackendCard {
  readonly #options: BackendCardOptions;
  readonly #streams: BackendStream[] = [];
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

  /** Watches the frontend and says InitWait. */
  async start(): Promise<void> {
    const { xenstore, frontendPath } = this.#options;
    await this.#machine.dispatch('ready');
    const watch = await xenstore.watch(
      `${frontendPath}/state`,
      () => void this.#machine.perform('readAgain'),
    );
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
        return await this.#writeState('InitWait');
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
      const { pcmDevices } = await readCardConfig(xenstore, frontendPath);
      for (const device of pcmDevices) {
        for (const config of device.streams)
          this.#streams.push(await this.#connectStream(device.index, config));
      }
      log(`connected, ${this.#streams.length} streams`);
      return 'connectDone';
    } catch (error) {
      log(`cannot connect: ${(error as Error).message}`);
      return 'connectFailed';
    }
  }

  async #connectStream(pcmDevice: number, config: StreamConfig): Promise<BackendStream> {
    const { hypervisor, xenstore, frontendDomid, devid, queueMode, deviceFor, log } = this.#options;
    const values = TRANSPORT_FIELDS.map(
      async (name) => [name, await xenstore.readIfPresent(`${config.path}/${name}`)] as const,
    );
    const fields: Fields = Object.fromEntries(await Promise.all(values));
    return await BackendStream.connect(fields, {
      hypervisor,
      config,
      frontendDomid,
      queueMode,
      device: deviceFor({ frontendDomid, devid, pcmDevice, config }),
      warn: atMost(MAX_WARNINGS, (message) => log(message, `${pcmDevice}/${config.index}`)),
    });
  }

  async #disconnect(): Promise<undefined> {
    const streams = this.#streams.splice(0);
    await Promise.all(streams.map((stream) => stream.close()));
    if (streams.length > 0) this.#options.log('disconnected');
  }

  /** The toolstack may have removed our node already: writing it again would leave a ruin. */
  async #writeState(state: XenbusStateName): Promise<undefined> {
    const { xenstore, path } = this.#options;
    await xenstore.transaction(async (transaction) => {
      if ((await transaction.readIfPresent(`${path}/state`)) === undefined) return;
      await transaction.write(`${path}/state`, formatXenbusState(state));
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
