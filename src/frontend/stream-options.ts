import { invalidArgError, VsndError } from '../errors.ts';
import type { OptionNames } from '../option-names.ts';
import { canScale } from '../pcm/gain.ts';
import {
  checkBufferWishes,
  checkSpec,
  type HwParams,
  type PcmSpec,
  type StreamLimits,
} from '../pcm/hw-params.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import type { StreamShape } from '../xen/stream-engine.ts';

/** Bytes; 85 ms of 48 kHz s16 stereo. */
export const DEFAULT_HIGH_WATER_MARK = 16_384;

/** s of sound that a thread has to go on with while JavaScript is busy, unless the user says otherwise. */
const DEFAULT_STAGING = 0.42;

/** Bytes */
export function stagedByDefault({ rate, frameBytes }: PcmSpec): number {
  return Math.ceil(DEFAULT_STAGING * rate) * frameBytes;
}

/** Bytes, whole frames, of the staging ring of a stream with this `highWaterMark`. */
export function stagingBytesFor(highWaterMark: number, frameBytes: number): number {
  return Math.max(highWaterMark - (highWaterMark % frameBytes), frameBytes);
}

export function shapeOf({ bufferFrames, periodFrames, frameBytes, rate }: HwParams): StreamShape {
  return {
    bufferBytes: bufferFrames * frameBytes,
    periodBytes: periodFrames * frameBytes,
    frameBytes,
    rate,
  };
}

/** What streams of both kinds can be created with. */
export interface StreamOptions {
  /** Hz; one of the stream's `rates`. */
  rate: number;
  /** Channels of a frame, interleaved; a number within the stream's `channels`. */
  channels: number;
  /** One of the stream's `formats`; a name of sndif.h, or libxl's (`f32_le`). */
  format: PcmFormatName | 'f32_le' | 'f32_be' | 'f64_le' | 'f64_be';
  /** The PCM device's index; by default the first with a free stream. */
  device?: number | undefined;
  /** The stream's index in its device; by default the first free one. */
  stream?: number | undefined;
  /** Frames of the shared buffer, as far as the backend can; by default 200 ms. */
  bufferFrames?: number | undefined;
  /** Frames between two reports of the position; by default a quarter of the buffer. */
  periodFrames?: number | undefined;
  /** Whether the stream outlives its backend and goes on with the next one; by default what the card was opened with. */
  reconnect?: boolean | undefined;
  /** Volume and mute are done here, and not by the backend. */
  softwareVolume?: boolean | undefined;
  /** Aborting it destroys the stream. */
  signal?: AbortSignal | undefined;
  /**
   * Bytes that wait beside the shared buffer, and as many again in the native engine's staging ring; by default 16384, and 420 ms
   * for playback with that engine.
   */
  highWaterMark?: number | undefined;
}

/** Names of the options of both kinds. */
export const STREAM_OPTIONS: OptionNames<StreamOptions> = {
  rate: true,
  channels: true,
  format: true,
  device: true,
  stream: true,
  bufferFrames: true,
  periodFrames: true,
  reconnect: true,
  softwareVolume: true,
  signal: true,
  highWaterMark: true,
};

/**
 * Checks what both kinds of stream have in common, before there is one: Node would open it although nobody has it. Throws
 * ERR_VSND_INVALID_ARG, and ERR_VSND_NOT_SUPPORTED for a software volume of a format without samples.
 */
export function checkStreamOptions(options: StreamOptions, limits: StreamLimits): PcmSpec {
  const spec = checkSpec(options, limits);
  checkBufferWishes(options, spec, limits);
  checkBoolean('softwareVolume', options.softwareVolume);
  const { signal, softwareVolume, highWaterMark } = options;
  if (highWaterMark !== undefined && !(Number.isInteger(highWaterMark) && highWaterMark >= 0)) {
    throw invalidArgError('highWaterMark', highWaterMark, 'a whole number of bytes, from 0');
  }
  if (signal !== undefined && typeof signal?.aborted !== 'boolean') {
    throw invalidArgError('signal', signal, 'an AbortSignal');
  }
  if (softwareVolume && !canScale(spec.format)) {
    throw new VsndError('ERR_VSND_NOT_SUPPORTED', `the volume of ${spec.format} cannot be changed`);
  }
  return spec;
}

/** Throws ERR_VSND_INVALID_ARG for an option that is there and no boolean. */
export function checkBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw invalidArgError(name, value, 'true, false');
}
