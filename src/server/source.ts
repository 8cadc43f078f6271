import type { Clock, Timer } from '../clock.ts';
import type { CaptureStream } from '../frontend/capture-stream.ts';
import type { StreamFormat } from '../pulse/format-info.ts';
import type { TargetDescription } from '../pulse/messages.ts';
import { NORMAL_VOLUME } from '../pulse/volume.ts';
import { valuesOf } from './sample-converter.ts';
import type { OutputTarget, SourceOutput } from './source-output.ts';
import { StreamGain } from './stream-gain.ts';
import { describeTarget, RETRY_TIME, type TargetEvents, type TargetPlan } from './target.ts';

/** s: between two reports of the position. */
const TICK = { least: 0.0025, most: 0.025 };

/** A PCM device that clients record. The card is open while somebody does. */
export class Source implements OutputTarget {
  readonly plan: TargetPlan;
  readonly outputs = new Set<SourceOutput>();
  readonly #events: TargetEvents;
  readonly #clock: Clock;
  readonly #gain: StreamGain;
  #stream: CaptureStream | undefined;
  /** Frames that have come from the stream, and in all. */
  #taken = 0;
  #frames = 0;
  #xruns = 0;
  #retry: Timer | undefined;
  #closed: Promise<void> | undefined;

  constructor(plan: TargetPlan, clock: Clock, events: TargetEvents) {
    this.plan = plan;
    this.#clock = clock;
    this.#events = events;
    this.#gain = new StreamGain(plan.spec.channels, plan.spec.rate);
  }

  get format(): StreamFormat {
    return this.plan.format;
  }

  get isOpen(): boolean {
    return this.#stream !== undefined;
  }

  get statistics() {
    const latency = this.latency / 1000;
    return { frames: this.#frames, active: this.isOpen, xruns: this.#xruns, latency };
  }

  /** Microseconds since what comes next was captured. */
  get latency(): number {
    const stream = this.#stream;
    if (stream === undefined) return 0;
    return (Math.max(0, stream.clock.frames - this.#taken) * 1e6) / this.plan.spec.rate;
  }

  get volumes(): readonly number[] {
    return this.#gain.volumes;
  }

  get isMuted(): boolean {
    return this.#gain.isMuted;
  }

  describe(): TargetDescription {
    return {
      ...describeTarget(this.plan),
      volumes: this.volumes,
      isMuted: this.isMuted,
      hasHardwareVolume: false,
      latency: this.latency,
      configuredLatency: this.#tick * 1e6,
      state: this.isOpen ? 'running' : 'suspended',
    };
  }

  /** One a channel, or one for all. */
  setVolume(volumes: readonly number[], isMuted: boolean): void {
    const all = this.volumes.map((_, channel) => volumes[channel] ?? volumes[0] ?? NORMAL_VOLUME);
    this.#gain.set(all, isMuted);
    this.#events.handleChange();
  }

  add(output: SourceOutput): void {
    this.outputs.add(output);
    this.handleWish();
  }

  remove(output: SourceOutput): void {
    this.outputs.delete(output);
    output.close();
    this.handleWish();
  }

  handleWish(): void {
    if (this.#recording.length === 0) this.#stream?.destroy();
    else if (this.#stream === undefined) this.#open();
  }

  /** Ends its stream. Never rejects. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#retry?.cancel();
    for (const output of [...this.outputs]) this.remove(output);
    const stream = this.#stream;
    if (stream === undefined || stream.closed) return;
    await new Promise<void>((resolve) => {
      stream.once('close', () => resolve());
      stream.destroy();
    });
  }

  get #recording(): SourceOutput[] {
    return [...this.outputs].filter(({ isCorked }) => !isCorked);
  }

  /** s between two reports of the position. */
  get #tick(): number {
    const fragments = this.#recording.map(({ fragment }) => fragment);
    return Math.max(Math.min(TICK.most, ...fragments), TICK.least);
  }

  #open(): void {
    if (this.#closed || this.#retry) return;
    const { spec, device, latency } = this.plan;
    const { rate, channels, format } = spec;
    const periodFrames = Math.round(this.#tick * rate);
    try {
      const stream = this.#events.card.createCaptureStream({
        rate,
        channels,
        format,
        device,
        bufferFrames: Math.max(4 * periodFrames, Math.round(2 * latency * rate)),
        periodFrames,
        reconnect: true,
      });
      this.#follow(stream);
    } catch (error) {
      this.#handleFailure(error as Error);
    }
  }

  #follow(stream: CaptureStream): void {
    this.#stream = stream;
    this.#taken = 0;
    stream
      .on('data', (frames) => this.#take(frames))
      .on('overrun', ({ lost, estimated }) => {
        if (!estimated) this.#taken += lost;
        this.#xruns++;
        this.#events.handleXrun(this.#xruns);
      })
      .on('reconnect', ({ gap }) => this.#events.handleBackendBack(gap))
      .on('disconnect', ({ error }) => this.#events.handleBackendLost(error))
      .on('warning', ({ code, message }) => this.#events.handleWarning(code, message))
      .on('error', (error) => this.#handleFailure(error))
      .on('close', () => this.#handleClose(stream));
    this.#events.handleStart();
    this.#events.handleChange();
  }

  #take(frames: Uint8Array): void {
    const count = frames.length / this.plan.spec.frameBytes;
    this.#taken += count;
    this.#frames += count;
    const heard = this.#scale(frames);
    for (const output of this.outputs) output.take(heard);
  }

  #scale(frames: Uint8Array): Uint8Array {
    if (this.#gain.isPlain) {
      this.#gain.noteBegun();
      return frames;
    }
    const values = valuesOf(this.format.spec.format);
    const samples = values.read(frames);
    this.#gain.apply(samples);
    return values.write(samples);
  }

  /** The card does not let us record: it is tried again while somebody would. */
  #handleFailure(error: Error): void {
    this.#events.handleWarning('VSND_SOURCE_FAILED', `${this.plan.name}: ${error.message}`);
    this.#retry = this.#clock.after(RETRY_TIME, () => {
      this.#retry = undefined;
      this.handleWish();
    });
  }

  #handleClose(stream: CaptureStream): void {
    if (stream !== this.#stream) return;
    this.#stream = undefined;
    this.#events.handleStop();
    this.#events.handleChange();
    if (!this.#closed) this.handleWish();
  }
}
