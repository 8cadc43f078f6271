// Builds the addons: prebuilds/linux-ARCH/vsnd.node and vsnd-pipewire.node, and linux-ARCH-musl beside it.
//
//   node native/build.js [--arch x64|arm64]   for this machine, or another one by Debian's cross compiler
//   node native/build.js --libc musl          the same for a Node whose C library is musl: Alpine Linux
//   node native/build.js --all                for both, with both
//   node native/build.js --asan               into native/build/asan, with AddressSanitizer and UBSan
//   node native/build.js --tsan               into native/build/tsan, with ThreadSanitizer
//
// What is compiled for musl sees glibc's headers, too: of the few names that it takes from them, both have the same layouts and
// numbers on 64-bit machines, which are the kernel's. check-symbols.js keeps their list.
//
// Needs a C++17 compiler, uv.h and, for the second addon, PipeWire's headers (Debian: g++ libuv1-dev libpipewire-0.3-dev);
// node_api.h and napi.h come from npm. CXX names another compiler. Nothing comes from nodejs.org, and npm's `nodedir` does not matter.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { complaintsOf, LIBCS } from './check-symbols.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = dirname(HERE);
const require = createRequire(import.meta.url);

/** Debian's compiler, by Node's name of the architecture. */
const COMPILERS = {
  x64: { triplet: 'x86_64-linux-gnu', packages: 'g++-x86-64-linux-gnu' },
  arm64: { triplet: 'aarch64-linux-gnu', packages: 'g++-aarch64-linux-gnu' },
};

/** For musl no C library: under its own name that of the process is there already, and no version is asked for. */
const LIBRARIES = { glibc: ['-lc', '-lgcc'], musl: ['-lgcc'] };

const SANITIZERS = {
  asan: '-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined',
  tsan: '-fsanitize=thread -Wno-tsan', // of fences it knows nothing
};

/** PipeWire's, which its library needs at run time only: it is opened where somebody asks for PipeWire. */
const PIPEWIRE_HEADERS = ['/usr/include/pipewire-0.3', '/usr/include/spa-0.2'];

/** What there is to build: from which folders, and files of others, with which headers. */
const ADDONS = {
  vsnd: { folders: ['.', 'engine'], files: [], headers: [] },
  'vsnd-pipewire': { folders: ['pipewire'], files: ['poller.cc', 'runtime.cc'], headers: PIPEWIRE_HEADERS },
};

const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: process.arch },
    libc: { type: 'string', default: 'glibc' },
    all: { type: 'boolean', default: false },
    asan: { type: 'boolean', default: false },
    tsan: { type: 'boolean', default: false },
  },
});

try {
  const targets = Object.keys(COMPILERS).flatMap((arch) => LIBCS.map((libc) => ({ arch, libc })));
  for (const target of values.all ? targets : [values]) build(target);
} catch (error) {
  console.error(`build:native: ${error.message}`);
  process.exitCode = 1;
}

function build({ arch, libc, asan, tsan }) {
  if (process.platform !== 'linux') throw new Error('the devices of Xen are Linux devices: build there');
  if (!(arch in COMPILERS))
    throw new Error(`--arch ${arch}: allowed are ${Object.keys(COMPILERS).join(', ')}`);
  if (!LIBCS.includes(libc)) throw new Error(`--libc ${libc}: allowed are ${LIBCS.join(', ')}`);
  const compiler = findCompiler(arch);
  const target = libc === 'musl' ? `linux-${arch}-musl` : `linux-${arch}`;
  const sanitizer = asan ? 'asan' : tsan ? 'tsan' : undefined;
  const folder = sanitizer ? join(HERE, 'build', sanitizer) : join(ROOT, 'prebuilds', target);
  mkdirSync(join(HERE, 'build'), { recursive: true });
  const work = mkdtempSync(join(HERE, 'build', 'work-'));
  try {
    const common = includesFor(work);
    for (const [name, { headers }] of Object.entries(ADDONS)) {
      if (!headers.every((path) => existsSync(path))) {
        console.error(
          `${name}.node is left out: there is no ${headers.join(' or ')}; Debian: apt install libpipewire-0.3-dev`,
        );
        continue;
      }
      const includes = [...common, ...headers].flatMap((path) => ['-isystem', path]);
      const built = compile(compiler, name, { arch, libc, sanitizer }, includes, work);
      const complaints = sanitizer ? [] : complaintsOf(built, libc);
      if (complaints.length > 0) throw new Error(`${built}:\n${complaints.join('\n')}`);
      mkdirSync(folder, { recursive: true });
      // In one step: whoever has the old one loaded keeps it, and nobody sees half of a new one.
      renameSync(built, join(folder, `${name}.node`));
      console.log(join(folder, `${name}.node`));
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Compiles and links an addon below `work`; returns its path there. */
function compile(compiler, name, target, includes, work) {
  const objects = sourcesFor(name, target.sanitizer).map((source) => {
    const object = join(work, source.replaceAll('/', '-').replace(/\.cc$/, '.o'));
    run(compiler, [...compileFlags(name, target), ...includes, '-c', join(HERE, source), '-o', object]);
    return object;
  });
  const output = join(work, `${name}.node`);
  const libraries = target.sanitizer ? [] : LIBRARIES[target.libc];
  run(compiler, [...linkFlags(target.sanitizer), '-o', output, ...objects, ...libraries]);
  return output;
}

/** With the sanitizers, the compiler's own C++ library: they need to see its allocations. */
function sourcesFor(name, sanitizer) {
  const { folders, files } = ADDONS[name];
  const inFolder = (folder) => readdirSync(join(HERE, folder)).map((file) => join(folder, file));
  return [...folders.flatMap(inFolder), ...files].filter(
    (file) => file.endsWith('.cc') && !(sanitizer && file === 'runtime.cc'),
  );
}

function compileFlags(name, { arch, libc, sanitizer }) {
  const common = '-std=c++17 -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti -Wall -Wextra';
  // SWALLOW: a worker that is being terminated takes no exception any more; by default the process would end.
  const defines =
    '-DNAPI_VERSION=8 -DNAPI_DISABLE_CPP_EXCEPTIONS -DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS ' +
    `-DNODE_ADDON_API_DISABLE_DEPRECATED -DNODE_GYP_MODULE_NAME=${name.replace('-', '_')}`;
  const kind = sanitizer
    ? `-O1 -g -Werror -fno-omit-frame-pointer ${SANITIZERS[sanitizer]}`
    : '-O2 -ffunction-sections -fdata-sections';
  // libgcc's out-of-line atomics ask glibc which instructions there are, by a name of its own.
  const atomics = libc === 'musl' && arch === 'arm64' ? ['-mno-outline-atomics'] : [];
  return [...`${common} ${defines} ${kind}`.split(' '), ...atomics];
}

function linkFlags(sanitizer) {
  const exported = `-Wl,--version-script=${join(HERE, 'exports.map')}`;
  const kind = sanitizer ? SANITIZERS[sanitizer] : '-nodefaultlibs -Wl,--gc-sections -s';
  return [...`-shared -Wl,-z,relro,-z,now ${kind}`.split(' '), exported];
}

function findCompiler(arch) {
  const { triplet, packages } = COMPILERS[arch];
  const own = arch === process.arch;
  const candidates = process.env.CXX ? [process.env.CXX] : own ? ['g++', 'c++'] : [`${triplet}-g++`];
  const found = candidates.find((name) => spawnSync(name, ['--version']).status === 0);
  if (found) return found;
  throw new Error(`there is no ${candidates.join(' or ')}; Debian: apt install ${own ? 'g++' : packages}`);
}

function packageHeaders(name) {
  try {
    return resolve(ROOT, require(name).include_dir.replaceAll('"', ''));
  } catch {
    throw new Error(`the npm package ${name} is missing: npm ci`);
  }
}

function includesFor(work) {
  return [packageHeaders('node-addon-api'), packageHeaders('node-api-headers'), uvHeaders(work)];
}

/** A folder with uv.h alone: a cross compiler must not see this machine's /usr/include. */
function uvHeaders(work) {
  const from = ['/usr/include', '/usr/local/include'].find((path) => existsSync(join(path, 'uv.h')));
  if (!from) throw new Error('there is no uv.h; Debian: apt install libuv1-dev');
  const folder = join(work, 'include');
  mkdirSync(folder);
  for (const name of ['uv.h', 'uv']) symlinkSync(join(from, name), join(folder, name));
  return folder;
}

function run(command, args) {
  try {
    execFileSync(command, args, { stdio: 'inherit' });
  } catch {
    throw new Error(`${command} failed`);
  }
}
