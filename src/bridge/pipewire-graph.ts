import { type Clock, type Timer, timeout } from '../clock.ts';
import { type Deferred, deferred } from '../deferred.ts';
import { NodeCapture } from './node-capture.ts';
import { NodePlayback } from './node-playback.ts';
import type { PathContext } from './path.ts';
import {
  connectPipeWire,
  loadPipeWireAddon,
  type NodeOptions,
  type PipeWireAddon,
  type PipeWireNode,
  type PipeWireSession,
  soundServerError,
} from './pipewire-addon.ts';
import { MOST_CHANNELS, PIPEWIRE_FORMATS, positionsOf } from './pipewire-names.ts';
import { nameTakenByProcessError } from './place.ts';
import type {
  AdaptorTools,
  Endpoint,
  EndpointOptions,
  ServerWatcher,
  SoundServer,
  SoundServerAdaptor,
} from './sound-server.ts';

/** A cycle is asked to be at most that part of the latency: a power of two. */
const QUANTUM_PART = 4;

/** Frames of a cycle. */
const QUANTUM = { least: 64, most: 2048 };

/** ns: a daemon, and a session manager, that are there answer at once. */
const DEADLINE = 5e9;

/** PipeWire: nodes of our own, which drive its graph by the card's positions. */
export const pipewireGraph: SoundServerAdaptor = {
  kind: 'pipewire',
  takes: (_direction, format, channels) =>
    PIPEWIRE_FORMATS[format] !== undefined && channels <= MOST_CHANNELS,
  connect: async ({ clock }: AdaptorTools) => {
    const addon = loadPipeWireAddon();
    const server = new PipeWire(addon, connectPipeWire(addon), clock);
    try {
      await server.whenReady();
      return server;
    } catch (error) {
      server.close();
      throw error;
    }
  },
};

/** Something that is waited for in the main loop. */
interface Wait {
  readonly isThere: () => boolean;
  readonly done: Deferred<void>;
  readonly timer: Timer;
}

class PipeWire implements SoundServer {
  readonly kind = 'pipewire';
  readonly #addon: PipeWireAddon;
  readonly #session: PipeWireSession;
  readonly #clock: Clock;
  readonly #paths = new Set<NodePlayback | NodeCapture>();
  readonly #waits = new Set<Wait>();
  #watcher: ServerWatcher | undefined;

  constructor(addon: PipeWireAddon, session: PipeWireSession, clock: Clock) {
    this.#addon = addon;
    this.#session = session;
    this.#clock = clock;
    session.start(() => this.#iterate());
  }

  get description(): string {
    return `PipeWire ${this.#session.serverVersion}`;
  }

  whenReady(): Promise<void> {
    return this.#when(() => this.#session.isReady, 'PipeWire has not answered');
  }

  /** Nothing is left: a node ends with its process, however that ends. */
  async removeLeftovers(): Promise<void> {}

  async assertFree(name: string): Promise<void> {
    const pid = this.#session.findNode(name);
    if (pid !== undefined) throw nameTakenByProcessError(name, pid);
  }

  async open(options: EndpointOptions, context: PathContext): Promise<Endpoint> {
    const node = this.#makeNode(options, context);
    try {
      const known = () => node.isKnown || node.failure !== '';
      await this.#when(known, 'the node has no ports; does a session manager run?');
      if (node.failure !== '') throw soundServerError(`PipeWire: ${node.failure}`);
    } catch (error) {
      node.close();
      throw error;
    }
    const path = this.#carry(node, options, context);
    this.#paths.add(path);
    path.handleNews(); // a program may be there already
    const close = async () => {
      this.#paths.delete(path);
      await path.close();
    };
    return { path, close };
  }

  watch(_names: readonly string[], watcher: ServerWatcher): () => void {
    this.#watcher = watcher;
    this.#iterate(); // it may have gone meanwhile
    return () => {
      this.#watcher = undefined;
    };
  }

  close(): void {
    this.#session.close();
    for (const { done, timer } of this.#waits) {
      timer.cancel();
      done.reject(soundServerError('PipeWire is left'));
    }
    this.#waits.clear();
  }

  #makeNode(options: EndpointOptions, { exact }: PathContext): PipeWireNode {
    const { direction, name, description, spec, latency, priority } = options;
    const latencyFrames = Math.ceil((spec.rate * latency) / 1000);
    const power = 2 ** Math.floor(Math.log2(latencyFrames / QUANTUM_PART));
    const wishes: NodeOptions = {
      isSink: direction === 'sink',
      name,
      description,
      rate: spec.rate,
      frameBytes: spec.frameBytes,
      format: PIPEWIRE_FORMATS[spec.format] ?? '',
      positions: positionsOf(spec.channels),
      latencyFrames,
      quantum: Math.min(Math.max(power, QUANTUM.least), QUANTUM.most),
      priority,
      isExact: exact,
    };
    try {
      return new this.#addon.PipeWireNode(this.#session, wishes);
    } catch (cause) {
      throw soundServerError(`PipeWire takes no ${direction}: ${(cause as Error).message}`, cause);
    }
  }

  #carry(
    node: PipeWireNode,
    { direction, spec, latency }: EndpointOptions,
    context: PathContext,
  ): NodePlayback | NodeCapture {
    const latencyFrames = Math.ceil((spec.rate * latency) / 1000);
    const makePort = (bytes: number) => new this.#addon.StagingPort(this.#session, bytes);
    const parts = { node, makePort, latencyFrames, context };
    return direction === 'sink' ? new NodePlayback(parts) : new NodeCapture(parts);
  }

  #iterate(): void {
    this.#session.iterate();
    for (const wait of this.#waits) {
      if (!wait.isThere() && this.#session.failure === '') continue;
      this.#waits.delete(wait);
      wait.timer.cancel();
      if (wait.isThere()) wait.done.resolve();
      else wait.done.reject(soundServerError(`PipeWire: ${this.#session.failure}`));
    }
    for (const path of this.#paths) path.handleNews();
    if (this.#session.failure !== '') this.#watcher?.handleGone(this.#session.failure);
  }

  /** Resolves when `isThere` says so. Rejects with ERR_VSND_SOUND_SERVER: `complaint`, or what PipeWire says. */
  #when(isThere: () => boolean, complaint: string): Promise<void> {
    if (isThere()) return Promise.resolve();
    const done = deferred();
    const timer = timeout(this.#clock, DEADLINE, () => {
      this.#waits.delete(wait);
      done.reject(soundServerError(`${complaint} (after ${DEADLINE / 1e9} s)`));
    });
    const wait = { isThere, done, timer };
    this.#waits.add(wait);
    return done.promise;
  }
}
