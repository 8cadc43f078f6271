import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Real programs: they share a machine better one after the other. */
export default defineConfig({
  root: fileURLToPath(new URL('../../..', import.meta.url)),
  test: {
    include: ['test/server/real/**/*.test.ts'],
    testTimeout: 90_000,
    hookTimeout: 30_000,
    fileParallelism: false,
  },
});
