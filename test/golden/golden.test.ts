import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('regenerate.sh', import.meta.url));
const hasHeaders = existsSync('/usr/include/xen/io/sndif.h') && existsSync('/usr/include/libxl.h');
const hasCompiler = spawnSync('cc', ['--version']).status === 0;

const run = (args: string[], env: NodeJS.ProcessEnv = process.env) =>
  spawnSync('/bin/sh', [script, ...args], { env, encoding: 'utf8' });

describe('regenerate.sh', () => {
  it.skipIf(!hasHeaders || !hasCompiler)(
    'finds in the committed JSON what the installed headers give',
    { timeout: 60_000 },
    () => {
      const { status, stdout, stderr } = run(['--check']);
      expect(`${stdout}${stderr}`).toBe('golden.json is what the installed headers give\n');
      expect(status).toBe(0);
    },
  );

  it('names the package of a missing compiler', () => {
    const { status, stderr } = run(['--check'], { ...process.env, CC: 'no-such-compiler' });
    expect(stderr).toContain('install the package gcc');
    expect(status).toBe(1);
  });

  it.skipIf(!hasCompiler)('names the package of missing headers', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vsnd-golden-'));
    try {
      const blind = join(folder, 'cc');
      writeFileSync(blind, '#!/bin/sh\nexec cc -nostdinc "$@"\n', { mode: 0o755 });
      const { status, stderr } = run([], { ...process.env, CC: blind });
      expect(stderr).toContain('install the package libxen-dev');
      expect(status).toBe(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('refuses an argument that it does not know', () => {
    const { status, stderr } = run(['--chekc']);
    expect(stderr).toContain("unknown argument '--chekc'");
    expect(status).toBe(1);
  });
});
