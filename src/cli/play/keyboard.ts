import { readFileSync } from 'node:fs';
import type { ReadStream } from 'node:tty';

/** What terminals send for keys that are no characters, in both of their modes. */
const SEQUENCES: Readonly<Record<string, string>> = {
  '\x1b[A': 'up',
  '\x1bOA': 'up',
  '\x1b[B': 'down',
  '\x1bOB': 'down',
  '\x1b[C': 'right',
  '\x1bOC': 'right',
  '\x1b[D': 'left',
  '\x1bOD': 'left',
};

const CTRL_C = '\x03';
const CTRL_BACKSLASH = '\x1c';
const CTRL_Z = '\x1a';

export interface KeyboardEvents {
  /** A character, or 'up', 'down', 'left', 'right'. */
  readonly onKey: (key: string) => void;
  /** Before the shell takes the terminal over. */
  readonly onSuspend: () => Promise<void>;
  /** The terminal is ours again. */
  readonly onContinue: () => void;
}

/**
 * The keys of a terminal, one at a time: it is in raw mode until {@link close}, and while the process is stopped it is not.
 * Ctrl-C, Ctrl-\ and Ctrl-Z, which raw mode takes from the shell, still interrupt, end and stop it.
 */
export class Keyboard {
  readonly #stdin: ReadStream;
  readonly #events: KeyboardEvents;
  readonly #handleData = (data: Buffer) => this.#read(data.toString());
  readonly #handleStop = () => void this.#suspend();
  readonly #handleContinue = () => this.#resume();
  readonly #restore = () => void this.#stdin.setRawMode(false);

  constructor(stdin: ReadStream, events: KeyboardEvents) {
    this.#stdin = stdin;
    this.#events = events;
    process.on('SIGTSTP', this.#handleStop);
    process.on('SIGCONT', this.#handleContinue);
    process.on('exit', this.#restore);
    stdin.on('data', this.#handleData);
    stdin.on('error', () => {}); // the terminal has been closed: SIGHUP says so, too
    this.#listen();
  }

  /** Gives the terminal back as it was. */
  close(): void {
    process.off('SIGTSTP', this.#handleStop);
    process.off('SIGCONT', this.#handleContinue);
    process.off('exit', this.#restore);
    this.#stdin.off('data', this.#handleData);
    this.#letGo();
  }

  #listen(): void {
    if (!isInForeground()) return;
    this.#stdin.setRawMode(true);
    this.#stdin.resume();
  }

  #letGo(): void {
    this.#stdin.pause();
    if (isInForeground()) this.#restore();
  }

  #read(text: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what these keys begin with
    for (const [key] of text.matchAll(/\x1b[[O][A-D]|[\s\S]/gu)) {
      if (key === CTRL_C) process.kill(process.pid, 'SIGINT');
      else if (key === CTRL_BACKSLASH)
        process.kill(process.pid, 'SIGTERM'); // SIGQUIT would leave the terminal raw
      else if (key === CTRL_Z)
        process.kill(0, 'SIGTSTP'); // all of the pipe, as the terminal does it
      else this.#events.onKey(SEQUENCES[key] ?? key);
    }
  }

  async #suspend(): Promise<void> {
    await this.#events.onSuspend();
    this.#letGo();
    process.kill(process.pid, 'SIGSTOP');
  }

  #resume(): void {
    this.#listen();
    this.#events.onContinue();
  }
}

/** Whoever sets a terminal's mode from the background is stopped. */
function isInForeground(): boolean {
  try {
    const [, , group, , , foreground] = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return group === foreground;
  } catch {
    return true; // not Linux
  }
}
