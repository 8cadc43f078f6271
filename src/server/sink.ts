import type { SampleValues } from '../audio/sample-values.ts';
import { silence } from '../audio/silence.ts';
import type { Clock, Timer } from '../clock.ts';
import { isVsndError } from '../errors.ts';
import type { PlaybackStream } from '../frontend/playback-stream.ts';
import { MAX_VOLUME, MIN_VOLUME } from '../pcm/gain.ts';
import type { StreamFormat } from '../pulse/format-info.ts';
import type { TargetDescription } from '../pulse/messages.ts';
import { decibelsOf, NORMAL_VOLUME, volumeOf } from '../pulse/volume.ts';
import { REPORTS } from './buffer-attributes.ts';
import { valuesOf } from './sample-converter.ts';
import type { InputTarget, SinkInput } from './sink-input.ts';
import { StreamGain } from './stream-gain.ts';
import { describeTarget, IDLE_TIME, RETRY_TIME, type TargetEvents, type TargetPlan } from './target.ts';

/** s: what waits at the card at the least; after an underrun twice as much, until it is closed. */
const LEAST_SHARE = 0.01;

/** s: between two reports of the position. */
const TICK = { least: 0.0025, most: 0.025 };

/**
 * A PCM device that clients play into. Takes from their streams what the card has played, and no more, so that the card's
 * clock is theirs; one alone in the card's format goes through as it is, several are summed. While nothing comes silence
 * keeps the card from running dry; after {@link IDLE_TIME} of that it is closed, and costs nothing.
 */
export class Sink implements InputTarget {
  readonly plan: TargetPlan;
  readonly inputs = new Set<SinkInput>();
  readonly #events: TargetEvents;
  readonly #clock: Clock;
  readonly #values: SampleValues;
  readonly #silence: Uint8Array;
  /** Frames of the card's buffer. */
  readonly #bufferFrames: number;
  /** In software, where the backend has no volume. */
  readonly #gain: StreamGain;
  #volumes: readonly number[];
  #isMuted = false;
  /** Somebody has said so: it is what the backend is told when it opens the stream. */
  #isVolumeSet = false;
  #hasHardwareVolume = true;
  #stream: PlaybackStream | undefined;
  /** The stream is open, and has its volume. */
  #isReady = false;
  /** Frames that have been written to the stream. */
  #written = 0;
  /** Frames from clients, in all. */
  #frames = 0;
  /** Frames that are to wait at the card now, and between two reports. */
  #targetFrames = 0;
  #tickFrames = 0;
  /** s that are to wait at the card at the least: it has run dry with less. */
  #leastShare = LEAST_SHARE;
  /** When a stream had something to play last, ns. */
  #lastSound = 0;
  #isPumping = false;
  #retry: Timer | undefined;
  #xruns = 0;
  #closed: Promise<void> | undefined;

  constructor(plan: TargetPlan, clock: Clock, events: TargetEvents) {
    this.plan = plan;
    this.#clock = clock;
    this.#events = events;
    const { rate, channels } = plan.spec;
    this.#values = valuesOf(plan.format.spec.format);
    this.#bufferFrames = Math.round(plan.latency * rate);
    this.#silence = silence(plan.spec, this.#bufferFrames);
    this.#gain = new StreamGain(channels, rate);
    this.#volumes = new Array<number>(channels).fill(NORMAL_VOLUME);
  }

  get format(): StreamFormat {
    return this.plan.format;
  }

  get isOpen(): boolean {
    return this.#stream !== undefined;
  }

  get written(): number {
    return this.#written;
  }

  get statistics() {
    const latency = this.latency / 1e6;
    return { frames: this.#frames, active: this.isOpen, xruns: this.#xruns, latency: latency * 1000 };
  }

  /** Microseconds until what is written now leaves the card. */
  get latency(): number {
    const stream = this.#stream;
    if (stream === undefined) return 0;
    return (Math.max(0, this.#written - stream.clock.frames) * 1e6) / this.plan.spec.rate;
  }

  describe(): TargetDescription {
    const isSuspended = this.#stream === undefined;
    const isPlaying = this.#playing.length > 0;
    return {
      ...describeTarget(this.plan),
      volumes: this.#volumes,
      isMuted: this.#isMuted,
      hasHardwareVolume: this.#hasHardwareVolume,
      latency: this.latency,
      configuredLatency: (this.#wantedFrames / this.plan.spec.rate) * 1e6,
      state: isPlaying ? 'running' : isSuspended ? 'suspended' : 'idle',
    };
  }

  timingFor(share: number): { card: number; tick: number } {
    const card = Math.min(Math.max(share, LEAST_SHARE), this.plan.latency);
    const tick = Math.min(Math.max(card / REPORTS, TICK.least), TICK.most);
    if (this.#stream === undefined || this.#playing.length === 0) return { card, tick };
    const least = this.#tickFrames / this.plan.spec.rate;
    return { card: Math.max(card, 2 * least), tick: least };
  }

  add(input: SinkInput): void {
    this.inputs.add(input);
    this.handleWish();
  }

  remove(input: SinkInput): void {
    this.inputs.delete(input);
    input.close();
    this.handleWish();
  }

  handleReady(_input: SinkInput, isNews: boolean): void {
    if (this.#stream === undefined) this.#open();
    else if (this.#isTooCoarse)
      this.#stream.destroy(); // what it still has is silence
    else if (isNews || this.#outstanding < this.#targetFrames - this.#tickFrames) this.#pump();
  }

  handleWish(): void {
    this.#targetFrames = Math.min(this.#targetFrames, this.#wantedFrames);
  }

  /** One a channel, or one for all. */
  setVolume(volumes: readonly number[], isMuted: boolean): void {
    this.#volumes = this.#volumes.map((_, channel) => volumes[channel] ?? volumes[0] ?? NORMAL_VOLUME);
    this.#isMuted = isMuted;
    this.#isVolumeSet = true;
    void this.#applyVolume();
    this.#events.handleChange();
  }

  /** Others may have set the backend's. */
  refreshVolume(): void {
    const stream = this.#stream;
    if (!this.#hasHardwareVolume || !this.#isReady || stream === undefined) return;
    this.#isVolumeSet = true;
    this.#askVolume(stream).catch(() => {}); // it is over, or the backend has no volume: then nobody has set it
  }

  get volumes(): readonly number[] {
    return this.#volumes;
  }

  get isMuted(): boolean {
    return this.#isMuted;
  }

  /** Ends its stream. Never rejects. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#retry?.cancel();
    for (const input of [...this.inputs]) this.remove(input);
    const stream = this.#stream;
    if (stream === undefined || stream.closed) return;
    await new Promise<void>((resolve) => {
      stream.once('close', () => resolve());
      stream.destroy();
    });
  }

  get #playing(): SinkInput[] {
    return [...this.inputs].filter(({ isPlaying }) => isPlaying);
  }

  /** Frames that have been written and not been played. */
  get #outstanding(): number {
    return this.#stream === undefined ? 0 : this.#written - this.#stream.position;
  }

  /** Frames that are to wait at the card: what the most demanding client asked for. */
  get #wantedFrames(): number {
    const shares = [...this.inputs].filter(({ isCorked }) => !isCorked).map(({ cardShare }) => cardShare);
    const wanted = Math.max(Math.min(this.plan.latency, ...shares), this.#leastShare) * this.plan.spec.rate;
    return Math.round(Math.min(Math.max(wanted, 2 * this.#tickFrames), this.#bufferFrames));
  }

  /** The card reports too seldom for a stream that begins to play alone. */
  get #isTooCoarse(): boolean {
    const [first, ...others] = this.#playing;
    if (first === undefined || others.length > 0 || !this.#isReady) return false;
    const share = Math.max(first.cardShare, LEAST_SHARE) * this.plan.spec.rate;
    const isFirst = this.#clock.now() > this.#lastSound + TICK.most * 1e9;
    return isFirst && 2 * this.#tickFrames > share;
  }

  #open(): void {
    if (this.#closed || this.#retry) return;
    const { spec, device } = this.plan;
    const { rate, channels, format } = spec;
    this.#tickFrames = 0;
    this.#targetFrames = this.#wantedFrames;
    const tick = Math.min(Math.max(this.#targetFrames / REPORTS, TICK.least * rate), TICK.most * rate);
    this.#tickFrames = Math.round(tick);
    try {
      const stream = this.#events.card.createPlaybackStream({
        rate,
        channels,
        format,
        device,
        bufferFrames: this.#bufferFrames,
        periodFrames: this.#tickFrames,
        startThresholdFrames: 1,
        reconnect: true,
        highWaterMark: this.#bufferFrames * spec.frameBytes,
      });
      this.#follow(stream);
    } catch (error) {
      this.#handleFailure(error as Error);
    }
  }

  #follow(stream: PlaybackStream): void {
    this.#stream = stream;
    this.#written = 0;
    this.#isReady = false;
    this.#lastSound = this.#clock.now();
    const ready = this.#applyVolume();
    stream
      .on('open', () => void ready.then(() => this.#begin(stream)))
      .on('position', ({ frames }) => this.#handlePosition(frames))
      .on('reconnect', ({ gap }) => {
        this.#events.handleBackendBack(gap);
        this.#pump();
      })
      .on('disconnect', ({ error }) => this.#events.handleBackendLost(error))
      .on('underrun', ({ estimated }) => {
        this.#pump();
        if (!estimated && this.#playing.length > 0) this.#noteUnderrun();
      })
      .on('warning', ({ code, message }) => this.#events.handleWarning(code, message))
      .on('error', (error) => this.#handleFailure(error))
      .on('close', () => this.#handleClose(stream));
    this.#events.handleStart();
    this.#events.handleChange();
  }

  #noteUnderrun(): void {
    this.#leastShare = Math.min(2 * this.#leastShare, this.plan.latency);
    this.#xruns++;
    this.#events.handleXrun(this.#xruns);
  }

  #begin(stream: PlaybackStream): void {
    if (stream !== this.#stream || stream.destroyed) return;
    this.#isReady = true;
    this.#tickFrames = stream.periodFrames;
    this.#targetFrames = Math.min(this.#wantedFrames, stream.bufferFrames);
    this.#pump();
  }

  #handlePosition(frames: number): void {
    const most = Math.min(this.#wantedFrames, this.#stream?.bufferFrames ?? 0);
    // More is taken bit by bit: streams are not to be emptied at once.
    this.#targetFrames = Math.min(most, this.#targetFrames + this.#tickFrames / 2);
    for (const input of this.inputs) input.handlePlayed(frames);
    this.#pump();
  }

  /** Writes what the card is to have. */
  #pump(): void {
    const stream = this.#stream;
    if (!this.#isReady || stream === undefined || stream.destroyed || this.#isPumping) return;
    this.#isPumping = true;
    try {
      if (this.#outstanding <= 0) this.#fillInFront();
      this.#fill(stream);
      for (const input of this.inputs) input.request();
    } finally {
      this.#isPumping = false;
    }
  }

  /** What the streams have not got yet is silence in front of what they have, rather than a gap behind it. */
  #fillInFront(): void {
    const playing = this.#playing;
    if (playing.length === 0) return;
    const available = Math.min(...playing.map((input) => input.prepare(this.#leastFrames)));
    if (available < this.#leastFrames) this.#writeSilence(this.#leastFrames - available);
  }

  /** As many wait at the card at least, be it silence. */
  get #leastFrames(): number {
    return Math.ceil(this.#targetFrames / 2);
  }

  #fill(stream: PlaybackStream): void {
    for (let room = this.#room; room > 0; room = this.#room) {
      const playing = this.#playing;
      if (playing.length === 0) {
        this.#rest(stream);
        return;
      }
      const available = Math.min(...playing.map((input) => input.prepare(room)));
      if (available > 0) this.#play(playing, available);
      else if (this.#outstanding >= this.#leastFrames) return;
      else for (const input of playing) if (input.prepare(1) === 0) input.fallDry();
    }
  }

  get #room(): number {
    return Math.floor(this.#targetFrames - this.#outstanding);
  }

  /** Nobody has anything to play. */
  #rest(stream: PlaybackStream): void {
    if (this.#clock.now() - this.#lastSound >= IDLE_TIME) {
      stream.destroy(); // what it still has is silence
      return;
    }
    const missing = this.#leastFrames - this.#outstanding;
    if (missing > 0) this.#writeSilence(missing);
  }

  #play(playing: readonly SinkInput[], frames: number): void {
    this.#lastSound = this.#clock.now();
    this.#frames += frames;
    const bytes = this.#mix(playing, frames);
    this.#passSilence(frames);
    this.#write(bytes, frames);
  }

  #mix(playing: readonly SinkInput[], frames: number): Uint8Array {
    const [first, ...others] = playing;
    const isPlain = this.#gain.isPlain;
    if (first && others.length === 0 && first.isExact && isPlain) {
      this.#gain.noteBegun();
      return first.takeBytes(frames);
    }
    const sum = new Float64Array(frames * this.plan.spec.channels);
    for (const input of playing) {
      const values = input.takeValues(frames, this.#values.read);
      for (let at = 0; at < values.length; at++) sum[at] = (sum[at] ?? 0) + (values[at] ?? 0);
    }
    this.#gain.apply(sum);
    return this.#values.write(sum);
  }

  #writeSilence(frames: number): void {
    this.#passSilence(frames);
    this.#write(this.#silence.subarray(0, frames * this.plan.spec.frameBytes), frames);
  }

  #passSilence(frames: number): void {
    for (const input of this.inputs) input.passSilence(frames);
  }

  #write(bytes: Uint8Array, frames: number): void {
    this.#written += frames;
    this.#stream?.write(bytes);
  }

  /** The backend's volume, where it has one, else one in software. */
  async #applyVolume(): Promise<void> {
    const stream = this.#stream;
    if (!this.#hasHardwareVolume) {
      this.#gain.set(this.#volumes, this.#isMuted);
      return;
    }
    if (stream === undefined) return;
    try {
      if (this.#isVolumeSet) await this.#tellVolume(stream);
      else await this.#askVolume(stream);
    } catch (error) {
      if (!isVsndError(error, 'ERR_VSND_NOT_SUPPORTED') && !isVsndError(error, 'ERR_VSND_STATUS')) return; // it is over
      this.#hasHardwareVolume = false;
      this.#gain.set(this.#volumes, this.#isMuted);
    }
  }

  async #tellVolume(stream: PlaybackStream): Promise<void> {
    const clamp = (decibels: number) => Math.min(Math.max(decibels, MIN_VOLUME), MAX_VOLUME);
    await stream.setVolume(this.#volumes.map((volume) => clamp(decibelsOf(volume))));
    if (this.#isMuted) await stream.mute();
    else if (stream.muted.includes(true)) await stream.unmute();
  }

  /** What others have set. */
  async #askVolume(stream: PlaybackStream): Promise<void> {
    const before = this.#volumes;
    const volumes = (await stream.getVolume()).map(volumeOf);
    if (this.#volumes !== before) return; // a client has just said otherwise
    const isMuted = stream.muted.length > 0 && stream.muted.every(Boolean);
    const isSame = volumes.every((volume, channel) => volume === this.#volumes[channel]);
    if (isSame && isMuted === this.#isMuted) return;
    this.#volumes = volumes;
    this.#isMuted = isMuted;
    this.#events.handleChange();
  }

  /** The card does not let us play: it is tried again while somebody would. */
  #handleFailure(error: Error): void {
    this.#events.handleWarning('VSND_SINK_FAILED', `${this.plan.name}: ${error.message}`);
    this.#retry = this.#clock.after(RETRY_TIME, () => {
      this.#retry = undefined;
      if (this.#stream === undefined && this.#playing.length > 0) this.#open();
    });
  }

  #handleClose(stream: PlaybackStream): void {
    if (stream !== this.#stream) return;
    this.#stream = undefined;
    this.#isReady = false;
    this.#leastShare = LEAST_SHARE;
    for (const input of this.inputs) input.handlePlayed(Number.POSITIVE_INFINITY);
    this.#events.handleStop();
    this.#events.handleChange();
    if (this.#playing.length > 0 && !this.#closed) this.#open();
  }
}
