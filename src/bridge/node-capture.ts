import type { CaptureStream } from '../frontend/capture-stream.ts';
import { CORE } from '../frontend/pcm-stream.ts';
import { formatOf } from './card-stream.ts';
import { NodePath } from './node-path.ts';
import { mostBufferFrames } from './path.ts';
import type { StagingPort } from './pipewire-addon.ts';

/** Frames that have room on their way out of the card: the longest cycle that PipeWire has, four times. */
const PORT_FRAMES = 4 * 8192;

/** From the card into a source of PipeWire's, which brings a cycle about whenever the card has captured one's frames. */
export class NodeCapture extends NodePath<CaptureStream> {
  /** Where JavaScript moves the frames. */
  #staging: StagingPort | undefined;

  protected createStream(): CaptureStream {
    const { node, latencyFrames, context } = this.parts;
    const { card, device, spec } = context;
    const wished = Math.max(4 * latencyFrames, 4 * node.quantum);
    const stream = card.createCaptureStream({
      ...formatOf(spec),
      device,
      bufferFrames: Math.min(wished, mostBufferFrames('capture', context)),
      highWaterMark: PORT_FRAMES * spec.frameBytes,
      periodFrames: this.periodFrames,
      reconnect: true,
    });
    return stream
      .on('open', () => this.#attach(stream))
      .on('reconnect', () => this.#attach(stream))
      .on('overrun', () => void this.noteXrun());
  }

  protected get waitingFrames(): number {
    const { stream } = this;
    if (stream === undefined) return 0;
    const waiting = (stream.readableLength + (this.#staging?.staged ?? 0)) / stream.frameBytes;
    return Math.floor(stream.latency + waiting);
  }

  #attach(stream: CaptureStream): void {
    if (!this.isOpen(stream)) return;
    const own = stream[CORE].openPort();
    if (own) this.attach(own.port, 0);
    else this.#staging ??= this.#attachStaging(stream);
  }

  #attachStaging(stream: CaptureStream): StagingPort {
    const staging = this.parts.makePort(PORT_FRAMES * stream.frameBytes);
    let captured = 0;
    stream.on('data', (bytes: Buffer) => {
      const staged = staging.stage(bytes);
      if (staged < bytes.length) void this.noteXrun(); // nobody takes it
      captured += staged;
      staging.move(captured);
    });
    this.attach(staging.port, 0);
    return staging;
  }

  protected leaveStream(stream: CaptureStream): void {
    stream.destroy();
  }

  protected override handleStreamEnd(): void {
    this.#staging = undefined;
  }
}
