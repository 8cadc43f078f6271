// Debian packages, unpacked into a cache folder: nothing is installed, and a full cache needs no network.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MAX_OUTPUT = 1 << 28;

export const CACHE = fileURLToPath(new URL('.cache/', import.meta.url));

/** A part of the lab that this machine lacks and cannot come by; the message says what to install. */
export class Unavailable extends Error {}

/** Without these there is nothing to begin with; each with the package that has it. */
const TOOLS = { 'apt-get': 'apt', 'apt-cache': 'apt', dpkg: 'dpkg', 'dpkg-deb': 'dpkg' };

/** What both domains are made of; the kernel is added under its exact name. */
const TARGET_PACKAGES = {
  common: `xen-utils-4.17 xen-utils-common xenstore-utils libxencall1 libxendevicemodel1 libxenevtchn1
    libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenmisc4.17 libxenstore4 libxentoolcore1 libxentoollog1
    libyajl2 libnl-3-200 libnl-route-3-200 libuuid1 libncurses6 libtinfo6 zlib1g libzstd1 liblzma5 libbz2-1.0
    liblzo2-2 libudev1 libext2fs2 libcom-err2 libaio1 libfdt1 libc6 libgcc-s1 libstdc++6 libatomic1
    busybox-static alsa-utils libasound2 libasound2-data libfftw3-single3 libgomp1 libsamplerate0`.split(
    /\s+/,
  ),
  amd64: ['xen-hypervisor-4.17-amd64'],
  arm64: ['xen-hypervisor-4.17-arm64'],
};

const EMULATORS = {
  amd64: { command: 'qemu-system-x86_64', package: 'qemu-system-x86' },
  arm64: { command: 'qemu-system-aarch64', package: 'qemu-system-arm' },
};

const BACKPORTS = 'bookworm-backports';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Where Debian's QEMU has its firmware, below the root or below our cache. */
const FIRMWARE = ['usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu'];

/** Debian's names of architectures, and Node's. */
export const NODE_ARCHITECTURES = { amd64: 'x64', arm64: 'arm64' };

/** The folder with everything that runs inside the machine, laid out as in a Debian root. */
export async function fetchTarget(arch, say) {
  const root = join(CACHE, arch, 'root');
  const apt = privateApt(arch);
  await fetchOnce(root, `what Dom0 and a guest for ${arch} are made of`, async () => {
    await prepareApt(apt);
    const kernel = await dependencyOf(apt, `linux-image-${arch}`);
    await unpack(apt, [kernel, ...TARGET_PACKAGES.common, ...TARGET_PACKAGES[arch]], root, say);
  });
  return root;
}

/** QEMU: the system's, or one in the cache. Returns the command, its first arguments and its environment. */
export async function fetchEmulator(arch, say) {
  const { command, package: name } = EMULATORS[arch];
  if (isOnPath(command)) return { command, args: [], env: process.env };
  const root = join(CACHE, 'host', command);
  await fetchOnce(root, `${command} (apt install ${name})`, async () => {
    const apt = ['-o', 'APT::Install-Recommends=false'];
    // Only what this machine lacks: the other libraries are its own.
    const { stdout } = await runApt('apt-get', [...apt, '--simulate', 'install', name]);
    await unpack(
      apt,
      [...stdout.matchAll(/^Inst (\S+)/gm)].map(([, found]) => found),
      root,
      say,
    );
  });
  const libraries = await libraryFolders(root);
  return {
    command: join(root, 'usr/bin', command),
    args: [root, '/'].flatMap((from) => FIRMWARE.flatMap((folder) => ['-L', join(from, folder)])),
    env: {
      ...process.env,
      LD_LIBRARY_PATH: [...libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
    },
  };
}

/** Node's binary for that architecture: of the version that runs this, or of another one. */
export async function fetchNode(arch, say, version = process.version.slice(1)) {
  if (NODE_ARCHITECTURES[arch] === process.arch && version === process.version.slice(1))
    return process.execPath;
  const name = `node-linux-${NODE_ARCHITECTURES[arch]}@${version}`;
  const root = join(CACHE, arch, `node-v${version}`);
  await fetchOnce(root, `npm's ${name}`, async () => {
    say(`downloading ${name} from npm, about 30 MB`);
    const { stdout } = await run('npm', ['pack', '--silent', name], { cwd: root });
    await run('tar', ['-xzf', stdout.trim()], { cwd: root });
    await rm(join(root, stdout.trim()));
  });
  return join(root, 'package/bin/node');
}

/** A root with packages that only some guests have. */
export async function fetchExtra(arch, packages, say) {
  const root = join(CACHE, arch, packages[0]);
  const apt = privateApt(arch);
  await fetchOnce(root, packages.join(' '), async () => {
    await prepareApt(apt);
    await unpack(apt, packages, root, say);
  });
  return root;
}

/** A root with the kernel of Debian's backports, whatever sources this machine has. */
export async function fetchBackportedKernel(arch, say) {
  const root = join(CACHE, arch, 'backports');
  const sources = `${root}.list`;
  const apt = [
    ...privateApt(arch, 'apt-backports'),
    ...['-o', `Dir::Etc::sourcelist=${sources}`, '-o', 'Dir::Etc::sourceparts=/dev/null'],
  ];
  await fetchOnce(root, `${BACKPORTS}'s linux-image-${arch}`, async () => {
    await writeFile(sources, `deb [signed-by=${KEYRING}] ${await archive()} ${BACKPORTS} main\n`);
    await prepareApt(apt);
    await unpack(apt, [await dependencyOf(apt, `linux-image-${arch}`)], root, say);
  });
  return root;
}

/** Where this machine has Debian's packages from. */
async function archive() {
  const format = '$(RELEASE) $(REPO_URI)';
  const { stdout } = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']);
  const release = BACKPORTS.replace(/-.*/, '');
  const line = stdout.split('\n').find((target) => target.startsWith(`${release} `));
  if (line === undefined) throw new Error(`this machine's apt has no sources of ${release}`);
  return line.slice(release.length + 1);
}

/** Fills `root`, unless that has been done; half-filled it counts as empty. Throws Unavailable where it cannot be filled. */
async function fetchOnce(root, what, fill) {
  const complete = `${root}.complete`;
  if (existsSync(complete)) return;
  try {
    await rm(root, { recursive: true, force: true });
    await mkdir(root, { recursive: true });
    await fill();
    await writeFile(complete, '');
  } catch (error) {
    throw new Unavailable(`${what} cannot be had: ${(error.stderr?.trim() || error.message).split('\n')[0]}`);
  }
}

/** Downloads packages and unpacks them into `root`. */
async function unpack(apt, packages, root, say) {
  const downloads = `${root}.downloads`;
  await mkdir(downloads, { recursive: true });
  const bytes = await downloadSize(apt, packages);
  say(`downloading ${packages.length} packages, ${(bytes / 1e6).toFixed(1)} MB: ${packages.join(' ')}`);
  await runApt('apt-get', [...apt, '-qq', 'download', ...packages], downloads);
  for (const file of await readdir(downloads)) await run('dpkg', ['-x', join(downloads, file), root]);
  await rm(downloads, { recursive: true });
}

function runApt(command, args, cwd) {
  for (const [tool, name] of Object.entries(TOOLS)) {
    if (!isOnPath(tool)) throw new Error(`${tool} is missing: it is in Debian's package ${name}`);
  }
  return run(command, args, { cwd, maxBuffer: MAX_OUTPUT });
}

function isOnPath(command) {
  return (process.env.PATH ?? '').split(':').some((folder) => folder && existsSync(join(folder, command)));
}

/** apt as on a machine of that architecture with nothing installed: our sources, a state of its own. */
function privateApt(arch, name = 'apt') {
  const folder = join(CACHE, arch, name);
  const options = {
    'APT::Architecture': arch,
    'APT::Architectures': arch,
    'Dir::State': join(folder, 'state'),
    'Dir::State::status': join(folder, 'status'),
    'Dir::Cache': join(folder, 'cache'),
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
  };
  return Object.entries(options).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
}

async function prepareApt(apt) {
  const folder = (key) => apt.find((option) => option.startsWith(`${key}=`)).slice(key.length + 1);
  await mkdir(join(folder('Dir::State'), 'lists/partial'), { recursive: true });
  await mkdir(join(folder('Dir::Cache'), 'archives/partial'), { recursive: true });
  await writeFile(folder('Dir::State::status'), '');
  await runApt('apt-get', [...apt, '-qq', 'update']);
}

/** The one package that a meta package stands for. A pattern would also match the debug symbols. */
async function dependencyOf(apt, name) {
  const { stdout } = await runApt('apt-cache', [...apt, 'depends', '--important', name]);
  const found = /Depends: (\S+)/.exec(stdout)?.[1];
  if (found === undefined)
    throw new Error(`${name} is not in the package lists of this machine's apt sources`);
  return found;
}

async function downloadSize(apt, packages) {
  const { stdout } = await runApt('apt-get', [...apt, '--print-uris', 'download', ...packages]);
  return [...stdout.matchAll(/\.deb (\d+) /g)].reduce((sum, [, size]) => sum + Number(size), 0);
}

/** Those of the libraries that this machine lacked: none, perhaps. */
async function libraryFolders(root) {
  const bases = [join(root, 'usr/lib'), join(root, 'lib')].filter((path) => existsSync(path));
  const found = await Promise.all(
    bases.map(async (base) => (await readdir(base)).map((name) => join(base, name))),
  );
  return found.flat().filter((path) => path.endsWith('-linux-gnu'));
}
