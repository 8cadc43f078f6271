// Tests bridges to a real PipeWire, with both addons under a sanitizer (Debian: libasan8 libubsan1, or libtsan2):
//
//   node test/bridge/real/sanitized.js --asan|--tsan [vitest's arguments]
//
// Node and libpipewire are none of ours: what they do by themselves is not looked at.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const [kind, ...forVitest] = process.argv.slice(2);
const LIBRARIES = { '--asan': ['libasan.so', 'libubsan.so'], '--tsan': ['libtsan.so'] }[kind];
if (LIBRARIES === undefined) throw new Error(`${kind}: allowed are --asan, --tsan`);

const build = join(ROOT, 'native', 'build');
const sanitized = join(build, kind.slice(2));
/** A checkout of which the addons are sanitized ones. */
const copy = join(sanitized, 'root');
const prebuilds = join(copy, 'prebuilds', `linux-${process.arch}`);
const reports = join(sanitized, 'reports');

run('node', [join(ROOT, 'native', 'build.js'), kind]);
rmSync(copy, { recursive: true, force: true });
mkdirSync(prebuilds, { recursive: true });
for (const name of ['vsnd.node', 'vsnd-pipewire.node']) cpSync(join(sanitized, name), join(prebuilds, name));
for (const name of ['package.json', 'dist', 'test/native', 'test/lab/noise.js']) {
  cpSync(join(ROOT, name), join(copy, name), { recursive: true });
}
symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports);
const vitest = [join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'), 'run'];
run('node', [...vitest, '--config', 'test/bridge/real/vitest.config.ts', ...forVitest], {
  ...process.env,
  VSND_TEST_MAIN: join(copy, 'dist', 'cli', 'main.js'),
  VSND_TEST_PROGRAMS: join(copy, 'test', 'native'),
  VSND_TEST_ADDON: join(prebuilds, 'vsnd.node'),
  VSND_TEST_PRELOAD: LIBRARIES.map(library).join(':'),
  ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1:handle_abort=1',
  UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  TSAN_OPTIONS: `exitcode=0:log_path=${join(reports, 'log')}`,
});
const races = readdirSync(reports)
  .flatMap((name) => readFileSync(join(reports, name), 'utf8').split('=================='))
  .filter(isOurs);
if (races.length > 0) throw new Error(`${races.length} races\n${races.slice(0, 3).join('\n')}`);
console.log(`${kind}: nothing to complain of in the addons`);

/** Both accesses are in the addons' code, or in what that has called. */
function isOurs(report) {
  const stacks = report.split('\n\n').filter((stack) => /(?:read|write) of size/i.test(stack));
  return stacks.length > 0 && stacks.every((stack) => /^ +#[0-2] .*\/native\/[\w/]+\.(?:cc|h):/m.test(stack));
}

function library(name) {
  return spawnSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).stdout.trim();
}

function run(command, args, env = process.env) {
  const { status } = spawnSync(command, args, { cwd: ROOT, env, stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}
