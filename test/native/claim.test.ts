import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RealClock } from '../../src/clock.ts';
import { assertNoKernelDriver, claimDevice, ownerOf } from '../../src/xen/linux/claim.ts';

const clock = new RealClock();
/** No other run of these tests uses these names. */
const device = (name: string): string => `test/${process.pid}/${name}`;

/** A process that listens under a device's name and answers as `answer` says. */
async function owner(name: string, answer: string): Promise<ChildProcess> {
  const script = `require('node:net').createServer((socket) => { socket.on('error', () => {}); ${answer} })
    .listen(${JSON.stringify(`\0vsnd/${name}`)}, () => console.log('listening'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

describe.skipIf(process.platform !== 'linux')('a claim', () => {
  test('is exclusive, names the owner, and is free again after its release', async () => {
    const name = device('exclusive');
    const release = await claimDevice(name, clock);
    for (let round = 0; round < 3; round++) {
      await expect(claimDevice(name, clock)).rejects.toMatchObject({
        code: 'ERR_VSND_CARD_BUSY',
        pid: process.pid,
        path: name,
        message: `${name} is in use by process ${process.pid}`,
      });
    }
    await (await claimDevice(device('another'), clock))();
    await release();
    await (await claimDevice(name, clock))();
  });

  test('can be asked about: its owner is named, and asking takes nothing', async () => {
    const name = device('asked');
    expect(await ownerOf(name, clock)).toBeUndefined();
    const [asked, release] = await Promise.all([ownerOf(name, clock), claimDevice(name, clock)]);
    expect([undefined, process.pid]).toContain(asked);
    expect(await ownerOf(name, clock)).toBe(process.pid);
    await release();
    expect(await ownerOf(name, clock)).toBeUndefined();
  });

  test('of a process that does not say who it is is an error, and not its absence', async () => {
    const name = device('nameless');
    const child = await owner(name, 'socket.end()');
    await expect(ownerOf(name, clock)).rejects.toMatchObject({ code: 'ERR_VSND_CARD_BUSY', path: name });
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  test('goes to one of many who try at once', async () => {
    const tries = Array.from({ length: 20 }, () => claimDevice(device('race'), clock));
    const results = await Promise.allSettled(tries);
    const won = results.filter((result) => result.status === 'fulfilled');
    expect(won).toHaveLength(1);
    for (const { value } of won) await value();
  });

  test('of another process names that one, and ends with it, killed or not', async () => {
    const name = device('killed');
    const child = await owner(name, "socket.end(process.pid + '\\n')");
    await expect(claimDevice(name, clock)).rejects.toMatchObject({
      code: 'ERR_VSND_CARD_BUSY',
      pid: child.pid,
      message: expect.stringContaining(`process ${child.pid}`),
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await claimDevice(name, clock))();
  });

  test.each([
    ['says nothing', ''],
    ['says something else', "socket.end('12x\\n')"],
    ['says too much', "setInterval(() => socket.write('9'.repeat(64)), 1)"],
    ['hangs up', 'socket.destroy()'],
  ])('of a process that %s is busy, without a pid', async (_, answer) => {
    const name = device('strange');
    const child = await owner(name, answer);
    const error = await claimDevice(name, clock).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'ERR_VSND_CARD_BUSY',
      message: `${name} is in use by another process, which does not say which one it is`,
    });
    expect(error).not.toHaveProperty('pid');
    child.kill();
    await once(child, 'exit');
  });

  test('does not hold the process', async () => {
    const servers = () => process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length;
    const before = servers();
    const release = await claimDevice(device('unref'), clock);
    expect(servers()).toBe(before);
    await release();
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
        "'echo blacklist snd_xen_front > /etc/modprobe.d/vsnd.conf', see docs/guest-setup.md",
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
