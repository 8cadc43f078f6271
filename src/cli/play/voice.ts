import type { FrameFormat } from '../../audio/audio-source.ts';
import { type Deferred, deferred } from '../../deferred.ts';
import type { Card, PlaybackStream } from '../../index.ts';
import { maxBufferFrames, type StreamLimits } from '../../pcm/hw-params.ts';
import { pcmFormat } from '../../wire/pcm-format.ts';
import { LevelMeter } from '../level-meter.ts';

export interface VoiceOptions {
  readonly card: Card;
  /** The PCM device's index. */
  readonly device: number;
  /** Whether levels are wanted. */
  readonly isMetered: boolean;
  /** What the device can be set to. */
  readonly limits: StreamLimits;
  /** ms of sound that it holds; undefined: as usual. */
  readonly buffer: number | undefined;
  /** Volumes are done in this process. */
  readonly isVolumeSoftware: boolean;
  /** A stream has been created. */
  readonly onStream: (stream: PlaybackStream) => void;
}

/** Plays on a card, through one stream after the other: another one where the format changes. Positions go on over all of them. */
export class Voice {
  /** Rejects when a stream fails. */
  readonly failed: Promise<never>;
  readonly #options: VoiceOptions;
  readonly #failure: Deferred<never> = deferred();
  #stream: PlaybackStream | undefined;
  #closed: Promise<unknown> = Promise.resolve();
  #meter: LevelMeter | undefined;
  #isPaused = false;
  #isVolumeSoftware: boolean;
  /** The stream is one with the wrong kind of volume. */
  #isOutdated = false;
  #framesBefore = 0;
  #underrunsBefore = 0;
  #estimatedBefore = 0;
  #reportsBefore = 0;
  #written = 0;

  constructor(options: VoiceOptions) {
    this.#options = options;
    this.#isVolumeSoftware = options.isVolumeSoftware;
    this.failed = this.#failure.promise;
    this.failed.catch(() => {}); // whoever plays hears of it
  }

  get stream(): PlaybackStream | undefined {
    return this.#stream;
  }

  /** Frames heard. */
  get position(): number {
    return this.#framesBefore + (this.#stream?.position ?? 0);
  }

  /** The position at which what is written next will be heard. */
  get written(): number {
    return this.#written;
  }

  get underruns(): number {
    return this.#underrunsBefore + (this.#stream?.underruns ?? 0);
  }

  get estimatedUnderruns(): number {
    return this.#estimatedBefore + (this.#stream?.estimatedUnderruns ?? 0);
  }

  get positionReports(): number {
    return this.#reportsBefore + (this.#stream?.positionReports ?? 0);
  }

  /** dBFS, one a channel; empty where they are not wanted. */
  get levels(): number[] {
    return this.#meter?.levelsUpTo(this.#stream?.position) ?? [];
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  async setPaused(isPaused: boolean): Promise<void> {
    this.#isPaused = isPaused;
    await this.#stream?.trigger(isPaused ? 'pause' : 'resume');
  }

  /** Volumes are done in this process from the next {@link drop} on. */
  useSoftwareVolume(): void {
    this.#isVolumeSoftware = true;
    this.#isOutdated = true;
  }

  /** Whether what is written now are frames of `target`. */
  plays(target: FrameFormat): boolean {
    const { format, rate, channels } = this.#stream ?? {};
    return format === target.format && rate === target.rate && channels === target.channels;
  }

  /** Writes go to a stream for frames of `target`, after {@link playOut}. Throws as card.createPlaybackStream() does. */
  open({ format, rate, channels }: FrameFormat): void {
    const { card, device, onStream } = this.#options;
    const softwareVolume = this.#isVolumeSoftware;
    const bufferFrames = this.#bufferFramesFor({ format, rate, channels });
    const stream = card.createPlaybackStream({
      ...{ format, rate, channels, device, softwareVolume, bufferFrames },
    });
    stream.on('error', (error: Error) => this.#failure.reject(error));
    this.#closed = new Promise((resolve) => stream.once('close', resolve));
    this.#stream = stream;
    this.#isOutdated = false;
    this.#beginMeter();
    if (this.#isPaused) stream.trigger('pause').catch(() => {}); // nothing plays yet: it is only held
    onStream(stream);
  }

  /** Resolves when the stream takes more. */
  async write(frames: Uint8Array): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined || frames.length === 0) return;
    this.#meter?.note(frames);
    this.#written += frames.length / stream.frameBytes;
    if (!stream.write(frames)) await drained(stream);
  }

  /** Resolves when all that was written has been heard. */
  async playOut(): Promise<void> {
    this.#stream?.end();
    await this.#forgetStream();
  }

  /** Throws away what has not been heard. What is written next goes on from here. */
  async drop(): Promise<void> {
    const stream = this.#stream;
    if (stream && !stream.writableEnded && !stream.destroyed && !this.#isOutdated) {
      await stream.drop();
      this.#beginMeter();
    } else {
      await this.stop();
    }
    this.#written = this.position;
  }

  /** Ends the stream at once. */
  async stop(): Promise<void> {
    this.#stream?.destroy();
    await this.#forgetStream();
    this.#written = this.position;
  }

  /** As many as are wanted, where the card has room for them. */
  #bufferFramesFor({ format, rate, channels }: FrameFormat): number | undefined {
    const { buffer, limits } = this.#options;
    if (buffer === undefined) return undefined;
    const frameBytes = (pcmFormat(format).sampleBytes ?? 1) * channels;
    const most = maxBufferFrames({ format, rate, channels, frameBytes }, limits.bufferBytes);
    return Math.min(most, Math.ceil((rate * buffer) / 1000));
  }

  async #forgetStream(): Promise<void> {
    const stream = this.#stream;
    await this.#closed;
    if (this.#stream !== stream) return;
    this.#framesBefore = this.position;
    this.#underrunsBefore = this.underruns;
    this.#estimatedBefore = this.estimatedUnderruns;
    this.#reportsBefore = this.positionReports;
    this.#stream = undefined;
  }

  #beginMeter(): void {
    const stream = this.#stream;
    if (stream && this.#options.isMetered) this.#meter = new LevelMeter(stream, stream.position);
  }
}

/** Resolves when the stream takes more, or nothing any more. */
function drained(stream: PlaybackStream): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      stream.off('drain', settle);
      stream.off('close', settle);
      resolve();
    };
    stream.on('drain', settle);
    stream.on('close', settle);
  });
}
