import type { Clock } from '../clock.ts';
import { invalidArgError } from '../errors.ts';
import type { StreamAddress } from './card.ts';
import { type HostName, SOURCE_NAMES, type SourceName, sourceOf } from './device-names.ts';
import { silenceDevice } from './devices.ts';
import { execCaptureDevice } from './exec-capture.ts';
import type { CaptureDevice } from './pcm-device.ts';
import { probeRecorder } from './probe.ts';
import { numbersOf, recorderFor } from './programs.ts';
import { sineDevice } from './sine.ts';
import { wavLoopDevice } from './wav-loop.ts';

/** Where sound comes from in the end. */
export interface Source {
  readonly kind: SourceName['kind'];
  /** What captures for one stream. All that there is to know of it but its stream is the same for all. */
  deviceFor(address?: StreamAddress): CaptureDevice;
}

/** What capture sound on a desktop, the most usual first. */
const CANDIDATES = ['pipewire', 'pulse', 'alsa'];

/** Those that need nothing but a clock. */
export type ClockedSourceName = Exclude<SourceName, HostName>;

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
 * Makes the source that a name asks for. Rejects with ERR_VSND_INVALID_ARG for another name, with ERR_VSND_DEVICE for a
 * program that is not installed or does not capture here, with ERR_VSND_FILE for a file that cannot be used.
 */
export async function openSource(name: string, clock: Clock): Promise<Source> {
  const source = sourceOf(name);
  switch (source?.kind) {
    case 'silence':
    case 'sine':
    case 'wav': {
      const device = clockedSource(source, clock);
      return { kind: source.kind, deviceFor: () => device };
    }
  }
  if (source === undefined) throw invalidArgError('source', name, SOURCE_NAMES);
  return await openProgram(source, clock);
}

/** The first of {@link CANDIDATES} that captures here, else a sine. */
export async function firstSource(clock: Clock): Promise<Source> {
  for (const name of CANDIDATES) {
    const source = await openSource(name, clock).catch(() => undefined);
    if (source) return source;
  }
  return await openSource('sine', clock);
}

async function openProgram(source: HostName, clock: Clock): Promise<Source> {
  const isLive = source.kind !== 'exec';
  if (isLive) await probeRecorder(recorderFor(source, numbersOf()));
  const log = (message: string, { guest, devid, pcmDevice, config }: StreamAddress) =>
    guest.log({ devid, stream: `${pcmDevice}/${config.index}`, message });
  return {
    kind: source.kind,
    deviceFor: (address) =>
      execCaptureDevice({
        ...recorderFor(source, numbersOf(address)),
        ...{ clock, isLive, log: (message) => address && log(message, address) },
      }),
  };
}
