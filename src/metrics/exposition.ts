/** What Prometheus knows a family as; 'info' is a gauge of 1 whose labels say something that seldom changes. */
export type MetricType = 'counter' | 'gauge' | 'info';

/** A number with its labels, as {@link formatLabels} writes them. */
export type Sample = readonly [labels: string, value: number];

/** Numbers that mean the same thing. */
export interface MetricFamily {
  /** Without the suffix that the type brings; ends with the unit, where there is one. */
  readonly name: string;
  readonly type: MetricType;
  readonly unit?: 'seconds' | 'bytes';
  /** One line: a sentence. */
  readonly help: string;
  readonly samples: Iterable<Sample>;
}

/** OpenMetrics 1.0, or Prometheus' text format 0.0.4 for those who know no other. */
export type ExpositionFormat = 'openmetrics' | 'prometheus';

export const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
};

const SUFFIXES: Readonly<Record<MetricType, string>> = { counter: '_total', gauge: '', info: '_info' };

/** The name of a family's samples: what queries ask for. */
export function sampleName({ name, type }: Pick<MetricFamily, 'name' | 'type'>): string {
  return name + SUFFIXES[type];
}

/** `domid="1",type="playback"`; empty for no labels. */
export function formatLabels(labels: Readonly<Record<string, string | number>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${typeof value === 'number' ? value : escapeValue(value)}"`)
    .join(',');
}

/** Lines that are made in one go, within a millisecond. */
const PIECE = 256;

/**
 * The text of all families, in pieces between which others may have their turn: a host with many guests has thousands of
 * lines. Counters have no `_created`: Prometheus would keep it as one more series for each.
 */
export function* formatMetrics(
  families: Iterable<MetricFamily>,
  format: ExpositionFormat,
): Generator<string> {
  let lines: string[] = [];
  for (const line of linesOf(families, format === 'openmetrics')) {
    lines.push(line);
    if (lines.length < PIECE) continue;
    yield lines.join('');
    lines = [];
  }
  yield lines.join('');
}

/** OpenMetrics names the family without its suffix, and has a type for infos, units and an end; the older format has none. */
function* linesOf(families: Iterable<MetricFamily>, isOpenMetrics: boolean): Generator<string> {
  for (const family of families) {
    const { type, unit, help, samples } = family;
    const name = sampleName(family);
    const title = isOpenMetrics ? family.name : name;
    yield `# TYPE ${title} ${isOpenMetrics || type !== 'info' ? type : 'gauge'}\n`;
    if (isOpenMetrics && unit !== undefined) yield `# UNIT ${title} ${unit}\n`;
    yield `# HELP ${title} ${help}\n`;
    for (const [labels, value] of samples) {
      yield `${name}${labels === '' ? '' : `{${labels}}`} ${formatValue(value)}\n`;
    }
  }
  if (isOpenMetrics) yield '# EOF\n';
}

function formatValue(value: number): string {
  return Number.isFinite(value)
    ? String(value)
    : ({ [Infinity]: '+Inf', [-Infinity]: '-Inf' }[value] ?? 'NaN');
}

function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
