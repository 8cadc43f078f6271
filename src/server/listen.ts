import { chmodSync, mkdirSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:net';
import { dirname } from 'node:path';
import { checkSocketPath, placeSocket } from '../control/places.ts';
import { bindSocket, isStaleSocket, listenAtPath } from '../control/server.ts';
import { VsndError } from '../errors.ts';

/** The name of the socket, as PulseAudio's is called. */
const NAME = 'native';

/** Where a server listens, and what is to be done when it does no more. */
export interface Listening {
  /** Undefined for a socket of somebody else's. */
  readonly path: string | undefined;
  /** Whoever may open the socket may use it. */
  readonly isShared: boolean;
  readonly release: () => void;
}

/**
 * Listens at the path, or at the file descriptor; where there is neither, in this user's own directory. Rejects with
 * ERR_VSND_INVALID_ARG for a path that cannot be, or a directory that is somebody else's, and with ERR_VSND_SOUND_SERVER where
 * something answers there.
 */
export async function listen(
  server: Server,
  { path, fd, access }: { path?: string | undefined; fd?: number | undefined; access?: string | undefined },
): Promise<Listening> {
  if (fd !== undefined) {
    await bindSocket(server, { fd });
    return { path: undefined, isShared: true, release: () => {} };
  }
  const chosen = path ?? (await placeSocket(NAME));
  checkSocketPath(chosen, 'the path of the socket');
  try {
    if (access === 'all') return await listenForAll(server, chosen);
    const directory = await listenAtPath(server, chosen);
    return { path: chosen, isShared: false, release: () => directory.close() };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const message = `a sound server answers at ${chosen} already: end that one, or choose another path`;
    throw new VsndError('ERR_VSND_SOUND_SERVER', message, { path: chosen, cause: error });
  }
}

/** In a directory that others may look into, but not write to. */
async function listenForAll(server: Server, path: string): Promise<Listening> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  try {
    await bindSocket(server, { path });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !(await isStaleSocket(path))) throw error;
    unlinkSync(path);
    await bindSocket(server, { path });
  }
  chmodSync(path, 0o666);
  return { path, isShared: true, release: () => {} };
}
