// Carries out the plan in Dom0, one scenario after the other, and reports into the shared folder.
import { appendFileSync, readFileSync } from 'node:fs';
import { Lab } from './lab.js';

const SHARE = '/mnt';

function report(event) {
  appendFileSync(`${SHARE}/events.jsonl`, `${JSON.stringify(event)}\n`);
}

const { scenarios } = JSON.parse(readFileSync(`${SHARE}/plan.json`, 'utf8'));
report({ event: 'up', seconds: Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) });

const lab = new Lab(`${SHARE}/failed`);
for (const scenario of scenarios) {
  const started = performance.now();
  const { run } = await import(`../scenarios/${scenario.file}.js`);
  const result = await lab.carryOut(scenario, run);
  const seconds = (performance.now() - started) / 1000;
  report({ event: 'scenario', name: scenario.name, seconds, ...result });
}
report({ event: 'done' });
process.exit(); // the console of a guest, or a command that never ended, would hold the process
