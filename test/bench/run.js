// npm run bench -- [--quick] [--rounds N] [GROUP...]: ratios inside one run, against what a row names.
import { parseArgs } from 'node:util';

const GROUPS = ['imports', 'card', 'paced', 'period', 'walk', 'latency', 'fairness', 'programs', 'bridge'];

const { values, positionals } = parseArgs({
  options: { quick: { type: 'boolean' }, rounds: { type: 'string' } },
  allowPositionals: true,
});
const unknown = positionals.find((name) => !GROUPS.includes(name));
if (unknown !== undefined) {
  console.error(`bench: there is no group ${unknown}; allowed: ${GROUPS.join(', ')}`);
  process.exit(2);
}

/** How often a row is measured, beside warming up, and which part of its sound is played. */
const effort = values.quick ? { rounds: 1, share: 0.1 } : { rounds: Number(values.rounds ?? 5), share: 1 };

for (const name of positionals.length > 0 ? positionals : GROUPS) {
  const { run } = await import(`./${name}.js`);
  await run(effort);
  console.log();
}
