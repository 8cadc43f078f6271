import type { Clock } from '../clock.ts';
import type { SndifTriggerName } from '../wire/sndif.ts';
import type { Pages } from '../xen/hypervisor.ts';
import type { DeviceParams } from './pcm-device.ts';
import { Refusal } from './refusal.ts';
import type { RunningState } from './running-state.ts';
import type { OpenStreamStatus, StreamTotals } from './status.ts';
import type { StreamVolume } from './stream-volume.ts';

/** A stream from OPEN to CLOSE. */
export interface OpenStream {
  readonly volume: StreamVolume;
  readonly status: OpenStreamStatus;
  /** Since OPEN, whatever was stopped meanwhile. */
  readonly totals: Pick<StreamTotals, 'frames' | 'xruns'>;
  /**
   * WRITE or READ: moves a range of the shared buffer, in bytes: at once, or when there is something to read. Throws or rejects with
   * {@link Refusal}, or the failure of the device.
   */
  transfer(offset: number, length: number): Promise<void> | undefined;
  /** Throws {@link Refusal} for a trigger that the state does not allow, or the failure of the device. */
  trigger(trigger: SndifTriggerName): void;
  /**
   * Closes the host device, with `drain` after what is running has been played out. Rejects where it does not close, or
   * had failed; all is released then as well. Idempotent.
   */
  close(options: { drain: boolean }): Promise<void>;
}

/** What an open stream works with. */
export interface OpenStreamOptions {
  readonly params: DeviceParams;
  /** The mapped shared buffer; released with the stream. */
  readonly pages: Pages;
  /** Bytes of it that belong to the buffer. */
  readonly bufferBytes: number;
  readonly volume: StreamVolume;
  readonly clock: Clock;
  /** Sends XENSND_EVT_CUR_POS: bytes since OPEN, or since the last STOP. */
  sendPosition(bytes: number): void;
  /** Takes note of something that went wrong here. */
  warn(message: string): void;
}

/** What a stream does, from its counts of bytes. */
export function statusOf(
  { params, bufferBytes }: Pick<OpenStreamOptions, 'bufferBytes' | 'params'>,
  now: { state: RunningState; position: number; waiting: number; xruns: number },
): OpenStreamStatus {
  const { rate, channels, format, frameBytes } = params;
  const frames = (bytes: number) => Math.floor(bytes / frameBytes);
  return {
    ...{ rate, channels, format, state: now.state, xruns: now.xruns },
    position: frames(now.position),
    latency: frames(now.waiting),
    bufferFrames: frames(bufferBytes),
  };
}

/** Throws {@link Refusal} for a range that is not of whole frames within the buffer. */
export function checkRange(
  offset: number,
  length: number,
  { bufferBytes, params }: Pick<OpenStreamOptions, 'bufferBytes' | 'params'>,
): void {
  if (offset + length > bufferBytes) {
    throw new Refusal('EINVAL', `${length} bytes at ${offset} pass the buffer's end at ${bufferBytes}`);
  }
  if (length === 0 || length % params.frameBytes !== 0) {
    throw new Refusal('EINVAL', `${length} bytes are not whole frames of ${params.frameBytes}`);
  }
}
