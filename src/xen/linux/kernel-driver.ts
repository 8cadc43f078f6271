import { readlink } from 'node:fs/promises';
import { basename } from 'node:path';

/** A driver in the kernel that has a device, and so its rings. */
export interface KernelDriver {
  /** The device as sysfs has it: 'vsnd-0'. */
  readonly id: string;
  readonly module: string;
  /** Where writing {@link id} makes the driver let go. */
  readonly unbind: string;
}

/** The kernel's driver of a device, as in 'vsnd/0'; undefined where none has it. `sys`: where sysfs is mounted. */
export async function kernelDriverOf(device: string, sys: string): Promise<KernelDriver | undefined> {
  const id = device.replace('/', '-');
  const driver = await linkTarget(`${sys}/bus/xen/devices/${id}/driver`);
  if (driver === undefined) return undefined;
  const path = `${sys}/bus/xen/drivers/${driver}`;
  return { id, module: (await linkTarget(`${path}/module`)) ?? driver, unbind: `${path}/unbind` };
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return basename(await readlink(path));
  } catch {
    return undefined;
  }
}
