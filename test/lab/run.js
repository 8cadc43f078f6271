// npm run test:xen [-- [--list | --fetch] [--arch ARCH] [NAME...]]: real Xen under QEMU, and scenarios in it; --fetch: only the
// downloads that they need.
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fetchLayer, prepareLayer } from './layers.js';
import { boot } from './machine.js';
import { CACHE, Unavailable } from './packages.js';
import { fetchParts, prepare } from './prepare.js';
import { MACHINES, SCENARIOS } from './scenarios/index.js';

/** A scenario that takes longer than this has failed, and a boot. */
const SCENARIO_LIMIT_MS = 180_000;
const BOOT_LIMIT_MS = 180_000;

const ARCHITECTURES = { x64: 'amd64', amd64: 'amd64', arm64: 'arm64' };

const say = (text) => console.log(text);

function parseCommandLine() {
  const { values, positionals } = parseArgs({
    options: { list: { type: 'boolean' }, fetch: { type: 'boolean' }, arch: { type: 'string' } },
    allowPositionals: true,
  });
  const arch = values.arch && ARCHITECTURES[values.arch];
  if (values.arch && !arch) throw new Error(`--arch is '${values.arch}'; allowed: x64, arm64`);
  const names = SCENARIOS.map(({ name }) => name);
  for (const name of positionals) {
    if (!names.includes(name))
      throw new Error(`there is no scenario '${name}'; there are: ${names.join(', ')}`);
  }
  const chosen = SCENARIOS.filter(({ name, machine, isLong = false }) => {
    const named = positionals.length === 0 ? values.list || !isLong : positionals.includes(name);
    return named && (!arch || MACHINES[machine].arch === arch);
  });
  return { list: values.list ?? false, fetch: values.fetch ?? false, chosen };
}

/**
 * Runs scenarios in one boot; those that it did not come to have failed, and those that lack a part are skipped. Returns how
 * many passed and were skipped.
 */
async function runMachine(name, scenarios) {
  const { arch, xenstore } = MACHINES[name];
  const folder = join(CACHE, 'runs', name);
  const waiting = new Set(scenarios.map((scenario) => scenario.name));
  const count = { passed: 0, skipped: 0 };
  try {
    const { emulator, target, images } = await prepare(arch, join(CACHE, arch), say);
    const layers = [];
    for (const layer of layersOf(scenarios)) {
      const prepared = await prepareLayer(layer, { arch, target }, join(CACHE, arch), say).catch((error) => {
        const without = scenarios.filter(({ guest }) => guest?.layer === layer);
        count.skipped += skip(without, error, waiting);
      });
      if (prepared) layers.push(prepared);
    }
    const plan = {
      xenstore,
      scenarios: scenarios
        .filter((scenario) => waiting.has(scenario.name))
        .map((scenario) => ({ limitMs: SCENARIO_LIMIT_MS, ...scenario })),
    };
    if (plan.scenarios.length === 0) return count;
    const limitMs = BOOT_LIMIT_MS + plan.scenarios.reduce((sum, scenario) => sum + scenario.limitMs, 0);
    const booted = performance.now();
    for await (const event of boot({ arch, emulator, images, layers, plan, folder, limitMs })) {
      if (event.event === 'up') {
        say(`machine ${name}: Dom0 is up after ${((performance.now() - booted) / 1000).toFixed(0)} s`);
      } else if (waiting.delete(event.name)) {
        reportScenario(event);
        if (!event.error) count.passed++;
      }
    }
  } catch (error) {
    if (error instanceof Unavailable) count.skipped += skip(scenarios, error, waiting);
    else say(`machine ${name}: ${error.message}`);
  }
  for (const scenario of waiting) say(`FAILED  ${scenario}: not run to its end`);
  if (count.passed + count.skipped === scenarios.length) await rm(folder, { recursive: true, force: true });
  else if (existsSync(folder)) say(`logs and recordings: ${folder}`);
  return count;
}

function layersOf(scenarios) {
  return new Set(scenarios.flatMap(({ guest }) => guest?.layer ?? []));
}

/** Says why these are not run, and returns how many they are; rethrows what is no lack of a part. */
function skip(scenarios, error, waiting) {
  if (!(error instanceof Unavailable)) throw error;
  for (const { name } of scenarios) {
    waiting.delete(name);
    say(`SKIPPED ${name}: ${error.message}`);
  }
  return scenarios.length;
}

function reportScenario({ name, seconds, error = '', note = '' }) {
  say(`${error ? 'FAILED' : 'ok    '}  ${name}  ${seconds.toFixed(1)} s  ${note}`.trimEnd());
  for (const line of error.split('\n').filter(Boolean)) say(`        ${line}`);
}

async function main() {
  const { list, fetch, chosen } = parseCommandLine();
  if (list) {
    for (const { name, machine, what } of chosen) say(`${name.padEnd(23)} ${machine.padEnd(11)} ${what}`);
    return;
  }
  await mkdir(CACHE, { recursive: true });
  if (fetch) {
    for (const arch of new Set(chosen.map(({ machine }) => MACHINES[machine].arch))) {
      await fetchParts(arch, say);
      const scenarios = chosen.filter(({ machine }) => MACHINES[machine].arch === arch);
      for (const layer of layersOf(scenarios)) await fetchLayer(layer, arch, say);
    }
    return;
  }
  const total = { passed: 0, skipped: 0 };
  for (const machine of Object.keys(MACHINES)) {
    const scenarios = chosen.filter((scenario) => scenario.machine === machine);
    if (scenarios.length === 0) continue;
    const { passed, skipped } = await runMachine(machine, scenarios);
    total.passed += passed;
    total.skipped += skipped;
  }
  const failed = chosen.length - total.passed - total.skipped;
  say(`\n${total.passed} passed, ${failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main().catch((error) => {
  console.error(error.message);
  process.exitCode = 2;
});
