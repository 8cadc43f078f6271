import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { debuglog } from 'node:util';
import { OwnDirectory, ownUid } from '../control/own-directory.ts';
import { controlDirectories, openOwnPlace } from '../control/places.ts';
import { VsndError } from '../errors.ts';
import type { Direction } from './sound-server.ts';

const debug = debuglog('vsnd');

/** The directory of a bridge: the pid of its process, and when that began. */
const NAME = /^bridge-(\d+)-(\d+)-\w+$/;

/** What a bridge makes in its directory, FIFOs or sockets, and all that is ever removed from one. */
const NAMES: readonly Direction[] = ['sink', 'source'];

/**
 * A new directory for the FIFOs of one bridge of this process, which no other user can reach. `passOver` is told where
 * somebody else has a directory that should be this user's. Throws where there is no place.
 */
export function makePlace(passOver?: (why: VsndError) => void): string {
  const directory = openOwnPlace(passOver);
  try {
    const name = directory.makeDirectory(`bridge-${process.pid}-${startTime(process.pid)}-`);
    return join(directory.path, name);
  } finally {
    directory.close();
  }
}

/** Removes it, and the FIFOs in it; what else may be there stays. */
export function removePlace(place: string): void {
  inDirectory(dirname(place), (directory) => removeFrom(directory, basename(place)));
}

/** The pid of the process whose bridge made the FIFO; undefined for a file that is none of this user's bridges'. */
export function bridgeOf(fifo: string): number | undefined {
  const place = dirname(fifo);
  const [, pid] = NAME.exec(basename(place)) ?? [];
  return pid !== undefined && ownDirectories().includes(dirname(place)) ? Number(pid) : undefined;
}

/** The same, where the server says whose it is: a pid, or 0 where it does not. */
export function nameTakenByProcessError(name: string, pid: number): VsndError {
  const who = pid === 0 ? 'of a program' : `of process ${pid}`;
  const message = `the sound server has ${name} already, ${who}: end that one, or choose another name`;
  return new VsndError('ERR_VSND_SOUND_SERVER', message, pid === 0 ? {} : { pid });
}

/** The error for a name that the server has already, of `owner` ('a program') or of the bridge that made `fifo`. */
export function nameTakenError(name: string, fifo: string | undefined, owner: string): VsndError {
  const pid = bridgeOf(fifo ?? '');
  const who = pid === undefined ? `of ${owner} that is not vsnd's` : `of the bridge of process ${pid}`;
  const message = `the sound server has ${name} already, ${who}: end that one, or choose another name`;
  return new VsndError('ERR_VSND_SOUND_SERVER', message, pid === undefined ? {} : { pid });
}

/** Whether the FIFO is that of a bridge whose process has gone without removing it. */
export function isLeft(fifo: string): boolean {
  return bridgeOf(fifo) !== undefined && isAbandoned(basename(dirname(fifo)));
}

/** Removes the directories of bridges that have been killed: from this user's own directories, and nothing but FIFOs of a bridge. */
export function removeAbandonedPlaces(): void {
  for (const path of ownDirectories()) {
    inDirectory(path, (directory) => {
      for (const name of directory.names().filter(isAbandoned)) removeFrom(directory, name);
    });
  }
}

/** Does nothing where there is no such directory, or not of this user's alone. What goes wrong in it leaves things as they are. */
function inDirectory(path: string, work: (directory: OwnDirectory) => void): void {
  let directory: OwnDirectory | undefined;
  try {
    directory = OwnDirectory.open(path);
    work(directory);
  } catch (error) {
    debug('%s: %s', path, error);
  } finally {
    directory?.close();
  }
}

/** Never recursive: what else is there, no bridge has made. */
function removeFrom(parent: OwnDirectory, placeName: string): void {
  inDirectory(parent.at(placeName), (place) => {
    for (const name of NAMES) {
      place.remove(name, 'isFIFO');
      place.remove(name, 'isSocket');
    }
    parent.removeDirectory(placeName);
  });
}

function ownDirectories(): string[] {
  return controlDirectories(ownUid(), process.env);
}

function isAbandoned(name: string): boolean {
  const [, pid, start] = NAME.exec(name) ?? [];
  return pid !== undefined && startTime(Number(pid)) !== start;
}

/** When a process began, in the kernel's units: its pid may be another one's later. Undefined where there is none. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]; // proc(5): field 22, starttime
  } catch {
    return undefined;
  }
}
