import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { publicNames } from './public-names.ts';

const run = promisify(execFile);

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DIST = `${ROOT}dist/`;
const ENTRIES = ['index', 'audio', 'testing', 'speaker-commonjs'];

/** Runs a TypeScript from node_modules; resolves with what it says, rejects where it has errors. */
async function tsc(typescript: string, ...args: string[]): Promise<string> {
  const compiler = `${ROOT}node_modules/${typescript}/bin/tsc`;
  const { stdout } = await run(process.execPath, [compiler, ...args]).catch((error) => {
    throw new Error(`${typescript}: ${error.stdout}${error.stderr}`);
  });
  return stdout;
}

describe.each([
  ['typescript-5.4', /^Version 5\.4\./],
  ['typescript-6', /^Version 6\./],
  ['typescript', /^Version 7\./],
])('the types that are published, to %s', (typescript, version) => {
  test('are a program’s that uses all of them, and refuse its mistakes', async () => {
    expect(await tsc(typescript, '--version')).toMatch(version);
    expect(await tsc(typescript, '-p', `${ROOT}test/types/user/tsconfig.json`)).toBe('');
  });

  // Older ones know no require() of an ES module.
  test.skipIf(typescript === 'typescript-5.4')('are those of a module that requires `speaker`', async () => {
    expect(await tsc(typescript, '-p', `${ROOT}test/types/user/tsconfig.require.json`)).toBe('');
  });
});

describe('what is internal', () => {
  test('is in no type that is published', async () => {
    const names = publicNames(
      DIST,
      ENTRIES.map((entry) => `${DIST}${entry}.d.ts`),
    );
    await expect(`${names.join('\n')}\n`).toMatchFileSnapshot('public-names.txt');
  });

  test('is marked for TypeScript to leave it out', () => {
    const marked = readdirSync(DIST, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.d.ts'))
      .filter((path) => /@internal|[Nn]ot for users/.test(readFileSync(DIST + path, 'utf8')));
    expect(marked).toEqual([]);
  });
});
