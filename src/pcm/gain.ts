import { invalidArgError, VsndError } from '../errors.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import type { HwParams } from './hw-params.ts';
import { type SampleCodec, sampleCodec } from './samples.ts';

/** dB: below the last of 24 bits. Silence is not a volume: that is mute. */
export const MIN_VOLUME = -144;
/** dB */
export const MAX_VOLUME = 24;

/** Ramps a second, one after the other: 10 ms each, long enough to hear no click and too short to hear the ramp. */
const RAMPS_PER_SECOND = 100;

/** True where {@link Gain} can change the volume of a format: it has samples. */
export function canScale(format: PcmFormatName): boolean {
  return sampleCodec(format) !== undefined;
}

/** Volume and mute of one PCM stream, a channel at a time. A change is a ramp, wherever the stream is cut into chunks. */
export class Gain {
  /** Frames that a change takes. */
  readonly rampFrames: number;
  readonly #codec: SampleCodec;
  readonly #frameBytes: number;
  readonly #ramps: readonly Ramp[];
  #volumes: readonly number[];
  #muted: readonly boolean[];
  #hasBegun = false;
  /** All channels are at 0 dB, and no ramp is under way. */
  #isPlain = true;

  /** At 0 dB, unmuted. Throws ERR_VSND_NOT_SUPPORTED for a format without samples. */
  constructor({ format, channels, rate }: Pick<HwParams, 'format' | 'channels' | 'rate'>) {
    const codec = sampleCodec(format);
    if (codec === undefined) {
      throw new VsndError('ERR_VSND_NOT_SUPPORTED', `the volume of ${format} cannot be changed`);
    }
    this.rampFrames = Math.ceil(rate / RAMPS_PER_SECOND);
    this.#codec = codec;
    this.#frameBytes = codec.sampleBytes * channels;
    this.#ramps = Array.from({ length: channels }, () => new Ramp());
    this.#volumes = this.#ramps.map(() => 0);
    this.#muted = this.#ramps.map(() => false);
  }

  /** dB, one a channel. Muting does not change them. */
  get volumes(): readonly number[] {
    return this.#volumes;
  }

  get muted(): readonly boolean[] {
    return this.#muted;
  }

  /** dB, one a channel. Throws ERR_VSND_INVALID_ARG. */
  setVolumes(volumes: readonly number[]): void {
    const isVolume = (volume: number) =>
      typeof volume === 'number' && volume >= MIN_VOLUME && volume <= MAX_VOLUME;
    this.#check('volume', volumes, isVolume, `${MIN_VOLUME} to ${MAX_VOLUME} (dB)`);
    this.#volumes = [...volumes];
    this.#retarget();
  }

  /** One a channel. Throws ERR_VSND_INVALID_ARG. */
  setMuted(muted: readonly boolean[]): void {
    this.#check('muted', muted, (value) => typeof value === 'boolean', 'true, false');
    this.#muted = [...muted];
    this.#retarget();
  }

  /**
   * Whole frames in, as many out. Never writes to `frames`, and returns them as they are where nothing is to be done:
   * all channels at 0 dB, no ramp under way. Throws ERR_VSND_INVALID_STATE for a part of a frame.
   */
  apply(frames: Uint8Array): Uint8Array {
    if (frames.length % this.#frameBytes !== 0) {
      throw new VsndError(
        'ERR_VSND_INVALID_STATE',
        `${frames.length} bytes of frames of ${this.#frameBytes}`,
      );
    }
    if (frames.length > 0) this.#hasBegun = true;
    if (this.#isPlain) return frames;
    const scaled = new Uint8Array(frames);
    const view = new DataView(scaled.buffer);
    this.#ramps.forEach((ramp, channel) => {
      this.#scale(view, channel * this.#codec.sampleBytes, ramp);
    });
    this.#findOutIfPlain();
    return scaled;
  }

  /** Scales one channel, whose first sample lies at `first`. */
  #scale(view: DataView, first: number, ramp: Ramp): void {
    const { read, write } = this.#codec;
    const scale = (offset: number, amplitude: number) =>
      write(view, offset, read(view, offset) * amplitude + 0); // + 0: mu_law and a_law have another code for -0
    let offset = first;
    for (; offset < view.byteLength && !ramp.isOver; offset += this.#frameBytes) scale(offset, ramp.next());
    const amplitude = ramp.target;
    if (amplitude === 1) return; // what has been copied is what it should be, to the bit
    for (; offset < view.byteLength; offset += this.#frameBytes) scale(offset, amplitude);
  }

  /** Before the first frame there is nothing to ramp from: what starts muted must not be heard for 10 ms. */
  #retarget(): void {
    const frames = this.#hasBegun ? this.rampFrames : 0;
    this.#ramps.forEach((ramp, channel) => {
      ramp.moveTo(this.#muted[channel] ? 0 : 10 ** ((this.#volumes[channel] ?? 0) / 20), frames);
    });
    this.#findOutIfPlain();
  }

  #findOutIfPlain(): void {
    this.#isPlain = this.#ramps.every((ramp) => ramp.isOver && ramp.target === 1);
  }

  #check<T>(option: string, values: readonly T[], isAllowed: (value: T) => boolean, allowed: string): void {
    const channels = this.#ramps.length;
    if (!Array.isArray(values) || values.length !== channels) {
      const given = Array.isArray(values) ? values.join(', ') : values;
      throw invalidArgError(option, given, `an array of ${channels}, one a channel`);
    }
    for (const value of values) {
      if (!isAllowed(value)) throw invalidArgError(option, value, allowed);
    }
  }
}

/** The amplitude of one channel on its way to another. Linear: a ramp in dB would never reach silence. */
export class Ramp {
  #from = 1;
  #to = 1;
  #frames = 0;
  #remaining = 0;

  get target(): number {
    return this.#to;
  }

  get isOver(): boolean {
    return this.#remaining === 0;
  }

  /** Takes `frames` frames from where it is now to `amplitude`; a ramp that goes there already is left alone. */
  moveTo(amplitude: number, frames: number): void {
    if (amplitude === this.#to) return;
    this.#from = this.#current;
    this.#to = amplitude;
    this.#frames = this.#remaining = frames;
  }

  /** The amplitude of the next frame, {@link target} for the last one. */
  next(): number {
    this.#remaining--;
    return this.#current;
  }

  /** Of the frame before the next one. */
  get #current(): number {
    if (this.isOver) return this.#to;
    const rest = this.#remaining / this.#frames;
    return this.#from * rest + this.#to * (1 - rest);
  }
}
