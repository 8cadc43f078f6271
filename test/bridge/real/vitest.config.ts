import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Real sound servers: they share a machine better one after the other. */
export default defineConfig({
  root: fileURLToPath(new URL('../../..', import.meta.url)),
  test: {
    include: ['test/bridge/real/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 30_000,
    fileParallelism: false,
  },
});
