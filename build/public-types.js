// Leaves in dist/ the declarations that users can see.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DIST, reachedFiles } from './reached.js';

const reached = reachedFiles('.d.ts');
for (const name of readdirSync(DIST, { recursive: true, encoding: 'utf8' })) {
  if (name.endsWith('.d.ts') && !reached.has(join(DIST, name))) rmSync(join(DIST, name));
}
