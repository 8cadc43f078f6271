import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { invalidArgError, VsndError } from '../errors.ts';

/** Linux reaches what is in an open directory through this; elsewhere a path has to do. */
const DESCRIPTORS = '/proc/self/fd';

/** What a name in a directory can be asked for. */
export type EntryKind = 'isFIFO' | 'isSocket';

/**
 * A directory of one user's alone, held open: it has been asked whose it is, and what is then done in it is done in that
 * very directory, whatever its path leads to by then.
 */
export class OwnDirectory {
  readonly path: string;
  readonly #fd: number;
  #isOpen = true;

  /**
   * Throws ERR_VSND_INVALID_ARG for a link, for a directory of another user than `uid` (by default this process's), and for
   * one that is open to others; the system's errors.
   */
  static open(path: string, uid = ownUid()): OwnDirectory {
    const directory = new OwnDirectory(path, openForReading(path));
    const stats = fstatSync(directory.#fd);
    if (stats.uid === uid && (stats.mode & 0o777) === 0o700) return directory;
    directory.close();
    throw notOwnError(path);
  }

  /** As {@link open}; makes it where it is missing. */
  static make(path: string): OwnDirectory {
    try {
      mkdirSync(path, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    return OwnDirectory.open(path);
  }

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
  }

  /** A path to what has that name in this directory, until {@link close}. */
  at(name: string): string {
    return join(process.platform === 'linux' ? `${DESCRIPTORS}/${this.#fd}` : this.path, name);
  }

  names(): string[] {
    return readdirSync(this.at('.'));
  }

  /** Makes a directory in this one, for this user alone; returns its name. */
  makeDirectory(prefix: string): string {
    return basename(mkdtempSync(this.at(prefix)));
  }

  /** Removes what has that name, if it is of that kind. */
  remove(name: string, kind: EntryKind): void {
    if (lstatSync(this.at(name), { throwIfNoEntry: false })?.[kind]()) unlinkSync(this.at(name));
  }

  /** Removes a directory in this one. Throws ENOTEMPTY where something is in it. */
  removeDirectory(name: string): void {
    rmdirSync(this.at(name));
  }

  /** Idempotent. */
  close(): void {
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }
}

function openForReading(path: string): number {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  try {
    return openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw ['ELOOP', 'ENOTDIR', 'EACCES'].includes(code) ? notOwnError(path) : error;
  }
}

/** Who this process is. Throws ERR_VSND_NOT_SUPPORTED where the system has no users. */
export function ownUid(): number {
  const uid = process.geteuid?.();
  if (uid === undefined) throw new VsndError('ERR_VSND_NOT_SUPPORTED', 'control sockets need a Unix system');
  return uid;
}

function notOwnError(path: string): VsndError {
  return invalidArgError('the directory of a control socket', path, 'one of this user alone, of mode 0700');
}
