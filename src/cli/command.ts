import type { Writable } from 'node:stream';
import { type CommandLine, type OptionDescriptions, parseCommandLine } from './arguments.ts';
import type { OutputStream, Terminal } from './terminal.ts';

/** Terms, and what each means. */
export type Glossary = Readonly<Record<string, string>>;

/** What a user may know of a command: `--help`, the man page and completion come from it. White space is free. */
export interface CommandDescription<Options extends OptionDescriptions = OptionDescriptions> {
  readonly name: string;
  /** A few words, for the list of all commands. */
  readonly summary: string;
  /** Its arguments that are no options; by default there are none. */
  readonly operands?: Operands;
  /** Paragraphs. */
  readonly description: readonly string[];
  readonly options: Options;
  /** Each command line, and what it shows. */
  readonly examples: Glossary;
  /** Whether it runs until SIGTERM, which is then no failure. */
  readonly isService?: boolean;
}

export interface Operands {
  /** As the usage has them: [FILE.wav]. */
  readonly usage: string;
  readonly most: number;
  /** What may be meant, for completion: files, or one of some words. */
  readonly complete: 'files' | readonly string[];
}

/** What a command works with. */
export interface CommandContext {
  readonly terminal: Terminal;
  /** Where sound goes that is written to standard output. */
  readonly stdout: Writable & OutputStream;
  /** Aborts when the user has had enough. */
  readonly signal: AbortSignal;
  /** All commands that there are. */
  readonly loadCommands: () => Promise<readonly Command[]>;
}

export interface Command extends CommandDescription {
  /** Whether it writes something else than text to standard output, which then is for nothing else. */
  readonly writesToStdout?: (args: readonly string[]) => boolean;
  /**
   * Resolves with whether all went well; what did not has been said. Rejects with what ended it, and with
   * {@link UsageError}.
   */
  readonly run: (args: readonly string[], context: CommandContext) => Promise<boolean>;
}

/** A command, from its description and what it does with the options and operands that have been parsed. */
export function defineCommand<Options extends OptionDescriptions>({
  run,
  ...command
}: CommandDescription<Options> &
  Pick<Command, 'writesToStdout'> & {
    readonly run: (line: CommandLine<Options>, context: CommandContext) => Promise<boolean>;
  }): Command {
  const { options, operands } = command;
  return {
    ...command,
    run: async (args, context) => run(parseCommandLine(args, options, operands?.most), context),
  };
}
