#!/usr/bin/env node
import { Invocation } from './invocation.ts';
import { closeLostTerminals } from './lost-terminals.ts';

const SIGNAL_STATUS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** ms: how long clearing up may take after a signal. A backend that has died must not hold the terminal. */
const GRACE = 5000;

const { argv, env, stdout, stderr } = process;
const stopped = new AbortController();
const invocation = await Invocation.of(argv.slice(2), { stdout, stderr, env, signal: stopped.signal });
const { terminal } = invocation;

/** The first one counts. */
function setStatus(status: number): void {
  process.exitCode ??= status;
}

function stop(status: number): void {
  setStatus(status);
  stopped.abort();
  setTimeout(() => process.exit(), GRACE).unref();
}

for (const [signal, status] of Object.entries(SIGNAL_STATUS)) {
  // The handler stays, so that a second Ctrl-C does not interrupt the clearing up after the first.
  process.on(signal, () => stop(status));
}
// A reader that has gone away (`vsnd list | head -1`) is no reason to stop. Whoever writes sound there hears of it.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (stdout.isTTY) return stop(SIGNAL_STATUS.SIGHUP); // it has been closed: what is written hears of it before the signal
  if (!invocation.saysOnStdout || error.code === 'EPIPE' || process.exitCode !== undefined) return;
  setStatus(invocation.fail(error));
});
stderr.on('error', () => {});
process.removeAllListeners('warning').on('warning', (warning) => {
  terminal.complain(`warning: ${warning.message}`);
});
process.on('exit', () => {
  terminal.release();
  closeLostTerminals();
});
process.on('uncaughtException', (error) => {
  setStatus(invocation.fail(error));
  process.exit();
});

void invocation.run().then((status) => {
  // SIGTERM is how a service is ended: one that has then closed all that it had has done well.
  const isDone = status === 0 && process.exitCode === SIGNAL_STATUS.SIGTERM && invocation.isService;
  if (isDone) process.exitCode = 0;
  if (status !== 0) setStatus(status); // 0 is left open: writing what was said may yet fail
});
