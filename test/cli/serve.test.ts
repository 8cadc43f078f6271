import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeDirectory } from '../server/real/serve-command.ts';
import { vsnd } from './run.ts';

// What it does is tested with real programs: test/server/real.
describe('wrong usage', () => {
  test.each([
    [['x'], "unexpected argument 'x'"],
    [['--sink', 'null'], '--sink needs --emulate'],
    [['--no-sink', '--no-source'], '--no-sink and --no-source leave nothing to do'],
    [['--default', '--socket', '/x'], '--default and --socket exclude each other'],
    [['--latency', '5'], "--latency is '5'; allowed: 10 to 2000 ms"],
    [['--role', 'navigation'], "--role is 'navigation'; allowed: a media.role, '='"],
    [['--card', 'x'], "--card is 'x'"],
  ])('%j is told of', async (args, message) => {
    const { status, stdout, stderr } = await vsnd(['serve', ...args]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain('see vsnd serve --help');
  });
});

test.each([
  ['native', 'its socket'],
  [`emulated-${process.pid}.sock`, 'that of its control'],
])('it ends when it is told to at the moment when %s is there, %s', async (name) => {
  const directory = makeDirectory();
  const socket = join(directory, 'native');
  const stop = new AbortController();
  const args = ['serve', '--emulate', '--sink', 'null', '--socket', socket];
  const ended = vsnd(args, { VSND_CONTROL_DIR: directory }, stop.signal);
  while (!existsSync(join(directory, name))) await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  expect((await ended).stderr).toBe('');
  expect(readdirSync(directory)).toEqual([]);
});
