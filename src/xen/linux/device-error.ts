import { readFileSync } from 'node:fs';
import { VsndError, type VsndErrorCode } from '../../errors.ts';

/** What the addon's errors say. */
interface DeviceError extends Error {
  code: string;
  operation: string;
  device: string;
}

const GUIDE = 'see vsnd help guest-setup.md';

/** The kernel's module behind each device; xenbus is the kernel's own. */
const MODULES: Readonly<Record<string, string>> = {
  evtchn: 'xen-evtchn',
  gntalloc: 'xen-gntalloc',
  gntdev: 'xen-gntdev',
};

/** How many pages gntalloc gives in all; can be changed at any time. */
const GNTALLOC_LIMIT = '/sys/module/xen_gntalloc/parameters/limit';

/** Runs `action`; a device's errno becomes a {@link deviceError}. */
export function withDevice<T>(action: () => T, code?: VsndErrorCode): T {
  try {
    return action();
  } catch (cause) {
    throw deviceError(cause, code);
  }
}

/** A device's errno as a VsndError with `code`, ERR_VSND_NO_XEN where it cannot be opened; anything else as it is. */
export function deviceError(cause: unknown, code: VsndErrorCode = 'ERR_VSND_HYPERVISOR'): unknown {
  if (!isDeviceError(cause)) return cause;
  const { code: errno, operation, device, message } = cause;
  const advice = adviceFor(cause);
  return new VsndError(
    operation === 'open' ? 'ERR_VSND_NO_XEN' : code,
    advice === undefined ? message : `${message}: ${advice}`,
    { errno, path: device, cause },
  );
}

function isDeviceError(error: unknown): error is DeviceError {
  return error instanceof Error && 'operation' in error && 'device' in error;
}

function adviceFor({ code, operation, device }: DeviceError): string | undefined {
  const name = device.slice(device.lastIndexOf('/') + 1);
  if (operation === 'open') {
    if (code === 'EACCES' || code === 'EPERM') return `run as root or install the udev rule, ${GUIDE}`;
    const module = MODULES[name];
    if (code === 'ENOENT' || code === 'ENXIO' || code === 'ENODEV') {
      const missing = module === undefined ? '' : `, or a module is missing: modprobe ${module}`;
      return `this is not a Xen guest${missing}; ${GUIDE}`;
    }
  }
  if (name === 'evtchn' && code === 'EEXIST') {
    return 'the guest has been restored from a saved state, and its old event channels are dead';
  }
  if (name === 'gntalloc' && code === 'ENOSPC') {
    const limit = `all of the ${gntallocLimit()}pages that ${GNTALLOC_LIMIT} allows are in use`;
    return `${limit}; echo 4096 > ${GNTALLOC_LIMIT}, ${GUIDE}`;
  }
  return undefined;
}

function gntallocLimit(): string {
  try {
    return `${readFileSync(GNTALLOC_LIMIT, 'latin1').trim()} `;
  } catch {
    return '';
  }
}
