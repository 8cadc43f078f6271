import type { WriteStream } from 'node:tty';
import { withoutControls } from './messages.ts';
import type { TerminalStyle } from './status-line.ts';

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const CLEAR_LINE = '\r\x1b[K';

/** What of process.stdout and process.stderr is used. */
export type OutputStream = Pick<WriteStream, 'write' | 'isTTY' | 'columns'>;

/**
 * Standard output and standard error, with one live line below what has been said if output is a terminal.
 */
export class Terminal {
  /** Whether {@link paint} may be used; without it no control code is ever written. */
  readonly live: boolean;
  readonly style: TerminalStyle;
  readonly #out: OutputStream;
  readonly #err: OutputStream;
  #line = '';

  constructor(out: OutputStream, err: OutputStream, env: NodeJS.ProcessEnv) {
    this.live = out.isTTY === true && env['TERM'] !== 'dumb';
    this.style = {
      color: this.live && !env['NO_COLOR'],
      unicode: /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || ''),
    };
    this.#out = out;
    this.#err = err;
  }

  /** Columns; 80 where the terminal does not say. */
  get width(): number {
    return this.#out.columns || 80;
  }

  /** One or more lines on standard output. */
  say(text: string): void {
    this.#above(() => this.#out.write(`${withoutControls(text)}\n`));
  }

  /** One or more lines on standard error. */
  complain(text: string): void {
    this.#above(() => this.#err.write(`vsnd: ${withoutControls(text)}\n`));
  }

  /** Puts `line` in the place of the live line. */
  paint(line: string): void {
    this.#out.write(`${this.#line === '' ? HIDE_CURSOR : ''}${CLEAR_LINE}${line}`);
    this.#line = line;
  }

  /** Takes the live line away and gives the cursor back. Idempotent. */
  release(): void {
    if (this.#line === '') return;
    this.#out.write(`${CLEAR_LINE}${SHOW_CURSOR}`);
    this.#line = '';
  }

  #above(write: () => void): void {
    if (this.#line !== '') this.#out.write(CLEAR_LINE);
    write();
    if (this.#line !== '') this.#out.write(this.#line);
  }
}
