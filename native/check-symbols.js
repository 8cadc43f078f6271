// Says what a built addon asks of the machine that loads it, and complains of what an old one may not have.
//
//   node native/check-symbols.js [FILE...]   by default every prebuilt one
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Node 20's own floor: a machine that runs it has this much of glibc. */
export const GLIBC_FLOOR = [2, 28];

/** The C libraries that there are addons for. */
export const LIBCS = ['glibc', 'musl'];

/** What the addon asks of musl: functions of POSIX and Linux, which musl has had since long before Node 20 was built on it. */
const MUSL_NAMES = new Set(
  `__cxa_atexit __errno_location abort atexit clock_gettime close eventfd eventfd_read eventfd_write fcntl flock free getsockopt ioctl malloc
  memcmp memcpy memmove memset mkfifo mlock mmap munlock munmap open ppoll prctl pthread_mutex_lock pthread_mutex_unlock read sigfillset
  sigprocmask strcmp strlen strrchr strtoul syscall sysconf write`.split(/\s+/),
);

/** A line for each thing that the oldest machine with this C library may not have. Needs readelf (Debian: binutils). */
export function complaintsOf(file, libc = libcOf(file)) {
  const symbols = readelf('--dyn-syms', file)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[6] === 'UND' && fields[7] !== undefined)
    .map(([, , , , binding, , , name]) => ({ binding, name }));
  const libraries = readelf('--dynamic', file).flatMap(
    (line) => /\(NEEDED\).*\[(.*)\]/.exec(line)?.[1] ?? [],
  );
  return libc === 'musl' ? muslComplaints(symbols, libraries) : glibcComplaints(symbols, libraries);
}

/** The C library that a prebuilt addon is for. */
function libcOf(file) {
  return basename(dirname(file)).endsWith('-musl') ? 'musl' : 'glibc';
}

function glibcComplaints(symbols, libraries) {
  return [
    ...symbols.filter(isTooNew).map(({ name }) => `${name} is newer than GLIBC_${GLIBC_FLOOR.join('.')}`),
    ...symbols.filter(isForeign).map(({ name }) => `${name} is neither glibc's nor Node's`),
    ...libraries
      .filter((name) => !/^(libc|ld-linux-[\w-]+)\.so\.\d$/.test(name))
      .map((name) => `needs ${name}`),
  ];
}

function muslComplaints(symbols, libraries) {
  const isForeignToMusl = (symbol) => isForeign(symbol) && !MUSL_NAMES.has(symbol.name);
  return [
    ...symbols.filter(({ name }) => name.includes('@')).map(({ name }) => `${name} is glibc's`),
    ...symbols.filter(isForeignToMusl).map(({ name }) => `${name} is not known to be musl's or Node's`),
    ...libraries.map((name) => `needs ${name}`),
  ];
}

function isTooNew({ name }) {
  const version = /@GLIBC_([\d.]+)/.exec(name)?.[1]?.split('.').map(Number);
  if (version === undefined) return false;
  const [major = 0, minor = 0] = version;
  return major !== GLIBC_FLOOR[0] || minor > GLIBC_FLOOR[1];
}

/** What has no version comes from the program that loads the addon: Node exports Node-API and libuv. */
function isForeign({ binding, name }) {
  return binding !== 'WEAK' && !/@GLIBC_/.test(name) && !/^(napi|node_api|uv)_/.test(name);
}

function readelf(what, file) {
  try {
    return execFileSync('readelf', ['--wide', what, file], { encoding: 'utf8' }).split('\n');
  } catch (error) {
    throw new Error(
      error.code === 'ENOENT' ? 'there is no readelf; Debian: apt install binutils' : error.message,
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const prebuilds = join(dirname(dirname(fileURLToPath(import.meta.url))), 'prebuilds');
  const files = process.argv.slice(2);
  if (files.length === 0) {
    for (const target of readdirSync(prebuilds)) {
      for (const name of readdirSync(join(prebuilds, target))) files.push(join(prebuilds, target, name));
    }
  }
  for (const file of files) {
    const complaints = complaintsOf(file);
    console.log(
      [`${file}: ${complaints.length === 0 ? 'ok' : 'asks for too much'}`, ...complaints].join('\n  '),
    );
    if (complaints.length > 0) process.exitCode = 1;
  }
}
