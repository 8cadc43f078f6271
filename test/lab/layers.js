// What some guests have besides, or instead of, what every guest of the lab has: by the names that scenarios give.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchBackportedKernel, fetchExtra, fetchNode } from './packages.js';
import { buildLayer, kernelIn } from './ramdisk.js';

const SETUP = fileURLToPath(new URL('../../docs/guest-setup.md', import.meta.url));
const UDEV_PACKAGES =
  'udev libkmod2 libblkid1 libacl1 libcap2 libselinux1 libpcre2-8-0 libssl3 libudev1 liblzma5 libzstd1'.split(
    ' ',
  );

/** Each fetches what it needs, and says what the layer is made of; `kernel`: what boots in place of the usual one. */
const LAYERS = {
  node22: async (arch, say) => ({ node: await fetchNode(arch, say, '22') }),
  node24: async (arch, say) => ({ node: await fetchNode(arch, say, '24') }),
  backports: async (arch, say) => {
    const modules = await fetchBackportedKernel(arch, say);
    return { modules, kernel: kernelIn(modules) };
  },
  udev: async (arch, say) => {
    const root = await fetchExtra(arch, UDEV_PACKAGES, say);
    return {
      root,
      programs: [['bin/udevadm', join(root, 'bin/udevadm')]],
      files: {
        'etc/udev/rules.d/60-vsnd.rules': await documentedRule(),
        'etc/passwd': 'root:x:0:0::/:/bin/sh\nplayer:x:1000:900::/:/bin/sh\n',
        'etc/group': 'root:x:0:\nvsnd:x:900:\n',
      },
    };
  },
};

/** Fetches what a layer is made of; `say` tells of downloads. Throws Unavailable. */
export function fetchLayer(name, arch, say) {
  return LAYERS[name](arch, say);
}

/** Fetches and builds one in `folder`: its `image`, and its `kernel` where it has one. Throws Unavailable. */
export async function prepareLayer(name, { arch, target }, folder, say) {
  const { kernel, ...parts } = await fetchLayer(name, arch, say);
  const image = join(folder, `${name}.img`);
  await buildLayer(image, { arch, target, ...parts });
  return { name, image, kernel };
}

/** The rule that guests are told to have, word for word. */
async function documentedRule() {
  const rule = /^ +(KERNEL==.*)$/m.exec(await readFile(SETUP, 'utf8'))?.[1];
  if (rule === undefined) throw new Error(`${SETUP} has no udev rule`);
  return `${rule}\n`;
}
