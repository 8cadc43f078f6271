import type { PlaybackStream } from '../frontend/playback-stream.ts';
import { MAX_VOLUME, MIN_VOLUME } from '../pcm/gain.ts';
import { bufferOf, endStream, formatOf, relayEvents } from './card-stream.ts';
import { mostBufferFrames, type NodePath, type PathContext, type PathStatistics, periodFor } from './path.ts';
import type { NodeVolume, PipeWireNode, StagingPort } from './pipewire-addon.ts';
import { silenceOf } from './silence.ts';

/** Frames of the port: the longest cycle that PipeWire has, twice. */
const PORT_FRAMES = 2 * 8192;

/**
 * From a sink of PipeWire's into the card, whose position drives the graph: nothing is resampled, dropped or repeated, and where
 * the graph is late there is silence. The card's stream is open while a program is linked to the sink.
 */
export class NodePlayback implements NodePath {
  readonly #node: PipeWireNode;
  readonly #port: StagingPort;
  readonly #latencyFrames: number;
  readonly #context: PathContext;
  #stream: PlaybackStream | undefined;
  #isAttached = false;
  /** What users have set; to be told to each stream. */
  #volume: NodeVolume | undefined;
  #isVolumeOfCard = true;
  #xruns = 0;
  /** Of the node, when it has been closed. */
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
    const { rate } = this.#context.spec;
    const latencyFrames = this.#isAttached ? this.#outstanding : 0;
    return {
      frames: this.#closed ? this.#frames : this.#node.frames,
      active: this.#stream !== undefined,
      xruns: this.#xruns,
      slips: this.#closed ? this.#slips : this.#node.slips,
      latencyFrames,
      latency: (latencyFrames / rate) * 1000,
    };
  }

  /** The node says it. */
  setUsed(): void {}

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#isAttached = false;
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
    this.#takeVolume();
    if (this.#node.isStreaming && this.#stream === undefined) this.#open();
    if (this.#isAttached) this.#pump();
    if (!this.#node.isStreaming && this.#isAttached) this.#end();
    this.#node.lookAtLatency();
  }

  /** Frames that the stream has and the card has not played, by the card's clock. */
  get #outstanding(): number {
    const stream = this.#stream;
    if (stream === undefined) return 0;
    const waiting = (stream.writableLength + this.#port.staged) / this.#context.spec.frameBytes;
    const since = stream.clock.frames - stream.position;
    return Math.max(0, Math.floor(stream.latency + waiting - since));
  }

  #open(): void {
    const { card, device, spec, events } = this.#context;
    const wished = Math.max(2 * this.#latencyFrames, 4 * this.#node.quantum);
    try {
      this.#stream = card.createPlaybackStream({
        ...formatOf(spec),
        device,
        ...bufferOf(spec, Math.min(wished, mostBufferFrames('playback', this.#context))),
        periodFrames: periodFor(spec, this.#latencyFrames),
        startThresholdFrames: 1,
        reconnect: true,
      });
    } catch (error) {
      events.handleFailure(error as Error);
      return;
    }
    const stream = this.#stream;
    relayEvents(stream, events);
    stream
      .on('open', () => this.#handleOpen(stream))
      .on('position', ({ frames }) => this.#handlePosition(stream, frames))
      .on('underrun', () => {
        if (!this.#isAttached) return;
        this.#xruns++;
        events.handleXrun(this.#xruns);
      })
      .on('close', () => this.#handleClose());
    events.handleStart();
  }

  /** What is to wait at the card begins as silence: the first sound comes as late as all others. */
  #handleOpen(stream: PlaybackStream): void {
    if (this.#closed || stream.destroyed) return;
    const { spec } = this.#context;
    const frames = this.#node.latency;
    stream.write(silenceOf(spec, frames * spec.frameBytes));
    this.#port.move(0);
    this.#node.attach(this.#port.port, frames, periodFor(spec, this.#latencyFrames));
    this.#isAttached = true;
    if (this.#volume) this.#setVolume(stream, this.#volume);
    this.handleNews();
  }

  #handlePosition(stream: PlaybackStream, frames: number): void {
    if (!this.#isAttached) return;
    this.#port.move(frames * this.#context.spec.frameBytes);
    const { deviation } = stream.clock;
    if (deviation !== undefined) this.#node.setDeviation(deviation * 1e-6);
  }

  #pump(): void {
    const { staged } = this.#port;
    if (staged === 0) return;
    const bytes = Buffer.allocUnsafe(staged);
    this.#stream?.write(bytes.subarray(0, this.#port.take(bytes)));
  }

  /** No program any more: what there is, is played to its end. */
  #end(): void {
    this.#node.detach();
    this.#pump();
    this.#isAttached = false;
    this.#stream?.end();
  }

  #handleClose(): void {
    this.#node.detach();
    this.#isAttached = false;
    this.#stream = undefined;
    this.#context.events.handleStop();
    this.handleNews(); // a program may have come meanwhile
  }

  #takeVolume(): void {
    const volume = this.#node.takeVolume();
    if (volume === undefined) return;
    this.#volume = volume;
    if (this.#isAttached && this.#stream) this.#setVolume(this.#stream, volume);
  }

  /** By the card, where it can: else PipeWire goes on doing it. */
  #setVolume(stream: PlaybackStream, { channels, isMuted }: NodeVolume): void {
    if (!this.#isVolumeOfCard || channels.length !== stream.channels) return;
    const leave = (isLeft: boolean) => {
      if (!this.#closed) this.#node.leaveVolumeToCard(isLeft);
    };
    stream
      .setVolume(channels.map(decibels))
      .then(() => (isMuted ? stream.mute() : stream.unmute()))
      .then(
        () => leave(true),
        () => {
          if (stream.destroyed) return;
          this.#isVolumeOfCard = false;
          leave(false);
        },
      );
  }
}

/** Of what PipeWire counts linearly. */
function decibels(volume: number): number {
  return Math.min(Math.max(20 * Math.log10(volume), MIN_VOLUME), MAX_VOLUME);
}
