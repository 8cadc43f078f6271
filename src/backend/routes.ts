import type { StreamConfig } from '../config/card.ts';
import { invalidArgError } from '../errors.ts';
import {
  parseSink,
  parseSource,
  SINK_NAMES,
  type SinkName,
  SOURCE_NAMES,
  type SourceName,
  sinkOf,
  sourceOf,
} from './device-names.ts';

/** Where the streams whose unique-id fits the pattern go, or come from. */
export interface Route {
  /** A unique-id, in which each `*` stands for any characters or none. */
  readonly pattern: string;
  /** Undefined where it has no name for playback streams. */
  readonly sink: SinkName | undefined;
  /** Undefined where it has no name for capture streams. */
  readonly source: SourceName | undefined;
}

/**
 * The route that `ID=SINK` or `ID=SOURCE` means: the first `=` before such a name counts. A name may be both, and the
 * stream decides. Throws ERR_VSND_INVALID_ARG.
 */
export function parseRoute(route: string): Route {
  for (let at = route.indexOf('='); at !== -1; at = route.indexOf('=', at + 1)) {
    const name = route.slice(at + 1);
    const sink = sinkOf(name) ? parseSink(name, '--map') : undefined;
    const source = sourceOf(name) ? parseSource(name, '--map') : undefined;
    if (sink || source) return { pattern: route.slice(0, at), sink, source };
  }
  throw invalidArgError('--map', route, `ID=SINK (${SINK_NAMES}), or ID=SOURCE (${SOURCE_NAMES})`);
}

/** The first route that has a device for a stream of this direction and unique-id. */
export function fittingRoute(
  routes: readonly Route[],
  { type, uniqueId }: Pick<StreamConfig, 'type' | 'uniqueId'>,
): Route | undefined {
  const device = type === 'playback' ? 'sink' : 'source';
  return routes.find((route) => route[device] && matchesPattern(route.pattern, uniqueId));
}

/** Whether a unique-id fits a pattern. */
export function matchesPattern(pattern: string, id: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return id === pattern;
  if (!id.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = id.indexOf(part, at); // the earliest place leaves most for those behind it
    if (found === -1) return false;
    at = found + part.length;
  }
  return id.length - last.length >= at && id.endsWith(last);
}
