import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { ChildProgram, type ProgramStdio } from '../src/child-program.ts';
import { Running } from './cli/run.ts';

const QUIET: ProgramStdio = { stdin: 'ignore', stdout: 'ignore' };
const shell = (script: string) => ({ name: 'it', file: 'sh', args: ['-c', script] });

test('what it prints comes as text, of whole characters', async () => {
  let printed = '';
  const program = await ChildProgram.start(shell("printf 'ein L\\303'; sleep 0.1; printf '\\266we'"), {
    ...QUIET,
    stdout: (text) => {
      printed += text;
    },
  });
  await program.ended;
  expect([program.status, printed]).toEqual([0, 'ein Löwe']);
});

test.each([
  ['exit 3', 'it ended with status 3'],
  ['echo first >&2; echo last >&2; exit 3', 'it ended with status 3: last'],
  ['kill -KILL $$', 'it was ended by SIGKILL'],
  ['echo why >&2', 'it is over: why'],
])('%j: %s', async (script, explanation) => {
  const program = await ChildProgram.start(shell(script), QUIET);
  await program.ended;
  expect(program.explain('is over')).toBe(explanation);
});

test('one that cannot be started rejects as spawn() does', async () => {
  await expect(ChildProgram.start({ ...shell(''), file: '/no/such' }, QUIET)).rejects.toMatchObject({
    code: 'ENOENT',
  });
});

const hasSetpriv = spawnSync('setpriv', ['--version']).status === 0;

test.skipIf(!hasSetpriv)('one that is tied ends also with a process that is killed', async () => {
  const script = `
    import { ChildProgram } from './dist/child-program.js';
    const command = { name: 'idle', file: 'sleep', args: ['1000'], isTied: true };
    await ChildProgram.start(command, { stdin: 'ignore', stdout: 1 });
    console.log('started');
    setInterval(() => {}, 1000);
  `;
  const parent = new Running('node', ['--input-type=module', '-e', script]);
  await parent.said('started');
  parent.child.kill('SIGKILL');
  // Its standard output ends when the program has.
  expect(await parent.ended()).toMatchObject({ status: undefined, stdout: 'started\n' });
});
