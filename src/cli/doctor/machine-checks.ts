import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Problem, type Report } from './report.ts';
import type { LinuxSystem } from './system.ts';

/** package.json's engines. */
const OLDEST_NODE = '20.19';

/** Bit of Xen's features in Dom0: XENFEAT_dom0, features.h. */
const FEATURE_DOM0 = 1 << 11;

/** Those of /sys/devices/system/clocksource that a guest reads without leaving its own code, and to the nanosecond. */
const GOOD_CLOCK_SOURCES = ['xen', 'tsc', 'arch_sys_counter'];

/** capabilities(7) */
const CAP_SYS_NICE = 1n << 23n;

const EMULATE = 'vsnd play --emulate plays without Xen';

/** `node`: its version, as in '20.19.0'. */
export function checkNode(node: string) {
  const order = node.localeCompare(OLDEST_NODE, 'en', { numeric: true });
  if (order >= 0) return { message: node };
  throw new Problem(`Node ${node} is too old for vsnd`, `install Node ${OLDEST_NODE} or newer`);
}

/** What is between a guest's programs and Xen. */
export async function examineLinux(report: Report, system: LinuxSystem) {
  const xen = await report.check('xen', () => checkGuest(system));
  const behindXen = <T extends { message: string }>(check: string, examine: () => Promise<T>) =>
    report.check(check, () => {
      xen.need();
      return examine();
    });
  const xenbus = await behindXen('xenbus', () => checkDevice(system, 'xenbus'));
  const evtchn = await behindXen('evtchn', () => checkDevice(system, 'evtchn', 'xen-evtchn'));
  const gntalloc = await behindXen('gntalloc', () => checkDevice(system, 'gntalloc', 'xen-gntalloc'));
  const addon = await behindXen('addon', async () => ({ message: system.loadAddon() }));
  await report.check('engine', () => {
    addon.need();
    return checkEngine(system);
  });
  await behindXen('clock-source', () => checkClockSource(system));
  return { xenbus, evtchn, gntalloc, addon };
}

async function checkGuest({ platform, devices, sys, proc }: LinuxSystem) {
  if (platform !== 'linux') {
    throw new Problem(`vsnd plays in Linux guests of Xen; this is ${platform}`, EMULATE);
  }
  const signs = [
    existsSync(devices),
    existsSync(`${proc}/xen`),
    (await read(`${sys}/hypervisor/type`)) === 'xen',
  ];
  if (!signs.includes(true)) throw new Problem('this machine is not a guest of Xen', EMULATE);
  const features = (await read(`${sys}/hypervisor/properties/features`)) ?? '0';
  if (Number.parseInt(features.slice(-8), 16) & FEATURE_DOM0) {
    throw new Problem(
      'this is Dom0; sound cards are those of guests',
      'run vsnd doctor in the guest; what Dom0 needs is vsnd backend, see vsnd help backend.md',
    );
  }
  return { message: `a guest of Xen ${await xenVersion(sys)}`.trimEnd() };
}

async function xenVersion(sys: string): Promise<string> {
  const parts = await Promise.all(
    ['major', 'minor'].map((part) => read(`${sys}/hypervisor/version/${part}`)),
  );
  return parts.includes(undefined) ? '' : parts.join('.');
}

/** Opened, not looked at: rights are more than a file's mode. `module`: what makes the device, if not the kernel itself. */
async function checkDevice({ devices, sys, tryOpen }: LinuxSystem, name: string, module?: string) {
  const path = `${devices}/${name}`;
  const isLoaded = module !== undefined && existsSync(`${sys}/module/${module.replaceAll('-', '_')}`);
  try {
    await tryOpen(path);
    return { message: isLoaded ? `${path}, of module ${module}` : `${path}, built into the kernel` };
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      throw new Problem(
        `this user may not open ${path}: ${code}`,
        'run as root, or install the udev rule of vsnd help guest-setup.md',
      );
    }
    if (!['ENOENT', 'ENXIO', 'ENODEV'].includes(code)) throw error;
    if (module !== undefined && !isLoaded) {
      throw new Problem(
        `there is no ${path}: the module ${module} is not loaded`,
        `modprobe ${module}, as root`,
      );
    }
    throw new Problem(
      `there is no ${path}, although ${module ?? 'the kernel'} has made the device`,
      'mount devtmpfs on /dev, or let udev make the node',
    );
  }
}

/** The engine asks by itself; this says what it gets. */
async function checkEngine({ proc }: LinuxSystem) {
  const limit = /^Max realtime priority +(\S+)/m.exec((await read(`${proc}/self/limits`)) ?? '')?.[1] ?? '0';
  const capabilities = /^CapEff:\s*([0-9a-f]+)/m.exec((await read(`${proc}/self/status`)) ?? '')?.[1] ?? '0';
  const isPrivileged = (BigInt(`0x${capabilities}`) & CAP_SYS_NICE) !== 0n;
  if (isPrivileged || limit !== '0') return { message: 'native, with real-time priority' };
  return { message: 'native, without real-time priority: ulimit -r 1 or LimitRTPRIO=1 gives it' };
}

async function checkClockSource({ sys }: LinuxSystem) {
  const file = `${sys}/devices/system/clocksource/clocksource0/current_clocksource`;
  const source = (await readFile(file, 'utf8')).trim();
  if (GOOD_CLOCK_SOURCES.includes(source)) return { message: source };
  throw new Problem(
    `the kernel takes the time from ${source}, which is slow or coarse in a guest`,
    `echo xen > ${file}, as root`,
  );
}

async function read(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch {
    return undefined;
  }
}
