import { configDefaults, defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // These need real programs (npm run test:bridge, test:server), or domains of another kind (npm run test:native).
    exclude: [...configDefaults.exclude, 'test/{bridge,server}/real/**', 'test/native/carried/**'],
    testTimeout: 120_000, // ends what hangs: a busy machine may take its time
    isolate: false, // files share a worker's modules, which have no state: half the CPU time
    server: { deps: { external: [/\/dist\//] } }, // built already: Node loads it as it is
    maxWorkers: '100%', // vitest leaves a core idle: on two cores that is half of them
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary', 'html'],
      thresholds: {
        'src/wire/**': { branches: 95 },
        'src/xenbus/**': { branches: 95 },
        'src/pcm/**': { branches: 95 },
      },
    },
  },
});
