import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { type Clock, nextTurn, RealClock, type Timer } from '../clock.ts';
import { abortError, type VsndError } from '../errors.ts';
import type { Card } from '../frontend/card.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import { loadFifoTools } from './fifo.ts';
import { chooseAdaptor } from './find-server.ts';
import type { PathEvents, PathStatistics } from './path.ts';
import { isLeft, makePlace, removeAbandonedPlaces, removePlace } from './place.ts';
import { type BridgeOptions, checkBridgeOptions, type EndpointPlan, planEndpoints } from './plan.ts';
import type { AdaptorTools, Direction, Endpoint, SoundServer, SoundServerAdaptor } from './sound-server.ts';

/** 'waiting': the sound server has gone, and is looked for. */
export type BridgeState = 'starting' | 'running' | 'waiting' | 'closed';

/** A sink or a source of the bridge's. */
export interface BridgeEndpoint {
  /** 'sink' where programs play, 'source' where they record. */
  readonly direction: Direction;
  /** What programs choose it by. */
  readonly name: string;
  /** Hz */
  readonly rate: number;
  /** Channels of a frame. */
  readonly channels: number;
  /** How one sample is laid out: a name of sndif.h. */
  readonly format: PcmFormatName;
  /** Since the bridge was made; without a server nothing is active, and nothing waits. */
  readonly statistics: PathStatistics;
}

/** What a {@link Bridge} tells. */
export interface BridgeEvents {
  /** Sound goes through: the card's stream is open. */
  start: [
    {
      /** The bridge's end that this is about. */
      direction: Direction;
    },
  ];
  /** No more: the card's stream is closed. */
  stop: [
    {
      /** The bridge's end that this is about. */
      direction: Direction;
    },
  ];
  /** The sink ran dry while a program played, or the source captured more than was taken; how often so far. */
  xrun: [
    {
      /** The bridge's end that this is about. */
      direction: Direction;
      /** How often so far. */
      count: number;
    },
  ];
  /** The sound server has gone. The bridge waits for it. */
  disconnect: [
    {
      /** Why, in words. */
      reason: string;
    },
  ];
  /** A sound server is back, and has the sink and the source. */
  reconnect: [];
  /** The card's backend has gone while sound went through. The bridge waits for it. */
  backendLost: [
    {
      /** The bridge's end that this is about. */
      direction: Direction;
      /** Why: ERR_VSND_BACKEND_GONE or ERR_VSND_XENSTORE. */
      error: Error;
    },
  ];
  /** Sound goes through again, by the next backend. */
  backendBack: [
    {
      /** The bridge's end that this is about. */
      direction: Direction;
      /** ms since it was lost. */
      gap: number;
    },
  ];
  /** Something worth knowing that ends nothing. */
  warning: [
    {
      /** The bridge's end that this is about; left out where it is the bridge as a whole. */
      direction?: Direction;
      /** A stable name, for programs. */
      code: string;
      /** What is wrong, for people. */
      message: string;
    },
  ];
  /** The bridge could not go on, and has closed. */
  error: [Error];
  /** Nothing of it is left. Once. */
  close: [];
}

/** ns: how often a server that has gone is looked for. */
const RETRY = 0.5e9;

const NOTHING: PathStatistics = {
  frames: 0,
  active: false,
  xruns: 0,
  slips: 0,
  latencyFrames: 0,
  latency: 0,
};

/** What a bridge is made of. */
interface BridgeParts {
  readonly adaptor: SoundServerAdaptor;
  readonly plans: readonly EndpointPlan[];
  /** The directory of the FIFOs. */
  readonly place: string;
}

/**
 * Makes the card a sink and a source of the guest's sound server. The card stays the caller's; the bridge uses its streams
 * while a program plays or records. Rejects with ERR_VSND_INVALID_ARG, ERR_VSND_NO_STREAM, ERR_VSND_NOT_SUPPORTED,
 * ERR_VSND_SOUND_SERVER (with `pid` where another bridge has the name), ERR_VSND_NO_XEN where a FIFO needs the addon, or an AbortError;
 * nothing is left then.
 */
export async function createBridge(card: Card, options: BridgeOptions = {}): Promise<Bridge> {
  checkBridgeOptions(options);
  const { signal } = options;
  if (signal?.aborted) throw abortError(signal);
  const adaptor = await chooseAdaptor(options.server, options.via);
  const plans = planEndpoints(card, adaptor, options);
  const passedOver: VsndError[] = [];
  const place = makePlace((why) => passedOver.push(why));
  const bridge = new Bridge(card, { adaptor, plans, place });
  const close = () => void bridge.close();
  signal?.addEventListener('abort', close);
  bridge.once('close', () => signal?.removeEventListener('abort', close));
  try {
    await bridge.connect();
  } catch (error) {
    await bridge.close();
    throw signal?.aborted ? abortError(signal) : error;
  }
  if (signal?.aborted) throw abortError(signal);
  // When whoever has asked for the bridge listens.
  void nextTurn().then(() => {
    for (const { code, message } of passedOver)
      bridge.emit('warning', { code, message: `${message}; passed over` });
  });
  return bridge;
}

/** Not every bridge needs the addon. */
function toolsFor(clock: Clock): AdaptorTools {
  return {
    clock,
    get fifos() {
      return loadFifoTools();
    },
  };
}

/** A card in the guest's sound server: see {@link createBridge}. */
export class Bridge extends EventEmitter<BridgeEvents> {
  readonly #card: Card;
  readonly #parts: BridgeParts;
  readonly #clock: Clock = new RealClock();
  readonly #totals = new Map<Direction, PathStatistics>();
  #server: SoundServer | undefined;
  #endpoints = new Map<Direction, Endpoint>();
  #unwatch = () => {};
  #retry: Timer | undefined;
  /** What connects or disconnects, one after the other. */
  #work: Promise<void> = Promise.resolve();
  #isWaiting = false;
  /** What has been lost again while it was being made anew. */
  #lostAgain: string | undefined;
  #failure: Error | undefined;
  #closed: Promise<void> | undefined;

  /** @internal Users have {@link createBridge}. */
  constructor(card: Card, parts: BridgeParts) {
    super();
    this.#card = card;
    this.#parts = parts;
  }

  /** What it is doing at this moment. */
  get state(): BridgeState {
    if (this.#closed) return 'closed';
    if (this.#isWaiting) return 'waiting';
    return this.#endpoints.size > 0 ? 'running' : 'starting';
  }

  /** As a person reads it: 'PulseAudio 16.1'. Empty before there was one. */
  get server(): string {
    return this.#server?.description ?? '';
  }

  /** The sink and the source. */
  get endpoints(): readonly BridgeEndpoint[] {
    return this.#parts.plans.map(({ direction, name, spec: { rate, channels, format } }) => ({
      direction,
      name,
      rate,
      channels,
      format,
      statistics: this.#statistics(direction),
    }));
  }

  /** @internal The card's volume may be another one: the server's users are to see it. */
  refreshVolumes(): void {
    for (const { path } of this.#endpoints.values()) path.refreshVolume?.();
  }

  /** Takes sink and source out of the server, and lets go of the card's streams. Never rejects. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** For `await using`: {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Rejects with ERR_VSND_SOUND_SERVER. */
  connect(): Promise<void> {
    return this.#afterThat(async () => {
      const { adaptor, plans } = this.#parts;
      const server = await adaptor.connect(toolsFor(this.#clock));
      this.#server = server;
      await server.removeLeftovers(isLeft);
      removeAbandonedPlaces();
      for (const { name } of plans) await server.assertFree(name);
      for (const plan of plans) {
        if (this.#closed) return;
        this.#endpoints.set(plan.direction, await this.#open(server, plan));
      }
      this.#unwatch = this.#watch(server);
    });
  }

  #open(server: SoundServer, plan: EndpointPlan): Promise<Endpoint> {
    const { direction, device, spec, exact } = plan;
    const path = join(this.#parts.place, direction);
    const events = this.#eventsOf(direction);
    const context = { card: this.#card, device, spec, exact, clock: this.#clock, events };
    return server.open({ ...plan, path }, context);
  }

  #watch(server: SoundServer): () => void {
    const { plans } = this.#parts;
    return server.watch(
      plans.map(({ name }) => name),
      {
        handleUse: (name, isUsed) => {
          const plan = plans.find((one) => one.name === name);
          if (plan) this.#endpoints.get(plan.direction)?.path.setUsed(isUsed);
        },
        handleGone: (reason) => this.#lose(reason),
      },
    );
  }

  #eventsOf(direction: Direction): PathEvents {
    return {
      handleStart: () => this.emit('start', { direction }),
      handleStop: () => this.emit('stop', { direction }),
      handleXrun: () => this.emit('xrun', { direction, count: this.#statistics(direction).xruns }),
      handleBackendLost: (error) => this.emit('backendLost', { direction, error }),
      handleBackendBack: (gap) => this.emit('backendBack', { direction, gap }),
      handleWarning: (code, message) => this.emit('warning', { direction, code, message }),
      handleServerGone: (reason) => this.#lose(reason),
      handleFailure: (error) => this.#fail(error),
    };
  }

  #statistics(direction: Direction): PathStatistics {
    const before = this.#totals.get(direction) ?? NOTHING;
    const now = this.#endpoints.get(direction)?.path.statistics ?? NOTHING;
    const { frames, xruns, slips } = before;
    return { ...now, frames: frames + now.frames, xruns: xruns + now.xruns, slips: slips + now.slips };
  }

  /** The server has gone, or one of its modules: all begins anew. */
  #lose(reason: string): void {
    if (this.#closed) return;
    if (this.#isWaiting) {
      this.#lostAgain = reason;
      return;
    }
    this.#isWaiting = true;
    this.emit('disconnect', { reason });
    void this.#afterThat(() => this.#disconnect()).then(() => this.#tryAgain());
  }

  #tryAgain(): void {
    if (this.#closed) return;
    this.#lostAgain = undefined;
    this.connect().then(
      () => {
        if (this.#closed) return;
        this.#isWaiting = false;
        this.emit('reconnect');
        if (this.#lostAgain !== undefined) this.#lose(this.#lostAgain);
      },
      () => this.#waitForServer(),
    );
  }

  async #waitForServer(): Promise<void> {
    await this.#afterThat(() => this.#disconnect());
    if (!this.#closed) this.#retry = this.#clock.after(RETRY, () => this.#tryAgain());
  }

  async #disconnect(): Promise<void> {
    this.#unwatch();
    this.#unwatch = () => {};
    for (const [direction, endpoint] of this.#endpoints) {
      await endpoint.close();
      this.#totals.set(direction, {
        ...this.#statistics(direction),
        active: false,
        latencyFrames: 0,
        latency: 0,
      });
      this.#endpoints.delete(direction);
    }
    this.#server?.close?.();
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.#failure = error;
    void this.close();
  }

  async #close(): Promise<void> {
    this.#retry?.cancel();
    await this.#afterThat(() => this.#disconnect());
    removePlace(this.#parts.place);
    process.nextTick(() => {
      if (this.#failure) this.emit('error', this.#failure); // which throws where nobody listens
    });
    process.nextTick(() => this.emit('close'));
  }

  #afterThat(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {}); // whoever asked for it is told
    return done;
  }
}
