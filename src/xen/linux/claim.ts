import { createHash } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { VsndError } from '../../errors.ts';
import type { Addon } from './addon.ts';
import { withDevice } from './device-error.ts';
import { kernelDriverOf } from './kernel-driver.ts';

/**
 * What is locked for a claim. Only who may open this node can lock it, and everybody who may use a device of Xen's can open
 * it: root, and the users of a udev rule.
 */
export const CLAIMS_NODE = '/dev/xen/xenbus';

/** Known to every copy of this package in the process: each opens its cards through a hypervisor of its own. */
const LEAVING = Symbol.for('vsnd.leaving');

/** How often a device is tried that is taken, but by nobody any more: its owner has just gone. */
const ATTEMPTS = 5;

/** Regions that the addon can lock. */
const REGIONS = 2 ** 31;

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
      `'echo blacklist ${module} > /etc/modprobe.d/vsnd.conf', see vsnd help guest-setup.md`,
    { path: device },
  );
}

/**
 * Makes this process the device's one owner, among the processes of every user; returns what ends that. It is a lock of the
 * kernel's on `node`, a region for each device, which is free again as soon as the process is gone, however it went; how
 * long it is says whose it is. Containers with nodes of their own have claims of their own. Throws ERR_VSND_CARD_BUSY with
 * the owner's `pid`, ERR_VSND_NO_XEN where the node cannot be opened.
 */
export function claimDevice(device: string, addon: Addon, node = CLAIMS_NODE): () => void {
  const fd = openNode(node);
  try {
    for (let attempt = 1; ; attempt++) {
      const owner = addon.lockRegion(fd, regionOf(device), process.pid);
      if (owner === undefined) return () => closeSync(fd);
      if (owner === -1 && attempt < ATTEMPTS) continue;
      throw inUseError(device, owner === -1 ? undefined : owner);
    }
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The devices that this process is letting go of, each until it has. */
export function devicesBeingLeft(): Map<string, Promise<void>> {
  const shared = globalThis as { [LEAVING]?: Map<string, Promise<void>> };
  shared[LEAVING] ??= new Map();
  return shared[LEAVING];
}

/** The pid of the process that has claimed a device; undefined where none has. Whoever asks need not be able to claim it. */
export async function ownerOf(device: string, node = CLAIMS_NODE): Promise<number | undefined> {
  const stats = await stat(node).catch(() => undefined); // without Xen there is no such node
  if (stats === undefined) return undefined;
  const start = BigInt(regionOf(device)) << 32n;
  const locks = await readFile('/proc/locks', 'latin1').catch(() => '');
  // proc(5): '1: OFDLCK ADVISORY  WRITE -1 00:06:3 4294967296 4294968530'
  const own = new RegExp(`^\\d+: OFDLCK .* ${inodeText(stats)} ${start} (\\d+)$`, 'm').exec(locks);
  return own ? Number(BigInt(own[1] ?? start) - start) : undefined;
}

/** A file as /proc/locks names it. `dev`: as makedev(3) puts the two numbers together. */
function inodeText({ dev, ino }: { dev: number; ino: number }): string {
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
  return `${[major, minor].map((number) => number.toString(16).padStart(2, '0')).join(':')}:${ino}`;
}

/** The error for a device that a process has. */
export function inUseError(device: string, owner: number | undefined): VsndError {
  const who = owner === undefined ? 'another process' : `process ${owner}`;
  const details = owner === undefined ? {} : { pid: owner };
  return new VsndError('ERR_VSND_CARD_BUSY', `${device} is in use by ${who}`, { ...details, path: device });
}

function openNode(node: string): number {
  const { O_RDWR, O_NONBLOCK, O_NOFOLLOW } = constants;
  return withDevice(() => {
    try {
      return openSync(node, O_RDWR | O_NONBLOCK | O_NOFOLLOW);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const error = new Error(`cannot open ${node}: ${code}`, { cause });
      throw Object.assign(error, { code, operation: 'open', device: node });
    }
  });
}

/** The region of a device, by its name: two names of this machine's share one with a chance of 1 in 2^31. */
function regionOf(device: string): number {
  return createHash('sha256').update(device).digest().readUInt32LE() % REGIONS;
}
