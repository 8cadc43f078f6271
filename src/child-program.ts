import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { RealClock } from './clock.ts';
import { deferred } from './deferred.ts';

/** ns that a program has to end after SIGTERM, or to say why it has ended. */
export const GRACE = 0.5e9;

/** Characters of a program's standard error that are kept, and of its last line that are reported. */
const STDERR_KEPT = 4096;
const STDERR_REPORTED = 200;

/** How a program is started. */
export interface ProgramCommand {
  /** What it is called in messages. */
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Also a SIGKILL of this process ends it: the kernel sees to that, by util-linux's setpriv. */
  readonly isTied?: boolean;
}

/** File descriptors, which it gets as blocking ones; 'ignore', for none; or what takes the text that it prints. */
export interface ProgramStdio {
  readonly stdin: number | 'ignore';
  readonly stdout: number | 'ignore' | ((text: string) => void);
}

/**
 * A program that has been started, and whatever that has started: a process group. This process takes it along when it ends
 * by itself, even if it has not waited for it.
 */
export class ChildProgram {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #ended = deferred();
  #stderr = '';

  /** Rejects as spawn() does. */
  static async start(command: ProgramCommand, { stdin, stdout }: ProgramStdio): Promise<ChildProgram> {
    const { name, env, isTied } = command;
    const words = [...(isTied ? ['setpriv', '--pdeathsig', 'TERM'] : []), command.file, ...command.args];
    const [file = '', ...args] = words;
    const child = spawn(file, args, {
      stdio: [stdin, typeof stdout === 'function' ? 'pipe' : stdout, 'pipe'],
      env: { ...process.env, ...env },
      detached: true, // a process group, which can be ended as a whole, and which Ctrl-C does not reach
    });
    if (typeof stdout === 'function') child.stdout?.setEncoding('utf8').on('data', stdout);
    await once(child, 'spawn');
    return new ChildProgram(name, child);
  }

  private constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#child = child;
    child.on('error', () => {}); // a signal that could not be sent
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    const forget = beforeExit(() => this.#signal('SIGKILL'));
    child.once('exit', () => {
      forget();
      this.#killRest();
      // Somebody outside the group may hold them.
      const timer = new RealClock().after(GRACE, () => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      });
      child.once('close', () => timer.cancel());
    });
    child.once('close', () => this.#ended.resolve());
  }

  /** Resolves when it, and whatever it had started, is gone. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** The exit status; undefined while it runs, and where a signal has ended it. */
  get status(): number | undefined {
    return this.#child.exitCode ?? undefined;
  }

  /** What it has said on its standard error, the last of it. */
  get stderr(): string {
    return this.#stderr;
  }

  /** The last line of that, as much as is reported; empty where there is none. */
  get lastLine(): string {
    return this.#stderr.trimEnd().split('\n').at(-1)?.slice(0, STDERR_REPORTED) ?? '';
  }

  /** SIGTERM, then SIGKILL; resolves as {@link ended}. */
  async end(): Promise<void> {
    this.#signal('SIGTERM');
    const timer = new RealClock().after(GRACE, () => this.#signal('SIGKILL'));
    await this.ended;
    timer.cancel();
  }

  /** Why it is of no use any more: its status or the signal, else `otherwise`, and the last line of its standard error. */
  explain(otherwise: string): string {
    const { exitCode, signalCode } = this.#child;
    const what = exitCode
      ? `ended with status ${exitCode}`
      : signalCode
        ? `was ended by ${signalCode}`
        : otherwise;
    return `${this.#name} ${what}${this.lastLine && `: ${this.lastLine}`}`;
  }

  /** To the group, as long as its leader has not been reaped: from then on its number may be another one's. */
  #signal(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid !== undefined && exitCode === null && signalCode === null) sendSignal(-pid, signal);
  }

  /**
   * Once, when the leader has been reaped, to what it has left behind in its group. While any of that lives the kernel gives
   * the number to nobody; so where a process has it again, nothing of the group is left.
   */
  #killRest(): void {
    const { pid } = this.#child;
    if (pid !== undefined && !sendSignal(pid, 0)) sendSignal(-pid, 'SIGKILL');
  }
}

/** Does something when this process ends, unless what is returned has been called. */
function beforeExit(work: () => void): () => void {
  process.setMaxListeners(process.getMaxListeners() + 1).on('exit', work);
  return () => process.off('exit', work).setMaxListeners(process.getMaxListeners() - 1);
}

/** Whether there was anybody to send it to. */
function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
