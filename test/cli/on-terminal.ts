import { spawnSync } from 'node:child_process';
import { MAIN, Running } from './run.ts';

/** util-linux script, which has a pseudo-terminal to give. */
export const hasScript = spawnSync('script', ['--version']).stdout?.includes('util-linux') ?? false;

export const HIDE_CURSOR = '\x1b[?25l';
export const SHOW_CURSOR = '\x1b[?25h';

/** `vsnd` below a pseudo-terminal of 100 columns. `then`: a command that follows it there, after a line with its status. */
export function onTerminal(args: string[], env: NodeJS.ProcessEnv = {}, then?: string): Running {
  const command = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ');
  const run = then === undefined ? `exec ${command}` : `trap : INT; ${command}; echo status $?; ${then}`;
  const typed = ['-qec', `stty cols 100; ${run}`, '/dev/null'];
  return new Running('script', typed, { TERM: 'xterm', LC_ALL: 'C.UTF-8', ...env });
}

/** What is written without its colours. */
export function uncolored(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what a colour begins with
  return text.replace(/\x1b\[\d+m/g, '');
}
