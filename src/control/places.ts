import { lstatSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { invalidArgError, isVsndError, type VsndError } from '../errors.ts';
import { OwnDirectory, ownUid } from './own-directory.ts';

/** Bytes: sockaddr_un.sun_path, less its end. Node cuts a longer path off without a word. */
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

/**
 * The directories in which a user's control sockets can be, the best first. `env`: of one of that user's processes,
 * where it is known.
 */
export function controlDirectories(uid: number, env: NodeJS.ProcessEnv = {}): string[] {
  const { VSND_CONTROL_DIR: named, XDG_RUNTIME_DIR: runtime = '' } = env;
  if (named) return [named];
  const session = isAbsolute(runtime) ? runtime : `/run/user/${uid}`;
  return [join(uid === 0 ? '/run' : session, 'vsnd'), temporaryDirectory(uid), ...furtherDirectories(uid)];
}

function temporaryDirectory(uid: number): string {
  return join(tmpdir(), `vsnd-${uid}`);
}

/** Those that {@link openOwnPlace} has made where somebody else had the others. */
function furtherDirectories(uid: number): string[] {
  const pattern = new RegExp(`^vsnd-${uid}-\\w{6}$`);
  try {
    const paths = readdirSync(tmpdir()).flatMap((name) => (pattern.test(name) ? [join(tmpdir(), name)] : []));
    return paths.filter((path) => lstatSync(path, { throwIfNoEntry: false })?.uid === uid).sort();
  } catch {
    return []; // there is no such directory
  }
}

/** Where a socket of that name belongs. Rejects where there is no place. */
export async function placeSocket(name: string): Promise<string> {
  const directory = openOwnPlace();
  directory.close();
  return join(directory.path, name);
}

/**
 * The first of this user's directories that can be used; made where it is missing. What somebody else has put there is
 * passed over, and `passOver` told why; where that leaves none, a new one is made that nobody can have foreseen. Throws
 * where none can be made.
 */
export function openOwnPlace(passOver: (why: VsndError) => void = () => {}): OwnDirectory {
  const failures: unknown[] = [];
  for (const path of controlDirectories(ownUid(), process.env)) {
    try {
      return OwnDirectory.make(path);
    } catch (error) {
      if (isVsndError(error)) passOver(error);
      failures.push(error);
    }
  }
  if (process.env['VSND_CONTROL_DIR']) throw failures[0];
  return OwnDirectory.open(mkdtempSync(`${temporaryDirectory(ownUid())}-`));
}

/** Throws ERR_VSND_INVALID_ARG, which names `what`, for a path that is no path of a socket. */
export function checkSocketPath(path: string, what = 'the path of a control socket'): void {
  if (path === '' || path.includes('\0') || Buffer.byteLength(path) > LONGEST_PATH) {
    throw invalidArgError(what, path, `1 to ${LONGEST_PATH} bytes`);
  }
}
