import { lstat, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { DEVICE_CLASS } from '../config/fields.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { inUse, ownerOf } from '../xen/linux/claim.ts';
import { ControlClient } from './client.ts';
import {
  BACKEND_SOCKET,
  CARD_SOCKET,
  controlDirectories,
  EMULATED_BACKEND_SOCKET,
  EMULATED_SOCKET,
  ownUid,
} from './places.ts';

/** A control socket, by what its name and directory say. */
interface Found {
  readonly path: string;
  /** The card's devid, or the pid of an emulated guest. */
  readonly number: number;
}

/**
 * Reaches the process that has a card of this guest open: `devid`, or the first card that somebody has open. It is one of
 * this user's; root reaches those of all. Rejects with ERR_VSND_INVALID_STATE where no process has the card open, with
 * ERR_VSND_CARD_BUSY and the `pid` where another user's has, with ERR_VSND_NOT_SUPPORTED where it has no control socket.
 */
export async function findOwner(devid: number | undefined, clock: Clock): Promise<ControlClient> {
  const uid = ownUid();
  const isMeant = ({ number }: Found) => devid === undefined || number === devid;
  const own = await findSockets(uid, process.env, CARD_SOCKET);
  const client = await connectToFirst(own.filter(isMeant), clock);
  if (client) return client;

  const card = `card ${devid ?? 0}`;
  const owner = await processOf(devid ?? 0, clock);
  if (owner === undefined) throw new VsndError('ERR_VSND_INVALID_STATE', `no process has ${card} open`);
  if (uid !== 0 && uid !== owner.uid) {
    const reason = `${card} is in use by process ${owner.pid} of user ${owner.uid}`;
    throw new VsndError('ERR_VSND_CARD_BUSY', `${reason}: only that user, and root, may control it`, owner);
  }
  const others = await findSockets(owner.uid, {}, CARD_SOCKET);
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
  const sockets = await findSockets(ownUid(), process.env, EMULATED_SOCKET);
  const clients: ControlClient[] = [];
  for (const { path, number } of sockets) {
    const client = await connectIfServed(path, clock);
    if (client) clients.push(client);
    else if (!isAlive(number)) await unlink(path).catch(() => {}); // it was killed
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
  const sockets = await findSockets(ownUid(), process.env, new RegExp(`^${name}$`));
  const client = await connectToFirst(sockets, clock);
  if (client) return client;
  const what = isEmulated ? 'backend of an emulated machine' : 'backend';
  throw new VsndError('ERR_VSND_INVALID_STATE', `no ${what} of this user runs here`);
}

/** A user's control sockets, in the order of their numbers; nothing that somebody else may have put there. */
async function findSockets(uid: number, env: NodeJS.ProcessEnv, pattern: RegExp): Promise<Found[]> {
  const isTheirs = async (path: string, kind: 'isDirectory' | 'isSocket') => {
    const stats = await lstat(path).catch(() => undefined);
    return stats?.uid === uid && stats[kind]();
  };
  const found: Found[] = [];
  for (const directory of controlDirectories(uid, env)) {
    if (!(await isTheirs(directory, 'isDirectory'))) continue;
    for (const name of await readdir(directory)) {
      const match = pattern.exec(name);
      const path = join(directory, name);
      if (match && (await isTheirs(path, 'isSocket'))) found.push({ path, number: Number(match[1] ?? 0) });
    }
  }
  return found.sort((one, other) => one.number - other.number);
}

async function connectToFirst(sockets: readonly Found[], clock: Clock): Promise<ControlClient | undefined> {
  for (const { path } of sockets) {
    const client = await connectIfServed(path, clock);
    if (client) return client;
  }
  return undefined;
}

/** Undefined where nobody listens any more. */
async function connectIfServed(path: string, clock: Clock): Promise<ControlClient | undefined> {
  try {
    return await ControlClient.connect(path, clock);
  } catch (error) {
    if (isVsndError(error) && ['ECONNREFUSED', 'ENOENT'].includes(error.errno ?? '')) return undefined;
    throw error;
  }
}

/** Undefined where no process has the card. Rejects with ERR_VSND_CARD_BUSY where it does not say who it is. */
async function processOf(devid: number, clock: Clock): Promise<{ pid: number; uid: number } | undefined> {
  if (process.platform !== 'linux') return undefined;
  const device = `${DEVICE_CLASS}/${devid}`;
  const pid = await ownerOf(device, clock);
  if (pid === undefined) return undefined;
  // Not /proc/PID's owner: that is root for a process which has given up root by itself.
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
  const [, effectiveUid] = /^Uid:\t\d+\t(\d+)/m.exec(status) ?? [];
  if (effectiveUid === undefined) throw inUse(device, pid); // it has ended, or lives in another container
  return { pid, uid: Number(effectiveUid) };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
