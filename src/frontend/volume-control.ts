import { invalidArgError } from '../errors.ts';
import { Gain, MAX_VOLUME, MIN_VOLUME } from '../pcm/gain.ts';
import type { PcmSpec } from '../pcm/hw-params.ts';
import type { Session } from './session.ts';

/** One stream's volume: the backend's, or where the user asks for it, one that is done here. */
export class VolumeControl {
  readonly #channels: number;
  readonly #gain: Gain | undefined;
  /** What the backend was told, to be said again to the next one. */
  #volumes: readonly number[] | undefined;
  #muted: readonly boolean[];

  /** Throws ERR_VSND_NOT_SUPPORTED for a software volume of a format without samples. */
  constructor(spec: PcmSpec, isSoftware: boolean) {
    this.#channels = spec.channels;
    this.#muted = new Array<boolean>(spec.channels).fill(false);
    this.#gain = isSoftware ? new Gain(spec) : undefined;
  }

  /** One a channel. */
  get muted(): readonly boolean[] {
    return this.#muted;
  }

  /** Whole frames at the software volume; the very same where there is none. */
  apply(frames: Uint8Array): Uint8Array {
    return this.#gain?.apply(frames) ?? frames;
  }

  /** dB, one a channel. `session`: asked for where the backend is needed. */
  async get(session: () => Promise<Session>): Promise<number[]> {
    if (this.#gain) return [...this.#gain.volumes];
    return await (await session()).getVolumes();
  }

  /** dB for all channels, or for each. Throws ERR_VSND_INVALID_ARG before anything is asked for. */
  set(volume: number | readonly number[], session: () => Promise<Session>): Promise<void> {
    const volumes = typeof volume === 'number' ? new Array<number>(this.#channels).fill(volume) : volume;
    if (this.#gain) {
      this.#gain.setVolumes(volumes);
      return Promise.resolve();
    }
    this.#check(volumes);
    return this.#setAtBackend(volumes, session);
  }

  /** The channels named by their numbers, or all. Throws ERR_VSND_INVALID_ARG before anything is asked for. */
  setMuted(
    isMuted: boolean,
    channels: readonly number[] | undefined,
    session: () => Promise<Session>,
  ): Promise<void> {
    const named = this.#named(channels);
    const muted = this.#muted.map((before, channel) => (named[channel] ? isMuted : before));
    if (this.#gain) {
      this.#gain.setMuted(muted);
      this.#muted = muted;
      return Promise.resolve();
    }
    return this.#muteAtBackend(isMuted, named, session);
  }

  /** Tells a backend that has opened the stream anew what its predecessor knew. */
  async restore(session: Session): Promise<void> {
    if (this.#gain) return;
    if (this.#volumes) await session.setVolumes(this.#volumes);
    if (this.#muted.includes(true)) await session.setMuted('mute', this.#muted);
  }

  async #setAtBackend(volumes: readonly number[], session: () => Promise<Session>): Promise<void> {
    await (await session()).setVolumes(volumes);
    this.#volumes = [...volumes];
  }

  async #muteAtBackend(
    isMuted: boolean,
    named: readonly boolean[],
    session: () => Promise<Session>,
  ): Promise<void> {
    await (await session()).setMuted(isMuted ? 'mute' : 'unmute', named);
    this.#muted = this.#muted.map((before, channel) => (named[channel] ? isMuted : before));
  }

  #named(channels: readonly number[] | undefined): boolean[] {
    const all = [...this.#muted.keys()];
    const named = channels ?? all;
    if (!Array.isArray(named)) throw invalidArgError('channels', named, 'an array of channel numbers');
    const wrong = named.findIndex((channel) => !all.includes(channel));
    if (wrong !== -1) throw invalidArgError('channels', named[wrong], `0 to ${this.#channels - 1}`);
    return all.map((channel) => named.includes(channel));
  }

  #check(volumes: readonly unknown[]): void {
    if (!Array.isArray(volumes) || volumes.length !== this.#channels) {
      throw invalidArgError('volume', volumes, `a number, or an array of ${this.#channels}, one a channel`);
    }
    const isVolume = (value: unknown) =>
      typeof value === 'number' && value >= MIN_VOLUME && value <= MAX_VOLUME;
    const wrong = volumes.findIndex((volume) => !isVolume(volume));
    if (wrong !== -1) throw invalidArgError('volume', volumes[wrong], `${MIN_VOLUME} to ${MAX_VOLUME} (dB)`);
  }
}
