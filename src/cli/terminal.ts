import type { Writable } from 'node:stream';
import type { WriteStream } from 'node:tty';
import { withoutControls } from './messages.ts';
import type { TerminalStyle } from './status-line.ts';

const HIDE_CURSOR = '\x1b[?25l';
const SHOW_CURSOR = '\x1b[?25h';
const CLEAR_LINE = '\r\x1b[K';
const CLEAR_BELOW = '\r\x1b[J';

/** A terminal, or anything else that takes text: what of process.stdout and process.stderr is used. */
export type OutputStream = Pick<Writable, 'write'> & Partial<Pick<WriteStream, 'isTTY' | 'columns'>>;

/**
 * Standard output and standard error, with live lines, one or more, below what has been said if output is a terminal.
 */
export class Terminal {
  /** Whether {@link paint} may be used; without it no control code is ever written. */
  readonly live: boolean;
  readonly style: TerminalStyle;
  readonly #out: OutputStream;
  readonly #err: OutputStream;
  /** The live lines. */
  #text = '';

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

  /** Puts `text`, one or more lines, in the place of the live ones. */
  paint(text: string): void {
    this.#out.write(`${this.#text === '' ? HIDE_CURSOR : ''}${this.#clearing}${text}`);
    this.#text = text;
  }

  /** Takes the live lines away and gives the cursor back. Idempotent. */
  release(): void {
    if (this.#text === '') return;
    this.#out.write(`${this.#clearing}${SHOW_CURSOR}`);
    this.#text = '';
  }

  #above(write: () => void): void {
    if (this.#text !== '') this.#out.write(this.#clearing);
    write();
    if (this.#text !== '') this.#out.write(this.#text);
  }

  /** What clears the live lines: the cursor stands in the last of them. */
  get #clearing(): string {
    const above = this.#text.split('\n').length - 1;
    return above === 0 ? CLEAR_LINE : `\x1b[${above}A${CLEAR_BELOW}`;
  }
}
