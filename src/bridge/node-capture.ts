import type { CaptureStream } from '../frontend/capture-stream.ts';
import { endStream, formatOf, relayEvents } from './card-stream.ts';
import { mostBufferFrames, type NodePath, type PathContext, type PathStatistics, periodFor } from './path.ts';
import type { PipeWireNode, StagingPort } from './pipewire-addon.ts';

/** Frames of the port: the longest cycle that PipeWire has, four times. */
const PORT_FRAMES = 4 * 8192;

/** From the card into a source of PipeWire's, which brings a cycle about whenever the card has captured one's frames. The card's stream is open while a program records. */
export class NodeCapture implements NodePath {
  readonly #node: PipeWireNode;
  readonly #port: StagingPort;
  readonly #latencyFrames: number;
  readonly #context: PathContext;
  #stream: CaptureStream | undefined;
  /** Bytes that this stream has captured. */
  #captured = 0;
  #xruns = 0;
  #frames = 0;
  #slips = 0;
  #closed: Promise<void> | undefined;

  /** Owns `node`. */
  constructor(
    node: PipeWireNode,
    makePort: (bytes: number) => StagingPort,
    latencyFrames: number,
    context: PathContext,
  ) {
    this.#node = node;
    this.#port = makePort(PORT_FRAMES * context.spec.frameBytes);
    this.#latencyFrames = latencyFrames;
    this.#context = context;
  }

  get statistics(): PathStatistics {
    const { rate, frameBytes } = this.#context.spec;
    const stream = this.#stream;
    const unread = stream === undefined ? 0 : stream.readableLength / frameBytes + stream.latency;
    const latencyFrames = Math.floor(this.#port.staged / frameBytes + unread);
    return {
      frames: this.#closed ? this.#frames : this.#node.frames,
      active: stream !== undefined,
      xruns: this.#xruns,
      slips: this.#closed ? this.#slips : this.#node.slips,
      latencyFrames,
      latency: (latencyFrames / rate) * 1000,
    };
  }

  setUsed(): void {}

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#frames = this.#node.frames;
    this.#slips = this.#node.slips;
    this.#node.close();
    await endStream(this.#stream);
  }

  handleNews(): void {
    if (this.#closed) return;
    if (this.#node.failure !== '') {
      this.#context.events.handleServerGone(this.#node.failure);
      return;
    }
    if (this.#node.isStreaming && this.#stream === undefined) this.#open();
    if (!this.#node.isStreaming) this.#stream?.destroy();
    this.#node.lookAtLatency();
  }

  #open(): void {
    const { card, device, spec, events } = this.#context;
    const wished = Math.max(4 * this.#latencyFrames, 4 * this.#node.quantum);
    const periodFrames = periodFor(spec, this.#latencyFrames);
    try {
      this.#stream = card.createCaptureStream({
        ...formatOf(spec),
        device,
        bufferFrames: Math.min(wished, mostBufferFrames('capture', this.#context)),
        periodFrames,
        reconnect: true,
      });
    } catch (error) {
      events.handleFailure(error as Error);
      return;
    }
    this.#captured = 0;
    this.#port.take(new Uint8Array(this.#port.staged)); // what nobody has recorded is not the next one's first sound
    this.#port.move(0);
    this.#node.attach(this.#port.port, 0, periodFrames);
    relayEvents(this.#stream, events);
    this.#stream
      .on('data', (bytes: Buffer) => this.#take(bytes))
      .on('overrun', () => this.#noteXrun())
      .on('close', () => this.#handleClose());
    events.handleStart();
  }

  #take(bytes: Buffer): void {
    const staged = this.#port.stage(bytes);
    if (staged < bytes.length) this.#noteXrun(); // nobody takes it
    this.#captured += staged;
    this.#port.move(this.#captured);
    const { deviation } = this.#stream?.clock ?? {};
    if (deviation !== undefined && !this.#closed) this.#node.setDeviation(deviation * 1e-6);
  }

  #noteXrun(): void {
    this.#xruns++;
    this.#context.events.handleXrun(this.#xruns);
  }

  #handleClose(): void {
    this.#node.detach();
    this.#stream = undefined;
    this.#context.events.handleStop();
    this.handleNews(); // a program may have come meanwhile
  }
}
