import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../../clock.ts';
import { VsndError } from '../../errors.ts';
import { kernelDriverOf } from './kernel-driver.ts';

/** How long the owner of a device may take to say who it is, ns. */
const ANSWER_TIMEOUT = 0.5e9;

/** How often a name is tried that is taken, but by nobody who listens: its owner has just gone. */
const ATTEMPTS = 5;

/** Octets: no pid is longer than that, whoever has the name. */
const LONGEST_ANSWER = 20;

/**
 * Throws ERR_VSND_CARD_BUSY where a driver in the kernel has the device, as in 'vsnd/0'. `sys`: where sysfs
 * is mounted.
 */
export async function assertNoKernelDriver(device: string, sys: string): Promise<void> {
  const [, name] = /^(?:device\/)?([\w-]+\/\d+)$/.exec(device) ?? [];
  if (name === undefined) return;
  const driver = await kernelDriverOf(name, sys);
  if (driver === undefined) return;
  const { id, module, unbind } = driver;
  throw new VsndError(
    'ERR_VSND_CARD_BUSY',
    `the kernel's driver ${module} has the device ${id}: release it with ` +
      `'echo ${id} > ${unbind}' as root, and keep it away with ` +
      `'echo blacklist ${module} > /etc/modprobe.d/vsnd.conf', see docs/guest-setup.md`,
    { path: device },
  );
}

/**
 * Makes this process the device's one owner, among the processes of every user; resolves with what ends that.
 * The name is that of an abstract socket: it is free again as soon as the process is gone, however it went.
 * Network namespaces (containers) have their own names: what one of them has taken is taken only there.
 * Rejects with ERR_VSND_CARD_BUSY, and the owner's `pid` if it answers.
 */
export async function claimDevice(device: string, clock: Clock): Promise<() => Promise<void>> {
  const path = nameOf(device);
  for (let attempt = 1; ; attempt++) {
    const server = await listen(path);
    if (server !== undefined) return () => new Promise((resolve) => server.close(() => resolve()));
    const answer = await askOwner(path, clock);
    if (answer === 'gone' && attempt < ATTEMPTS) continue;
    throw inUse(device, answer === 'gone' ? undefined : answer);
  }
}

/**
 * The pid of the process that has claimed a device; undefined where none has. Rejects with ERR_VSND_CARD_BUSY where it does
 * not say.
 */
export async function ownerOf(device: string, clock: Clock): Promise<number | undefined> {
  const answer = await askOwner(nameOf(device), clock);
  if (answer === undefined) throw inUse(device, answer);
  return answer === 'gone' ? undefined : answer;
}

/** Of an abstract socket. */
function nameOf(device: string): string {
  return `\0vsnd/${device}`;
}

/** The error for a device that a process has. */
export function inUse(device: string, owner: number | undefined): VsndError {
  const who =
    owner === undefined ? 'another process, which does not say which one it is' : `process ${owner}`;
  const details = owner === undefined ? {} : { pid: owner };
  return new VsndError('ERR_VSND_CARD_BUSY', `${device} is in use by ${who}`, { ...details, path: device });
}

/** A server that answers everybody with this process's pid; undefined where the name is taken. */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.unref().end(`${process.pid}\n`, () => socket.destroy());
    });
    server.unref();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen({ path, exclusive: true }, () => resolve(server));
  });
}

/** The owner's pid; undefined where it does not say; 'gone' where there is no owner any more. */
function askOwner(path: string, clock: Clock): Promise<number | undefined | 'gone'> {
  return new Promise((resolve) => {
    let answer = '';
    let gone = false;
    const socket: Socket = connect({ path });
    const timer = clock.after(ANSWER_TIMEOUT, () => socket.destroy());
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      answer += text;
      if (answer.length > LONGEST_ANSWER) socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      gone = error.code === 'ECONNREFUSED';
    });
    socket.on('close', () => {
      timer.cancel();
      const [, pid] = /^(\d+)\n$/.exec(answer) ?? [];
      resolve(gone ? 'gone' : pid === undefined ? undefined : Number(pid));
    });
  });
}
