import { isVsndError } from '../../errors.ts';
import type { PlaybackStream } from '../../index.ts';
import { volumeText } from '../status-line.ts';

/** dB: as far as keys turn it up or down. */
const LOWEST = -60;
const HIGHEST = 0;

/** The volume as keys set it, of one stream after the other. */
export class Loudness {
  readonly #onUnsupported: () => void;
  #stream: PlaybackStream | undefined;
  /** dB, one a channel; undefined where nobody has said. */
  #volumes: readonly number[] | undefined;
  #isMuted = false;
  /** What has been asked for, one after the other. */
  #work: Promise<void> = Promise.resolve();

  /** `volume`: dB, to begin with. `onUnsupported`: the backend has no volume; the next stream should do it itself. */
  constructor(volume: number | undefined, onUnsupported: () => void) {
    this.#volumes = volume === undefined ? undefined : [volume];
    this.#onUnsupported = onUnsupported;
  }

  /** As a person reads it; undefined where nothing has been turned down. */
  get text(): string | undefined {
    if (this.#isMuted) return 'muted';
    const isFull = this.#volumes === undefined || this.#volumes.every((dB) => dB === 0);
    return isFull ? undefined : `volume ${volumeText(this.#volumes ?? [], [])}`;
  }

  /** Makes another stream as loud as the last one. Rejects as the stream's setVolume() does. */
  attach(stream: PlaybackStream): Promise<void> {
    this.#stream = stream;
    return this.#do(async () => {
      const [first = 0] = this.#volumes ?? [];
      if (this.#volumes && this.#volumes.length !== stream.channels) {
        this.#volumes = new Array<number>(stream.channels).fill(first);
      }
      if (this.#volumes) await stream.setVolume(this.#volumes);
      if (this.#isMuted) await stream.mute();
    });
  }

  /** Up, or down, dB. */
  turn(change: number): Promise<void> {
    return this.#do(async () => {
      const before = await this.#ask((stream) => stream.getVolume());
      const loudest = Math.max(HIGHEST, ...(before ?? []));
      this.#volumes = (before ?? this.#volumes ?? [0]).map((dB) =>
        Math.min(loudest, Math.max(Math.min(LOWEST, dB), dB + change)),
      );
      await this.#ask((stream) => stream.setVolume(this.#volumes ?? []));
    });
  }

  toggleMute(): Promise<void> {
    this.#isMuted = !this.#isMuted;
    return this.#do(async () => {
      await this.#ask((stream) => (this.#isMuted ? stream.mute() : stream.unmute()));
    });
  }

  /** Undefined where the backend cannot do it: the next stream will. */
  async #ask<T>(what: (stream: PlaybackStream) => Promise<T>): Promise<T | undefined> {
    const stream = this.#stream;
    if (stream === undefined) return undefined;
    try {
      return await what(stream);
    } catch (error) {
      if (!isVsndError(error, 'ERR_VSND_NOT_SUPPORTED')) throw error;
      this.#onUnsupported();
      this.#stream = undefined;
      return undefined;
    }
  }

  #do(work: () => Promise<void>): Promise<void> {
    const done = this.#work.then(work);
    this.#work = done.catch(() => {});
    return done;
  }
}
