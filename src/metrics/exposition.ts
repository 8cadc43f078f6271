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
  readonly samples: readonly Sample[];
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

/** The text of all families. Counters have no `_created`: Prometheus would keep it as one more series for each. */
export function formatMetrics(families: readonly MetricFamily[], format: ExpositionFormat): string {
  const text = families.map((family) => formatFamily(family, format === 'openmetrics')).join('');
  return format === 'openmetrics' ? `${text}# EOF\n` : text;
}

/** OpenMetrics names the family without its suffix, and has a type for infos and units; the older format has neither. */
function formatFamily(family: MetricFamily, isOpenMetrics: boolean): string {
  const { type, unit, help, samples } = family;
  const name = sampleName(family);
  const title = isOpenMetrics ? family.name : name;
  const lines = [`# TYPE ${title} ${isOpenMetrics || type !== 'info' ? type : 'gauge'}`];
  if (isOpenMetrics && unit !== undefined) lines.push(`# UNIT ${title} ${unit}`);
  lines.push(`# HELP ${title} ${help}`);
  for (const [labels, value] of samples) {
    lines.push(`${name}${labels === '' ? '' : `{${labels}}`} ${formatValue(value)}`);
  }
  return `${lines.join('\n')}\n`;
}

function formatValue(value: number): string {
  return Number.isFinite(value)
    ? String(value)
    : ({ [Infinity]: '+Inf', [-Infinity]: '-Inf' }[value] ?? 'NaN');
}

function escapeValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
