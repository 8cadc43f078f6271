import { type Clock, timeout } from '../clock.ts';
import { deferred } from '../deferred.ts';
import { VsndError } from '../errors.ts';
import type { DeviceParams } from './pcm-device.ts';

/** ns that a host device may take to open, and to close once it has played what there was. */
const DEVICE_PATIENCE = 5e9;

/** What becomes of `promise`; where nothing has after `limit` ns, rejects with what `late` says. */
export async function inTime<T>(
  promise: Promise<T>,
  limit: number,
  clock: Clock,
  late: () => Error,
): Promise<T> {
  const expired = deferred<never>();
  const timer = timeout(clock, limit, () => expired.reject(late()));
  try {
    return await Promise.race([promise, expired.promise]);
  } finally {
    timer.cancel();
  }
}

/** ns that so many bytes of sound take. */
export function durationOf(bytes: number, { rate, frameBytes }: DeviceParams): number {
  return (bytes * 1e9) / (rate * frameBytes);
}

/**
 * Waits until a host device has been opened. One that comes too late is closed again; this has then rejected with
 * ERR_VSND_DEVICE.
 */
export async function awaitOpening<Voice extends { close(options: { drain: boolean }): Promise<void> }>(
  opening: Promise<Voice>,
  clock: Clock,
): Promise<Voice> {
  try {
    return await inTime(opening, DEVICE_PATIENCE, clock, () => lateError('opened', DEVICE_PATIENCE));
  } catch (error) {
    opening.then((voice) => voice.close({ drain: false })).catch(() => {});
    throw error;
  }
}

/** Waits until a host device has been closed, `duration` ns of sound included; then gives it up with ERR_VSND_DEVICE. */
export async function awaitClosing(closing: Promise<void>, duration: number, clock: Clock): Promise<void> {
  const limit = duration + DEVICE_PATIENCE;
  await inTime(closing, limit, clock, () => lateError('closed', limit));
}

function lateError(what: string, limit: number): VsndError {
  const message = `the device has not ${what} within ${Math.ceil(limit / 1e9)} s; it is given up`;
  return new VsndError('ERR_VSND_DEVICE', message);
}
