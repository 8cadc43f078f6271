import { lstat, mkdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { invalidArg, VsndError } from '../errors.ts';

/** Octets: sockaddr_un.sun_path, less its end. Node cuts a longer path off without a word. */
const LONGEST_PATH = 107;

/** The names of control sockets, and the number in them: a real card's devid, or the pid of an emulated guest. */
export const CARD_SOCKET = /^card-(\d{1,9})\.sock$/;
export const EMULATED_SOCKET = /^emulated-(\d{1,9})\.sock$/;

/** The names of the socket of a backend, and of one with an emulated machine. */
export const BACKEND_SOCKET = 'backend.sock';
export const EMULATED_BACKEND_SOCKET = 'emulated-backend.sock';

/** The name of a real card's socket. */
export function cardSocket(devid: number): string {
  return `card-${devid}.sock`;
}

/** The name of the socket of a process that is an emulated guest. */
export function emulatedSocket(pid: number): string {
  return `emulated-${pid}.sock`;
}

/** Who this process is. Throws ERR_VSND_NOT_SUPPORTED where the system has no users. */
export function ownUid(): number {
  const uid = process.geteuid?.();
  if (uid === undefined) throw new VsndError('ERR_VSND_NOT_SUPPORTED', 'control sockets need a Unix system');
  return uid;
}

/**
 * The directories in which a user's control sockets can be, the best first. `env`: of one of that user's processes,
 * where it is known.
 */
export function controlDirectories(uid: number, env: NodeJS.ProcessEnv = {}): string[] {
  const { VSND_CONTROL_DIR: named, XDG_RUNTIME_DIR: runtime = '' } = env;
  if (named) return [named];
  const session = isAbsolute(runtime) ? runtime : `/run/user/${uid}`;
  return [join(uid === 0 ? '/run' : session, 'vsnd'), join(tmpdir(), `vsnd-${uid}`)];
}

/**
 * Makes sure that nobody else can put anything into the directory, or reach what is in it; makes it where it is missing.
 * Throws ERR_VSND_INVALID_ARG for one that is a link, of another user, or open to others, and the system's errors.
 */
export async function makePrivateDirectory(directory: string): Promise<void> {
  await mkdir(directory, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const stats = await lstat(directory);
  if (!stats.isDirectory() || stats.uid !== ownUid() || (stats.mode & 0o077) !== 0) {
    throw invalidArg('the directory of a control socket', directory, 'one of this user alone, of mode 0700');
  }
}

/**
 * Makes sure that nobody but this user and root can put anything into the directory, or swap what is in it. Throws
 * ERR_VSND_INVALID_ARG for another one, and the system's errors.
 */
export async function checkOwnDirectory(directory: string): Promise<void> {
  const { uid, mode } = await stat(directory);
  if ((uid !== ownUid() && uid !== 0) || (mode & 0o022) !== 0) {
    throw invalidArg(
      'the directory of a socket',
      directory,
      'one that only this user, or root, may write to',
    );
  }
}

/** Where a socket of that name belongs. Rejects where there is no place. */
export async function placeSocket(name: string): Promise<string> {
  return join(await ownDirectory(), name);
}

/** The first of this user's directories that can be used; made where it is missing. Rejects where none can. */
export async function ownDirectory(): Promise<string> {
  const failures: unknown[] = [];
  for (const directory of controlDirectories(ownUid(), process.env)) {
    try {
      await makePrivateDirectory(directory);
      return directory;
    } catch (error) {
      failures.push(error);
    }
  }
  throw failures[0];
}

/** Throws ERR_VSND_INVALID_ARG, which names `what`, for a path that is no path of a socket. */
export function checkSocketPath(path: string, what = 'the path of a control socket'): void {
  if (path === '' || path.includes('\0') || Buffer.byteLength(path) > LONGEST_PATH) {
    throw invalidArg(what, path, `1 to ${LONGEST_PATH} octets`);
  }
}
