#!/usr/bin/env node
import { isEmulationRequested } from '../emulation/process-guest.ts';
import { UsageError } from './arguments.ts';
import type { Command } from './command.ts';
import { COMMANDS, findCommand } from './commands.ts';
import { commandHelp, generalHelp } from './help.ts';
import { errorMessage } from './messages.ts';
import { Terminal } from './terminal.ts';
import { version } from './version.ts';

const SIGNAL_STATUS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** ms: how long clearing up may take after a signal. A backend that has died must not hold the terminal. */
const GRACE = 5000;

const { argv, env, stdout, stderr } = process;
const [name, ...args] = argv.slice(2);
const command = COMMANDS.find((one) => one.name === name);
const saysOnStdout = !command?.writesToStdout?.(args);
const terminal = new Terminal(saysOnStdout ? stdout : stderr, stderr, env);
const stopped = new AbortController();

/** Tells the user what went wrong, and the shell too. */
function fail(error: unknown): void {
  terminal.release();
  terminal.complain(errorMessage(error, env['VSND_DEBUG'] === '1', command?.name));
  process.exitCode ??= error instanceof UsageError ? 2 : 1;
}

async function run(): Promise<void> {
  if (command) return runCommand(command);
  if (name === undefined) throw new UsageError('a command is missing');
  if (name === '--version') return terminal.say(version());
  const topic = name === 'help' ? args[0] : name;
  if (topic === undefined || ['--help', '-h', 'help'].includes(topic)) {
    return terminal.say(generalHelp(COMMANDS));
  }
  terminal.say(commandHelp(findCommand(topic)));
}

async function runCommand(command: Command): Promise<void> {
  const options = args.slice(0, args.indexOf('--') === -1 ? args.length : args.indexOf('--'));
  if (options.includes('--help') || options.includes('-h')) return terminal.say(commandHelp(command));
  if (isEmulationRequested(env) && 'emulate' in command.options) args.unshift('--emulate');
  const { signal } = stopped;
  const isWell = await command
    .run(args, { terminal, stdout, signal, commands: COMMANDS })
    .catch((error: Error) => {
      if (signal.aborted && error.name === 'AbortError') return true; // as it was told
      throw error;
    });
  if (!isWell) process.exitCode ??= 1;
  // SIGTERM is how a service is ended: one that has then closed all that it had has done well.
  if (command.isService && process.exitCode === SIGNAL_STATUS.SIGTERM) process.exitCode = 0;
}

for (const [signal, status] of Object.entries(SIGNAL_STATUS)) {
  // The handler stays, so that a second Ctrl-C does not interrupt the clearing up after the first.
  process.on(signal, () => {
    process.exitCode ??= status;
    stopped.abort();
    setTimeout(() => process.exit(), GRACE).unref();
  });
}
// A reader that has gone away (`vsnd list | head -1`) is no reason to stop. Whoever writes sound there hears of it.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (saysOnStdout && error.code !== 'EPIPE' && process.exitCode === undefined) fail(error);
});
stderr.on('error', () => {});
process.removeAllListeners('warning').on('warning', (warning) => {
  terminal.complain(`warning: ${warning.message}`);
});
process.on('exit', () => terminal.release());
process.on('uncaughtException', (error) => {
  fail(error);
  process.exit();
});

run().catch(fail);
