// The addon for an architecture, built where it is missing or older than its sources.
import { execFile } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { NODE_ARCHITECTURES, Unavailable } from './packages.js';

const run = promisify(execFile);
const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
const SOURCES = join(PROJECT, 'native');

/** Its path. Throws Unavailable where it cannot be built here, saying what to install. */
export async function buildAddon(arch, say) {
  const name = NODE_ARCHITECTURES[arch];
  const addon = join(PROJECT, 'prebuilds', `linux-${name}`, 'vsnd.node');
  if (isCurrent(addon)) return addon;
  say(`building the addon for ${name}`);
  await run(process.execPath, [join(SOURCES, 'build.js'), '--arch', name]).catch(({ stderr }) => {
    throw new Unavailable(stderr.trim());
  });
  return addon;
}

function isCurrent(addon) {
  const built = statSync(addon, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = [SOURCES, join(SOURCES, 'engine')].flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => join(folder, name)),
  );
  return sources.every((source) => statSync(source).mtimeMs <= built);
}
