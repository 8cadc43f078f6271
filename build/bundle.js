// Puts what is loaded together into one file: a module costs half a millisecond of CPU to load, whatever is in it. Each of
// them stays where it was, and gives what it has from there.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rollup } from 'rollup';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));

/** The files that are made, and what goes into each: whole layers, as imports run one way between those. */
const BUNDLES = {
  foundation:
    /^(errors|option-names|deferred|release-stack|clock|repeater|child-program)\.js$|^emulation\/process-guest\.js$/,
  library:
    /^((wire|pcm|xenstore|xenbus|config|frontend)\/|open-card\.js$|xen\/[a-z-]+\.js$|control\/(places|own-directory)\.js$)/,
  wav: /^wav\//,
  audio: /^audio\//,
  control: /^control\//,
  backend: /^backend\//,
  emulation: /^(emulation|xen\/emulated)\//,
  linux: /^xen\/linux\//,
  bridge: /^bridge\//,
  metrics: /^metrics\//,
  command: /^cli\/(invocation|arguments|command|commands|messages|terminal|version)\.js$/,
  play: /^cli\/play\//,
  completion: /^cli\/completion\//,
  doctor: /^cli\/doctor\//,
};

/** Those that do something when they are loaded, and those that users import. */
const ALONE =
  /^(index|audio|testing|speaker|speaker-commonjs|create-bridge)\.js$|^emulation\/backend-worker\.js$|^cli\/main\.js$/;

const hasCode = (path) => path.endsWith('.js') && readFileSync(join(DIST, path), 'utf8') !== 'export {};\n'; // else: types
const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' }).filter(hasCode);
const bundleOf = (path) => Object.keys(BUNDLES).find((name) => !ALONE.test(path) && BUNDLES[name].test(path));

const bundle = await rollup({
  input: Object.fromEntries(files.map((path) => [path.slice(0, -3), join(DIST, path)])),
  external: (id) => !id.startsWith('.') && !id.startsWith('/'),
  treeshake: false,
  plugins: [
    {
      name: 'where a module was',
      resolveImportMeta: (property, { chunkId, moduleId }) =>
        property === 'url'
          ? `new URL(${JSON.stringify(relative(dirname(join(DIST, chunkId)), moduleId) || '.')}, import.meta.url).href`
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
