import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { MAIN } from './cli/run.ts';

const run = promisify(execFile);
const DIST = new URL('../dist/', import.meta.url);

/** Prints the address of each module that is loaded, a line each, to standard error. */
const LOADER = `
  import { writeSync } from 'node:fs';
  export async function load(url, context, next) {
    writeSync(2, url + '\\n');
    return await next(url, context);
  }`;
const REGISTER = `
  import { register } from 'node:module';
  register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(LOADER)}`)});`;

/** The files of dist/ that a program loads. */
async function loadedBy(...args: string[]): Promise<string[]> {
  const register = `data:text/javascript,${encodeURIComponent(REGISTER)}`;
  const { stderr } = await run(process.execPath, ['--import', register, ...args]);
  const lines = stderr.split('\n').filter((line) => line.startsWith(DIST.href));
  return lines.map((line) => line.slice(DIST.href.length)).sort();
}

test("import 'vsnd' loads what opens a card and no more", async () => {
  const entry = fileURLToPath(new URL('index.js', DIST));
  expect(await loadedBy('--input-type=module', '--eval', `import ${JSON.stringify(entry)}`)).toEqual([
    'bundles/foundation.js',
    'bundles/library.js',
    'create-bridge.js',
    'create-sound-server.js',
    'index.js',
  ]);
});

test('vsnd --version loads no command', async () => {
  expect(await loadedBy(MAIN, '--version')).toEqual([
    'bundles/command.js',
    'bundles/foundation.js',
    'cli/main.js',
  ]);
});

test('vsnd list --emulate loads neither decoders nor bridges nor what other commands are', async () => {
  const loaded = await loadedBy(MAIN, 'list', '--emulate');
  expect(loaded).toContain('bundles/emulation.js');
  expect(loaded.filter((path) => /audio|bridge|metrics|play|record|doctor/.test(path))).toEqual([]);
});
