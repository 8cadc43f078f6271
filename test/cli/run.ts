import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { WavWriter } from '../../src/wav/writer.ts';
import { type PcmFormatName, pcmFormat } from '../../src/wire/pcm-format.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The built command, as `npm test` builds it first. */
export const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

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
      expect(this.#stdout + this.#stderr, 'no stack reaches the user').not.toMatch(/^\s+at .*:\d+:\d+/m);
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

/** Starts `vsnd`. */
export function start(args: string[], env?: NodeJS.ProcessEnv): Running {
  return new Running(process.execPath, [MAIN, ...args], env);
}

/** Runs `vsnd` to its end. */
export function vsnd(args: string[], env?: NodeJS.ProcessEnv): Promise<Ended> {
  return start(args, env).ended();
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
  const octets = new Uint8Array(Math.round(rate * seconds) * channels * (pcmFormat(format).sampleBytes ?? 1));
  writer.write(octets.map((_, index) => (index * 167) >>> 3));
  writer.close();
  return path;
}
