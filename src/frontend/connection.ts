import { debuglog } from 'node:util';
import { type Timer, timeout } from '../clock.ts';
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
  describeStateNode,
  describeXenbusState,
  formatXenbusState,
  type OtherendState,
  parseXenbusState,
  type XenbusStateName,
} from '../xenbus/state.ts';
import type { XenStoreClient } from '../xenstore/client.ts';
import { StreamChannel } from './channel.ts';
import { publishState } from './diagnostics.ts';
import { readOtherend } from './discovery.ts';
import { chooseVersion } from './version.ts';

const debug = debuglog('vsnd');

/** How long a backend that has been told of our Closing may take to let go, ns. */
const LEAVE_TIMEOUT = 3e9;

/** How long what was published is kept for a backend that has not let go of it, ns: it may just have bound it. */
const HOLD_TIMEOUT = 3e9;

/** ms that a process which ends waits for its backend. */
const LONGEST_FAREWELL = 250;

/** Which card of which backend, and what it is made of. */
export interface ConnectionTarget {
  /** The frontend's node, absolute. */
  readonly path: string;
  readonly backendPath: string;
  readonly backendDomid: number;
  /** The node of every stream of the card. */
  readonly streamPaths: readonly string[];
}

/** How to open a connection. */
export interface OpenOptions {
  /** How long the backend may take, ns; without it as long as it likes, and it need not be there yet. */
  readonly timeout?: number | undefined;
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
  /** The same, as it stands in XenStore. */
  #otherendNode: string | undefined = '0';
  /** What our own state node must say. */
  #ownState: string | undefined;
  /** Waits for a backend that is not there. */
  #isPatient = false;
  #failure: Error | undefined;
  #opening: Timer | undefined;
  #holding: Timer | undefined;

  constructor(hypervisor: Hypervisor, xenstore: XenStoreClient, target: ConnectionTarget) {
    this.#hypervisor = hypervisor;
    this.#xenstore = xenstore;
    this.#target = target;
    this.#machine = new StateMachine<FrontendState, FrontendEvent, FrontendEffect>({
      initial: 'initialising',
      transition: frontendTransition,
      trace: (from, event, to) => {
        debug('%s: %s, %s -> %s', target.path, from, event, to);
        publishState(target.path, from, event, to);
      },
      run: (effect) => this.#run(effect),
      onError: (error) => this.giveUp(error),
    });
  }

  /** Why the connection was lost; undefined while it is not. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Resolves when the connection is over: lost or closed, and everything released. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** The channel of the stream at `path`. Throws ERR_VSND_INVALID_STATE where the connection has none. */
  channel(path: string): StreamChannel {
    const channel = this.#channels.get(path);
    if (!channel) throw new VsndError('ERR_VSND_INVALID_STATE', `${path} is not connected`, { path });
    return channel;
  }

  /**
   * Goes through the handshake. Rejects at once with ERR_VSND_BACKEND_GONE where the backend is not there, refuses, or takes
   * longer than `timeout`; {@link ended} tells when everything is released.
   */
  async open({ timeout: limit }: OpenOptions = {}): Promise<void> {
    const { backendPath } = this.#target;
    const { clock } = this.#hypervisor;
    this.#isPatient = limit === undefined;
    const giveUp = () => this.giveUp(this.#silenceError(limit ?? 0));
    this.#opening = limit === undefined ? undefined : timeout(clock, limit, giveUp);
    try {
      await this.#writeState('Initialising');
      // Returns when the event has been dealt with: a storm of them becomes one more, however long that takes.
      const watch = await this.#xenstore.watch(`${backendPath}/state`, () =>
        this.#machine.perform('readAgain'),
      );
      this.#releases.push(() => watch.close());
      await this.#opened.promise;
    } catch (error) {
      this.giveUp(error as Error);
      throw error;
    } finally {
      this.#opening?.cancel();
    }
  }

  /** Loses the connection if the device is not the one any more that was connected: the guest has been restored. */
  async verify({ path, backendPath }: Pick<ConnectionTarget, 'path' | 'backendPath'>): Promise<void> {
    const expected = this.#ownState;
    const found = await this.#xenstore.readIfPresent(`${path}/state`);
    const isOurs = path === this.#target.path && backendPath === this.#target.backendPath;
    if (isOurs && (found === expected || expected !== this.#ownState)) return;
    const what = 'was made anew: this guest has been restored, or its card given back by the toolstack';
    this.giveUp(new VsndError('ERR_VSND_BACKEND_GONE', `the device ${path} ${what}`, { path }));
  }

  /**
   * Leaves: Closing, waits until the backend has let go, Closed; then releases everything. Idempotent. `since`: when the user
   * began to leave, ns; a backend that has been waited for since then is not waited for again.
   */
  async close(since = this.#hypervisor.clock.now()): Promise<void> {
    this.#opening?.cancel(); // leaving has a limit of its own
    const { clock } = this.#hypervisor;
    const event = this.#failure ? 'heldEnough' : 'silence';
    const limit = this.#failure ? Math.max(0, since + HOLD_TIMEOUT - clock.now()) : LEAVE_TIMEOUT;
    const timer = timeout(clock, limit, () => void this.#machine.dispatch(event));
    void this.#machine.dispatch('leave');
    await this.#ended.promise;
    timer.cancel();
    await this.#machine.idle;
  }

  /**
   * Leaves without the event loop, for a process that ends: STOP and CLOSE for every stream that is open, a short wait for
   * the answers, then Closing. A backend whose frontend vanishes while its device plays may crash, for every guest.
   */
  leaveNow(): void {
    const inUse = [...this.#channels.values()].filter((channel) => channel.leaveNow());
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let waited = 0; waited < LONGEST_FAREWELL && inUse.some((channel) => channel.isWaiting); waited++) {
      Atomics.wait(pause, 0, 0, 1);
      for (const channel of inUse) channel.poll();
    }
    this.#writeState('Closing').catch(() => {});
  }

  /** Loses the connection because of what the backend did not do, or because XenStore failed. */
  giveUp(error: Error): void {
    this.#failure ??= error;
    void this.#machine.dispatch('silence');
  }

  async #run(effect: FrontendEffect): Promise<FrontendEvent | undefined> {
    switch (effect) {
      case 'publish':
        return await this.#publish();
      case 'readAgain':
        this.#otherendNode = await readOtherend(this.#xenstore, `${this.#target.backendPath}/state`);
        this.#otherend = parseXenbusState(this.#otherendNode);
        return this.#otherend === 'Gone' && this.#isPatient ? undefined : this.#otherend;
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
        this.#isPatient = false;
        this.#opened.resolve();
        return undefined;
      case 'announceLost':
        this.#failure ??= this.#lossError();
        this.#isPatient = false;
        return this.#announceEnd(this.#failure);
      case 'announceClosed':
        return this.#announceEnd(new VsndError('ERR_VSND_INVALID_STATE', 'the card has been closed'));
      case 'resetRings':
        for (const channel of this.#channels.values()) channel.resetRing();
        return undefined;
      case 'hold':
        this.#holding = this.#hypervisor.clock.after(
          HOLD_TIMEOUT,
          () => void this.#machine.dispatch('heldEnough'),
        );
        this.#holding.unref(); // a process that has nothing else to do may end
        return undefined;
      case 'release':
        return await this.#release();
    }
  }

  /** All streams of the card in one transaction, used or not: a backend binds every one of them, or none. */
  async #publish(): Promise<FrontendEvent> {
    const { backendPath, streamPaths, backendDomid } = this.#target;
    try {
      const versions = await this.#xenstore.readIfPresent(`${backendPath}/${Field.backendVersions}`);
      const version = chooseVersion(versions, backendPath);
      for (const path of streamPaths) {
        const channel = await StreamChannel.create(
          this.#hypervisor,
          path,
          backendDomid,
          this.#releases,
          (error) => this.giveUp(error),
        );
        this.#channels.set(path, channel);
      }
      await this.#xenstore.transaction(async (transaction) => {
        if (version) await transaction.write(`${this.#target.path}/${Field.frontendVersion}`, version);
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
    const value = formatXenbusState(state);
    await this.#xenstore.write(`${this.#target.path}/state`, value);
    this.#ownState = value;
  }

  #announceEnd(error: Error): undefined {
    for (const channel of this.#channels.values()) channel.fail(error);
    this.#opened.reject(error);
    this.#opened.promise.catch(() => {}); // nobody may be waiting for it any more
  }

  async #release(): Promise<undefined> {
    this.#holding?.cancel();
    try {
      await this.#hypervisor.eventChannels.forgetIfRestored(); // before the ports are unbound
    } catch (unsure) {
      debug('%s: %s', this.#target.path, (unsure as Error).message); // unbinding refuses then, rather than do harm
    }
    try {
      await this.#releases.releaseAll();
    } finally {
      this.#ended.resolve();
    }
  }

  #lossError(): VsndError {
    const { path: ours, backendPath: path, backendDomid } = this.#target;
    const what =
      this.#otherend === 'Gone'
        ? `there is no backend at ${path}, where ${ours}/backend says: is one running in domain ${backendDomid}?`
        : `the backend at ${path} went to ${describeXenbusState(this.#otherend)}`;
    return new VsndError('ERR_VSND_BACKEND_GONE', what, { path });
  }

  #silenceError(limit: number): VsndError {
    const { backendPath: path, backendDomid } = this.#target;
    const state = describeStateNode(this.#otherendNode);
    return new VsndError(
      'ERR_VSND_BACKEND_GONE',
      `no backend has connected within ${limit / 1e9} s: ${path}/state is ${state}; is one running in domain ${backendDomid}?`,
      { path, errno: 'ETIMEDOUT' },
    );
  }
}
