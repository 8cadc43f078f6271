// The two ramdisks: Dom0 with Xen's tools, the guest with Node alone; the project is in both.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleContract } from './contract/bundle.js';
import { Archive, addTree } from './cpio.js';
import { moduleDependencies, readNeeds } from './elf.js';
import { CACHE, Unavailable } from './packages.js';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
const CONTRACT = join(CACHE, 'contract');
const TRIPLETS = { amd64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

const XEN_TOOLS = 'usr/lib/xen-4.17/bin';
const DOM0_PROGRAMS = [
  ...'xl xenstored oxenstored xen-init-dom0 xenconsoled libxl-save-helper'
    .split(' ')
    .map((name) => [`bin/${name}`, `${XEN_TOOLS}/${name}`]),
  ...'xenstore-ls xenstore-read xenstore-write'.split(' ').map((name) => [`bin/${name}`, `usr/bin/${name}`]),
];
const GUEST_PROGRAMS = ['aplay', 'arecord'].map((name) => [`bin/${name}`, `usr/bin/${name}`]);

const XEN_MODULES = 'xen-privcmd xen-evtchn xen-gntdev xen-gntalloc xenfs'.split(' ');
const DOM0_MODULES = [...XEN_MODULES, ...'virtio_pci virtio_mmio 9pnet_virtio 9p'.split(' ')];
const GUEST_MODULES = [...XEN_MODULES, 'snd_xen_front'];

/** Writes both; `target` is the unpacked root, `node` and `addon` the binaries for its architecture. */
export async function buildRamdisks({ dom0, guest, ...parts }) {
  await bundleContract(CONTRACT);
  await writeFile(dom0, build('dom0', parts).encode());
  await writeFile(guest, build('guest', parts).encode());
}

/**
 * Writes what some guests have besides, or instead: an archive to be put behind the guest's, whose files take the place of those
 * of the same names. `node`: a binary; `modules`: a root with a kernel's; `programs`: pairs of path and file, with libraries in
 * `root`; `files`: content by path.
 */
export async function buildLayer(image, { arch, target, node, modules, root, programs = [], files = {} }) {
  const archive = new Archive();
  const libraries = new LibraryFinder(archive, root ? [target, root] : [target], TRIPLETS[arch]);
  if (node) libraries.addProgram('bin/node', node);
  if (modules) addModules(archive, modules, GUEST_MODULES);
  for (const [path, source] of programs) libraries.addProgram(path, source);
  for (const [path, content] of Object.entries(files)) archive.addContent(path, content);
  await writeFile(image, archive.encode());
}

/** The kernel's file in an unpacked root. */
export function kernelIn(target) {
  return fileIn(join(target, 'boot'), /^vmlinuz-/);
}

/** The hypervisor's file there: .gz on x86-64, ready to boot on arm64. */
export function hypervisorIn(target) {
  return fileIn(join(target, 'boot'), /^xen-[\d.]+-(amd64\.gz|arm64)$/);
}

function build(kind, { arch, target, node, addon }) {
  const archive = new Archive();
  archive.addFolder('proc');
  archive.addFolder('sys');
  archive.addFolder('tmp');
  archive.addFolder('mnt');
  archive.addConsole();
  archive.addFile('bin/busybox', join(target, 'bin/busybox'));
  archive.addLink('bin/sh', 'busybox');
  const libraries = new LibraryFinder(archive, [target], TRIPLETS[arch]);
  libraries.addProgram('bin/node', node);
  const programs = kind === 'dom0' ? DOM0_PROGRAMS : GUEST_PROGRAMS;
  for (const [path, source] of programs) libraries.addProgram(path, join(target, source));
  if (kind === 'dom0') {
    addTree(archive, 'vsnd/contract', CONTRACT, readdirSync);
    libraries.addLibrary('libgcc_s.so.1'); // pthread_cancel loads it when it is called
    archive.addFile('etc/xen/oxenstored.conf', join(target, 'etc/xen/oxenstored.conf'));
  } else {
    addTree(archive, 'usr/share/alsa', join(target, 'usr/share/alsa'), readdirSync, (to) => !/ucm/.test(to));
  }
  addModules(archive, target, kind === 'dom0' ? DOM0_MODULES : GUEST_MODULES);
  addProject(archive, libraries, addon);
  archive.addFile('init', join(PROJECT, `test/lab/${kind}/init`));
  return archive;
}

function addProject(archive, libraries, addon) {
  const accept = (path) => !/\.cache|\.d\.ts$/.test(path);
  archive.addFile('vsnd/package.json', join(PROJECT, 'package.json'));
  for (const folder of ['dist', 'prebuilds', 'examples', 'test/lab']) {
    const source = join(PROJECT, folder);
    if (existsSync(source)) addTree(archive, `vsnd/${folder}`, source, readdirSync, accept);
  }
  libraries.addNeedsOf(addon);
}

/** Kernel modules in the order in which they can be loaded, listed in /modules. */
export function addModules(archive, target, names) {
  const base = join(target, 'lib/modules');
  const files = readdirSync(base, { recursive: true }).filter((path) => /\.ko(\.xz)?$/.test(path));
  const byName = new Map(files.map((path) => [moduleName(path), join(base, path)]));
  const ordered = new Map();
  const add = (name) => {
    const file = byName.get(name.replaceAll('-', '_'));
    if (file === undefined || ordered.has(file)) return; // not there: built into this kernel
    const module = file.endsWith('.xz') ? unpackXz(file) : readFileSync(file);
    for (const dependency of moduleDependencies(module)) add(dependency);
    ordered.set(file, module);
  };
  for (const name of names) add(name);
  const loaded = [...ordered].map(([file, module]) => [basename(file, '.xz'), module]);
  for (const [name, module] of loaded) archive.addContent(`modules/${name}`, module);
  archive.addContent('modules/order', loaded.map(([name]) => `${name}\n`).join(''));
}

function moduleName(path) {
  return basename(path)
    .replace(/\.ko(\.xz)?$/, '')
    .replaceAll('-', '_');
}

function unpackXz(file) {
  try {
    return execFileSync('xz', ['--decompress', '--stdout', file], { maxBuffer: 1 << 28 });
  } catch (error) {
    throw error.code === 'ENOENT' ? new Unavailable('there is no xz; Debian: apt install xz-utils') : error;
  }
}

/** Brings programs together with all that they need. */
class LibraryFinder {
  #archive;
  #folders;

  constructor(archive, roots, triplet) {
    const folders = [`lib/${triplet}`, `usr/lib/${triplet}`, 'usr/lib/xen-4.17/lib', 'lib', 'usr/lib'];
    this.#archive = archive;
    this.#folders = roots.flatMap((root) => folders.map((folder) => join(root, folder)));
  }

  addProgram(path, source) {
    this.#archive.addFile(path, source);
    this.addNeedsOf(source);
  }

  addLibrary(name) {
    const path = `lib/${name}`;
    if (this.#archive.has(path)) return;
    const source = this.#folders.map((folder) => join(folder, name)).find(existsSync);
    if (source === undefined) throw new Error(`no package of the lab has the library ${name}`);
    this.addProgram(path, realpathSync(source));
  }

  addNeedsOf(source) {
    const needs = existsSync(source) ? readNeeds(source) : undefined;
    for (const name of needs?.libraries ?? []) this.addLibrary(name);
    if (needs?.loader) {
      const name = posix.basename(needs.loader);
      this.addLibrary(name);
      this.#archive.addLink(needs.loader.slice(1), `/lib/${name}`);
    }
  }
}

function fileIn(folder, pattern) {
  const found = readdirSync(folder).find((name) => pattern.test(name));
  if (found === undefined) throw new Error(`${folder} has no file like ${pattern}`);
  return join(folder, found);
}
