#!/usr/bin/env node
import { isEmulationRequested } from '../emulation/process-guest.ts';
import { UsageError } from './arguments.ts';
import { backend } from './backend.ts';
import { doctor } from './doctor.ts';
import { helpText, version } from './help.ts';
import { list } from './list.ts';
import { errorMessage } from './messages.ts';
import { monitor } from './monitor.ts';
import { play } from './play.ts';
import { record, recordsToStdout } from './record.ts';
import { Terminal } from './terminal.ts';
import { volume } from './volume.ts';

const SIGNAL_STATUS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** ms: how long clearing up may take after a signal. A backend that has died must not hold the terminal. */
const GRACE = 5000;

const { argv, env, stdout, stderr } = process;
const args = argv.slice(2);
const saysOnStdout = !recordsToStdout(args);
const terminal = new Terminal(saysOnStdout ? stdout : stderr, stderr, env);
const stopped = new AbortController();

/** Tells the user what went wrong, and the shell too. */
function fail(error: unknown): void {
  terminal.release();
  terminal.complain(errorMessage(error, env['VSND_DEBUG'] === '1'));
  process.exitCode ??= error instanceof UsageError ? 2 : 1;
}

async function run([command, ...rest]: string[]): Promise<void> {
  const options = rest.slice(0, rest.indexOf('--') === -1 ? rest.length : rest.indexOf('--'));
  if (command === undefined) throw new UsageError('a command is missing');
  if (command === '--version') return terminal.say(version());
  if (command === '--help' || command === '-h') return terminal.say(helpText(undefined));
  if (command === 'help') return terminal.say(helpText(rest[0]));
  if (options.includes('--help') || options.includes('-h')) return terminal.say(helpText(command));
  if (isEmulationRequested(env)) rest.unshift('--emulate');
  if (command === 'play') return play(rest, terminal, stopped.signal);
  if (command === 'record') return record(rest, terminal, stdout, stopped.signal);
  if (command === 'volume') return conclude(volume(rest, terminal));
  if (command === 'monitor') return monitor(rest, terminal, stopped.signal);
  if (command === 'list') return list(rest, terminal);
  if (command === 'backend') return serve(rest);
  if (command === 'doctor') return conclude(doctor(rest, terminal, stopped.signal));
  throw new UsageError(`unknown ${command.startsWith('-') ? 'option' : 'command'} '${command}'`);
}

/** SIGTERM is how a service is ended: one that has then closed all its devices has done well. */
async function serve(args: string[]): Promise<void> {
  await backend(args, terminal, stopped.signal);
  if (process.exitCode === SIGNAL_STATUS.SIGTERM) process.exitCode = 0;
}

/** What is wrong has been said; the status says it to the shell. */
async function conclude(isWell: Promise<boolean>): Promise<void> {
  if (!(await isWell)) process.exitCode ??= 1;
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

run(args).catch((error: unknown) => {
  if (!(stopped.signal.aborted && (error as Error).name === 'AbortError')) fail(error);
});
