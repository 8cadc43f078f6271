// Puts what is loaded together into one file: a module costs half a millisecond of CPU to load, whatever is in it. Each of
// them stays where it was, and gives what it has from there.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rollup } from 'rollup';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));

/** Those that do something when they are loaded, and those that users import. */
const ALONE =
  /^(index|audio|testing|speaker|speaker-commonjs|create-bridge|create-sound-server|emulation\/backend-worker|cli\/main)\.js$/;

/** Modules of several layers that are loaded together; of all others each layer is a bundle, and each part of the command. */
const BUNDLES = {
  foundation:
    /^((errors|option-names|deferred|release-stack|clock|repeater|child-program)\.js$|emulation\/process-guest\.js$)/,
  library:
    /^((wire|pcm|xenstore|xenbus|config|frontend)\/|open-card\.js$|xen\/[a-z-]+\.js$|control\/(places|own-directory)\.js$)/,
  command: /^cli\/(invocation|arguments|command|commands|lost-terminals|messages|terminal|version)\.js$/,
  emulation: /^(emulation|xen\/emulated)\//,
};

/** The name of a module's bundle; undefined where it stays alone. */
function bundleOf(path) {
  if (ALONE.test(path)) return undefined;
  const name = Object.keys(BUNDLES).find((name) => BUNDLES[name].test(path));
  return name ?? /^(?:cli\/|xen\/|(?!cli\/))([a-z-]+)\//.exec(path)?.[1];
}

const hasCode = (path) => path.endsWith('.js') && readFileSync(join(DIST, path), 'utf8') !== 'export {};\n'; // else: types
const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter(hasCode);

const bundle = await rollup({
  input: Object.fromEntries(files.map((path) => [path.slice(0, -3), join(DIST, path)])),
  external: (id) => !id.startsWith('.') && !id.startsWith('/'),
  treeshake: false,
  plugins: [
    {
      name: 'where a module was',
      resolveImportMeta: (property, { chunkId, moduleId }) =>
        property === 'url'
          ? // As text: webpack would look for the file in `new URL('...', import.meta.url)`, and pack it.
            `new URL(${JSON.stringify(relative(dirname(join(DIST, chunkId)), moduleId) || '.')}, String(import.meta.url)).href`
          : undefined,
    },
  ],
  onwarn: ({ message }) => {
    throw new Error(message);
  },
});
await bundle.write({
  dir: DIST,
  format: 'es',
  manualChunks: (id) => bundleOf(relative(DIST, id)),
  chunkFileNames: 'bundles/[name].js',
  minifyInternalExports: false,
  hoistTransitiveImports: false,
});
