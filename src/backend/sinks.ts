import { accessSync, constants, lstatSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../clock.ts';
import { invalidArgError, isVsndError } from '../errors.ts';
import { fileError } from '../wav/file-error.ts';
import { checkOwnFile } from '../wav/own-file.ts';
import { nullDevice, wavDevice } from './devices.ts';
import type { PlaybackDevice } from './pcm-device.ts';
import { speakerDevice } from './speaker.ts';

/** Where sound goes in the end. */
export interface Sink {
  readonly kind: 'null' | 'speaker' | 'wav';
  readonly device: PlaybackDevice;
  /** The WAV file. */
  readonly file?: string;
}

/**
 * Makes the device that a sink's name asks for: 'null', 'speaker', 'wav:FILE'. With none, the speaker where it is
 * installed and opens, else null. Rejects with ERR_VSND_INVALID_ARG for another name, with ERR_VSND_DEVICE for a speaker
 * that is not installed or has no device, with ERR_VSND_FILE for a file that cannot be written.
 */
export async function openSink(name: string | undefined, clock: Clock): Promise<Sink> {
  if (name === undefined) return await defaultSink(clock);
  if (name === 'null') return { kind: 'null', device: nullDevice(clock) };
  if (name === 'speaker') return { kind: 'speaker', device: await speakerDevice() };
  const file = /^wav:(.+)$/s.exec(name)?.[1];
  if (file === undefined) throw invalidArgError('sink', name, 'null, speaker, wav:FILE');
  checkWritable(file);
  return { kind: 'wav', device: wavDevice(file, clock), file };
}

async function defaultSink(clock: Clock): Promise<Sink> {
  const speaker = await speakerDevice().catch(() => undefined);
  return speaker ? { kind: 'speaker', device: speaker } : { kind: 'null', device: nullDevice(clock) };
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
