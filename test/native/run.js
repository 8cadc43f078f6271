// Builds the addon and its stand-in devices, and runs the tests that need them.
//
//   node test/native/run.js [--asan] [--no-build] [vitest's arguments]
//   node test/native/run.js --tsan [SECONDS]
//
// --asan: the addon with AddressSanitizer and UBSan, then leak checks of whole processes (Debian: libasan8
// libubsan1). --tsan: the engine's threads with ThreadSanitizer, in a program without Node (Debian: libtsan2 libuv1-dev).
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');
const BUILD = join(ROOT, 'native', 'build');
const STAND_IN = join(BUILD, 'stand-in.so');

const own = ['--asan', '--no-build'];
const asan = process.argv.includes('--asan');
const forVitest = process.argv.slice(2).filter((argument) => !own.includes(argument));

if (process.argv.includes('--tsan')) {
  checkThreads(process.argv[process.argv.indexOf('--tsan') + 1] ?? '20');
  process.exit();
}

/** The sanitizers' runtime must come before everything else that the process loads. */
const preload = asan ? [library('libasan.so'), library('libubsan.so'), STAND_IN] : [STAND_IN];
const addon = asan
  ? join(BUILD, 'asan', 'vsnd.node')
  : join(ROOT, 'prebuilds', `linux-${process.arch}`, 'vsnd.node');

if (!process.argv.includes('--no-build')) {
  run('node', [join(ROOT, 'native', 'build.js'), ...(asan ? ['--asan'] : [])]);
  mkdirSync(BUILD, { recursive: true });
  run('cc', ['-shared', '-fPIC', '-O1', '-g', '-Wall', '-Wextra', '-o', STAND_IN, join(HERE, 'stand-in.c')]);
}
const env = {
  ...process.env,
  LD_PRELOAD: preload.join(':'),
  VSND_TEST_ADDON: addon,
  // Node itself keeps much until its end; leaks of ours are looked for below.
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:handle_abort=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
};
run('node', [join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'), 'run', 'test/native', ...forVitest], env);
const emulated = join('test', 'native', 'vitest.config.ts');
run(
  'node',
  [join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--config', emulated, ...forVitest],
  env,
);
if (asan) for (const mode of ['idle', 'busy', 'close', 'worker']) checkLeaks(mode);

/** Runs a process to its end, and fails on leaked memory that the addon has allocated. */
function checkLeaks(mode) {
  const folder = mkdtempSync(join(tmpdir(), 'vsnd-lsan-'));
  const options = `detect_leaks=1:exitcode=0:log_path=${join(folder, 'log')}:fast_unwind_on_malloc=0`;
  run('node', [join(HERE, 'leak-process.js'), addon, mode], { ...env, ASAN_OPTIONS: options });
  const reports = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  if (!reports.some((report) => report.includes('4321 byte')))
    throw new Error(`${mode}: found no leak at all`);
  const leaks = reports.flatMap((report) => report.split('\n\n')).filter((block) => isOurs(block));
  rmSync(folder, { recursive: true });
  if (leaks.length > 0) throw new Error(`${mode}: leaks\n${leaks.join('\n\n')}`);
  console.log(`leaks of the addon in a process that ends '${mode}': none`);
}

/** A block is a leak's stack. Frame 0 is the allocator's; what Node allocates for the addon counts too. */
function isOurs(block) {
  const callers = /^ +#[123] .*$/gm;
  return (
    /leak of/.test(block) &&
    (block.match(callers) ?? []).some((frame) => /vsnd\.node|\/native\/\w+\.(?:cc|h):/.test(frame))
  );
}

/** Builds tsan.cc with the engine, which it finds races in, and lets it run. Of Node's headers it uses nothing. */
function checkThreads(seconds) {
  mkdirSync(BUILD, { recursive: true });
  const engine = join(ROOT, 'native', 'engine');
  const sources = readdirSync(engine).filter((name) => name.endsWith('.cc'));
  const modules = join(ROOT, 'node_modules');
  const program = join(BUILD, 'tsan');
  run('g++', [
    // Fences are no order to the sanitizer; what they are for test/native/model shows.
    ...'-std=c++17 -O1 -g -fno-exceptions -fsanitize=thread -Wall -Wextra -Werror -Wno-tsan'.split(' '),
    ...'-ffunction-sections -Wl,--gc-sections -DNAPI_VERSION=8 -DNAPI_DISABLE_CPP_EXCEPTIONS'.split(' '),
    ...[
      '-isystem',
      join(modules, 'node-addon-api'),
      '-isystem',
      join(modules, 'node-api-headers', 'include'),
    ],
    ...['-o', program, join(HERE, 'tsan.cc'), join(ROOT, 'native', 'event_ports.cc')],
    ...sources.map((name) => join(engine, name)),
    '-luv',
  ]);
  run(program, [seconds, String(Date.now() % 1_000_000)], {
    ...process.env,
    TSAN_OPTIONS: 'halt_on_error=1',
  });
}

function library(name) {
  const { stdout } = spawnSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' });
  return stdout.trim();
}

function run(command, args, environment = process.env) {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, env: environment, stdio: 'inherit' });
  if (status === 0) return;
  console.error(error ? `${command}: ${error.message}` : `${command} ${args.join(' ')}: exit ${status}`);
  process.exit(1);
}
