import { clockTime } from './messages.ts';

/** What there is to say while a stream plays or records. */
export interface StreamProgress {
  /** Seconds. */
  elapsed: number;
  /** Seconds; undefined where there is no end in sight. */
  total: number | undefined;
  /** How full the shared buffer is, 0 to 1. */
  fill: number;
  /** ms. */
  latency: number;
  xruns: Xruns;
  /** dBFS, one a channel; empty where nobody looks at them. */
  levels: readonly number[];
  /** What else is to be known, before all counters. */
  notes?: readonly string[];
}

export interface Xruns {
  name: 'underruns' | 'overruns';
  /** Undefined where the card is not paced, so that the count has no meaning. */
  count: number | undefined;
  /** How many more there were at the host, as far as its positions tell. */
  estimated?: number | undefined;
}

/** What the terminal can show. */
export interface TerminalStyle {
  color: boolean;
  unicode: boolean;
}

/** No colours, no lines. */
export const PLAIN: TerminalStyle = { color: false, unicode: false };

const MIN_BAR_CELLS = 6;
const MAX_BAR_CELLS = 40;
const METER_CELLS = 6;
/** dBFS at the lower end of a meter. */
const METER_FLOOR = -48;
/** dBFS from which a meter's cells are yellow, and red. */
const METER_YELLOW = -12;
const METER_RED = -3;

const GREEN = 32;
const YELLOW = 33;
const RED = 31;
const CYAN = 36;
const GRAY = 90;

/** A piece of a line: its text, and as many columns as it takes. */
export interface Part {
  text: string;
  columns: number;
}

/** The line of a terminal `width` columns wide: what does not fit is left out from the right. */
export function liveStatus(progress: StreamProgress, width: number, style: TerminalStyle): string {
  // Some terminals wrap as soon as the last column is written.
  const room = width - 1;
  const { elapsed, total } = progress;
  const time = times(progress, 0);
  const leastColumns = time.length + (total === undefined ? 0 : 1 + MIN_BAR_CELLS);
  if (leastColumns > room) return time.slice(0, Math.max(0, room));
  const rest = fitParts(
    [...notes(progress), ...counters(progress, style), ...meters(progress.levels, style)],
    room - leastColumns,
  );
  if (total === undefined) return time + rest.text;
  const barCells = Math.min(MAX_BAR_CELLS, MIN_BAR_CELLS + room - leastColumns - rest.columns);
  return `${time} ${progressBar(elapsed / total, barCells, style)}${rest.text}`;
}

/** The same without a terminal. */
export function plainStatus(progress: StreamProgress): string {
  const parts = [...notes(progress), ...counters(progress, PLAIN)];
  return [times(progress, 1), ...parts.map(({ text }) => text)].join('  ');
}

/** As many of the parts as have room, each with two spaces before it. */
export function fitParts(parts: readonly Part[], room: number): Part {
  let [text, columns] = ['', 0];
  for (const part of parts) {
    if (columns + 2 + part.columns > room) break;
    text += `  ${part.text}`;
    columns += 2 + part.columns;
  }
  return { text, columns };
}

function times({ elapsed, total }: StreamProgress, digits: 0 | 1): string {
  const time = clockTime(elapsed, digits);
  return total === undefined ? time : `${time} / ${clockTime(total, digits)}`;
}

function notes({ notes = [] }: StreamProgress): Part[] {
  return notes.map(plainPart);
}

/** How full the buffer is, how long it takes to be played or read, and how often it ran dry or over. */
export function counters(
  { fill, latency, xruns }: Pick<StreamProgress, 'fill' | 'latency' | 'xruns'>,
  style: TerminalStyle,
): Part[] {
  const percent = Math.round(fill * 100).toFixed();
  const milliseconds = Math.round(latency).toFixed();
  const count = plainPart(`${xruns.name} ${xrunCount(xruns)}`);
  return [
    plainPart(`buffer ${percent.padStart(3)}%`),
    plainPart(`latency ${milliseconds.padStart(3)} ms`),
    xruns.count || xruns.estimated ? { ...count, text: paint(count.text, RED, style) } : count,
  ];
}

/** A part without colours. */
export function plainPart(text: string): Part {
  return { text, columns: text.length };
}

/** A count of xruns, or that there is none. */
export function xrunCount({ count, estimated = 0 }: Xruns): string {
  if (count === undefined) return 'not counted (unpaced)';
  return estimated === 0 ? `${count}` : `${count}, and ${estimated} at the host by its positions`;
}

/** dB, one a channel, and which of them are muted: -6 dB; or 0: -6 dB, 1: -3 dB muted. */
export function volumeText(volume: readonly number[], muted: readonly boolean[]): string {
  const channels = volume.map((dB, channel) => `${dB} dB${muted[channel] ? ' muted' : ''}`);
  const [first = ''] = channels;
  if (channels.every((text) => text === first)) return first;
  return channels.map((text, channel) => `${channel}: ${text}`).join(', ');
}

function progressBar(done: number, cells: number, style: TerminalStyle): string {
  const [full, empty] = style.unicode ? ['━', '─'] : ['=', '-'];
  const filled = Math.round(Math.min(1, Math.max(0, done)) * cells);
  return paint(full.repeat(filled), CYAN, style) + paint(empty.repeat(cells - filled), GRAY, style);
}

/** One part for all channels: half a stereo meter would mislead. */
function meters(levels: readonly number[], style: TerminalStyle): Part[] {
  if (levels.length === 0) return [];
  const names = levels.length === 1 ? [''] : ['L ', 'R '];
  const text = levels.map((level, channel) => (names[channel] ?? '') + meter(level, style)).join(' ');
  const columns = levels.length * (METER_CELLS + 1) - 1 + names.join('').length;
  return [{ text, columns }];
}

function meter(level: number, style: TerminalStyle): string {
  const [full, empty] = style.unicode ? ['█', '░'] : ['#', '.'];
  const cells = Array.from({ length: METER_CELLS }, (_, cell) => {
    // A cell is lit from the middle of its range.
    const threshold = METER_FLOOR * (1 - (cell + 0.5) / METER_CELLS);
    if (level < threshold) return paint(empty, GRAY, style);
    const top = METER_FLOOR * (1 - (cell + 1) / METER_CELLS);
    return paint(full, top > METER_RED ? RED : top > METER_YELLOW ? YELLOW : GREEN, style);
  });
  return cells.join('');
}

function paint(text: string, color: number, style: TerminalStyle): string {
  return style.color && text !== '' ? `\x1b[${color}m${text}\x1b[0m` : text;
}
