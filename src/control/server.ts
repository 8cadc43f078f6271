import { once } from 'node:events';
import { chmod, lstat } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { debuglog } from 'node:util';
import { nextTurn } from '../clock.ts';
import { invalidArgError, VsndError } from '../errors.ts';
import { readLines } from './lines.ts';
import { type ControlledCard, carryOut, reportOf } from './methods.ts';
import { OwnDirectory } from './own-directory.ts';
import { checkSocketPath, placeSocket } from './places.ts';
import { type Answer, encodeLine, ID, LONGEST_REQUEST, parseObject } from './protocol.ts';

const debug = debuglog('vsnd');

/** Clients at once; as many again are told so. */
const MAX_CLIENTS = 16;

/** What can be asked at a socket: a card, or what carries out other methods. */
export type Controlled = ControlledCard | ((method: unknown, params: unknown) => Promise<unknown>);

/** A control socket. */
export interface ControlServer {
  readonly path: string;
  /** Ends every connection and removes the socket. Idempotent. */
  close(): Promise<void>;
}

/**
 * Lets other processes of this user, and of root, see and control a card, or what else there is: see protocol.ts. The socket, and who is connected
 * to it, do not hold the process. Rejects with ERR_VSND_INVALID_ARG for a path that cannot be used, or whose directory is
 * not this user's alone, and with the system's errors: EADDRINUSE where another process serves it.
 */
export async function serveControl(controlled: Controlled, path: string): Promise<ControlServer> {
  checkSocketPath(path);
  const clients = new Set<Socket>();
  const isServed = (client: Socket) => [...clients].indexOf(client) < MAX_CLIENTS;
  // A client may end its side once it has asked, as `echo ... | nc -U` does.
  const server = createServer({ allowHalfOpen: true }, (client) => {
    clients.add(client.unref());
    client.once('close', () => clients.delete(client));
    client.on('error', () => {}); // the loop that reads hears of it
    const answer = (line: string | undefined) => answerTo(isServed(client) ? controlled : undefined, line);
    serveClient(client, answer).catch((error: unknown) => debug('%s: %s', path, error));
  });
  server.maxConnections = 2 * MAX_CLIENTS;
  server.unref();
  const directory = await listenAtPath(server, path);
  server.on('error', (error) => debug('%s: %s', path, error));
  const close = async () => {
    for (const client of clients) client.destroy();
    await new Promise((resolve) => server.close(resolve));
    directory.close();
  };
  return { path, close };
}

/**
 * Serves a card's control socket at `place`, or under the name `place` in a directory of this user's. A card without one
 * is a card all the same: what goes wrong is left to NODE_DEBUG=vsnd. Resolves with what ends it.
 */
export async function offerControl(
  controlled: Controlled,
  place: { readonly path: string } | { readonly name: string },
): Promise<() => Promise<void>> {
  try {
    const path = 'path' in place ? place.path : await placeSocket(place.name);
    const server = await serveControl(controlled, path);
    return () => server.close();
  } catch (error) {
    debug('there is no control socket: %s', (error as Error).message);
    return async () => {};
  }
}

/** One request after the other: whoever asks faster than it reads has to wait. */
async function serveClient(
  client: Socket,
  answerTo: (line: string | undefined) => Promise<Answer>,
): Promise<void> {
  try {
    for await (const line of readLines(client, LONGEST_REQUEST)) {
      const answer = encodeLine(await answerTo(line));
      await new Promise<void>((resolve) => client.write(answer, () => resolve()));
      await nextTurn(); // what goes into the socket at once leaves no time for others
    }
  } finally {
    client.destroy(); // not every version of Node does that at the end of the loop
  }
}

/** Without `controlled`: to one client too many. Rejects where something fails that is no VsndError: that ends the connection. */
async function answerTo(controlled: Controlled | undefined, line: string | undefined): Promise<Answer> {
  const request = parseObject(line);
  const given = request?.['id'];
  const id = ID.fits(given) ? given : null;
  try {
    if (line === undefined) throw invalidArgError('a request', 'too long', `${LONGEST_REQUEST} bytes`);
    if (request === undefined)
      throw invalidArgError('a request', line, 'a JSON object { id, method, params }');
    if (id === null) throw invalidArgError('id', given, ID.allowed);
    if (controlled === undefined) throw tooManyClientsError();
    const { method, params } = request;
    const isCard = typeof controlled === 'object';
    return { id, result: await (isCard ? carryOut(controlled, method, params) : controlled(method, params)) };
  } catch (error) {
    return { id, error: reportOf(error) };
  }
}

function tooManyClientsError(): VsndError {
  const message = `this process has ${MAX_CLIENTS} clients already; it takes the next when one has left`;
  return new VsndError('ERR_VSND_INVALID_STATE', message);
}

/**
 * Listens at a socket for this user and root alone, in a directory of this user's, which is made where it is missing.
 * Resolves with that directory, to be closed when the server is. Rejects as {@link serveControl}; the server is closed then.
 */
export async function listenAtPath(server: Server, path: string): Promise<OwnDirectory> {
  const directory = OwnDirectory.make(dirname(path));
  try {
    await listen(server, directory, basename(path));
    await chmod(directory.at(basename(path)), 0o600);
    return directory;
  } catch (error) {
    await new Promise((resolve) => server.close(resolve));
    directory.close();
    throw error;
  }
}

/** Takes the place of a socket of this user's that a dead process has left. */
async function listen(server: Server, directory: OwnDirectory, name: string): Promise<void> {
  const path = directory.at(name);
  try {
    await bindSocket(server, { path });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !(await isStaleSocket(path))) throw error;
    directory.remove(name, 'isSocket');
    await bindSocket(server, { path });
  }
}

/** Rejects with the system's errors. */
export async function bindSocket(server: Server, place: { path: string } | { fd: number }): Promise<void> {
  server.listen({ ...place, exclusive: true });
  await once(server, 'listening');
}

/** Whether nobody listens any more at what is a socket. */
export async function isStaleSocket(path: string): Promise<boolean> {
  const socket = connect({ path });
  try {
    await once(socket, 'connect');
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED' && (await lstat(path)).isSocket();
  } finally {
    socket.destroy();
  }
}
