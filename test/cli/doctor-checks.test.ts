import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type DiagnoseOptions, diagnose } from '../../src/cli/doctor/diagnose.ts';
import { type Finding, Report } from '../../src/cli/doctor/report.ts';
import { type LinuxSystem, type System, thisMachine } from '../../src/cli/doctor/system.ts';
import { VsndError } from '../../src/errors.ts';
import { openCard } from '../../src/index.ts';
import {
  createSoundCard,
  type EmulatedDomain,
  removeSoundCard,
  startTestGuest,
  type TestGuest,
  type TestGuestOptions,
} from '../../src/testing.ts';
import { XsType } from '../../src/wire/xenstore.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { stepUntilSettled } from '../waits.ts';

const CARD = '/local/domain/1/device/vsnd/0';
const BACKEND = '/local/domain/0/backend/vsnd/1/0';
const UNBIND = '/sys/bus/xen/drivers/vsnd/unbind';

/** A test guest whose Linux is a folder; all is well there until a test spoils something. */
class Patient {
  readonly guest: TestGuest;
  readonly folder = mkdtempSync(join(tmpdir(), 'vsnd-doctor-'));
  linux: LinuxSystem = {
    platform: 'linux',
    devices: `${this.folder}/dev/xen`,
    sys: `${this.folder}/sys`,
    proc: `${this.folder}/proc`,
    tryOpen: (path) => thisMachine().linux?.tryOpen(path) ?? Promise.reject(new Error('no Linux')),
    loadAddon: () => '/prebuilds/vsnd.node',
  };
  node = '20.19.0';
  /** Processes that end with the test. */
  readonly visitors: EmulatedDomain[] = [];
  /** What the doctor's own process in the guest had when it ended. */
  leaks: string[] | undefined;
  /** Hears of each timer that the doctor sets, with its delay in ns. */
  onTimer: (delay: number) => void = () => {};

  static async admit(options: TestGuestOptions = {}): Promise<Patient> {
    const patient = new Patient(await startTestGuest(options));
    patients.push(patient);
    return patient;
  }

  constructor(guest: TestGuest) {
    this.guest = guest;
    for (const device of ['xenbus', 'evtchn', 'gntalloc']) this.put(`/dev/xen/${device}`, '');
    this.put('/proc/xen/capabilities', '\n');
    this.put('/proc/self/limits', 'Max nice priority         0  0 \nMax realtime priority     0  0 \n');
    this.put('/proc/self/status', 'CapEff:\t0000000000000000\n');
    this.put('/sys/hypervisor/type', 'xen\n');
    this.put('/sys/hypervisor/version/major', '4\n');
    this.put('/sys/hypervisor/version/minor', '17\n');
    this.put('/sys/hypervisor/properties/features', '000227f0\n'); // every bit around XENFEAT_dom0
    this.put('/sys/module/xen_evtchn/refcnt', '0\n');
    this.put('/sys/module/xen_gntalloc/parameters/limit', '1024\n');
    this.put('/sys/devices/system/clocksource/clocksource0/current_clocksource', 'xen\n');
    this.put('/sys/bus/xen/devices/vsnd-0/devtype', 'vsnd\n');
  }

  put(path: string, text: string): void {
    mkdirSync(dirname(this.folder + path), { recursive: true });
    writeFileSync(this.folder + path, text);
  }

  remove(...paths: string[]): void {
    for (const path of paths) rmSync(this.folder + path, { recursive: true });
  }

  /** Gives the card to a driver of the kernel's. */
  bindDriver(): void {
    this.put(UNBIND, '');
    this.put('/sys/module/snd_xen_front/refcnt', '1\n');
    symlinkSync('../../../../module/snd_xen_front', `${this.folder}/sys/bus/xen/drivers/vsnd/module`);
    symlinkSync('../../../../bus/xen/drivers/vsnd', `${this.folder}/sys/bus/xen/devices/vsnd-0/driver`);
  }

  refuseToOpen(device: string, code: string): void {
    const { tryOpen } = this.linux;
    const refuse = () => Promise.reject(Object.assign(new Error(`${code}: no`), { code, syscall: 'open' }));
    this.linux = {
      ...this.linux,
      tryOpen: (path) => (path.endsWith(device) ? refuse() : tryOpen(path)),
    };
  }

  /** Writes into XenStore, as Dom0. */
  write(path: string, value: string): void {
    this.guest.machine.store.run((view) => view.write(path, Buffer.from(value)));
  }

  read(path: string): string {
    let value = '';
    this.guest.machine.store.run((view) => {
      value = Buffer.from(view.read(path).value).toString();
    });
    return value;
  }

  removeNode(path: string): void {
    this.guest.machine.store.run((view) => view.remove(path));
  }

  /** Another process in the guest. */
  startProcess(): EmulatedDomain {
    return this.guest.machine.startProcess(1);
  }

  /** The guest's card in XenStore, all of it. */
  cardNodes(): unknown {
    let nodes: unknown;
    this.guest.machine.store.run((view) => {
      nodes = view.read(CARD); // never changed in place
    });
    return nodes;
  }

  async examine(
    options: Partial<DiagnoseOptions> = {},
    { emulated = false, signal = new AbortController().signal } = {},
  ): Promise<Finding[]> {
    const report = new Report(signal);
    const system: System = {
      node: this.node,
      ...(!emulated && { linux: this.linux }),
      openHypervisor: async () => {
        const hypervisor = this.startProcess();
        const { clock } = hypervisor;
        const after = clock.after.bind(clock);
        clock.after = (delay, callback) => {
          this.onTimer(delay);
          return after(delay, callback);
        };
        const release = async () => {
          this.leaks = hypervisor.leaks();
          await hypervisor.close();
        };
        return { hypervisor, release };
      },
    };
    await this.pass(diagnose(report, system, { release: false, connect: true, ...options }, signal));
    expect(this.leaks ?? []).toEqual([]);
    const text = JSON.stringify(report.findings).replaceAll(this.folder, '');
    return JSON.parse(text);
  }

  /** Lets the time pass until `promise` has settled. */
  async pass<T>(promise: Promise<T>): Promise<T> {
    return await stepUntilSettled(promise, () => this.guest.clock.advanceTime(0.05e9));
  }

  async discharge(): Promise<void> {
    rmSync(this.folder, { recursive: true });
    for (const visitor of this.visitors) await visitor.close();
    await this.guest.close();
  }
}

const patients: Patient[] = [];

afterEach(async () => {
  for (const patient of patients.splice(0)) await patient.discharge();
});

/** The names of the checks with that status, in order. */
function checksThat(status: Finding['status'], findings: readonly Finding[]): string[] {
  return findings.filter((finding) => finding.status === status).map(({ check }) => check);
}

function finding(check: string, findings: readonly Finding[]): Finding | undefined {
  return findings.find((found) => found.check === check);
}

const BEFORE_STORE = ['node', 'xen', 'xenbus', 'evtchn', 'gntalloc', 'addon', 'engine', 'clock-source'];
const FROM_CARD = ['kernel-driver', 'owner', 'configuration', 'quota', 'pages', 'backend', 'connection'];
const ALL = [...BEFORE_STORE, 'xenstore', 'card', ...FROM_CARD];

test('a guest in which all is well', async () => {
  const patient = await Patient.admit({ fields: { 'short-name': 'VCard' } });
  expect(await patient.examine()).toEqual(
    [
      ['node', '20.19.0'],
      ['xen', 'a guest of Xen 4.17'],
      ['xenbus', '/dev/xen/xenbus, built into the kernel'],
      ['evtchn', '/dev/xen/evtchn, of module xen-evtchn'],
      ['gntalloc', '/dev/xen/gntalloc, of module xen-gntalloc'],
      ['addon', '/prebuilds/vsnd.node'],
      ['engine', 'native, without real-time priority: ulimit -r 1 or LimitRTPRIO=1 gives it'],
      ['clock-source', 'xen'],
      ['xenstore', 'answers; this is domain 1'],
      ['card', 'card 0'],
      ['kernel-driver', "no driver of the kernel's has vsnd-0"],
      ['owner', 'no process has the card'],
      ['configuration', 'VCard, streams: 1 playback, 0 capture'],
      ['quota', '4 nodes of a connection and a watch are within it'],
      ['pages', 'the card takes up to 19 pages; gntalloc gives 1024 to all processes together'],
      ['backend', 'in domain 0, in state InitWait (2); the state of this end is Initialising (1)'],
      ['connection', expect.stringMatching(/^the backend connected after \d+ ms$/)],
    ].map(([check, message]) => ({ check, status: 'ok', message })),
  );
});

/** What a test does to a guest, and what is found: one problem, and what cannot be checked for it. */
type Case = [what: string, spoil: (patient: Patient) => unknown, problem: Finding, skipped?: string[]];

const problem = (check: string, message: unknown, fix?: string): Finding =>
  ({ check, status: 'problem', message, ...(fix !== undefined && { fix }) }) as Finding;

const AFTER_XEN = ALL.slice(2);
const AFTER_STORE = ['card', ...FROM_CARD];
const EMULATE = 'vsnd play --emulate plays without Xen';
const UDEV = 'run as root, or install the udev rule of vsnd help guest-setup.md';
const NODE_MISSING = 'mount devtmpfs on /dev, or let udev make the node';
const GIVE_CARD = 'give it one by vsnd = [...] in its xl.cfg, see vsnd help guest-setup.md';
const CORRECT = "correct it in the guest's xl.cfg, and restart the guest";
const QUOTA = "free nodes and watches in this guest's XenStore, or raise its quota in Dom0";
const RUN_BACKEND =
  'run vsnd backend in domain 0, see vsnd help backend.md; where it runs, its log says more';
const SEE_BACKEND = "see whether a backend runs in the backend's domain, and what its log says";
/** ns */
const LOOK_INTERVAL = 0.1e9;
const CLOCK_SOURCE = '/sys/devices/system/clocksource/clocksource0/current_clocksource';
const LIMIT = '/sys/module/xen_gntalloc/parameters/limit';

const MACHINE: Case[] = [
  [
    'a Node that is too old',
    (patient) => {
      patient.node = '20.9.0';
    },
    problem('node', 'Node 20.9.0 is too old for vsnd', 'install Node 20.19 or newer'),
  ],
  [
    'another system than Linux',
    (patient) => {
      patient.linux = { ...patient.linux, platform: 'darwin' };
    },
    problem('xen', 'vsnd plays in Linux guests of Xen; this is darwin', EMULATE),
    AFTER_XEN,
  ],
  [
    'no Xen',
    (patient) => patient.remove('/dev/xen', '/proc/xen', '/sys/hypervisor'),
    problem('xen', 'this machine is not a guest of Xen', EMULATE),
    AFTER_XEN,
  ],
  [
    'another hypervisor',
    (patient) => {
      patient.remove('/dev/xen', '/proc/xen');
      patient.put('/sys/hypervisor/type', 'z/VM\n');
    },
    problem('xen', 'this machine is not a guest of Xen', EMULATE),
    AFTER_XEN,
  ],
  [
    'Dom0',
    (patient) => patient.put('/sys/hypervisor/properties/features', '0000000000000800\n'),
    problem(
      'xen',
      'this is Dom0; sound cards are those of guests',
      'run vsnd doctor in the guest; what Dom0 needs is vsnd backend, see vsnd help backend.md',
    ),
    AFTER_XEN,
  ],
  [
    'no node for XenStore',
    (patient) => patient.remove('/dev/xen/xenbus'),
    problem('xenbus', 'there is no /dev/xen/xenbus, although the kernel has made the device', NODE_MISSING),
    ['xenstore', ...AFTER_STORE],
  ],
  [
    'a device of XenStore for root alone',
    (patient) => patient.refuseToOpen('xenbus', 'EACCES'),
    problem('xenbus', 'this user may not open /dev/xen/xenbus: EACCES', UDEV),
    ['xenstore', ...AFTER_STORE],
  ],
  [
    'no module for event channels',
    (patient) => patient.remove('/dev/xen/evtchn', '/sys/module/xen_evtchn'),
    problem(
      'evtchn',
      'there is no /dev/xen/evtchn: the module xen-evtchn is not loaded',
      'modprobe xen-evtchn, as root',
    ),
    ['connection'],
  ],
  [
    'event channels that a container forbids',
    (patient) => patient.refuseToOpen('evtchn', 'EPERM'),
    problem('evtchn', 'this user may not open /dev/xen/evtchn: EPERM', UDEV),
    ['connection'],
  ],
  [
    'a module without its device',
    (patient) => patient.remove('/dev/xen/gntalloc'),
    problem(
      'gntalloc',
      'there is no /dev/xen/gntalloc, although xen-gntalloc has made the device',
      NODE_MISSING,
    ),
    ['pages', 'connection'],
  ],
  [
    'a device whose module has gone',
    (patient) => {
      patient.refuseToOpen('gntalloc', 'ENXIO');
      patient.remove('/sys/module/xen_gntalloc');
    },
    problem(
      'gntalloc',
      'there is no /dev/xen/gntalloc: the module xen-gntalloc is not loaded',
      'modprobe xen-gntalloc, as root',
    ),
    ['pages', 'connection'],
  ],
  [
    'a device that fails otherwise',
    (patient) => patient.refuseToOpen('gntalloc', 'EIO'),
    problem('gntalloc', 'EIO: no'),
    ['pages', 'connection'],
  ],
  [
    'no addon',
    (patient) => {
      patient.linux.loadAddon = () => {
        throw new VsndError('ERR_VSND_NO_XEN', 'cannot load the addon');
      };
    },
    problem('addon', 'cannot load the addon'),
    ['engine', 'xenstore', ...AFTER_STORE],
  ],
  [
    'a poor clock source',
    (patient) => patient.put(CLOCK_SOURCE, 'hpet\n'),
    problem(
      'clock-source',
      'the kernel takes the time from hpet, which is slow or coarse in a guest',
      `echo xen > ${CLOCK_SOURCE}, as root`,
    ),
  ],
  [
    'no sysfs for the clock source',
    (patient) => patient.remove(CLOCK_SOURCE),
    problem('clock-source', `ENOENT: no such file or directory, open '${CLOCK_SOURCE}'`),
  ],
];

const STORE: Case[] = [
  [
    'a XenStore that cannot be opened',
    ({ guest }) => guest.machine.faults.failOperations({ domid: 1, operation: 'openXenStore', errno: 'EIO' }),
    problem('xenstore', 'openXenStore in domain 1 fails: EIO', 'see to xenstored in Dom0'),
    AFTER_STORE,
  ],
  [
    'a XenStore that does not answer',
    ({ guest }) => guest.machine.faults.muteXenStore(1),
    problem('xenstore', 'XenStore: cannot read domid: ETIMEDOUT', 'see to xenstored in Dom0'),
    AFTER_STORE,
  ],
  [
    'no card',
    ({ guest }) => removeSoundCard(guest.machine, { frontendDomid: 1 }),
    problem('card', 'this guest has no sound card', GIVE_CARD),
    FROM_CARD,
  ],
  [
    "the kernel's driver",
    (patient) => patient.bindDriver(),
    problem(
      'kernel-driver',
      "the kernel's driver snd_xen_front has vsnd-0",
      'vsnd doctor --card 0 --release, as root; vsnd help guest-setup.md says how to keep it away',
    ),
    ['owner', 'connection'],
  ],
  [
    'a driver that is no module',
    (patient) => {
      patient.bindDriver();
      patient.remove('/sys/bus/xen/drivers/vsnd/module');
    },
    problem(
      'kernel-driver',
      "the kernel's driver vsnd has vsnd-0",
      'vsnd doctor --card 0 --release, as root; vsnd help guest-setup.md says how to keep it away',
    ),
    ['owner', 'connection'],
  ],
  [
    'another owner',
    async (patient) => {
      const owner = patient.startProcess();
      await owner.claim('vsnd/0');
      patient.visitors.push(owner);
    },
    problem(
      'owner',
      `vsnd/0 of domain 1 is in use by process ${process.pid}`,
      'end that process: a card has one owner',
    ),
    ['connection'],
  ],
  [
    'a stream of no kind',
    (patient) => patient.removeNode(`${CARD}/0/0/type`),
    problem(
      'configuration',
      `${CARD}/0/0/type is missing; allowed: "p" (playback) or "c" (capture)`,
      CORRECT,
    ),
    ['quota', 'pages', 'backend', 'connection'],
  ],
  [
    'a stream of which nobody knows whether it plays',
    (patient) => patient.write(`${CARD}/0/0/type`, 'x'),
    problem('configuration', `${CARD}/0/0/type is "x"; allowed: "p" (playback) or "c" (capture)`, CORRECT),
    ['quota', 'pages', 'backend', 'connection'],
  ],
  [
    'a card that only records',
    (patient) => patient.write(`${CARD}/0/0/type`, 'c'),
    problem(
      'configuration',
      'card 0 has no stream that plays',
      "give it one in the guest's xl.cfg: 'stream, unique-id=..., type=P'",
    ),
    ['quota', 'pages', 'backend', 'connection'],
  ],
  [
    'no node to spare',
    async (patient) => {
      const xenstore = await XenStoreClient.open(patient.startProcess());
      const fill = async () => {
        for (let index = 0; ; index++) await xenstore.write(`data/${index % 10}/${index}`, '');
      };
      await patient.pass(expect(fill()).rejects.toMatchObject({ errno: 'ENOSPC' }));
      for (const spare of ['0/0', '1/1', '2/2']) await xenstore.remove(`data/${spare}`); // one too few
      await xenstore.close();
    },
    problem('quota', `XenStore: cannot write ${CARD}/0/0/evt-event-channel: ENOSPC`, QUOTA),
    ['connection'],
  ],
  [
    'no watch to spare',
    ({ guest }) => guest.machine.faults.refuseXenStore({ domid: 1, type: XsType.watch, errno: 'E2BIG' }),
    problem('quota', `XenStore: cannot watch ${CARD}/state: E2BIG`, QUOTA),
    ['connection'],
  ],
  [
    'too few pages',
    (patient) => patient.put(LIMIT, '18\n'),
    problem(
      'pages',
      'the card takes up to 19 pages; gntalloc gives 18 to all processes together',
      `echo 38 > ${LIMIT}, as root; at least 19, and what others use`,
    ),
  ],
  [
    'no limit to be read',
    (patient) => patient.remove(LIMIT),
    problem('pages', `ENOENT: no such file or directory, open '${LIMIT}'`),
  ],
];

const BACKENDS: Case[] = [
  [
    'that has never run',
    async ({ guest }) => {
      await guest.backend.close();
      guest.machine.store.run((view) => view.write(`${BACKEND}/state`, Buffer.from('1')));
    },
    problem('backend', `no backend is ready: ${BACKEND}/state is Initialising (1)`, RUN_BACKEND),
    ['connection'],
  ],
  [
    'that has ended',
    ({ guest }) => guest.backend.close(),
    problem('backend', `no backend is ready: ${BACKEND}/state is Closed (6)`, RUN_BACKEND),
    ['connection'],
  ],
  [
    'that the toolstack has taken away',
    async (patient) => {
      await patient.guest.backend.close();
      patient.removeNode(`${BACKEND}/state`);
    },
    problem(
      'backend',
      `no backend is ready: there is no ${BACKEND}/state, which is where ${CARD}/backend says`,
      RUN_BACKEND,
    ),
    ['connection'],
  ],
  [
    'that writes nonsense',
    async (patient) => {
      await patient.guest.backend.close();
      patient.write(`${BACKEND}/state`, '99');
    },
    problem('backend', `no backend is ready: ${BACKEND}/state is "99", which is no state`, RUN_BACKEND),
    ['connection'],
  ],
  [
    'that was killed',
    async (patient) => {
      await patient.guest.backend.close();
      patient.write(`${BACKEND}/state`, '2');
    },
    problem('connection', expect.stringMatching(/^no backend has connected within 10 s: /), SEE_BACKEND),
  ],
];

describe.each([
  ['a machine with', MACHINE],
  ['a guest with', STORE],
  ['a backend', BACKENDS],
])('%s', (_, cases) => {
  test.each(cases)('%s', async (_what, spoil, expected, skipped = []) => {
    const patient = await Patient.admit();
    await spoil(patient);
    const findings = await patient.examine();
    expect(findings.filter(({ status }) => status === 'problem')).toEqual([expected]);
    expect(checksThat('skipped', findings)).toEqual(skipped);
    expect(findings.map(({ check }) => check)).toEqual(ALL);
    for (const { message } of findings.filter(({ status }) => status === 'skipped')) {
      expect(message).toBe(`needs ${expected.check}`);
    }
  });
});

describe('what is no problem', () => {
  test.each([
    ['/dev/xen', ['/proc/xen', '/sys/hypervisor']],
    ['/proc/xen', ['/sys/hypervisor', '/dev/xen']],
    ['/sys/hypervisor', ['/proc/xen', '/dev/xen']],
  ])('%s alone is a sign of Xen', async (_, others) => {
    const patient = await Patient.admit();
    patient.remove(...others);
    expect(finding('xen', await patient.examine())).toMatchObject({ status: 'ok' });
  });

  test('a Xen that does not say its version', async () => {
    const patient = await Patient.admit();
    patient.remove('/sys/hypervisor/version/minor');
    expect(finding('xen', await patient.examine())).toMatchObject({ message: 'a guest of Xen' });
  });

  test('modules that are built in', async () => {
    const patient = await Patient.admit();
    patient.remove('/sys/module/xen_evtchn');
    expect(finding('evtchn', await patient.examine())).toMatchObject({
      status: 'ok',
      message: '/dev/xen/evtchn, built into the kernel',
    });
  });

  test.each([
    ['a limit', '/proc/self/limits', 'Max realtime priority     1  1 \n'],
    ['a capability', '/proc/self/status', 'CapEff:\t0000000000800000\n'],
  ])('real-time priority by %s', async (_, path, text) => {
    const patient = await Patient.admit();
    patient.put(path, text);
    const message = 'native, with real-time priority';
    expect(finding('engine', await patient.examine())).toMatchObject({ status: 'ok', message });
  });

  test.each(['tsc', 'arch_sys_counter'])('the clock source %s', async (source) => {
    const patient = await Patient.admit();
    patient.put(CLOCK_SOURCE, `${source}\n`);
    expect(finding('clock-source', await patient.examine())).toMatchObject({ status: 'ok', message: source });
  });

  test('as many pages as the card takes', async () => {
    const patient = await Patient.admit();
    patient.put(LIMIT, '19\n');
    expect(checksThat('problem', await patient.examine())).toEqual([]);
  });

  test('a card that was not closed: the next connection finds its way', async () => {
    const patient = await Patient.admit();
    patient.write(`${CARD}/state`, '4');
    const findings = await patient.examine();
    expect(checksThat('ok', findings)).toEqual(ALL);
    expect(finding('owner', findings)?.message).toBe(
      'no process has the card; the last one did not close it (its state is still Connected (4)), the next one will',
    );
  });

  test('a backend that has just let a frontend go', async () => {
    const patient = await Patient.admit();
    patient.write(`${BACKEND}/state`, '6');
    const looks = countLooks(patient, (look) => look === 10 && patient.write(`${BACKEND}/state`, '2'));
    expect(checksThat('ok', await patient.examine())).toEqual(ALL);
    expect(looks.count).toBe(10);
  });
});

test('a backend that stays closed is looked at for a second', async () => {
  const patient = await Patient.admit();
  await patient.guest.backend.close();
  const looks = countLooks(patient);
  expect(checksThat('problem', await patient.examine())).toEqual(['backend']);
  expect(looks.count * LOOK_INTERVAL).toBe(1e9);
});

/** Counts how often the doctor waits before it looks at the backend again. */
function countLooks(patient: Patient, onLook: (look: number) => unknown = () => {}): { count: number } {
  const looks = { count: 0 };
  patient.onTimer = (delay) => {
    if (delay !== LOOK_INTERVAL) return;
    looks.count += 1;
    onLook(looks.count);
  };
  return looks;
}

describe('pages', () => {
  const stream = (size: number) => ({ fields: { type: 'p', 'unique-id': 'x', 'buffer-size': String(size) } });

  test.each([
    ['a whole buffer', [4096], 2 + 1 + 1],
    ['one byte more', [4097], 2 + 2 + 1],
    ['one directory page, full', [1023 * 4096], 2 + 1023 + 1],
    ['two directory pages', [1023 * 4096 + 1], 2 + 1024 + 2],
    ['all streams together', [4096, 8192], 4 + 5],
  ])('%s', async (_, sizes, pages) => {
    const patient = await Patient.admit({
      fields: { 'buffer-size': String(2 ** 30) },
      pcmDevices: sizes.map((size) => ({ streams: [stream(size)] })),
    });
    patient.put(LIMIT, '100000\n');
    expect(finding('pages', await patient.examine({ connect: false }))?.message).toMatch(
      new RegExp(`^the card takes up to ${pages} pages; gntalloc gives 100000 `),
    );
  });

  test.each([
    ['as long as its number can say', 2 ** 32 - 1, 1024, 'ok', 2 + 12 + 1],
    ['longer than there are pages for', 2 ** 22, 15, 'ok', 2 + 12 + 1],
    ['of which there are not even enough for the usual one', 2 ** 22, 14, 'problem', 2 + 12 + 1],
  ])('a buffer %s: what is usual counts', async (_, size, limit, status, pages) => {
    const patient = await Patient.admit({
      fields: {
        'buffer-size': String(size),
        'sample-rates': '44100,48000',
        'sample-formats': 's16_le',
        'channels-max': '2',
      },
    });
    patient.put(LIMIT, `${limit}\n`);
    expect(finding('pages', await patient.examine({ connect: false }))).toMatchObject({
      status,
      message: expect.stringMatching(
        new RegExp(`^the card takes up to ${pages} pages, \\d+ with the longest buffers that it can have; `),
      ),
    });
  });
});

describe('which card', () => {
  test.each([
    [undefined, 'card 0, of 0, 3'],
    [3, 'card 3, of 0, 3'],
  ])('%s', async (card, message) => {
    const patient = await Patient.admit();
    createSoundCard(patient.guest.machine, {
      ...{ frontendDomid: 1, devid: 3 },
      pcmDevices: [{ streams: [{ fields: { type: 'p', 'unique-id': 'x' } }] }],
    });
    const findings = await patient.examine({ card });
    expect(finding('card', findings)?.message).toBe(message);
    expect(finding('kernel-driver', findings)?.message).toMatch(`vsnd-${card ?? 0}`);
    expect(checksThat('ok', findings)).toEqual(ALL);
    const states = [0, 3].map((devid) => patient.read(`/local/domain/1/device/vsnd/${devid}/state`));
    expect(states).toEqual(card === 3 ? ['1', '6'] : ['6', '1']);
  });

  test('one that is not there', async () => {
    const patient = await Patient.admit();
    const findings = await patient.examine({ card: 1 });
    expect(finding('card', findings)).toEqual(
      problem('card', 'this guest has no sound card 1; it has 0', GIVE_CARD),
    );
    expect(checksThat('skipped', findings)).toEqual(FROM_CARD);
  });
});

describe('with --release', () => {
  test("the card is taken from the kernel's driver, and the checks go on", async () => {
    const patient = await Patient.admit();
    patient.bindDriver();
    const findings = await patient.examine({ release: true });
    expect(readFileSync(patient.folder + UNBIND, 'utf8')).toBe('vsnd-0');
    expect(checksThat('ok', findings)).toEqual(ALL);
    expect(finding('kernel-driver', findings)?.message).toBe(
      `released: wrote vsnd-0 to ${UNBIND}; snd_xen_front had it`,
    );
  });

  test('a card that no driver has is left alone', async () => {
    const patient = await Patient.admit();
    const findings = await patient.examine({ release: true });
    expect(finding('kernel-driver', findings)?.message).toBe("no driver of the kernel's has vsnd-0");
  });

  test('a kernel that refuses is a problem', async () => {
    const patient = await Patient.admit();
    patient.bindDriver();
    patient.remove(UNBIND);
    const findings = await patient.examine({ release: true });
    expect(finding('kernel-driver', findings)).toEqual(
      problem(
        'kernel-driver',
        `ENOENT: no such file or directory, open '${UNBIND}'`,
        'run vsnd doctor --release as root',
      ),
    );
    expect(checksThat('skipped', findings)).toEqual(['owner', 'connection']);
  });

  test('without it nothing is written', async () => {
    const patient = await Patient.admit();
    patient.bindDriver();
    await patient.examine();
    expect(readFileSync(patient.folder + UNBIND, 'utf8')).toBe('');
  });
});

describe('an examination', () => {
  test('with --no-connect changes nothing in XenStore', async () => {
    const patient = await Patient.admit();
    const before = patient.cardNodes();
    expect((await patient.examine({ connect: false })).map(({ check }) => check)).toEqual(ALL.slice(0, -1));
    expect(patient.cardNodes()).toEqual(before);
  });

  test('leaves the connection of another process alone', async () => {
    const patient = await Patient.admit();
    const card = await openCard({ hypervisor: patient.startProcess() });
    const before = patient.cardNodes();
    expect(checksThat('problem', await patient.examine())).toEqual(['owner']);
    expect(patient.cardNodes()).toEqual(before);
    await card.close();
  });

  test('of an emulated machine looks at what is there', async () => {
    const patient = await Patient.admit();
    patient.remove('/sys', '/dev');
    const findings = await patient.examine({}, { emulated: true });
    expect(checksThat('ok', findings)).toEqual(findings.map(({ check }) => check));
    expect(findings.map(({ check }) => check)).toEqual([
      'node',
      'xenstore',
      'card',
      'owner',
      'configuration',
      'quota',
      'backend',
      'connection',
    ]);
  });

  test('that is given up while it connects leaves nothing behind', async () => {
    const patient = await Patient.admit();
    await patient.guest.backend.close();
    patient.write(`${BACKEND}/state`, '2');
    const stop = new AbortController();
    const dom0 = await XenStoreClient.open(patient.guest.machine.dom0);
    await dom0.watch(`${CARD}/state`, async () => {
      if ((await dom0.read(`${CARD}/state`)) === '3') stop.abort();
    });
    await expect(patient.examine({}, { signal: stop.signal })).rejects.toMatchObject({ name: 'AbortError' });
    expect(patient.leaks).toEqual([]);
    await dom0.close();
  });

  test('that is given up before makes no check', async () => {
    const patient = await Patient.admit();
    const examined = patient.examine({}, { signal: AbortSignal.abort() });
    await expect(examined).rejects.toMatchObject({ name: 'AbortError' });
    expect(patient.leaks).toBeUndefined();
  });

  test('does not hide a defect of its own', async () => {
    const patient = await Patient.admit();
    patient.linux.loadAddon = () => {
      throw new TypeError('a defect');
    };
    await expect(patient.examine()).rejects.toThrow('a defect');
  });
});
