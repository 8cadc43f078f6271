import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { controlDirectories, ownDirectory, ownUid } from '../control/places.ts';
import { VsndError } from '../errors.ts';

/** The directory of a bridge: the pid of its process, and when that began. */
const NAME = /^bridge-(\d+)-(\d+)-\w+$/;

/** A new directory for the FIFOs of one bridge of this process, which no other user can reach. Rejects where there is no place. */
export async function makePlace(): Promise<string> {
  return await mkdtemp(join(await ownDirectory(), `bridge-${process.pid}-${startTime(process.pid)}-`));
}

/** Removes it, and the FIFOs in it. */
export async function removePlace(place: string): Promise<void> {
  await rm(place, { recursive: true, force: true });
}

/** The pid of the process whose bridge made the FIFO; undefined for a file that is none of this user's bridges'. */
export function bridgeOf(fifo: string): number | undefined {
  const place = dirname(fifo);
  const [, pid] = NAME.exec(basename(place)) ?? [];
  return pid !== undefined && ownDirectories().includes(dirname(place)) ? Number(pid) : undefined;
}

/** The error for a name that the server has already, of `owner` ('a program') or of the bridge that made `fifo`. */
export function nameTaken(name: string, fifo: string | undefined, owner: string): VsndError {
  const pid = bridgeOf(fifo ?? '');
  const who = pid === undefined ? `of ${owner} that is not vsnd's` : `of the bridge of process ${pid}`;
  const message = `the sound server has ${name} already, ${who}: end that one, or choose another name`;
  return new VsndError('ERR_VSND_SOUND_SERVER', message, pid === undefined ? {} : { pid });
}

/** Whether the FIFO is that of a bridge whose process has gone without removing it. */
export function isLeft(fifo: string): boolean {
  return bridgeOf(fifo) !== undefined && isAbandoned(basename(dirname(fifo)));
}

/** Removes the directories of bridges that have been killed. */
export async function removeAbandonedPlaces(): Promise<void> {
  for (const directory of ownDirectories()) {
    const names = await readdir(directory).catch(() => []);
    for (const name of names.filter(isAbandoned)) await removePlace(join(directory, name));
  }
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
