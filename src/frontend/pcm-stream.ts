import { Readable, type Stream, Writable } from 'node:stream';
import type { ClockReading } from '../pcm/position-clock.ts';
import type { StreamState } from '../pcm/substream.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import type { StreamCore, StreamTrigger } from './stream-core.ts';
import type { CaptureStreamEvents, PlaybackStreamEvents, StreamEvents } from './stream-events.ts';

/** What streams of both directions have in common. */
export interface PcmStream {
  /** The PCM device's index. */
  readonly device: number;
  /** The stream's index in its PCM device. */
  readonly stream: number;
  /** Hz */
  readonly rate: number;
  /** Channels of a frame. */
  readonly channels: number;
  /** How one sample is laid out: a name of sndif.h. */
  readonly format: PcmFormatName;
  /** Bytes of one frame */
  readonly frameBytes: number;
  /** Frames of the shared buffer; 0 before 'open'. */
  readonly bufferFrames: number;
  /** Frames between two reports of the position; 0 before 'open'. */
  readonly periodFrames: number;
  /** Frames played or captured since the stream was created, as the backend last reported; never estimated. */
  readonly position: number;
  /** The position against the monotonic clock, at this moment: interpolated between reports, never backwards. */
  readonly clock: ClockReading;
  /** XENSND_EVT_CUR_POS events received. */
  readonly positionReports: number;
  /** What it is doing, as far as this end knows. */
  readonly state: StreamState;
  /** Which channels have been muted here; a backend does not say what it was told by others. */
  readonly muted: readonly boolean[];
  /**
   * Sends a trigger to the backend (XENSND_OP_TRIGGER). 'start': begins before the start threshold is reached, or before anybody
   * reads. 'pause': stands still until 'resume'; what is written meanwhile waits. 'stop': throws away what has been written
   * and not played, or captured and not read; it begins anew with the next write or read. Resolves when the backend
   * has answered; at once where there is nothing to do. Throws ERR_VSND_INVALID_ARG; rejects with ERR_VSND_STATUS,
   * ERR_VSND_INVALID_STATE.
   */
  trigger(trigger: StreamTrigger): Promise<void>;
  /** dB, one a channel. Waits for 'open'. Rejects with ERR_VSND_NOT_SUPPORTED where the backend has no volume. */
  getVolume(): Promise<number[]>;
  /**
   * dB, -144 to 24, for all channels or one a channel, in steps of 0.001. Throws ERR_VSND_INVALID_ARG; rejects as
   * {@link getVolume}.
   */
  setVolume(volume: number | readonly number[]): Promise<void>;
  /** Silences all channels, or those with these numbers. Throws ERR_VSND_INVALID_ARG; rejects as {@link getVolume}. */
  mute(channels?: readonly number[]): Promise<void>;
  /** The opposite of {@link mute}. */
  unmute(channels?: readonly number[]): Promise<void>;
}

/**
 * Where a stream keeps its core.
 * @internal
 */
export const CORE = Symbol('core');

/** Where nothing is told, undefined is: `new Promise((resolve) => stream.once('close', resolve))`. */
type Told<Args extends unknown[]> = Args extends [] ? [nothing: undefined] : Args;
type Listener<Args extends unknown[]> = (...args: Told<Args>) => void;
type Common = keyof StreamEvents & string;

/** `on()` and its like. What all streams tell stands by itself, so that it can be asked of a stream of either kind. */
interface Subscribe<This, Events extends Record<keyof Events, unknown[]>> {
  (event: 'open' | 'close', listener: Listener<[]>): This;
  (event: 'error', listener: Listener<StreamEvents['error']>): This;
  (event: 'position', listener: Listener<StreamEvents['position']>): This;
  (event: 'warning', listener: Listener<StreamEvents['warning']>): This;
  (event: 'disconnect', listener: Listener<StreamEvents['disconnect']>): This;
  (event: 'reconnect', listener: Listener<StreamEvents['reconnect']>): This;
  <E extends keyof Events & string>(event: E, listener: Listener<Events[E]>): This;
  (event: Common, listener: Listener<StreamEvents[Common]>): This;
}

/** A `Writable` whose events are known: a misspelt one does not compile. */
export interface PcmWritable extends Writable, PcmStream {
  /** @internal */
  [CORE]: StreamCore;
  /** As of Node's own streams; a misspelt event does not compile. */
  on: Subscribe<this, PlaybackStreamEvents>;
  /** As {@link on}. */
  once: Subscribe<this, PlaybackStreamEvents>;
  /** As {@link on}. */
  off: Subscribe<this, PlaybackStreamEvents>;
  /** As {@link on}. */
  addListener: Subscribe<this, PlaybackStreamEvents>;
  /** As {@link on}. */
  removeListener: Subscribe<this, PlaybackStreamEvents>;
  /** As {@link on}. */
  prependListener: Subscribe<this, PlaybackStreamEvents>;
  /** As {@link on}. */
  prependOnceListener: Subscribe<this, PlaybackStreamEvents>;
}

/** The same of a `Readable`. */
export interface PcmReadable extends Readable, PcmStream {
  /** @internal */
  [CORE]: StreamCore;
  /** As of Node's own streams; a misspelt event does not compile. */
  on: Subscribe<this, CaptureStreamEvents>;
  /** As {@link on}. */
  once: Subscribe<this, CaptureStreamEvents>;
  /** As {@link on}. */
  off: Subscribe<this, CaptureStreamEvents>;
  /** As {@link on}. */
  addListener: Subscribe<this, CaptureStreamEvents>;
  /** As {@link on}. */
  removeListener: Subscribe<this, CaptureStreamEvents>;
  /** As {@link on}. */
  prependListener: Subscribe<this, CaptureStreamEvents>;
  /** As {@link on}. */
  prependOnceListener: Subscribe<this, CaptureStreamEvents>;
}

/** Makes a kind of Node's streams one of PCM. What it asks of the core is there once the stream's constructor has set it. */
function withCore(Base: new (options: { highWaterMark: number }) => Stream) {
  return class extends Base implements PcmStream {
    declare [CORE]: StreamCore;

    get device(): number {
      return this[CORE].slot.device;
    }

    get stream(): number {
      return this[CORE].slot.config.index;
    }

    get rate(): number {
      return this[CORE].spec.rate;
    }

    get channels(): number {
      return this[CORE].spec.channels;
    }

    get format(): PcmFormatName {
      return this[CORE].spec.format;
    }

    get frameBytes(): number {
      return this[CORE].spec.frameBytes;
    }

    get bufferFrames(): number {
      return this[CORE].params?.bufferFrames ?? 0;
    }

    get periodFrames(): number {
      return this[CORE].params?.periodFrames ?? 0;
    }

    get position(): number {
      return this[CORE].position;
    }

    get clock(): ClockReading {
      return this[CORE].reading;
    }

    get positionReports(): number {
      return this[CORE].positionReports;
    }

    get state(): StreamState {
      return this[CORE].publicState;
    }

    get muted(): readonly boolean[] {
      return this[CORE].volume.muted;
    }

    trigger(trigger: StreamTrigger): Promise<void> {
      return this[CORE].trigger(trigger);
    }

    getVolume(): Promise<number[]> {
      return this[CORE].volume.get(this[CORE].whenOpen);
    }

    setVolume(volume: number | readonly number[]): Promise<void> {
      return this[CORE].volume.set(volume, this[CORE].whenOpen);
    }

    mute(channels?: readonly number[]): Promise<void> {
      return this[CORE].volume.setMuted(true, channels, this[CORE].whenOpen);
    }

    unmute(channels?: readonly number[]): Promise<void> {
      return this[CORE].volume.setMuted(false, channels, this[CORE].whenOpen);
    }

    _construct(callback: (error?: Error | null) => void): void {
      this[CORE].start().then(
        () => callback(),
        (error: Error) => callback(this[CORE].hasLeft ? null : error), // one error is enough: the first
      );
    }

    _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
      this[CORE].leave().then(() => callback(error));
    }
  };
}

type Constructor<T> = new (options: { highWaterMark: number }) => T;

/** What {@link PlaybackStream} is made of. */
export const PcmWritable = withCore(Writable) as unknown as Constructor<PcmWritable>;

/** What {@link CaptureStream} is made of. */
export const PcmReadable = withCore(Readable) as unknown as Constructor<PcmReadable>;
