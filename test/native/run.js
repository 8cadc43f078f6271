// Builds the addon (with --no-build it is there) and its stand-in devices, and runs the tests that need them.
//
//   node test/native/run.js [--asan] [--no-build] [vitest's arguments]
//   node test/native/run.js --tsan [SECONDS]
//
// --asan: the addon with AddressSanitizer and UBSan, then leak checks of whole processes (Debian: libasan8
// libubsan1). --tsan: the engine's threads with ThreadSanitizer, in a program without Node, and in Node (Debian: libtsan2 libuv1-dev).
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');
const BUILD = join(ROOT, 'native', 'build');
const STAND_IN = join(BUILD, 'stand-in.so');

/** What ThreadSanitizer says of one, and for how many runs of 3 s it may look for one that is there. */
const RACE = 'ThreadSanitizer: data race';
const SEEDED_ROUNDS = 20;

/** A file of the engine, what is right in it, and what makes a race of it. */
const SEEDED_RACES = [
  [
    'staging_ring.h',
    'written_.store(at + length, std::memory_order_release)',
    'written_.store(at + length, std::memory_order_relaxed)',
  ],
  [
    'staging_ring.h',
    'read_.store(at + length, std::memory_order_release)',
    'read_.store(at + length, std::memory_order_relaxed)',
  ],
  ['sndif.h', '__ATOMIC_RELEASE', '__ATOMIC_RELAXED'],
  ['loop.cc', 'Hold hold(lock_, script_tid_);\n  return carrier.TakeWake();', 'return carrier.TakeWake();'],
  [
    'lock.h',
    'handed_over_.store(1, std::memory_order_release)',
    'handed_over_.store(1, std::memory_order_relaxed)',
  ],
];

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

if (!process.argv.includes('--no-build'))
  run('node', [join(ROOT, 'native', 'build.js'), ...(asan ? ['--asan'] : [])]);
buildStandIn();
const env = {
  ...process.env,
  LD_PRELOAD: preload.join(':'),
  VSND_TEST_ADDON: addon,
  // Node itself keeps much until its end; leaks of ours are looked for below.
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:handle_abort=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
};
const vitest = [join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'), 'run'];
run('node', [...vitest, 'test/native', ...forVitest], env);
run('node', [...vitest, '--config', 'test/native/carried/vitest.config.ts', ...forVitest], env);
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

/**
 * Builds tsan.cc with the engine, and lets it look for races; before that with an engine that has one, for a check that does not find
 * it has not looked.
 */
function checkThreads(seconds) {
  for (const [file, right, wrong] of SEEDED_RACES) {
    const seeded = mkdtempSync(join(tmpdir(), 'vsnd-tsan-'));
    for (const folder of ['native', 'test/native']) {
      cpSync(join(ROOT, folder), join(seeded, folder), {
        recursive: true,
        filter: (path) => !path.startsWith(BUILD),
      });
    }
    const path = join(seeded, 'native', 'engine', file);
    const parts = readFileSync(path, 'utf8').split(right);
    if (parts.length !== 2) throw new Error(`${file} has '${right}' ${parts.length - 1} times`);
    writeFileSync(path, parts.join(wrong));
    const program = buildThreads(seeded);
    rmSync(seeded, { recursive: true });
    // Which threads meet, and when, is luck: one seed's luck is not the next one's.
    let output = '';
    for (let round = 0; round < SEEDED_ROUNDS && !output.includes(RACE); round++)
      output = lookForRaces(program, '3').output;
    if (!output.includes(RACE)) {
      throw new Error(`${file} with '${wrong}' in place of '${right}': no race was found\n${output}`);
    }
    console.log(`${file} with '${wrong}' in place of '${right}': a race`);
  }
  const { status, output } = lookForRaces(buildThreads(ROOT), seconds);
  console.log(output.trim());
  if (status !== 0) process.exit(1);
  console.log('the engine: no race');
  checkThreadsInNode();
}

/**
 * JavaScript's thread and the engine's as they are: Node itself is not instrumented, the addon is. Workers are left out, for at the end
 * of a process the sanitizer calls into an addon that Node has unloaded with its worker.
 */
function checkThreadsInNode() {
  run('node', [join(ROOT, 'native', 'build.js'), '--tsan']);
  buildStandIn();
  const folder = mkdtempSync(join(tmpdir(), 'vsnd-tsan-'));
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const files = ['engine', 'busy'].map((name) => `test/native/${name}.test.ts`);
  run('node', [vitest, 'run', ...files, '-t', 'bit for bit|beyond'], {
    ...process.env,
    LD_PRELOAD: [library('libtsan.so'), STAND_IN].join(':'),
    VSND_TEST_ADDON: join(BUILD, 'tsan', 'vsnd.node'),
    TSAN_OPTIONS: `ignore_noninstrumented_modules=1:exitcode=0:log_path=${join(folder, 'log')}`,
  });
  const reports = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  rmSync(folder, { recursive: true });
  if (reports.length > 0) throw new Error(`in Node: ${reports.join('\n')}`);
  console.log('the engine in Node: no race');
}

/** Of Node's headers it uses nothing. The program's path. */
function buildThreads(root) {
  const engine = join(root, 'native', 'engine');
  const sources = readdirSync(engine).filter((name) => name.endsWith('.cc'));
  const headers = [['node-addon-api'], ['node-api-headers', 'include']];
  mkdirSync(BUILD, { recursive: true });
  const program = join(BUILD, 'threads');
  run('g++', [
    // Fences are no order to the sanitizer; what they are for test/native/model shows.
    ...'-std=c++17 -O1 -g -fno-exceptions -fsanitize=thread -Wall -Wextra -Werror -Wno-tsan'.split(' '),
    // What the compiler copies by itself the sanitizer does not see.
    '-fno-builtin',
    ...'-ffunction-sections -Wl,--gc-sections -DNAPI_VERSION=8 -DNAPI_DISABLE_CPP_EXCEPTIONS'.split(' '),
    ...headers.flatMap((path) => ['-isystem', join(ROOT, 'node_modules', ...path)]),
    ...['-o', program, join(root, 'test', 'native', 'tsan.cc'), join(root, 'native', 'event_ports.cc')],
    ...sources.map((name) => join(engine, name)),
    '-luv',
  ]);
  return program;
}

function lookForRaces(program, seconds) {
  const seed = String(Date.now() % 1_000_000);
  const { status, stdout, stderr } = spawnSync(program, [seconds, seed], {
    encoding: 'utf8',
    env: { ...process.env, TSAN_OPTIONS: 'halt_on_error=1' },
  });
  return { status, output: stdout + stderr };
}

function buildStandIn() {
  mkdirSync(BUILD, { recursive: true });
  run('cc', ['-shared', '-fPIC', '-O1', '-g', '-Wall', '-Wextra', '-o', STAND_IN, join(HERE, 'stand-in.c')]);
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
