// Makes one file of the contract suite and all that it imports: Dom0 has neither vitest nor a compiler.
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Writes `suite.mjs` into the folder. */
export async function bundleContract(folder) {
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: { vitest: here('vitest.js') } },
    ssr: { noExternal: true },
    build: {
      ssr: here('entry.js'),
      outDir: folder,
      emptyOutDir: true,
      rollupOptions: { output: { entryFileNames: 'suite.mjs' } },
    },
  });
}
