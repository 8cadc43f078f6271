import type { Writable } from 'node:stream';
import { isEmulationRequested } from '../emulation/process-guest.ts';
import { UsageError } from './arguments.ts';
import type { Command } from './command.ts';
import { commandNames, findCommand, loadCommands } from './commands.ts';
import { didYouMean } from './did-you-mean.ts';
import { errorMessage } from './messages.ts';
import { type OutputStream, Terminal } from './terminal.ts';
import { version } from './version.ts';

/** What of a process a command is run with. */
export interface Surroundings {
  readonly stdout: Writable & OutputStream;
  readonly stderr: OutputStream;
  readonly env: NodeJS.ProcessEnv;
  /** Aborts when the user has had enough. */
  readonly signal: AbortSignal;
}

/** `vsnd` with some arguments: all of it but what only a process has, which is signals and an end. */
export class Invocation {
  readonly terminal: Terminal;
  /** Whether standard output is for text; else sound goes there. */
  readonly saysOnStdout: boolean;
  /** Whether it runs until SIGTERM, which is then no failure. */
  readonly isService: boolean;
  readonly #name: string | undefined;
  readonly #args: readonly string[];
  readonly #command: Command | undefined;
  readonly #surroundings: Surroundings;

  /** `args`: those after the name of the program. */
  static async of([name, ...args]: readonly string[], surroundings: Surroundings): Promise<Invocation> {
    const command = name === undefined ? undefined : await findCommand(name);
    return new Invocation(name, args, command, surroundings);
  }

  private constructor(
    name: string | undefined,
    args: readonly string[],
    command: Command | undefined,
    surroundings: Surroundings,
  ) {
    const { stdout, stderr, env } = surroundings;
    this.#name = name;
    this.#args = args;
    this.#command = command;
    this.#surroundings = surroundings;
    this.isService = this.#command?.isService ?? false;
    this.saysOnStdout = !this.#command?.writesToStdout?.(args);
    this.terminal = new Terminal(this.saysOnStdout ? stdout : stderr, stderr, env);
  }

  /** Runs it to its end, and says what went wrong. Returns its exit status. */
  async run(): Promise<number> {
    try {
      return (await this.#run()) ? 0 : 1;
    } catch (error) {
      return this.fail(error);
    }
  }

  /** Tells the user what went wrong. Returns the exit status that tells the shell. */
  fail(error: unknown): number {
    this.terminal.release();
    const withStack = this.#surroundings.env['VSND_DEBUG'] === '1';
    this.terminal.complain(errorMessage(error, withStack, this.#command?.name));
    return error instanceof UsageError ? 2 : 1;
  }

  /** Returns whether all went well. */
  async #run(): Promise<boolean> {
    if (this.#command) return await this.#runCommand(this.#command);
    this.terminal.say(await this.#about());
    return true;
  }

  /** What is asked for where no command is. Rejects with {@link UsageError}. */
  async #about(): Promise<string> {
    const name = this.#name;
    if (name === undefined) throw new UsageError('a command is missing');
    if (name === '--version' || name === '-V') return version();
    if (name === 'help' || name === '--help' || name === '-h') return await this.#help(this.#args[0]);
    if (!name.startsWith('-'))
      throw new UsageError(`unknown command '${name}'${didYouMean(name, commandNames())}`);
    throw new UsageError(`unknown option '${name}'${didYouMean(name, ['--help', '--version'])}`);
  }

  /** About everything, a command, or what one of the pages is about. Rejects with {@link UsageError}. */
  async #help(topic = 'help'): Promise<string> {
    const { commandHelp, generalHelp } = await import('./help.ts');
    if (['--help', '-h', 'help'].includes(topic)) return generalHelp(await loadCommands());
    const command = await findCommand(topic);
    if (command) return commandHelp(command);
    const { findPage, pageNames } = await import('./pages.ts');
    const page = findPage(topic);
    if (page !== undefined) return page;
    const topics = [...commandNames(), ...pageNames()];
    throw new UsageError(`there is no help on '${topic}'${didYouMean(topic, topics)}`);
  }

  async #runCommand(command: Command): Promise<boolean> {
    const { terminal } = this;
    const { stdout, env, signal } = this.#surroundings;
    const end = this.#args.indexOf('--');
    const options = end === -1 ? this.#args : this.#args.slice(0, end);
    if (options.includes('--help') || options.includes('-h')) {
      const { commandHelp } = await import('./help.ts');
      terminal.say(commandHelp(command));
      return true;
    }
    const isEmulated = isEmulationRequested(env) && 'emulate' in command.options;
    const args = isEmulated ? ['--emulate', ...this.#args] : this.#args;
    try {
      return await command.run(args, { terminal, stdout, signal, loadCommands });
    } catch (error) {
      if (signal.aborted && error instanceof Error && error.name === 'AbortError') return true; // as it was told
      throw error;
    }
  }
}
