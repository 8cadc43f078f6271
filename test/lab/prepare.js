// All that a boot needs: the emulator, the kernels and both ramdisks.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buildAddon } from './addon.js';
import { fetchEmulator, fetchNode, fetchTarget } from './packages.js';
import { buildRamdisks, hypervisorIn, kernelIn } from './ramdisk.js';

/** Fetches what is missing for machines of an architecture; `say` tells of downloads. Throws Unavailable. */
export async function fetchParts(arch, say) {
  return {
    emulator: await fetchEmulator(arch, say),
    target: await fetchTarget(arch, say),
    node: await fetchNode(arch, say),
  };
}

/** Fetches and builds what is missing, and the ramdisks of an architecture in `folder`. Throws Unavailable. */
export async function prepare(arch, folder, say) {
  const { emulator, target, node } = await fetchParts(arch, say);
  const addon = await buildAddon(arch, say);
  await mkdir(folder, { recursive: true });
  const images = {
    kernel: kernelIn(target),
    hypervisor: hypervisorIn(target),
    dom0: join(folder, 'dom0.img'),
    guest: join(folder, 'guest.img'),
  };
  await buildRamdisks({ arch, target, node, addon, ...images });
  return { emulator, images };
}
