import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { deferred } from '../deferred.ts';
import { VsndError } from '../errors.ts';

/** ms that a program has to end after SIGTERM, or to say why it has ended. */
export const GRACE = 500;

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
}

/** File descriptors, which it gets as blocking ones; or 'ignore', for none. */
export interface ProgramStdio {
  readonly stdin: number | 'ignore';
  readonly stdout: number | 'ignore';
}

/**
 * A program that has been started, and whatever that has started: a process group. This process takes it along when it ends
 * by itself, even if it has not waited for it.
 */
export class Program {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #ended = deferred();
  #stderr = '';

  /** Rejects as spawn() does. */
  static async start(command: ProgramCommand, { stdin, stdout }: ProgramStdio): Promise<Program> {
    const child = spawn(command.file, command.args, {
      stdio: [stdin, stdout, 'pipe'],
      env: { ...process.env, ...command.env },
      detached: true, // a process group, which can be ended as a whole, and which Ctrl-C does not reach
    });
    await once(child, 'spawn');
    return new Program(command.name, child);
  }

  private constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#child = child;
    child.on('error', () => {}); // a signal that could not be sent
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    let timer: NodeJS.Timeout | undefined;
    const forget = beforeExit(() => this.#signal('SIGKILL'));
    child.once('exit', () => {
      forget();
      this.#killRest();
      timer = setTimeout(() => child.stderr?.destroy(), GRACE); // somebody outside the group may hold it
    });
    child.once('close', () => {
      clearTimeout(timer);
      this.#ended.resolve();
    });
  }

  /** Resolves when it, and whatever it had started, is gone. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** The exit status; undefined while it runs, and where a signal has ended it. */
  get status(): number | undefined {
    return this.#child.exitCode ?? undefined;
  }

  /** SIGTERM, then SIGKILL; resolves as {@link ended}. */
  async end(): Promise<void> {
    this.#signal('SIGTERM');
    const timer = setTimeout(() => this.#signal('SIGKILL'), GRACE);
    await this.ended;
    clearTimeout(timer);
  }

  /** Why it is of no use any more: its status or the signal, else `otherwise`, and the last line of its standard error. */
  failure(otherwise: string): VsndError {
    const { exitCode, signalCode } = this.#child;
    const what = exitCode
      ? `ended with status ${exitCode}`
      : signalCode
        ? `was ended by ${signalCode}`
        : otherwise;
    const reason = this.#stderr.trimEnd().split('\n').at(-1)?.slice(0, STDERR_REPORTED);
    return new VsndError('ERR_VSND_DEVICE', `${this.#name} ${what}${reason ? `: ${reason}` : ''}`);
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

/** What keeps a program from being started. */
export function cannotStart({ name }: ProgramCommand, cause: unknown): VsndError {
  return new VsndError('ERR_VSND_DEVICE', `cannot start ${name}: ${(cause as Error).message}`, { cause });
}
