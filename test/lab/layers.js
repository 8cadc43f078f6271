// What some guests have besides, or instead of, what every guest of the lab has: by the names that scenarios give.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { Archive } from './cpio.js';
import { fetchBackportedKernel, fetchExtra, fetchNode, fetchTarget } from './packages.js';
import { addModules, buildLayer, kernelIn } from './ramdisk.js';

const LAB = fileURLToPath(new URL('.', import.meta.url));
const SETUP = fileURLToPath(new URL('../../docs/guest-setup.md', import.meta.url));
const UDEV_PACKAGES =
  'udev libkmod2 libblkid1 libacl1 libcap2 libselinux1 libpcre2-8-0 libssl3 libudev1 liblzma5 libzstd1'.split(
    ' ',
  );
/** The device model of HVM guests, and what it needs. */
const QEMU_PACKAGES =
  `qemu-system-xen qemu-system-data seabios libfdt1 libpixman-1-0 libspice-server1 libjpeg62-turbo libusb-1.0-0
  libglib2.0-0 libpcre2-8-0 libffi8 libgstreamer1.0-0 libgstreamer-plugins-base1.0-0 liborc-0.4-0 libopus0 libsasl2-2 libdb5.3
  libssl3 liblz4-1 libdw1 libelf1 libunwind8 libcap2 libmount1 libblkid1 libselinux1 libudev1`.split(/\s+/);

/** Each fetches what it needs, and says what the layer is made of; `kernel`: what boots in place of the usual one. */
const LAYERS = {
  'node22-backports': async (arch, say) => {
    const modules = await fetchBackportedKernel(arch, say);
    return { node: await fetchNode(arch, say, '22'), modules, kernel: kernelIn(modules) };
  },
  node24: async (arch, say) => ({ node: await fetchNode(arch, say, '24') }),
  // For Dom0, which unpacks it: what an HVM guest boots from. `hvm/ramdisk` has only what unpacks the guest's own from a disk.
  hvm: async (arch, say) => {
    const root = await fetchExtra(arch, QEMU_PACKAGES, say);
    const target = await fetchTarget(arch, say);
    const loader = new Archive();
    loader.addFile('bin/busybox', join(target, 'bin/busybox'));
    loader.addFile('init', join(LAB, 'guest/init-from-disk'));
    loader.addConsole();
    addModules(loader, target, ['xen-blkfront']);
    return {
      root,
      programs: [['usr/bin/qemu-xen', join(root, 'usr/libexec/xen-qemu-system-i386')]],
      files: {
        'hvm/hvmloader': await readFile(join(target, 'usr/lib/xen-4.17/boot/hvmloader')),
        'hvm/bios.bin': await readFile(join(root, 'usr/share/seabios/bios-256k.bin')),
        'hvm/ramdisk': gzipSync(loader.encode()),
        ...(await firmware(root, ['linuxboot.bin', 'keymaps/en-us'])),
      },
    };
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

/** What QEMU looks for in its own folder, by the path that it gets. */
async function firmware(root, names) {
  const read = async (name) => [`usr/share/qemu/${name}`, await readFile(join(root, 'usr/share/qemu', name))];
  return Object.fromEntries(await Promise.all(names.map(read)));
}

/** The rule that guests are told to have, word for word. */
async function documentedRule() {
  const rule = /^ +(KERNEL==.*)$/m.exec(await readFile(SETUP, 'utf8'))?.[1];
  if (rule === undefined) throw new Error(`${SETUP} has no udev rule`);
  return `${rule}\n`;
}
