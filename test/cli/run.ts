import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, vi } from 'vitest';
import { WavWriter } from '../../src/wav/writer.ts';
import { type PcmFormatName, pcmFormat } from '../../src/wire/pcm-format.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The built command, as `npm test` builds it first. */
export const MAIN =
  process.env['VSND_TEST_MAIN'] ?? fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Built too: the thread of an emulated guest's backend needs the compiled files. */
const { Invocation }: typeof import('../../src/cli/invocation.ts') = await import(
  new URL('../../dist/cli/invocation.js', import.meta.url).href
);

const STACK = /^\s+at .*:\d+:\d+/m;

export interface Ended {
  /** The exit status; undefined after a signal that nobody handled. */
  status: number | undefined;
  stdout: string;
  stderr: string;
}

/** A running command. */
export class Running {
  readonly child: ChildProcess;
  readonly #ended: Promise<Ended>;
  #stdout = '';
  #stderr = '';

  constructor(command: string, args: string[], env: NodeJS.ProcessEnv = {}) {
    const { VSND_EMULATE: _, NO_COLOR: __, ...inherited } = process.env;
    this.child = spawn(command, args, { cwd: root, env: { ...inherited, ...env } });
    onTestFinished(() => void this.child.kill('SIGKILL'));
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout += chunk;
    });
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk;
    });
    this.#ended = once(this.child, 'close').then(([status]) => {
      expect(this.#stdout + this.#stderr, 'no stack reaches the user').not.toMatch(STACK);
      return { status: status ?? undefined, stdout: this.#stdout, stderr: this.#stderr };
    });
  }

  /** Resolves when standard output has said `text`; rejects when the command ends without. */
  async said(text: string): Promise<void> {
    const ended = this.#ended.then((how) => {
      if (!how.stdout.includes(text)) throw new Error(`ended without "${text}": ${JSON.stringify(how)}`);
    });
    while (!this.#stdout.includes(text)) {
      const { stdout } = this.child;
      if (stdout === null || stdout.readableEnded) return ended;
      await Promise.race([once(stdout, 'data'), ended]);
    }
  }

  ended(): Promise<Ended> {
    return this.#ended;
  }
}

/** Starts `vsnd`, as a process. */
export function start(args: string[], env?: NodeJS.ProcessEnv): Running {
  return new Running(process.execPath, [MAIN, ...args], env);
}

/** Keeps what is written to it. */
class Said extends Writable {
  text = '';

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk;
    done();
  }
}

/**
 * Runs `vsnd` to its end, in this process, which takes a tenth of the time. For what a process has, which is signals, pipes,
 * a terminal and an end, there is {@link start}. `signal` ends it, as a signal does.
 */
export async function vsnd(
  args: string[],
  env: NodeJS.ProcessEnv = {},
  signal = new AbortController().signal,
): Promise<Ended> {
  const out = new Said();
  const err = new Said();
  const warn = ({ message }: Error) => err.write(`vsnd: warning: ${message}\n`);
  for (const [name, value] of Object.entries({ VSND_EMULATE: undefined, NO_COLOR: undefined, ...env })) {
    vi.stubEnv(name, value);
  }
  process.on('warning', warn);
  try {
    const status = await (
      await Invocation.of(args, { stdout: out, stderr: err, env: process.env, signal })
    ).run();
    expect(out.text + err.text, 'no stack reaches the user').not.toMatch(STACK);
    return { status, stdout: out.text, stderr: err.text };
  } finally {
    process.off('warning', warn);
    vi.unstubAllEnvs();
  }
}

interface Sound {
  format?: PcmFormatName;
  rate?: number;
  channels?: number;
  /** Seconds. */
  seconds?: number;
}

/** Writes a WAV file whose frames all differ, and returns its path. */
export function makeWav(path: string, sound: Sound = {}): string {
  const { format = 's16_le', rate = 48_000, channels = 2, seconds = 0.5 } = sound;
  const writer = new WavWriter(path, { format, rate, channels });
  const bytes = new Uint8Array(Math.round(rate * seconds) * channels * (pcmFormat(format).sampleBytes ?? 1));
  writer.write(bytes.map((_, index) => (index * 167) >>> 3));
  writer.close();
  return path;
}
