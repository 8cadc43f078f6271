import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { formatAmount, LIMITS } from '../src/backend/limits.ts';
import { XenErrno } from '../src/wire/xen-errno.ts';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(PROJECT, path), 'utf8');
const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'examples/README.md'],
  ...readdirSync(join(PROJECT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** The first column of a document's tables. */
function firstColumn(path: string): string[] {
  return [...read(path).matchAll(/^\| ([^|]+?) \|/gm)].map(([, cell = '']) => cell);
}

function codesIn(path: string, pattern: RegExp): string[] {
  return [...new Set(read(path).match(pattern))];
}

test('docs/errors.md has every code, once, and no other', () => {
  const codes = codesIn('src/errors.ts', /'ERR_VSND_\w+'/g).map((code) => code.slice(1, -1));
  const documented = firstColumn('docs/errors.md').filter((cell) => cell.startsWith('ERR_'));
  expect(documented.toSorted()).toEqual(codes.toSorted());
});

test('docs/errors.md has status numbers under the names that vsnd gives them', () => {
  const rows = [...read('docs/errors.md').matchAll(/^\| -(\d+) \| (\w+) \|/gm)];
  expect(rows.length).toBeGreaterThan(5);
  for (const [, status, name] of rows) expect(XenErrno[name as keyof typeof XenErrno]).toBe(Number(status));
});

test('docs/backend.md has every limit of a guest, with its default and its help', () => {
  const rows = [...read('docs/backend.md').matchAll(/^\| ([a-z-]+) \| (\d+[KMGT]?) \| (.*) \|$/gm)].map(
    (row) => row.slice(1),
  );
  const limits = Object.entries(LIMITS).map(([name, { unit, default: most, help }]) => [
    name,
    formatAmount(most),
    `${unit}: ${help}`.replace(/\s+/g, ' '),
  ]);
  expect(rows).toEqual(limits);
});

test('docs/playback.md has every warning of a stream', () => {
  const codes = codesIn('src/frontend/stream-events.ts', /\bVSND_\w+/g);
  expect(codes.length).toBeGreaterThan(3);
  for (const code of codes) expect(read('docs/playback.md')).toContain(code);
});

test.each(documents)('%s: what it links to is there', (path) => {
  const targets = [...read(path).matchAll(/\]\(([^)#]+)/g)].map(([, target = '']) => target);
  const missing = targets
    .filter((target) => !/^https?:/.test(target))
    .filter((target) => !existsSync(join(PROJECT, posix.join(posix.dirname(path), target))));
  expect(missing).toEqual([]);
});
