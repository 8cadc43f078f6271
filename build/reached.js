// What of dist/ the entry points of package.json lead to.
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const DIST = join(ROOT, 'dist');

/** What is started as a thread, and imported by none. */
const THREAD = 'dist/emulation/backend-worker.js';

/** Relative names that a file imports, of itself or when it has to. */
const IMPORTS = /(?:from|import|import\(|require\() ?['"](\.[^'"]+)\.[jt]s['"]/g;

/** All files with this ending, .js or .d.ts, that users of the package can load: absolute paths. */
export function reachedFiles(ending) {
  const { exports, bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const entries = Object.values(exports).flatMap((entry) => Object.values(entry));
  const named = [...entries, ...Object.values(bin), THREAD];
  const waiting = named.filter((path) => path.endsWith?.(ending)).map((path) => resolve(ROOT, path));
  const reached = new Set();
  for (const path of waiting) {
    if (reached.has(path)) continue;
    reached.add(path);
    for (const [, name] of readFileSync(path, 'utf8').matchAll(IMPORTS))
      waiting.push(resolve(dirname(path), `${name}${ending}`));
  }
  return reached;
}
