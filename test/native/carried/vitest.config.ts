import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/**
 * Suites of the emulated machine once more, whose domains have the stand-in's devices, and whose streams a thread carries.
 *
 * Of test/hostile those in which a card is open. What stays out tries only what knows no thread: the backend (limits, turns,
 * opens-in-turns, shared-pages, metrics, programs-anew, cards-given-up, default-source), files (audio, files, pieces), XenStore's
 * bytes (standstill, loops), more guests than the stand-in has room for (xenstore). Single tests that stay out say why where they
 * stand (`IS_CARRIED`).
 */
export default defineConfig({
  root: fileURLToPath(new URL('../../..', import.meta.url)),
  test: {
    include: [
      'test/native/carried/engines.test.ts',
      'test/peers/streams.test.ts',
      'test/frontend/*.test.ts',
      'test/hostile/{odd-values,unwatch,watch-storm,xenstore-lost}.test.ts',
    ],
    env: { VSND_TEST_CARRIED: '1' },
    setupFiles: ['test/native/carried/setup.ts'],
    testTimeout: 120_000,
  },
});
