import type { Clock } from '../clock.ts';
import { invalidArgError } from '../errors.ts';
import { type SourceName, sourceOf } from './device-names.ts';
import { silenceDevice } from './devices.ts';
import type { CaptureDevice } from './pcm-device.ts';
import { sineDevice } from './sine.ts';
import { wavLoopDevice } from './wav-loop.ts';

/** Those that need nothing but a clock. */
export type ClockedSourceName = Extract<SourceName, { kind: 'silence' | 'sine' | 'wav' }>;

/** Throws ERR_VSND_FILE for a WAV file that cannot be used. */
export function clockedSource(source: ClockedSourceName, clock: Clock): CaptureDevice {
  switch (source.kind) {
    case 'silence':
      return silenceDevice(clock);
    case 'sine':
      return sineDevice(source.frequency, clock);
    case 'wav':
      return wavLoopDevice(source.file, clock);
  }
}

/**
 * Makes the device that a source's name asks for: 'silence', 'sine', 'sine:HZ', 'wav:FILE'. Throws
 * ERR_VSND_INVALID_ARG for another name, ERR_VSND_FILE for a file that cannot be used.
 */
export function openSource(name: string, clock: Clock): CaptureDevice {
  const source = sourceOf(name);
  switch (source?.kind) {
    case 'silence':
    case 'sine':
    case 'wav':
      return clockedSource(source, clock);
    default:
      throw invalidArgError('source', name, 'silence, sine, sine:HZ, wav:FILE');
  }
}
