import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const CHECK = fileURLToPath(new URL('../../native/check-symbols.js', import.meta.url));

describe.each(['linux-x64', 'linux-arm64'])('the addon for %s', (target) => {
  const file = fileURLToPath(new URL(`../../prebuilds/${target}/vsnd.node`, import.meta.url));
  const reason = existsSync(file) ? '' : ' (skipped: it has not been built)';

  test.skipIf(reason)(`asks for nothing newer than GLIBC_2.28, and for no other library${reason}`, () => {
    const { stdout } = spawnSync(process.execPath, [CHECK, file], { encoding: 'utf8' });
    expect(stdout).toBe(`${file}: ok\n`);
  });
});
