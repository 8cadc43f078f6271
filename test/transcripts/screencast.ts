import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** What stood in a row of the screen, colours included, and when: seconds from the start. */
export interface Showing {
  readonly row: number;
  text: string;
  readonly from: number;
  /** Undefined where it stands at the end. */
  to: number | undefined;
}

/** As wide as a README. */
const COLUMNS = 104;

/** s: a line that is written over and over is shown anew this often. */
const TICK = 0.25;

/** s: how long the end stands before all begins anew. */
const REST = 5;

/** px */
const CELL = { width: 8.4, height: 19 };
const MARGIN = 16;

/** By their codes (SGR). */
const COLORS: Readonly<Record<string, string>> = {
  31: '#ff7b72',
  32: '#3fb950',
  33: '#d29922',
  36: '#39c5cf',
  90: '#6e7681',
};

/** Runs commands one after the other on a terminal of util-linux script's, and tells what its screen showed when. */
export async function recordSession(
  commands: readonly string[],
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
): Promise<Showing[]> {
  const typed = commands.map((command) => `echo '$ ${command}'; sleep 0.5; ${command}`).join('; sleep 0.5; ');
  const child = spawn('script', ['-qec', `stty cols ${COLUMNS}; ${typed}`, '/dev/null'], {
    cwd,
    env: { ...env, TERM: 'xterm', LC_ALL: 'C.UTF-8' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const screen = new Screen();
  const began = performance.now();
  for await (const said of child.stdout.setEncoding('utf8'))
    screen.write(said, (performance.now() - began) / 1000);
  await ended;
  return screen.showings;
}

/** A screen for what vsnd writes: whole lines, and the last one again and again. */
class Screen {
  readonly showings: Showing[] = [];
  #row = 0;
  #shown: Showing | undefined;
  /** The beginning of a control sequence whose rest is still to come. */
  #begun = '';

  write(said: string, now: number): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a control sequence begins with
    const [whole = '', begun = ''] = (this.#begun + said).split(/(\x1b[[?\d]*$)/);
    this.#begun = begun;
    for (const [index, piece] of whole.split('\n').entries()) {
      if (index > 0) this.#nextRow();
      this.#add(piece, now);
    }
  }

  #add(piece: string, now: number): void {
    const cleared = piece.lastIndexOf('\x1b[K');
    const before = cleared < 0 ? (this.#shown?.text ?? '') : '';
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the cursor is not shown, and back at the margin
    const text = before + piece.slice(cleared < 0 ? 0 : cleared + 3).replaceAll(/\r|\x1b\[\?25[hl]/g, '');
    if (text === this.#shown?.text || (text === '' && cleared < 0)) return;
    if (this.#shown !== undefined && (now - this.#shown.from < TICK || cleared < 0)) {
      this.#shown.text = text;
      return;
    }
    if (this.#shown !== undefined) this.#shown.to = now;
    this.#shown = { row: this.#row, text, from: now, to: undefined };
    this.showings.push(this.#shown);
  }

  #nextRow(): void {
    this.#row += 1;
    this.#shown = undefined;
  }
}

/** The text that stands at the end, a line each. */
export function lastScreen(showings: readonly Showing[]): string[] {
  return showings.filter(({ to }) => to === undefined).map(({ text }) => text);
}

/** The session as an SVG that moves; where nothing moves, it is the last screen. */
export function drawSession(showings: readonly Showing[]): string {
  const rows = Math.max(...showings.map(({ row }) => row)) + 1;
  const length = Math.max(...showings.map(({ from }) => from)) + REST;
  const width = Math.round(COLUMNS * CELL.width) + 2 * MARGIN;
  const height = rows * CELL.height + 2 * MARGIN;
  const percent = (seconds: number) => `${((100 * seconds) / length).toFixed(2)}%`;
  const moves = showings.map(
    ({ from, to }, index) =>
      `@keyframes k${index}{0%{opacity:0}${percent(from)}{opacity:1}${to === undefined ? '' : `${percent(to)}{opacity:0}`}}`,
  );
  const lines = showings.map(({ row, text, to }, index) => {
    const y = MARGIN + (row + 0.75) * CELL.height;
    const hidden = to === undefined ? '' : ';opacity:0';
    return `<text x="${MARGIN}" y="${y}" style="animation-name:k${index}${hidden}">${colored(text)}</text>`;
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<title>${escaped(showings.find(({ text }) => text.startsWith('$'))?.text ?? '')}</title>`,
    `<desc>${escaped(lastScreen(showings).join('\n'))}</desc>`,
    '<style>',
    'text{font:14px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#e6edf3;white-space:pre}',
    `text{animation-duration:${length.toFixed(2)}s;animation-timing-function:step-end;animation-iteration-count:infinite}`,
    ...moves,
    '@media (prefers-reduced-motion){text{animation:none!important}}',
    '</style>',
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    ...lines,
    '</svg>',
  ].join('\n')}\n`;
}

/** The last screen of a session that has been drawn. */
export function drawnScreen(svg: string): string[] {
  const text = /<desc>(.*?)<\/desc>/s.exec(svg)?.[1] ?? '';
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&').split('\n');
}

/** Neighbours of one colour are one piece. */
function colored(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a colour begins with
  const [first = '', ...pieces] = line.split(/\x1b\[(\d+)m/);
  const spans: { fill: string | undefined; text: string }[] = [{ fill: undefined, text: first }];
  for (let index = 0; index < pieces.length; index += 2) {
    const [code = '', text = ''] = pieces.slice(index, index + 2);
    if (text === '') continue;
    const last = spans.at(-1);
    if (last && last.fill === COLORS[code]) last.text += text;
    else spans.push({ fill: COLORS[code], text });
  }
  return spans
    .map(({ fill, text }) => (fill ? `<tspan fill="${fill}">${escaped(text)}</tspan>` : escaped(text)))
    .join('');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
