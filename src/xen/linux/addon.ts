import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { VsndError } from '../../errors.ts';
import { PAGE_SIZE } from '../hypervisor.ts';

/**
 * What native/ offers to reach Xen; whoever needs the rest of it says what that is. Operations throw an Error with `code` (an errno's name), `operation` and `device`;
 * arguments that are out of place throw a TypeError or RangeError.
 */
export interface Addon {
  readonly XenbusDevice: new (path: string) => XenbusDevice;
  readonly EventChannelDevice: new (path: string) => EventChannelDevice;
  /** `now`: the clock at this moment, ns. */
  readonly EngineDevice: new (
    path: string,
    now: number,
  ) => EngineDevice;
  readonly GrantAllocDevice: new (path: string) => GrantAllocDevice;
  readonly GrantMapDevice: new (path: string) => GrantMapDevice;
  /** The kernel's page, bytes. */
  readonly pageSize: number;
  /**
   * fcntl(F_OFD_SETLK): locks one of 2^31 regions of an open file against every other open of it, until it is closed.
   * Undefined where that is done; else the `mark` of the lock that is in the way, -1 where that has just gone.
   */
  lockRegion(fd: number, region: number, mark: number): number | undefined;
}

/** An open device that the event loop waits for, without holding the process. */
export interface PolledDevice {
  /**
   * Calls `onReadable` whenever read() has something to give or to throw; an error ends the calls until the
   * next start.
   */
  start(onReadable: () => void): void;
  /** One write(2). */
  write(bytes: Uint8Array): void;
  /** Idempotent; everything else throws EBADF from then on. */
  close(): void;
}

export interface XenbusDevice extends PolledDevice {
  /** One read(2); undefined where there is nothing, empty at the end of the file. */
  read(): Uint8Array | undefined;
}

export interface EventChannelDevice extends PolledDevice {
  /**
   * Reads ports (u32) that have been notified, each masked until it has been written back: how many bytes of them, a page at
   * most; undefined where there is none.
   */
  read(into: Uint8Array): number | undefined;
  /** IOCTL_EVTCHN_BIND_UNBOUND_PORT */
  bindUnbound(remoteDomid: number): number;
  /** IOCTL_EVTCHN_BIND_INTERDOMAIN */
  bindInterdomain(remoteDomid: number, remotePort: number): number;
  /** IOCTL_EVTCHN_UNBIND; nothing where the domain has been restored since. */
  unbind(port: number): void;
  /**
   * True, once and for all, where the domain has been restored since its ports were bound: the kernel knows
   * them no more then, binding throws EEXIST, and all that is left to do is to close the device.
   */
  forgetIfRestored(): boolean;
  /** IOCTL_EVTCHN_NOTIFY; nothing where the domain has been restored since. */
  notify(port: number): void;
  /** IOCTL_EVTCHN_RESET: forgets the ports that have not been read, and that there were too many of them. */
  reset(): void;
}

/** An open evtchn with a thread of its own: what the ports here are, the thread has handed on. */
export interface EngineDevice extends EventChannelDevice {
  /** Whether the thread runs before all that is not real-time (SCHED_FIFO). */
  isRealTime(): boolean;
  /** `shape`: bufferBytes, periodBytes, frameBytes, rate, the ring's port and the events'. Throws a RangeError for none. */
  playback(
    shape: number[],
    stagingBytes: number,
    ring: Mapping,
    events: Mapping,
    buffer: Mapping,
    onWake: () => void,
  ): PlaybackHandle;
  capture(
    shape: number[],
    stagingBytes: number,
    ring: Mapping,
    events: Mapping,
    buffer: Mapping,
    onWake: () => void,
  ): CaptureHandle;
}

/** One open stream. Everything but close() throws after close(). */
export interface CarrierHandle {
  /** What the thread tells of the stream, without a call: native/engine/gauge.h. */
  readonly gauge: ArrayBuffer;
  /** An External: native/engine/port.h. */
  readonly port: unknown;
  carry(standing: Float64Array, origin: bigint): boolean;
  /** Fills in where the stream stands; returns why it is parked, as a number. */
  takeBack(standing: Float64Array): number;
  wakeAtReports(isWoken: boolean): void;
  attend(duration: number): void;
  take(into: Uint8Array): number;
  closePort(): void;
  close(): void;
}

export interface PlaybackHandle extends CarrierHandle {
  write(source: Uint8Array, start: number): number;
  wakeAtRoom(): void;
  tellMoved(bytes: number): void;
  end(): void;
}

export interface CaptureHandle extends CarrierHandle {
  wakeAtFrames(isWaiting: boolean): void;
  stage(bytes: Uint8Array): void;
}

/** Mapped pages: everything but release() throws after release(). Offsets are checked. */
export interface Mapping {
  load32(offset: number): number;
  store32(offset: number, value: number): void;
  copyIn(offset: number, source: Uint8Array): void;
  copyOut(offset: number, target: Uint8Array): void;
  /** munmap, and with gntdev IOCTL_GNTDEV_UNMAP_GRANT_REF. Idempotent. */
  release(): void;
}

export interface GrantAllocDevice {
  /** IOCTL_GNTALLOC_ALLOC_GREF: zeroed pages in a row, which end with their mapping. */
  grant(domid: number, pageCount: number, writable: boolean): { grefs: number[]; memory: Mapping };
  close(): void;
}

export interface GrantMapDevice {
  /** IOCTL_GNTDEV_MAP_GRANT_REF */
  map(domid: number, grefs: readonly number[], writable: boolean): Mapping;
  close(): void;
}

/** From src/xen/linux/ and from dist/xen/linux/ alike. */
const PREBUILDS = new URL('../../../prebuilds/', import.meta.url);

/** Loads the addon for this machine. Throws ERR_VSND_NO_XEN, saying what was tried and how to come by it. */
export function loadAddon(path = addonPath()): Addon {
  const addon = requireAddon(resolve(path));
  if (addon.pageSize === PAGE_SIZE) return addon;
  const message = `this kernel's pages have ${addon.pageSize} bytes; Xen's devices need ${PAGE_SIZE}`;
  throw new VsndError('ERR_VSND_NO_XEN', message);
}

/** Where the addon is: VSND_ADDON, or else the prebuilt one. */
export function addonPath(env: NodeJS.ProcessEnv = process.env): string {
  return env['VSND_ADDON'] || prebuiltPath();
}

/** Where the addon for this machine and this process's C library is, or would be; `maps` says what is mapped into it. */
export function prebuiltPath(maps = '/proc/self/maps'): string {
  const target = `${process.platform}-${process.arch}${isOnMusl(maps) ? '-musl' : ''}`;
  return fileURLToPath(new URL(`${target}/vsnd.node`, PREBUILDS));
}

/** musl's C library is its loader, which has the same name everywhere; it stays mapped, however Node was started. */
function isOnMusl(maps: string): boolean {
  try {
    return /\/ld-musl-[^/]*\.so\.1$/m.test(readFileSync(maps, 'latin1'));
  } catch {
    return false;
  }
}

/** What a file exports that is no part of the program: not by an import of node:module, which webpack would take for its own. */
export function requireFile(path: string): unknown {
  return process.getBuiltinModule('node:module').createRequire(path)(path);
}

function requireAddon(path: string): Addon {
  try {
    return requireFile(path) as Addon;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const reason = code === 'MODULE_NOT_FOUND' ? 'there is no such file' : message;
    throw new VsndError(
      'ERR_VSND_NO_XEN',
      `cannot load the addon for Xen's devices, ${path}: ${reason}; there are prebuilt ones for linux-x64 and ` +
        "linux-arm64, with glibc and with musl, and 'npm run build:native' builds it in a checkout of vsnd; in a bundle, " +
        "mark 'vsnd' as external, or name the file by VSND_ADDON or openCard({ addon })",
      { path, cause },
    );
  }
}
