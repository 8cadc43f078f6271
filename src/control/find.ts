import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../clock.ts';
import { DEVICE_CLASS } from '../config/fields.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { CLAIMS_NODE, inUseError, ownerOf } from '../xen/linux/claim.ts';
import { ControlClient } from './client.ts';
import { OwnDirectory, ownUid } from './own-directory.ts';
import {
  BACKEND_SOCKET,
  CARD_SOCKET,
  controlDirectories,
  EMULATED_BACKEND_SOCKET,
  EMULATED_SOCKET,
} from './places.ts';

/** A control socket, by what its name and directory say. */
interface Found {
  readonly path: string;
  /** The uid whose it is to be. */
  readonly owner: number;
  /** The card's devid, or the pid of an emulated guest. */
  readonly number: number;
}

/**
 * Reaches the process that has a card of this guest open: `devid`, or the first card that somebody has open. It is one of
 * this user's; root reaches those of all. Rejects with ERR_VSND_INVALID_STATE where no process has the card open, with
 * ERR_VSND_CARD_BUSY and the `pid` where another user's has, with ERR_VSND_NOT_SUPPORTED where it has no control socket. `claims`: the node that shows who
 * has a card.
 */
export async function findOwner(
  devid: number | undefined,
  clock: Clock,
  claims = CLAIMS_NODE,
): Promise<ControlClient> {
  const uid = ownUid();
  const isMeant = ({ number }: Found) => devid === undefined || number === devid;
  const own = findSockets(uid, process.env, CARD_SOCKET);
  const client = await connectToFirst(own.filter(isMeant), clock);
  if (client) return client;

  const card = `card ${devid ?? 0}`;
  const owner = await processOf(devid ?? 0, claims);
  if (owner === undefined) throw new VsndError('ERR_VSND_INVALID_STATE', `no process has ${card} open`);
  if (uid !== 0 && uid !== owner.uid) {
    const reason = `${card} is in use by process ${owner.pid} of user ${owner.uid}`;
    throw new VsndError('ERR_VSND_CARD_BUSY', `${reason}: only that user, and root, may control it`, owner);
  }
  const others = findSockets(owner.uid, {}, CARD_SOCKET);
  const other = await connectToFirst(
    others.filter(({ number }) => number === (devid ?? 0)),
    clock,
  );
  if (other) return other;
  throw new VsndError(
    'ERR_VSND_NOT_SUPPORTED',
    `process ${owner.pid} has ${card} open, but no control socket in ${controlDirectories(owner.uid).join(', ')}`,
    { pid: owner.pid },
  );
}

/** Reaches the one process of this user that is an emulated guest. Rejects with ERR_VSND_INVALID_STATE for none, and for several. */
export async function findEmulatedOwner(clock: Clock): Promise<ControlClient> {
  const sockets = findSockets(ownUid(), process.env, EMULATED_SOCKET);
  const clients: ControlClient[] = [];
  for (const socket of sockets) {
    const client = await connectIfServed(socket, clock);
    if (client) clients.push(client);
    else if (!isAlive(socket.number)) removeSocket(socket.path); // it was killed
  }
  const [client] = clients;
  if (client === undefined)
    throw new VsndError('ERR_VSND_INVALID_STATE', 'no process has an emulated card open');
  if (clients.length === 1) return client;
  for (const one of clients) await one.close();
  const paths = clients.map(({ path }) => path).join(', ');
  const reason = 'several processes have an emulated card open';
  throw new VsndError('ERR_VSND_INVALID_STATE', `${reason}: choose one by its socket, ${paths}`);
}

/**
 * Reaches the backend that runs in this domain, or that of an emulated machine: one of this user's. Rejects with
 * ERR_VSND_INVALID_STATE where there is none.
 */
export async function findBackend(isEmulated: boolean, clock: Clock): Promise<ControlClient> {
  const name = isEmulated ? EMULATED_BACKEND_SOCKET : BACKEND_SOCKET;
  const sockets = findSockets(ownUid(), process.env, new RegExp(`^${name}$`));
  const client = await connectToFirst(sockets, clock);
  if (client) return client;
  const what = isEmulated ? 'backend of an emulated machine' : 'backend';
  throw new VsndError('ERR_VSND_INVALID_STATE', `no ${what} of this user runs here`);
}

/** A user's control sockets, in the order of their numbers. Whose each of them is, is asked when it is connected to. */
function findSockets(uid: number, env: NodeJS.ProcessEnv, pattern: RegExp): Found[] {
  const found: Found[] = [];
  for (const path of controlDirectories(uid, env)) {
    for (const name of namesIn(path, uid)) {
      const match = pattern.exec(name);
      if (match) found.push({ path: join(path, name), owner: uid, number: Number(match[1] ?? 0) });
    }
  }
  return found.sort((one, other) => one.number - other.number);
}

/** Nothing where the directory is missing, or not this user's alone. */
function namesIn(path: string, uid: number): string[] {
  try {
    const directory = OwnDirectory.open(path, uid);
    try {
      return directory.names();
    } finally {
      directory.close();
    }
  } catch {
    return [];
  }
}

async function connectToFirst(sockets: readonly Found[], clock: Clock): Promise<ControlClient | undefined> {
  for (const socket of sockets) {
    const client = await connectIfServed(socket, clock);
    if (client) return client;
  }
  return undefined;
}

/** Undefined where nobody listens any more, and for what is no socket of its owner's. */
async function connectIfServed({ path, owner }: Found, clock: Clock): Promise<ControlClient | undefined> {
  try {
    return await ControlClient.connect(path, clock, owner);
  } catch (error) {
    const isNone = ['ECONNREFUSED', 'ENOENT', 'EPERM', 'ENOTSOCK', 'ELOOP'];
    if (isVsndError(error) && isNone.includes(error.errno ?? '')) return undefined;
    throw error;
  }
}

/** Undefined where no process has the card. Rejects with ERR_VSND_CARD_BUSY where it is not to be seen whose it is. */
async function processOf(devid: number, claims: string): Promise<{ pid: number; uid: number } | undefined> {
  const device = `${DEVICE_CLASS}/${devid}`;
  const pid = await ownerOf(device, claims);
  if (pid === undefined) return undefined;
  // Not /proc/PID's owner: that is root for a process which has given up root by itself.
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
  const [, effectiveUid] = /^Uid:\t\d+\t(\d+)/m.exec(status) ?? [];
  if (effectiveUid === undefined) throw inUseError(device, pid); // it has ended, or lives in another container
  return { pid, uid: Number(effectiveUid) };
}

/** Removes a socket of this user's, if it is one. */
function removeSocket(path: string): void {
  const directory = OwnDirectory.open(dirname(path));
  try {
    directory.remove(basename(path), 'isSocket');
  } finally {
    directory.close();
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
