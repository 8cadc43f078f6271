import { nextTurn, type Timer } from '../clock.ts';
import type { CaptureStream } from '../frontend/capture-stream.ts';
import type { PlaybackStream } from '../frontend/playback-stream.ts';
import { endStream, relayEvents } from './card-stream.ts';
import { type Path, type PathContext, type PathStatistics, periodFor } from './path.ts';
import type { PipeWireNode, StagingPort } from './pipewire-addon.ts';

/** ns: how often the node is told of the card's deviation, which changes slowly. */
const BETWEEN_DEVIATIONS = 1e9;

/** What the path of a node is made from. */
export interface NodeParts {
  /** The path's own. */
  readonly node: PipeWireNode;
  /** Makes a port whose other end is JavaScript, of so many bytes. */
  readonly makePort: (bytes: number) => StagingPort;
  readonly latencyFrames: number;
  readonly context: PathContext;
}

/**
 * Between a node in PipeWire's graph and a stream of the card, which is open while a program is linked to the node. With the native
 * engine frames go straight from one to the other; else JavaScript moves them.
 */
export abstract class NodePath<Stream extends PlaybackStream | CaptureStream> implements Path {
  protected readonly parts: NodeParts;
  /** Frames between two positions. */
  protected readonly periodFrames: number;
  protected stream: Stream | undefined;
  #xruns = 0;
  /** Of the node, when it has been closed. */
  #last: Pick<PathStatistics, 'frames' | 'slips'> | undefined;
  #closed: Promise<void> | undefined;
  #timer: Timer | undefined;

  constructor(parts: NodeParts) {
    this.parts = parts;
    this.periodFrames = periodFor(parts.context.spec, parts.latencyFrames);
  }

  /** A stream of the card's, which {@link attach}es the node when it is open. Throws what the card does. */
  protected abstract createStream(): Stream;
  /** Frames between the node and the card's loudspeaker or microphone. */
  protected abstract readonly waitingFrames: number;
  /** Something may have come from the graph. */
  protected handleMore(): void {}
  /** No program uses the node any more. */
  protected abstract leaveStream(stream: Stream): void;
  protected handleStreamEnd(): void {}

  get statistics(): PathStatistics {
    const { frames, slips } = this.#last ?? this.parts.node;
    const latencyFrames = this.stream === undefined ? 0 : this.waitingFrames;
    return {
      frames,
      active: this.stream !== undefined,
      xruns: this.#xruns,
      slips,
      latencyFrames,
      latency: (latencyFrames / this.parts.context.spec.rate) * 1000,
    };
  }

  /** The node says it. */
  setUsed(): void {}

  protected get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { node } = this.parts;
    this.#last = { frames: node.frames, slips: node.slips };
    node.close();
    await endStream(this.stream);
  }

  /** Something in the graph may have changed. */
  handleNews(): void {
    const { node, context } = this.parts;
    if (this.isClosed) return;
    if (node.failure !== '') {
      context.events.handleServerGone(node.failure);
      return;
    }
    if (node.isStreaming && this.stream === undefined) this.#open();
    this.handleMore();
    if (!node.isStreaming && this.stream) this.leaveStream(this.stream);
    node.lookAtLatency();
  }

  /** Whether a stream's port is still to be attached: meanwhile much can end. */
  protected isOpen(stream: Stream): boolean {
    return !this.isClosed && stream === this.stream && !stream.destroyed;
  }

  /** From now on frames go through the port. `written`: of these were put in before. */
  protected attach(port: unknown, written: number): void {
    this.parts.node.attach(port, written, this.periodFrames);
    this.#timer?.cancel();
    this.#tellDeviation();
  }

  /** That no program uses the node any more may have come at the same time, while JavaScript was busy: then it is none. */
  protected async noteXrun(): Promise<void> {
    await nextTurn();
    if (!this.parts.node.isStreaming) return;
    this.#xruns++;
    this.parts.context.events.handleXrun(this.#xruns);
  }

  #open(): void {
    const { events } = this.parts.context;
    try {
      this.stream = this.createStream();
    } catch (error) {
      events.handleFailure(error as Error);
      return;
    }
    relayEvents(this.stream, events);
    this.stream.once('close', () => this.#handleClose());
    events.handleStart();
  }

  #tellDeviation(): void {
    const { deviation } = this.stream?.clock ?? {};
    if (deviation !== undefined && !this.isClosed) this.parts.node.setDeviation(deviation * 1e-6);
    this.#timer = this.parts.context.clock.after(BETWEEN_DEVIATIONS, () => this.#tellDeviation());
    this.#timer.unref();
  }

  #handleClose(): void {
    this.#timer?.cancel();
    this.parts.node.detach();
    this.handleStreamEnd();
    this.stream = undefined;
    this.parts.context.events.handleStop();
    this.handleNews(); // a program may have come meanwhile
  }
}
