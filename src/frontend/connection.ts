import { debuglog } from 'node:util';
import { Field } from '../config/fields.ts';
import { deferred } from '../deferred.ts';
import { VsndError } from '../errors.ts';
import { ReleaseStack } from '../release-stack.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import {
  type FrontendEffect,
  type FrontendEvent,
  type FrontendState,
  frontendTransition,
} from '../xenbus/frontend-table.ts';
import { StateMachine } from '../xenbus/machine.ts';
import {
  describeXenbusState,
  formatXenbusState,
  type OtherendState,
  parseXenbusState,
  type XenbusStateName,
} from '../xenbus/state.ts';
import type { XenStoreClient } from '../xenstore/client.ts';
import { StreamChannel } from './channel.ts';

const debug = debuglog('vsnd');

/** How long a backend that has been told of our Closing may take to let go, ns. */
const LEAVE_TIMEOUT = 3e9;

/** Which card of which backend, and what it is made of. */
export interface ConnectionTarget {
  /** The frontend's node, absolute. */
  readonly path: string;
  readonly backendPath: string;
  readonly backendDomid: number;
  /** The node of every stream of the card. */
  readonly streamPaths: readonly string[];
}

/** One connection of a card to its backend: the xenbus handshake, and a channel for each stream. */
export class Connection {
  readonly #hypervisor: Hypervisor;
  readonly #xenstore: XenStoreClient;
  readonly #target: ConnectionTarget;
  readonly #channels = new Map<string, StreamChannel>();
  readonly #releases = new ReleaseStack();
  readonly #opened = deferred();
  readonly #ended = deferred();
  readonly #machine: StateMachine<FrontendState, FrontendEvent, FrontendEffect>;
  #otherend: OtherendState = 'Unknown';
  #failure: Error | undefined;

  constructor(hypervisor: Hypervisor, xenstore: XenStoreClient, target: ConnectionTarget) {
    this.#hypervisor = hypervisor;
    this.#xenstore = xenstore;
    this.#target = target;
    this.#machine = new StateMachine<FrontendState, FrontendEvent, FrontendEffect>({
      initial: 'initialising',
      transition: frontendTransition,
      trace: (from, event, to) => debug('%s: %s, %s -> %s', target.path, from, event, to),
      run: (effect) => this.#run(effect),
      onError: (error) => this.#giveUp(error),
    });
  }

  /** Why the connection was lost; undefined while it is not. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** The channel of the stream at `path`. Throws ERR_VSND_INVALID_STATE where the connection has none. */
  channel(path: string): StreamChannel {
    const channel = this.#channels.get(path);
    if (!channel) throw new VsndError('ERR_VSND_INVALID_STATE', `${path} is not connected`, { path });
    return channel;
  }

  /**
   * Goes through the handshake. Rejects with ERR_VSND_BACKEND_GONE where the backend is not there, refuses, or takes
   * longer than `timeout` ns; everything is then released.
   */
  async open(timeout: number): Promise<void> {
    const { backendPath } = this.#target;
    const timer = this.#hypervisor.clock.after(timeout, () => this.#giveUp(this.#describeSilence(timeout)));
    try {
      await this.#writeState('Initialising');
      const watch = await this.#xenstore.watch(
        `${backendPath}/state`,
        () => void this.#machine.perform('readAgain'),
      );
      this.#releases.push(() => watch.close());
      await this.#opened.promise;
    } catch (error) {
      await this.#releases.releaseAll();
      throw error;
    } finally {
      timer.cancel();
    }
  }

  /** Leaves: Closing, waits until the backend has let go, Closed; then releases everything. Idempotent. */
  async close(): Promise<void> {
    const timer = this.#hypervisor.clock.after(LEAVE_TIMEOUT, () => void this.#machine.dispatch('silence'));
    void this.#machine.dispatch('leave');
    await this.#ended.promise;
    timer.cancel();
    await this.#machine.idle;
  }

  /** Gives the connection up because of what the backend did not do, or because XenStore failed. */
  #giveUp(error: Error): void {
    this.#failure ??= error;
    void this.#machine.dispatch('silence');
  }

  async #run(effect: FrontendEffect): Promise<FrontendEvent | undefined> {
    switch (effect) {
      case 'publish':
        return await this.#publish();
      case 'readAgain':
        this.#otherend = parseXenbusState(
          await this.#xenstore.readIfPresent(`${this.#target.backendPath}/state`),
        );
        return this.#otherend;
      case 'writeInitialising':
        return await this.#writeState('Initialising');
      case 'writeInitialised':
        return await this.#writeState('Initialised');
      case 'writeConnected':
        return await this.#writeState('Connected');
      case 'writeClosing':
        return await this.#writeState('Closing');
      case 'writeClosed':
        return await this.#writeState('Closed');
      case 'announceConnected':
        this.#opened.resolve();
        return undefined;
      case 'announceLost':
        this.#failure ??= this.#describeLoss();
        return await this.#announceEnd(this.#failure);
      case 'announceClosed':
        return await this.#announceEnd(new VsndError('ERR_VSND_INVALID_STATE', 'the card has been closed'));
    }
  }

  /** All streams of the card in one transaction, used or not: a backend binds every one of them, or none. */
  async #publish(): Promise<FrontendEvent> {
    const { streamPaths, backendDomid } = this.#target;
    try {
      for (const path of streamPaths) {
        const channel = await StreamChannel.create(this.#hypervisor, backendDomid, this.#releases, (error) =>
          this.#giveUp(error),
        );
        this.#channels.set(path, channel);
      }
      await this.#xenstore.transaction(async (transaction) => {
        for (const [path, { transport }] of this.#channels) {
          await transaction.write(`${path}/${Field.ringRef}`, String(transport.ringRef));
          await transaction.write(`${path}/${Field.eventChannel}`, String(transport.eventChannel));
          await transaction.write(`${path}/${Field.evtRingRef}`, String(transport.evtRingRef));
          await transaction.write(`${path}/${Field.evtEventChannel}`, String(transport.evtEventChannel));
        }
      });
      return 'published';
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
      return 'publishFailed';
    }
  }

  async #writeState(state: XenbusStateName): Promise<undefined> {
    await this.#xenstore.write(`${this.#target.path}/state`, formatXenbusState(state));
  }

  async #announceEnd(error: Error): Promise<undefined> {
    for (const channel of this.#channels.values()) channel.fail(error);
    this.#opened.reject(error);
    this.#opened.promise.catch(() => {}); // nobody may be waiting for it any more
    await this.#releases.releaseAll();
    this.#ended.resolve();
  }

  #describeLoss(): VsndError {
    const { backendPath: path } = this.#target;
    const what =
      this.#otherend === 'Gone'
        ? `there is no backend at ${path}: is one running in domain ${this.#target.backendDomid}?`
        : `the backend at ${path} went to ${describeXenbusState(this.#otherend)}`;
    return new VsndError('ERR_VSND_BACKEND_GONE', what, { path });
  }

  #describeSilence(timeout: number): VsndError {
    const { backendPath: path, backendDomid } = this.#target;
    const state = describeXenbusState(this.#otherend);
    return new VsndError(
      'ERR_VSND_BACKEND_GONE',
      `no backend has connected within ${timeout / 1e9} s: ${path}/state is ${state}; is one running in domain ${backendDomid}?`,
      { path, errno: 'ETIMEDOUT' },
    );
  }
}
