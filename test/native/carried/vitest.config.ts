import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Suites of the emulated machine once more, whose domains have the stand-in's devices, and whose streams a thread carries. */
export default defineConfig({
  root: fileURLToPath(new URL('../../..', import.meta.url)),
  test: {
    include: [
      'test/native/carried/engines.test.ts',
      'test/peers/streams.test.ts',
      'test/frontend/bit-exact.test.ts',
      'test/frontend/capture-stream.test.ts',
      'test/frontend/formats.test.ts',
    ],
    env: { VSND_TEST_CARRIED: '1' },
    setupFiles: ['test/native/carried/setup.ts'],
    testTimeout: 120_000,
  },
});
