// Leaves in dist/ the declarations that users can see, indented by tabs: a tenth of them was blanks.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DIST, reachedFiles } from './reached.js';

const reached = reachedFiles('.d.ts');
const withTabs = (text) => text.replace(/^(?: {4})+/gm, (blanks) => '\t'.repeat(blanks.length / 4));
for (const path of reached) writeFileSync(path, withTabs(readFileSync(path, 'utf8')));
for (const name of readdirSync(DIST, { recursive: true, encoding: 'utf8' })) {
  if (name.endsWith('.d.ts') && !reached.has(join(DIST, name))) rmSync(join(DIST, name));
}
