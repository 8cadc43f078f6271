import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { checkNode } from '../../src/cli/doctor/machine-checks.ts';
import type { Finding } from '../../src/cli/doctor/report.ts';
import { thisMachine } from '../../src/cli/doctor/system.ts';
import { describeFinding } from '../../src/cli/doctor.ts';
import { prebuiltPath } from '../../src/xen/linux/addon.ts';
import { useDirectory } from '../wav/files.ts';
import { start, vsnd } from './run.ts';

const directory = useDirectory();
const hasXen = existsSync('/dev/xen') || existsSync('/proc/xen') || existsSync('/sys/hypervisor');

const fileOf = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

const parse = (stdout: string): Finding[] => JSON.parse(stdout);

describe('a line of the report', () => {
  test.each<[Finding, string]>([
    [{ check: 'xen', status: 'ok', message: 'a guest' }, 'OK       xen            a guest'],
    [{ check: 'card', status: 'skipped', message: 'needs xen' }, 'skipped  card           needs xen'],
    [
      { check: 'kernel-driver', status: 'problem', message: 'it is there', fix: 'take it away' },
      'problem  kernel-driver  it is there\n                        take it away',
    ],
    [
      { check: 'configuration', status: 'ok', message: 'a\x1b[2J\nOK       card\x9b' },
      'OK       configuration  a?[2J?OK       card?',
    ],
  ])('%j', (finding, text) => {
    expect(describeFinding(finding)).toBe(text);
  });
});

describe('the version of Node', () => {
  test('must be the one that the package asks for, or newer', () => {
    const { engines } = JSON.parse(fileOf('package.json'));
    expect(engines).toEqual({ node: '>=20.19' });
    for (const version of ['20.19.0', '20.100.0', '22.1.0', '100.0.0'])
      expect(checkNode(version)).toEqual({ message: version });
    for (const version of ['20.18.9', '20.9.0', '9.99.9']) expect(() => checkNode(version)).toThrow(version);
  });
});

describe('this machine', () => {
  const { linux } = thisMachine();

  test('opens a device, without creating one', async () => {
    const path = directory.path('device');
    await expect(linux?.tryOpen(path)).rejects.toMatchObject({ code: 'ENOENT', syscall: 'open' });
    expect(existsSync(path)).toBe(false);
    directory.put('device', Uint8Array.of(1));
    await linux?.tryOpen(path);
    expect(readFileSync(path)).toEqual(Buffer.of(1));
  });

  test('says where the addon is, or that there is none', () => {
    if (existsSync(prebuiltPath())) expect(linux?.loadAddon()).toBe(prebuiltPath());
    else expect(() => linux?.loadAddon()).toThrow(prebuiltPath());
  });
});

test('docs/doctor.md tells of every check', async () => {
  const { stdout } = await vsnd(['doctor', '--json']);
  const documented = [...fileOf('docs/doctor.md').matchAll(/^\| `([a-z][a-z-]+)` \|/gm)].map(
    ([, name]) => name,
  );
  expect(parse(stdout).map(({ check }) => check)).toEqual(documented);
});

describe('the command', () => {
  test.each([
    [['--loud'], "unknown option '--loud'"],
    [['file'], "unexpected argument 'file'"],
    [['--card', 'x'], "--card is 'x'; allowed: 0, 1, 2, ..."],
    [['--emulate', '--release'], '--release is not for an emulated machine: it has no driver of the kernel'],
  ])('%j: status 2', async (args, message) => {
    expect(await vsnd(['doctor', ...args])).toEqual({
      status: 2,
      stdout: '',
      stderr: `vsnd: ${message}; see vsnd doctor --help\n`,
    });
  });

  test('help', async () => {
    const { status, stdout } = await vsnd(['doctor', '--help']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/^Usage: vsnd doctor/) });
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect((await vsnd(['help', 'doctor'])).stdout).toBe(stdout);
    expect((await vsnd(['--help'])).stdout).toMatch(/^ {2}doctor /m);
  });

  test.skipIf(hasXen)('without Xen says no (skipped on Xen)', async () => {
    const { status, stdout, stderr } = await vsnd(['doctor']);
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    const [node, xen, fix, ...others] = stdout.trimEnd().split('\n');
    expect(node).toBe(`OK       node           ${process.versions.node}`);
    expect(xen).toMatch(/^problem {2}xen {12}\S/);
    expect(fix).toBe('                        vsnd play --emulate plays without Xen');
    expect(others.pop()).toBe('1 problem was found; see vsnd help doctor.md.');
    for (const line of others) expect(line).toMatch(/^skipped {2}\S+ +needs xen$/);
  });

  test.skipIf(hasXen)('without Xen, as JSON (skipped on Xen)', async () => {
    const { status, stdout, stderr } = await vsnd(['doctor', '--json']);
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' });
    expect(parse(stdout).filter((finding) => finding.status === 'problem')).toEqual([
      { check: 'xen', status: 'problem', message: expect.any(String), fix: expect.any(String) },
    ]);
  });

  test.each([
    ['--emulate', ['--emulate'], {}],
    ['VSND_EMULATE=1', [], { VSND_EMULATE: '1' }],
  ])('on an emulated machine sound can play: %s', async (_, args, env) => {
    const { status, stdout, stderr } = await start(['doctor', ...args], env).ended();
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.pop()).toBe('No problem was found.');
    for (const line of lines) expect(line).toMatch(/^OK /);
    expect(lines.at(-1)).toMatch(/^OK {7}connection /);
  });

  test('leaves the connection out when asked to', async () => {
    const { status, stdout } = await vsnd(['doctor', '--emulate', '--no-connect', '--json']);
    expect(status).toBe(0);
    expect(parse(stdout).at(-1)).toMatchObject({ check: 'backend', status: 'ok' });
  });

  test('says which card is not there', async () => {
    const { status, stdout } = await vsnd(['doctor', '--emulate', '--card', '7', '--json']);
    expect(status).toBe(1);
    expect(parse(stdout).find(({ check }) => check === 'card')).toMatchObject({
      status: 'problem',
      message: 'this guest has no sound card 7; it has 0',
    });
  });
});
