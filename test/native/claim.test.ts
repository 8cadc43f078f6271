import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadAddon } from '../../src/xen/linux/addon.ts';
import { assertNoKernelDriver, claimDevice, ownerOf } from '../../src/xen/linux/claim.ts';
import { openLinuxHypervisor } from '../../src/xen/linux/hypervisor.ts';
import { ADDON } from './stand-in.ts';

const SKIP_REASON = existsSync(ADDON) ? undefined : 'the addon has not been built: npm run test:native';

/** A device node, as Xen's is, which this user may open for writing. */
const NODE = '/dev/null';

/** No other run of these tests uses these names. */
const device = (name: string): string => `test/${process.pid}/${name}`;

const claim = (name: string): (() => void) => claimDevice(name, loadAddon(ADDON), NODE);
const busy = (owner: number, name: string) =>
  expect.objectContaining({
    code: 'ERR_VSND_CARD_BUSY',
    pid: owner,
    path: name,
    message: `${name} is in use by process ${owner}`,
  });

/** Another process that has claimed a device. */
async function claimer(name: string): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('claimer.js', import.meta.url));
  const child = spawn(process.execPath, [script, ADDON, NODE, name], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [text] = await once(child.stdout, 'data');
  expect(String(text)).toBe('claimed\n');
  return child;
}

describe.skipIf(SKIP_REASON)('a claim', () => {
  test('is exclusive, names the owner, and is free again after its release', async () => {
    const name = device('exclusive');
    const release = claim(name);
    const files = readdirSync('/proc/self/fd').length;
    for (let round = 0; round < 3; round++) expect(() => claim(name)).toThrow(busy(process.pid, name));
    expect(readdirSync('/proc/self/fd').length).toBe(files);
    claim(device('another'))();
    release();
    claim(name)();
  });

  test('that is being let go of is known to the whole process: each card is opened through a hypervisor of its own', async () => {
    const [one, other] = [
      await openLinuxHypervisor({ addon: ADDON }),
      await openLinuxHypervisor({ addon: ADDON }),
    ];
    one.leaving.set(device('left'), Promise.resolve());
    onTestFinished(() => void one.leaving.delete(device('left')));
    expect(other.leaving.has(device('left'))).toBe(true);
  });

  test('can be asked about, by whoever may not claim: its owner is named, and asking takes nothing', async () => {
    const name = device('asked');
    expect(await ownerOf(name, NODE)).toBeUndefined();
    const release = claim(name);
    expect(await ownerOf(name, NODE)).toBe(process.pid);
    expect(await ownerOf(device('another'), NODE)).toBeUndefined();
    release();
    expect(await ownerOf(name, NODE)).toBeUndefined();
    expect(await ownerOf(name, '/dev/none')).toBeUndefined();
  });

  test('of another process names that one, and ends with it, killed or not', async () => {
    const name = device('killed');
    const child = await claimer(name);
    expect(() => claim(name)).toThrow(busy(child.pid ?? 0, name));
    expect(await ownerOf(name, NODE)).toBe(child.pid);
    child.kill('SIGKILL');
    await once(child, 'exit');
    claim(name)();
  });

  test('is no matter of names that any user can take', async () => {
    const name = device('squatted');
    const squatter = createServer().listen(`\0vsnd/${name}`);
    onTestFinished(() => void squatter.close());
    await once(squatter, 'listening');
    expect(await ownerOf(name, NODE)).toBeUndefined();
    claim(name)();
  });

  test('needs a node that can be opened for writing, and is not led elsewhere', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vsnd-claim-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    symlinkSync(NODE, join(folder, 'link'));
    const at = (name: string) => () => claimDevice('vsnd/0', loadAddon(ADDON), join(folder, name));
    for (const [name, errno] of [
      ['none', 'ENOENT'],
      ['link', 'ELOOP'],
    ] as const) {
      const failure = { code: 'ERR_VSND_NO_XEN', errno, path: join(folder, name) };
      expect(at(name)).toThrow(expect.objectContaining(failure));
    }
  });
});

describe("the kernel's own driver", () => {
  /** A sysfs with the device vsnd-0, held by a driver or not. */
  function sysfs(held: boolean): string {
    const sys = mkdtempSync(join(tmpdir(), 'vsnd-sys-'));
    for (const folder of ['devices/vsnd-0', 'drivers/vsnd', 'modules/snd_xen_front']) {
      mkdirSync(join(sys, 'bus/xen', folder), { recursive: true });
    }
    symlinkSync('../../modules/snd_xen_front', join(sys, 'bus/xen/drivers/vsnd/module'));
    if (held) symlinkSync('../../drivers/vsnd', join(sys, 'bus/xen/devices/vsnd-0/driver'));
    return sys;
  }

  test.each(['vsnd/0', 'device/vsnd/0'])('that has %s is named, with the way to release it', async (name) => {
    const sys = sysfs(true);
    await expect(assertNoKernelDriver(name, sys)).rejects.toMatchObject({
      code: 'ERR_VSND_CARD_BUSY',
      path: name,
      message:
        "the kernel's driver snd_xen_front has the device vsnd-0: release it with " +
        `'echo vsnd-0 > ${sys}/bus/xen/drivers/vsnd/unbind' as root, and keep it away with ` +
        "'echo blacklist snd_xen_front > /etc/modprobe.d/vsnd.conf', see vsnd help guest-setup.md",
    });
    await assertNoKernelDriver('vsnd/1', sys);
    rmSync(sys, { recursive: true });
  });

  test('that has let go of it, or is no matter of sysfs, is no obstacle', async () => {
    const sys = sysfs(false);
    await assertNoKernelDriver('vsnd/0', sys);
    await assertNoKernelDriver('vsnd/../../0', sys);
    await assertNoKernelDriver('backend', sys);
    rmSync(sys, { recursive: true });
    await assertNoKernelDriver('vsnd/0', sys);
  });
});
