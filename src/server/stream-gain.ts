import { Ramp } from '../pcm/gain.ts';
import { factorOf, NORMAL_VOLUME } from '../pulse/volume.ts';

/** s: long enough to hear no click. */
const RAMP = 0.01;

/** Volume and mute in software, one a channel. A change is a ramp; before the first frame it is none. */
export class StreamGain {
  readonly #ramps: readonly Ramp[];
  readonly #rampFrames: number;
  #volumes: readonly number[];
  #isMuted = false;
  #hasBegun = false;

  constructor(channels: number, rate: number) {
    this.#ramps = Array.from({ length: channels }, () => new Ramp());
    this.#rampFrames = Math.ceil(RAMP * rate);
    this.#volumes = this.#ramps.map(() => NORMAL_VOLUME);
  }

  /** PulseAudio's, one a channel. */
  get volumes(): readonly number[] {
    return this.#volumes;
  }

  get isMuted(): boolean {
    return this.#isMuted;
  }

  /** Nothing is to be done: all are at 100 %, and no ramp is under way. */
  get isPlain(): boolean {
    return this.#ramps.every((ramp) => ramp.isOver && ramp.target === 1);
  }

  set(volumes: readonly number[], isMuted: boolean): void {
    this.#volumes = volumes;
    this.#isMuted = isMuted;
    this.#ramps.forEach((ramp, channel) => {
      const factor = isMuted ? 0 : factorOf(volumes[channel] ?? NORMAL_VOLUME);
      ramp.moveTo(factor, this.#hasBegun ? this.#rampFrames : 0);
    });
  }

  /** Scales interleaved samples where they are. */
  apply(values: Float64Array): void {
    if (values.length > 0) this.#hasBegun = true;
    if (this.isPlain) return;
    const channels = this.#ramps.length;
    this.#ramps.forEach((ramp, channel) => {
      let at = channel;
      for (; at < values.length && !ramp.isOver; at += channels) values[at] = (values[at] ?? 0) * ramp.next();
      if (ramp.target === 1) return;
      for (; at < values.length; at += channels) values[at] = (values[at] ?? 0) * ramp.target;
    });
  }

  /** Frames have passed as they are. */
  noteBegun(): void {
    this.#hasBegun = true;
  }
}
