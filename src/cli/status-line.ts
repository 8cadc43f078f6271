import { clockTime } from './messages.ts';

/** What there is to say while a file is being played. */
export interface PlayStatus {
  /** Seconds. */
  elapsed: number;
  /** Seconds. */
  total: number;
  /** How full the shared buffer is, 0 to 1. */
  fill: number;
  /** ms. */
  latency: number;
  /** Undefined where the card is not paced, so that the count has no meaning. */
  underruns: number | undefined;
  /** dBFS, one a channel; empty where nobody looks at them. */
  levels: readonly number[];
}

/** What the terminal can show. */
export interface TerminalStyle {
  color: boolean;
  unicode: boolean;
}

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

/** A piece of the line: its text, and as many columns as it takes. */
interface Part {
  text: string;
  columns: number;
}

/** The line of a terminal `width` columns wide: what does not fit is left out from the right. */
export function liveStatus(status: PlayStatus, width: number, style: TerminalStyle): string {
  // Some terminals wrap as soon as the last column is written.
  const room = width - 1;
  const time = `${clockTime(status.elapsed, 0)} / ${clockTime(status.total, 0)}`;
  let used = time.length + 1 + MIN_BAR_CELLS;
  if (used > room) return time.slice(0, Math.max(0, room));
  const shown: string[] = [];
  for (const part of [...counters(status, style), ...meters(status.levels, style)]) {
    if (used + 2 + part.columns > room) break;
    shown.push(`  ${part.text}`);
    used += 2 + part.columns;
  }
  const barCells = Math.min(MAX_BAR_CELLS, MIN_BAR_CELLS + room - used);
  return `${time} ${progressBar(status.elapsed / status.total, barCells, style)}${shown.join('')}`;
}

/** The same without a terminal. */
export function plainStatus(status: PlayStatus): string {
  const time = `${clockTime(status.elapsed)} / ${clockTime(status.total)}`;
  const parts = counters(status, { color: false, unicode: false });
  return [time, ...parts.map(({ text }) => text)].join('  ');
}

function counters({ fill, latency, underruns }: PlayStatus, style: TerminalStyle): Part[] {
  const part = (text: string, color?: number): Part => ({
    text: color === undefined ? text : paint(text, color, style),
    columns: text.length,
  });
  return [
    part(
      `buffer ${Math.round(fill * 100)
        .toFixed()
        .padStart(3)}%`,
    ),
    part(`latency ${Math.round(latency).toFixed().padStart(3)} ms`),
    part(`underruns ${underrunCount(underruns)}`, underruns ? RED : undefined),
  ];
}

/** A count of underruns, or that there is none. */
export function underrunCount(underruns: number | undefined): string {
  return underruns === undefined ? 'not counted (unpaced)' : `${underruns}`;
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
