import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  type Stats,
} from 'node:fs';
import { VsndError } from '../errors.ts';
import { fileError } from './file-error.ts';

/**
 * Creates a regular file for this user alone (mode 0600), or empties one of this user's that is there, and makes it such. Nothing else is
 * written to, whoever has put it there: no link, no FIFO (which would wait for a reader), nobody else's file. Throws
 * ERR_VSND_FILE, with the errno where there is one.
 */
export function createOwnFile(path: string): number {
  const { O_WRONLY, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  const tried = `cannot create ${path}`;
  let fd: number | undefined;
  try {
    const present = lstatSync(path, { throwIfNoEntry: false });
    if (present) checkOwnFile(tried, present);
    fd = openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    checkOwnFile(tried, fstatSync(fd)); // it may be another one by now
    fchmodSync(fd, 0o600); // one that is there may be open to others
    ftruncateSync(fd);
    return fd;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw error instanceof VsndError ? error : fileError(tried, error);
  }
}

/**
 * Throws ERR_VSND_FILE for what {@link createOwnFile} does not write to. `tried`: how the message begins;
 * `stats`: of the file itself, not of what a link leads to.
 */
export function checkOwnFile(tried: string, stats: Stats): void {
  const refusalError = (what: string, errno?: string) =>
    new VsndError('ERR_VSND_FILE', `${tried}: it is ${what}`, errno === undefined ? {} : { errno });
  if (stats.isDirectory()) throw refusalError('a directory', 'EISDIR');
  if (stats.isSymbolicLink()) throw refusalError('a symbolic link', 'ELOOP');
  if (!stats.isFile()) throw refusalError('not a regular file');
  const uid = process.geteuid?.() ?? stats.uid;
  if (stats.uid !== uid) throw refusalError(`of user ${stats.uid}, not of user ${uid}`, 'EPERM');
  if (stats.nlink > 1) throw refusalError('known by another name, too (a hard link)', 'EMLINK');
}
