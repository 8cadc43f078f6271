import { open } from 'node:fs/promises';
import { startEmulatedGuest } from '../../emulation/guest.ts';
import type { Hypervisor } from '../../xen/hypervisor.ts';
import { addonPath, loadAddon } from '../../xen/linux/addon.ts';
import { openLinuxHypervisor } from '../../xen/linux/hypervisor.ts';

/** What is examined: this machine, an emulated one, or a test's. */
export interface System {
  /** Node's version, as in '20.19.0'. */
  readonly node: string;
  /** Undefined for an emulated machine, which has nothing of it. */
  readonly linux?: LinuxSystem;
  openHypervisor(): Promise<{ hypervisor: Hypervisor; release(): Promise<void> }>;
}

/** What is between a guest's programs and Xen. */
export interface LinuxSystem {
  readonly platform: string;
  /** The folder of Xen's devices. */
  readonly devices: string;
  /** Where sysfs and procfs are mounted. */
  readonly sys: string;
  readonly proc: string;
  /** Opens a device for reading and writing, and closes it again. Rejects as open(2) does. */
  tryOpen(path: string): Promise<void>;
  /** Loads the addon and says from where. Throws ERR_VSND_NO_XEN. */
  loadAddon(): string;
}

export function thisMachine(): System {
  return {
    node: process.versions.node,
    linux: {
      platform: process.platform,
      devices: '/dev/xen',
      sys: '/sys',
      proc: '/proc',
      tryOpen: async (path) => await (await open(path, 'r+')).close(),
      loadAddon: () => {
        const path = addonPath();
        loadAddon(path);
        return path;
      },
    },
    openHypervisor: async () => {
      const hypervisor = await openLinuxHypervisor();
      return { hypervisor, release: () => hypervisor.close() };
    },
  };
}

export function emulatedMachine(): System {
  return {
    node: process.versions.node,
    openHypervisor: async () => {
      const guest = await startEmulatedGuest({ sink: 'null' });
      return { hypervisor: guest.hypervisor, release: () => guest.close() };
    },
  };
}
