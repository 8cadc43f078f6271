import { accessSync, constants, lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../clock.ts';
import { invalidArgError, isVsndError } from '../errors.ts';
import { fileError } from '../wav/file-error.ts';
import { checkOwnFile } from '../wav/own-file.ts';
import type { StreamAddress } from './card.ts';
import { type HostName, SINK_NAMES, type SinkName, sinkOf } from './device-names.ts';
import { nullDevice, wavDevice } from './devices.ts';
import { execPlaybackDevice } from './exec-playback.ts';
import type { PlaybackDevice } from './pcm-device.ts';
import { type SetPipeSize, tryLoadSetPipeSize } from './piped-program.ts';
import { probePlayer } from './probe.ts';
import { numbersOf, playerFor } from './programs.ts';
import { speakerDevice } from './speaker.ts';

/** Where sound goes in the end. */
export interface Sink {
  readonly kind: SinkName['kind'];
  /** What plays one stream. All that there is to know of it but its stream is the same for all. */
  deviceFor(address?: StreamAddress): PlaybackDevice;
  /** Whether it plays at its own pace, whatever the clock. */
  readonly hasOwnClock: boolean;
  /** The WAV file. */
  readonly file?: string;
}

/** What play sound on a desktop, the most usual first. */
const CANDIDATES = ['pipewire', 'pulse', 'alsa', 'speaker'];

/**
 * Makes the sink that a name asks for. Rejects with ERR_VSND_INVALID_ARG for another name, with ERR_VSND_DEVICE for a program
 * or a speaker that is not installed or does not play here, with ERR_VSND_FILE for a file that cannot be written.
 */
export async function openSink(name: string, clock: Clock): Promise<Sink> {
  const sink = sinkOf(name);
  switch (sink?.kind) {
    case 'null':
      return shared('null', nullDevice(clock));
    case 'speaker':
      return { ...shared('speaker', await speakerDevice()), hasOwnClock: true };
    case 'wav':
      checkWritable(sink.file);
      return { ...shared('wav', wavDevice(sink.file, clock)), file: sink.file };
  }
  if (sink === undefined) throw invalidArgError('sink', name, SINK_NAMES);
  return await openProgram(sink);
}

/** The first of {@link CANDIDATES} that plays here, else null. */
export async function firstSink(clock: Clock): Promise<Sink> {
  for (const name of CANDIDATES) {
    const sink = await openSink(name, clock).catch(() => undefined);
    if (sink) return sink;
  }
  return await openSink('null', clock);
}

/** One device for all streams. */
function shared(kind: SinkName['kind'], device: PlaybackDevice): Sink {
  return { kind, deviceFor: () => device, hasOwnClock: false };
}

async function openProgram(sink: HostName): Promise<Sink> {
  const isOwn = sink.kind === 'exec'; // who knows what it would do
  if (!isOwn) await probePlayer(playerFor(sink, numbersOf()));
  const setPipeSize: SetPipeSize | undefined = tryLoadSetPipeSize();
  return {
    kind: sink.kind,
    deviceFor: (address) => execPlaybackDevice({ ...playerFor(sink, numbersOf(address)), setPipeSize }),
    hasOwnClock: !isOwn,
  };
}

/** Says before anything plays what would fail at the first OPEN, with ERR_VSND_FILE. Leaves no file behind. */
export function checkWritable(file: string): void {
  try {
    const existing = lstatSync(file, { throwIfNoEntry: false });
    if (existing) checkOwnFile(`cannot write ${file}`, existing);
    accessSync(existing ? file : `${dirname(file)}/.`, constants.W_OK); // '/.': it must be a directory
  } catch (error) {
    throw isVsndError(error) ? error : fileError(`cannot write ${file}`, error);
  }
}
