import { CORE } from '../frontend/pcm-stream.ts';
import type { PlaybackStream } from '../frontend/playback-stream.ts';
import { MAX_VOLUME, MIN_VOLUME } from '../pcm/gain.ts';
import { formatOf } from './card-stream.ts';
import { NodePath } from './node-path.ts';
import { mostBufferFrames } from './path.ts';
import type { NodeVolume, StagingPort } from './pipewire-addon.ts';
import { silenceOf } from './silence.ts';

/** Frames that have room on their way into the card: the longest cycle that PipeWire has, twice. */
const PORT_FRAMES = 2 * 8192;

const NOTHING = new Uint8Array();

/**
 * From a sink of PipeWire's into the card, whose position drives the graph: nothing is resampled, dropped or repeated, and where
 * the graph is late there is silence.
 */
export class NodePlayback extends NodePath<PlaybackStream> {
  #isAttached = false;
  /** Where JavaScript moves the frames. */
  #staging: StagingPort | undefined;
  /** What users have set; to be told to each stream. */
  #volume: NodeVolume | undefined;
  #isVolumeOfCard = true;

  protected createStream(): PlaybackStream {
    const { node, latencyFrames, context } = this.parts;
    const { card, device, spec } = context;
    const wished = Math.max(2 * latencyFrames, 4 * node.quantum);
    const bufferFrames = Math.min(wished, mostBufferFrames('playback', context));
    const stream = card.createPlaybackStream({
      ...formatOf(spec),
      device,
      bufferFrames,
      highWaterMark: Math.max(bufferFrames, PORT_FRAMES) * spec.frameBytes,
      periodFrames: this.periodFrames,
      startThresholdFrames: 1,
      reconnect: true,
    });
    // What is to wait at the card begins as silence: the first sound comes as late as all others.
    const silence = silenceOf(spec, node.latency * spec.frameBytes);
    return stream
      .on('open', () => stream.write(silence, () => this.#attach(stream)))
      .on('reconnect', () => stream.write(NOTHING, () => this.#attach(stream))) // behind what was not played
      .on('underrun', () => void this.noteXrun());
  }

  /** Frames that the stream has and the card has not played, by the card's clock. */
  protected get waitingFrames(): number {
    const { stream } = this;
    if (stream === undefined || !this.#isAttached) return 0;
    const waiting = (stream.writableLength + (this.#staging?.staged ?? 0)) / stream.frameBytes;
    const since = stream.clock.frames - stream.position;
    return Math.max(0, Math.floor(stream.latency + waiting - since));
  }

  /** All that was written is in the engine. */
  #attach(stream: PlaybackStream): void {
    if (!this.isOpen(stream)) return;
    const own = stream[CORE].openPort();
    if (own) this.attach(own.port, own.written / stream.frameBytes);
    else this.#staging ??= this.#attachStaging(stream);
    this.#isAttached = true;
    if (this.#volume) this.#setVolume(stream, this.#volume);
    this.handleNews();
  }

  #attachStaging(stream: PlaybackStream): StagingPort {
    const { frameBytes } = stream;
    const staging = this.parts.makePort(PORT_FRAMES * frameBytes);
    const move = (frames: number) => staging.move(frames * frameBytes);
    move(stream.position);
    stream.on('position', ({ frames }) => move(frames));
    this.attach(staging.port, stream.position + stream.latency);
    return staging;
  }

  protected override handleMore(): void {
    this.#takeVolume();
    this.#pump();
  }

  #pump(): void {
    const staged = this.#staging?.staged ?? 0;
    if (staged === 0 || !this.#isAttached) return;
    const bytes = Buffer.allocUnsafe(staged);
    this.stream?.write(bytes.subarray(0, this.#staging?.take(bytes)));
  }

  /** What there is, is played to its end. */
  protected leaveStream(stream: PlaybackStream): void {
    if (!this.#isAttached) return;
    this.parts.node.detach();
    this.#pump();
    this.#isAttached = false;
    stream.end();
  }

  protected override handleStreamEnd(): void {
    this.#isAttached = false;
    this.#staging = undefined;
  }

  #takeVolume(): void {
    const volume = this.parts.node.takeVolume();
    if (volume === undefined) return;
    this.#volume = volume;
    if (this.#isAttached && this.stream) this.#setVolume(this.stream, volume);
  }

  /** By the card, where it can: else PipeWire goes on doing it. */
  #setVolume(stream: PlaybackStream, { channels, isMuted }: NodeVolume): void {
    if (!this.#isVolumeOfCard || channels.length !== stream.channels) return;
    const leave = (isLeft: boolean) => {
      if (!this.isClosed) this.parts.node.leaveVolumeToCard(isLeft);
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

  /** The card's volume may be another one: users of PipeWire are to see it. */
  refreshVolume(): void {
    const { stream } = this;
    if (stream === undefined || !this.#isAttached || !this.#isVolumeOfCard) return;
    stream.getVolume().then(
      (volumes) => {
        if (!this.isOpen(stream)) return;
        this.#volume = { channels: volumes.map(linear), isMuted: stream.muted.every((isMuted) => isMuted) };
        this.parts.node.showVolume(this.#volume.channels, this.#volume.isMuted);
      },
      () => {}, // whoever has changed it is told
    );
  }
}

/** Of what PipeWire counts linearly. */
function decibels(volume: number): number {
  return Math.min(Math.max(20 * Math.log10(volume), MIN_VOLUME), MAX_VOLUME);
}

function linear(volume: number): number {
  return volume <= MIN_VOLUME ? 0 : 10 ** (volume / 20);
}
