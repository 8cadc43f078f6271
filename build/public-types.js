// Leaves in dist/ the declarations that the entry points of package.json lead to: users see no others.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');

const reached = new Set();
const waiting = entryPoints(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).exports);
for (const path of waiting) {
  if (reached.has(path)) continue;
  reached.add(path);
  waiting.push(...importsOf(path));
}
for (const name of readdirSync(DIST, { recursive: true, encoding: 'utf8' })) {
  if (name.endsWith('.d.ts') && !reached.has(join(DIST, name))) rmSync(join(DIST, name));
}

function entryPoints(exports) {
  const paths = Object.values(exports).flatMap((entry) => Object.values(entry));
  return paths.filter((path) => path.endsWith?.('.d.ts')).map((path) => resolve(ROOT, path));
}

function importsOf(path) {
  const text = readFileSync(path, 'utf8');
  return [...text.matchAll(/(?:from|import\(|require\(|import) ?['"](\.[^'"]+)\.[jt]s['"]/g)].map(
    ([, name]) => resolve(dirname(path), `${name}.d.ts`),
  );
}
