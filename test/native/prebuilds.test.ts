import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { prebuiltPath } from '../../src/xen/linux/addon.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const HOST = here('musl-host.c');
const CHECK = here('../../native/check-symbols.js');

const ADDONS = ['vsnd', 'vsnd-pipewire'] as const;
type AddonName = (typeof ADDONS)[number];

const prebuilt = (target: string, addon: AddonName): string =>
  here(`../../prebuilds/${target}/${addon}.node`);
const missing = (file: string): string => (existsSync(file) ? '' : ' (skipped: it has not been built)');

describe.each([
  ['linux-x64', 'nothing newer than GLIBC_2.28'],
  ['linux-arm64', 'nothing newer than GLIBC_2.28'],
  ['linux-x64-musl', "nothing of glibc's"],
  ['linux-arm64-musl', "nothing of glibc's"],
])('of the addons for %s', (target, nothing) => {
  for (const addon of ADDONS) {
    const file = prebuilt(target, addon);
    const reason = missing(file);

    test.skipIf(reason)(`${addon} asks for ${nothing}, and for no other library${reason}`, () => {
      const { stdout } = spawnSync(process.execPath, [CHECK, file], { encoding: 'utf8' });
      expect(stdout).toBe(`${file}: ok\n`);
    });
  }
});

describe.each(ADDONS)('%s for musl', (addon) => {
  const file = prebuilt(`linux-${process.arch}-musl`, addon);
  const other = prebuilt(`linux-${process.arch}`, addon);
  const reason = spawnSync('musl-gcc', ['--version']).error
    ? ' (skipped: there is no musl-gcc; Debian: apt install musl-tools)'
    : missing(file) || missing(other);

  test.skipIf(reason)(`loads in a program on musl, and exports what the one for glibc does${reason}`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'vsnd-musl-'));
    try {
      writeFileSync(join(folder, 'not-called.h'), notCalled(file));
      const host = join(folder, 'musl-host');
      const flags = ['-rdynamic', '-Wall', '-Wextra', '-Werror', `-I${folder}`];
      execFileSync('musl-gcc', [...flags, '-o', host, HOST], { stdio: 'pipe' });
      // What is preloaded here, stand-in devices and sanitizers, is glibc's.
      const env = { ...process.env, LD_PRELOAD: '' };
      const exported = execFileSync(host, [file], { encoding: 'utf8', stdio: 'pipe', env });
      const addon: object = createRequire(import.meta.url)(other);
      expect(exported.trim().split('\n')).toEqual(Object.keys(addon));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the addon for musl', () => {
  test('is chosen where the process has musl as its C library, and only there', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vsnd-maps-'));
    const chosen = (name: string): string => {
      const maps = join(folder, 'maps');
      writeFileSync(maps, `7f3c0000-7f3d0000 r-xp 00000000 fe:00 42    ${name}\n7ffd0000 rw-p [stack]\n`);
      return prebuiltPath(maps);
    };
    try {
      const { platform, arch } = process;
      expect(chosen('/lib/ld-musl-x86_64.so.1')).toContain(`/${platform}-${arch}-musl/vsnd.node`);
      expect(chosen('/lib64/ld-linux-x86-64.so.2')).toContain(`/${platform}-${arch}/vsnd.node`);
      expect(chosen('/srv/ld-musl-x86_64.so.1/node')).toContain(`/${platform}-${arch}/vsnd.node`);
      expect(prebuiltPath(join(folder, 'none'))).toContain(`/${platform}-${arch}/vsnd.node`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** A line for each function that the addon asks of Node and musl-host.c does not fake. */
function notCalled(file: string): string {
  const host = readFileSync(HOST, 'utf8');
  const symbols = execFileSync('readelf', ['--wide', '--dyn-syms', file], { encoding: 'utf8' });
  const names = [...symbols.matchAll(/ UND ((?:napi|uv)_\w+)$/gm)].map(([, name = '']) => name);
  return names
    .filter((name) => !host.includes(` ${name}(`))
    .map((name) => `NOT_CALLED(${name})\n`)
    .join('');
}
