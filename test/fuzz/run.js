// npm run fuzz [-- --seconds N] [--target backend|frontend|pulse|xenstore] [--seed S]: hostile peers, for as long as you like.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { seconds: { type: 'string' }, target: { type: 'string' }, seed: { type: 'string' } },
});
const seconds = Number(values.seconds ?? (values.seed === undefined ? 60 : 0));
if (!(seconds >= 0)) {
  console.error(`--seconds is '${values.seconds}'; allowed: a number from 0`);
  process.exit(2);
}
const { status } = spawnSync(
  process.execPath,
  ['--expose-gc', 'node_modules/vitest/vitest.mjs', 'run', `test/fuzz/${values.target ?? ''}`],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      VSND_FUZZ_SECONDS: String(seconds),
      ...(values.seed !== undefined && { VSND_FUZZ_SEED: values.seed }),
    },
  },
);
process.exitCode = status ?? 1;
