import { readFileSync } from 'node:fs';
import { createHistogram } from 'node:perf_hooks';
import { expect, test } from 'vitest';
import { ManualClock } from '../../src/clock.ts';
import { backendMetrics } from '../../src/metrics/backend-metrics.ts';
import { sampleName } from '../../src/metrics/exposition.ts';
import { LoopGap, loopMetrics } from '../../src/metrics/loop-gap.ts';
import { processMetrics } from '../../src/metrics/process-metrics.ts';

interface Panel {
  readonly id: number;
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly datasource: { readonly uid: string };
  readonly targets: readonly { readonly datasource: { readonly uid: string } }[];
}

const read = (path: string) => readFileSync(new URL(`../../docs/${path}`, import.meta.url), 'utf8');

const gap = new LoopGap(new ManualClock(), createHistogram());
const families = [
  ...backendMetrics({ status: [], guests: [], xenstore: { roundTrips: 0, reconnections: 0 } }),
  ...loopMetrics(gap),
  ...processMetrics('1.2.3'),
];
const NAMES = families.map(sampleName);

/** The metrics that are named in a text, each once. */
function namesIn(text: string): string[] {
  return [...new Set(text.match(/\b(?:vsnd|process)_[a-z_]+\b/g))].sort();
}

test.each(['grafana-dashboard.json', 'alerts.yml'])('docs/%s asks for metrics that there are', (path) => {
  const names = namesIn(read(path));
  expect(names.length).toBeGreaterThan(8);
  expect(names.filter((name) => !NAMES.includes(name))).toEqual([]);
});

test('the dashboard takes its data from whatever source it is imported with, and no panel hides another', () => {
  const { panels } = JSON.parse(read('grafana-dashboard.json')) as { panels: Panel[] };
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  );
  expect(new Set(cells).size).toBe(cells.length);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  for (const { datasource, targets } of panels) {
    for (const { uid } of [datasource, ...targets.map((target) => target.datasource)]) {
      expect(uid).toBe(`$\{datasource}`);
    }
  }
});

test('docs/fleet.md has each metric, and no other', () => {
  expect(namesIn(read('fleet.md'))).toEqual([...NAMES].sort());
});

test('names end as Prometheus wants them to', () => {
  for (const { name, unit } of families)
    expect(name, name).toMatch(unit === undefined ? /^[a-z_]+$/ : `_${unit}`);
});
