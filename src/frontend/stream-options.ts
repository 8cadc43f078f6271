import type { EventEmitter } from 'node:events';
import { invalidArg, VsndError } from '../errors.ts';
import { canScale } from '../pcm/gain.ts';
import { checkBufferWishes, checkSpec, type PcmSpec, type StreamLimits } from '../pcm/hw-params.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';

/** Octets; 85 ms of 48 kHz s16 stereo. */
export const DEFAULT_HIGH_WATER_MARK = 16_384;

/** What streams of both kinds can be created with. */
export interface StreamOptions {
  /** Hz; one of the stream's `rates`. */
  rate: number;
  channels: number;
  /** One of the stream's `formats`; a name of sndif.h, or libxl's (`f32_le`). */
  format: PcmFormatName | 'f32_le' | 'f32_be' | 'f64_le' | 'f64_be';
  /** The PCM device's index; by default the first with a free stream. */
  device?: number | undefined;
  /** The stream's index in its device; by default the first free one. */
  stream?: number | undefined;
  /** Frames of the shared buffer, as far as the backend can; by default 200 ms. */
  bufferFrames?: number | undefined;
  /** Frames between two reports of the position; by default an eighth of the buffer. */
  periodFrames?: number | undefined;
  /** Whether the stream outlives its backend and goes on with the next one; by default what the card was opened with. */
  reconnect?: boolean | undefined;
  /** Volume and mute are done here, and not by the backend. */
  softwareVolume?: boolean | undefined;
  /** Aborting it destroys the stream. */
  signal?: AbortSignal | undefined;
  /** Octets that wait in JavaScript, beside the shared buffer; by default 16384, on every version of Node. */
  highWaterMark?: number | undefined;
}

/** Something worth knowing that ends nothing. */
export interface StreamWarning {
  readonly code: StreamWarningCode;
  readonly message: string;
}

export type StreamWarningCode =
  /** The data did not end at a frame. */
  | 'VSND_PARTIAL_FRAME'
  /** The position stopped before the end. */
  | 'VSND_DRAIN_STALLED'
  /** The backend's position does not move: paced by its answers. */
  | 'VSND_POSITION_STUCK'
  /** A backend that came back did not take the volume. */
  | 'VSND_VOLUME_LOST';

/** What streams of both kinds tell. */
export interface StreamEvents {
  /** The backend has opened the stream; buffer and period are now known. */
  open: [];
  /** With `reconnect`: the backend is gone, and why; `frames`: the stream's position. */
  disconnect: [{ error: Error; frames: number }];
  /**
   * With `reconnect`: another one has opened the stream, which goes on at frame `frames`; `gap`: ms without
   * sound, from the last position before the loss to the new OPEN.
   */
  reconnect: [{ frames: number; gap: number }];
  warning: [StreamWarning];
}

/**
 * Checks what both kinds of stream have in common, before there is one: Node would open it although nobody has it. Throws
 * ERR_VSND_INVALID_ARG, and ERR_VSND_NOT_SUPPORTED for a software volume of a format without samples.
 */
export function checkStreamOptions(options: StreamOptions, limits: StreamLimits): PcmSpec {
  const spec = checkSpec(options, limits);
  checkBufferWishes(options, spec, limits);
  checkBoolean('softwareVolume', options.softwareVolume);
  const { signal, softwareVolume } = options;
  if (signal !== undefined && typeof signal?.aborted !== 'boolean') {
    throw invalidArg('signal', signal, 'an AbortSignal');
  }
  if (softwareVolume && !canScale(spec.format)) {
    throw new VsndError('ERR_VSND_NOT_SUPPORTED', `the volume of ${spec.format} cannot be changed`);
  }
  return spec;
}

/** Throws ERR_VSND_INVALID_ARG for an option that is there and no boolean. */
export function checkBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') throw invalidArg(name, value, 'true, false');
}

/** A listener that throws is the user's affair: never a failure of the channel in whose handler we are. */
export function emitLater(stream: EventEmitter, event: string, ...args: unknown[]): void {
  process.nextTick(() => stream.emit(event, ...args));
}
