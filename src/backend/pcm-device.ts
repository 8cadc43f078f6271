import type { PcmFormatName } from '../wire/pcm-format.ts';
import type { Interval } from '../wire/sndif.ts';

/** What a device is opened with. */
export interface DeviceParams {
  /** Hz */
  readonly rate: number;
  /** Channels of a frame. */
  readonly channels: number;
  /** How one sample is laid out: a name of sndif.h. */
  readonly format: PcmFormatName;
  /** Bytes of one frame */
  readonly frameBytes: number;
  /** Bytes between two reports of the position; 0: none is wanted. */
  readonly periodBytes: number;
}

/** Where a playing device gets its frames, and whom it tells how far it is. */
export interface PlaybackFeed {
  /** Bytes, whole frames, that can be taken now. */
  readonly available: number;
  /** Takes up to `most` bytes, whole frames; valid until the next call. */
  take(most: number): Uint8Array;
  /** `bytes` more have been played: the true count at this moment. */
  played(bytes: number): void;
  /** All that was there has been played. */
  dry(): void;
  /** The device cannot go on. */
  failed(error: Error): void;
}

/** A device that is open for playback. Only {@link close} takes time. */
export interface PlaybackVoice {
  /** Begins to play; what is in the feed is played first. */
  start(): void;
  /** Stands still, and keeps what it has. */
  pause(): void;
  /** Goes on after {@link pause}. */
  resume(): void;
  /** Stops at once; what the feed still has is thrown away by its owner. */
  stop(): void;
  /** The feed has more than before. */
  refilled(): void;
  /** Closes the host device; with `drain` after all that is in the feed, and running, has been played. */
  close(options: { drain: boolean }): Promise<void>;
}

/** Where a capturing device puts its frames. */
export interface CaptureFeed {
  /** Whole frames, those captured next, up to this moment. They are copied, or lost where nobody reads. */
  captured(bytes: Uint8Array): void;
  /** The device cannot go on. */
  failed(error: Error): void;
}

/** A device that is open for capture. Only {@link close} takes time. */
export interface CaptureVoice {
  /** Begins to capture. */
  start(): void;
  /** What is to be heard meanwhile is not captured. */
  pause(): void;
  /** Goes on after {@link pause}. */
  resume(): void;
  /** Stops at once; {@link start} begins anew. */
  stop(): void;
  /** Closes the host device. */
  close(): Promise<void>;
}

/** A host's sound device: one that plays, captures, or both. */
export interface PcmDevice {
  /** What it is, as a person reads it. */
  readonly description: string;
  /** What it can play or capture. */
  readonly formats: readonly PcmFormatName[];
  /** Hz; any without it. */
  readonly rates?: readonly number[] | undefined;
  /** Any number without it. */
  readonly channels?: Interval | undefined;
  /** Rejects with ERR_VSND_DEVICE or ERR_VSND_FILE where the host device cannot be opened so. */
  openPlayback?(params: DeviceParams, feed: PlaybackFeed): Promise<PlaybackVoice>;
  /** As {@link openPlayback}. */
  openCapture?(params: DeviceParams, feed: CaptureFeed): Promise<CaptureVoice>;
}

/** A device that plays. */
export type PlaybackDevice = PcmDevice & Required<Pick<PcmDevice, 'openPlayback'>>;
/** A device that captures. */
export type CaptureDevice = PcmDevice & Required<Pick<PcmDevice, 'openCapture'>>;
