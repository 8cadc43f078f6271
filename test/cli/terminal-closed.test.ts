import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { expect, onTestFinished, test } from 'vitest';
import { useDirectory } from '../wav/files.ts';
import { hasScript } from './on-terminal.ts';
import { MAIN, makeWav } from './run.ts';

const files = useDirectory();

/** What a shell does: it hands the SIGHUP on that it gets when its terminal is closed. */
const SHELL = `"$@" </dev/tty & child=$!; trap 'kill -HUP $child' HUP; wait $child; wait $child; echo $? >"$STATUS"`;

test.skipIf(!hasScript).each([
  ['play', '--emulate', 'long.wav'],
  ['tone', '--emulate'],
  ['record', '--emulate', 'heard.wav'],
  ['backend', '--emulate'],
])('terminal closed: %s ends with 129', async (command, ...args) => {
  makeWav(files.path('long.wav'), { seconds: 60 });
  const status = files.path('status');
  execFileSync('mkfifo', [status]);
  const typed = [process.execPath, MAIN, command, ...args].map((word) => `'${word}'`).join(' ');
  const terminal = spawn(
    'script',
    ['-qec', `sh -c '${SHELL.replaceAll("'", `'"'"'`)}' sh ${typed}`, '/dev/null'],
    {
      cwd: files.path('.'),
      env: { ...process.env, TERM: 'xterm', STATUS: status },
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  onTestFinished(() => void terminal.kill('SIGKILL'));
  await once(terminal.stdout, 'data'); // it has begun
  terminal.kill('SIGKILL');
  expect((await readFile(status, 'utf8')).trim()).toBe('129');
});
