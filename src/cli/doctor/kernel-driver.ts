import { constants, writeFile } from 'node:fs/promises';
import { DEVICE_CLASS } from '../../config/fields.ts';
import { kernelDriverOf } from '../../xen/linux/kernel-driver.ts';
import { Problem } from './report.ts';

/**
 * Whether a driver of the kernel's has the card; with `release` it is made to let go. `sys`: where sysfs is mounted.
 */
export async function checkKernelDriver(sys: string, devid: number, release: boolean) {
  const driver = await kernelDriverOf(`${DEVICE_CLASS}/${devid}`, sys);
  if (driver === undefined) return { message: `no driver of the kernel's has ${DEVICE_CLASS}-${devid}` };
  const { id, module, unbind } = driver;
  if (!release) {
    throw new Problem(
      `the kernel's driver ${module} has ${id}`,
      `vsnd doctor --card ${devid} --release, as root; vsnd help guest-setup.md says how to keep it away`,
    );
  }
  await writeFile(unbind, id, { flag: constants.O_WRONLY }); // root may not read it
  return { message: `released: wrote ${id} to ${unbind}; ${module} had it` };
}
