import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { MAIN } from '../cli/run.ts';

const HELLO = fileURLToPath(new URL('../../examples/hello.wav', import.meta.url));

/** What differs from one run to the next, and on a machine that is busy. */
const VARIES: readonly RegExp[] = [
  /\d{4}-\d\d-\d\dT[\d:.]+Z/g,
  /(?<=process )\d+/g,
  /(?<=positions reported by the backend: |"positionReports": )\d+/g,
  /(?<=PulseAudio )[\d.]+/g,
  /(?<=connected after )\d+(?= ms)/g,
  /(?<=^OK +node +)[\d.]+/gm,
  /(?<=backend in domain 0, state )\w+/g,
  /^\d+:\d\d\.\d( \/ \d+:\d\d\.\d)? {2}buffer .*\n/gm, // once a second: on a busy machine, of what is over sooner elsewhere
  / *(\d+:\d\d\.\d( \/ \d+:\d\d\.\d)? +)?buffer +\d+% +latency +\d+ ms/g,
  /(?<=(under|over)runs:? )\d+(, \d+ frames lost)?/g,
  /^vsnd: overrun: .*\n/gm,
];

interface Step {
  readonly command: string;
  /** As the document has it. */
  readonly output: readonly string[];
}

/**
 * A document with its transcripts anew: those of the fenced blocks of `language` in which each line that begins with $ is
 * a command, followed by what it says. What the document has stays where it differs only in what varies. A command that
 * ends with & goes on until its block does; the document has the first lines of what it says, and the next command waits
 * for them.
 */
export async function renewTranscripts(document: string, language: string, env = {}): Promise<string> {
  const parts = document.split(new RegExp(`(^\`\`\`${language}\n[^]*?^\`\`\`$)`, 'm'));
  for (const [index, part] of parts.entries())
    if (index % 2 === 1) parts[index] = await renewBlock(part, env);
  return parts.join('');
}

async function renewBlock(block: string, env: NodeJS.ProcessEnv): Promise<string> {
  const lines = block.split('\n');
  const [fence = '', ...body] = lines.slice(0, -1);
  const shell = new Shell(env);
  try {
    const renewed: string[] = [fence];
    for (const { command, output } of stepsOf(body)) {
      const said = await shell.run(command, output.length);
      // What is served at once is told of in any order.
      const order = isInBackground(command) ? (lines: readonly string[]) => lines.toSorted() : undefined;
      renewed.push(`$ ${command}`, ...(isSame(said, output, order) ? output : said));
    }
    return [...renewed, '```'].join('\n');
  } finally {
    await shell.close();
  }
}

function stepsOf(lines: readonly string[]): Step[] {
  const steps: { command: string; output: string[] }[] = [];
  for (const line of lines) {
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), output: [] });
    else steps.at(-1)?.output.push(line);
  }
  return steps;
}

/** Both are compared without what varies. */
export function isSame(
  one: readonly string[],
  other: readonly string[],
  order = (lines: readonly string[]) => lines,
): boolean {
  const [a, b] = [one, other].map((lines) =>
    order(VARIES.reduce((text, varying) => text.replace(varying, ''), lines.join('\n')).split('\n')).join(
      '\n',
    ),
  );
  return a === b;
}

function isInBackground(command: string): boolean {
  return command.endsWith(' &');
}

/** A folder with hello.wav, where vsnd is the one that has been built. */
export class Shell {
  readonly env: NodeJS.ProcessEnv;
  readonly #directory = mkdtempSync(join(tmpdir(), 'vsnd-transcript-'));
  readonly #background: { stop: () => void; ended: Promise<unknown> }[] = [];

  constructor(env: NodeJS.ProcessEnv) {
    const bin = join(this.#directory, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'vsnd'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, {
      mode: 0o755,
    });
    mkdirSync(this.cwd);
    copyFileSync(HELLO, join(this.cwd, 'hello.wav'));
    const { VSND_EMULATE: _, ...inherited } = process.env;
    const own = { PATH: `${bin}:${process.env['PATH']}`, VSND_CONTROL_DIR: join(this.#directory, 'control') };
    this.env = { ...inherited, LC_ALL: 'C', ...env, ...own };
  }

  /** What a command says on both its streams; of one in the background, so many lines. */
  async run(command: string, lines: number): Promise<string[]> {
    const isBackground = isInBackground(command);
    const script = isBackground ? `exec ${command.slice(0, -2)} 2>&1` : `{ ${command}\n} 2>&1`;
    const child = spawn('sh', ['-c', script], { cwd: this.cwd, env: this.env });
    const ended = once(child, 'close');
    if (isBackground) this.#background.push({ stop: () => void child.kill('SIGINT'), ended });
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      said.push(line);
      if (isBackground && said.length === lines) break;
    }
    if (!isBackground) await ended;
    child.stdout.resume();
    return said;
  }

  get cwd(): string {
    return join(this.#directory, 'music');
  }

  async close(): Promise<void> {
    for (const { stop, ended } of this.#background) {
      stop();
      await ended;
    }
    rmSync(this.#directory, { recursive: true });
  }
}
