import { once } from 'node:events';
import { expect, test } from 'vitest';
import { readConfiguration } from '../../src/cli/doctor/card-checks.ts';
import { diagnose } from '../../src/cli/doctor/diagnose.ts';
import { Report } from '../../src/cli/doctor/report.ts';
import { describeFinding } from '../../src/cli/doctor.ts';
import { oneLine } from '../../src/cli/messages.ts';
import { listCards, openCard } from '../../src/open-card.ts';
import { createSoundCard, startTestGuest, type TestGuest } from '../../src/testing.ts';
import { XenStoreClient } from '../../src/xenstore/client.ts';
import { STEREO } from '../sound.ts';
import { stepUntilSettled } from '../waits.ts';

const CARD = '/local/domain/1/device/vsnd/0';
const BACKEND = '/local/domain/0/backend/vsnd/1/0';

/** Nodes of the card, or the backend, and their values; undefined: removed. */
type Nodes = Readonly<Record<string, string | undefined>>;

function write({ machine }: TestGuest, nodes: Nodes): void {
  machine.store.run((view) => {
    for (const [path, value] of Object.entries(nodes)) {
      if (value === undefined) view.remove(path);
      else view.write(path, Buffer.from(value));
    }
  });
}

/** Ends what waits for a backend, which the manual clock decides. */
async function outlast<T>({ clock }: TestGuest, waiting: Promise<T>): Promise<T> {
  return await stepUntilSettled(waiting, () => clock.advanceTime(1e9));
}

/** What a program hears that opens the card, and a stream of two channels at 48 kHz: warnings, then how it ended. */
async function open(guest: TestGuest): Promise<string[]> {
  const said: string[] = [];
  try {
    const card = await outlast(guest, openCard({ hypervisor: guest.hypervisor }));
    try {
      said.push(...card.info.warnings.map(({ message }) => message));
      const stream = card.createPlaybackStream(STEREO);
      await once(stream, 'open');
      said.push(`plays, ${card.info.pcmDevices.length} PCM device`);
      await new Promise((resolve) => stream.once('close', resolve).destroy());
    } finally {
      await card.close();
    }
  } catch (error) {
    said.push((error as Error).message);
  }
  return said;
}

/** What `vsnd doctor` has to say that is not 'ok'. */
async function examine(guest: TestGuest): Promise<string[]> {
  const { signal } = new AbortController();
  const report = new Report(signal);
  const process = guest.machine.startProcess(1);
  const system = {
    node: '20.19.0',
    openHypervisor: async () => ({ hypervisor: process, release: () => process.close() }),
  };
  await outlast(guest, diagnose(report, system, { release: false, connect: true }, signal));
  return report.findings
    .filter(({ status }) => status === 'warning' || status === 'problem')
    .map(({ check, message }) => `${check}: ${message}`);
}

const PLAYS = 'plays, 1 PCM device';
const NOT_THERE = 'taken as if it were not there';
const noBackend = (path: string, domid: number) =>
  `there is no backend at ${path}, where ${CARD}/backend says: is one running in domain ${domid}?`;
const silent = (state: string, domid = 0) =>
  `no backend has connected within 10 s: ${BACKEND}/state is ${state}; is one running in domain ${domid}?`;

/** A warning, and sound all the same. */
const fixed = (name: string, value: string, remark: string): string[] => [
  `${CARD}/${name} is ${JSON.stringify(value)}: ${remark}`,
  PLAYS,
];

const CONFIGURATIONS: [Nodes, string[]][] = [
  [{ 'sample-rates': '48000, 44100' }, [PLAYS]],
  [{ 'sample-rates': '' }, fixed('sample-rates', '', `"" is no rate in Hz; ${NOT_THERE}`)],
  [
    { 'sample-rates': '48000,abc,-1' },
    fixed('sample-rates', '48000,abc,-1', '"abc" is no rate in Hz, and is left out'),
  ],
  [
    { 'sample-rates': '48000;44100' },
    fixed('sample-rates', '48000;44100', `"48000;44100" is no rate in Hz; ${NOT_THERE}`),
  ],
  [{ 'sample-rates': '48000,' }, fixed('sample-rates', '48000,', '"" is no rate in Hz, and is left out')],
  [{ 'sample-rates': '44100' }, ['rate is 48000; allowed: 44100 (Hz)']],
  [
    { 'sample-formats': 's16_le,weird' },
    fixed('sample-formats', 's16_le,weird', '"weird" is no format, and is left out'),
  ],
  [{ 'sample-formats': 'weird' }, fixed('sample-formats', 'weird', `"weird" is no format; ${NOT_THERE}`)],
  [{ 'sample-formats': 'S16_LE' }, [PLAYS]],
  [
    { 'sample-formats': 's16_le', '0/sample-formats': 's8' },
    [
      `${CARD}/0/sample-formats is "s8": the level above has none of it; it holds all the same`,
      'format is "s16_le"; allowed: s8',
    ],
  ],
  [{ 'buffer-size': '0' }, fixed('buffer-size', '0', `no number from 1 to 4294967295; ${NOT_THERE}`)],
  [{ 'buffer-size': 'abc' }, fixed('buffer-size', 'abc', `no number from 1 to 4294967295; ${NOT_THERE}`)],
  [
    { 'buffer-size': '4294967296' },
    fixed('buffer-size', '4294967296', `no number from 1 to 4294967295; ${NOT_THERE}`),
  ],
  [{ 'buffer-size': '0x10' }, fixed('buffer-size', '0x10', `no number from 1 to 4294967295; ${NOT_THERE}`)],
  [{ 'buffer-size': '4294967295' }, [PLAYS]],
  [{ 'buffer-size': '1000' }, [PLAYS]],
  [{ 'channels-max': '0' }, fixed('channels-max', '0', `no number from 1 to 255; ${NOT_THERE}`)],
  [{ 'channels-max': '300' }, fixed('channels-max', '300', `no number from 1 to 255; ${NOT_THERE}`)],
  [{ 'channels-max': '1' }, ['channels is 2; allowed: 1']],
  [
    { 'channels-min': '4', 'channels-max': '2' },
    fixed('channels-max', '2', 'channels-min, 4, is above channels-max, 2; taken for it'),
  ],
  [{ '0/0/type': undefined }, [`${CARD}/0/0/type is missing; allowed: "p" (playback) or "c" (capture)`]],
  [{ '0/0/type': 'x' }, [`${CARD}/0/0/type is "x"; allowed: "p" (playback) or "c" (capture)`]],
  [{ '0/0/unique-id': undefined }, [PLAYS]],
  [{ '2/0/type': 'p' }, [`${CARD}/1 is missing: what comes behind that gap, as "2", is left out`, PLAYS]],
  [
    { '1/name': 'nothing in it' },
    [`${CARD}/1/0 is missing: a PCM device without streams, which can do nothing`, 'plays, 2 PCM device'],
  ],
  [{ 'long-name': `\x1b]0;owned\x07${'x'.repeat(1500)}` }, [PLAYS]],
];

test.each(CONFIGURATIONS)('a card with %o', async (nodes, said) => {
  const guest = await startTestGuest();
  write(guest, Object.fromEntries(Object.entries(nodes).map(([name, value]) => [`${CARD}/${name}`, value])));
  expect(await open(guest)).toEqual(said);
  const warnings = said.filter((line) => line.startsWith(CARD));
  const found = await examine(guest);
  expect(found).toEqual(warnings.map((line) => `configuration: ${line}`));
  await guest.close();
});

const ANYWHERE = `allowed: the node of the backend's end, as in /local/domain/0/backend/vsnd/1/0`;

/** What is said of nodes that say where the backend is, with none behind them that answers. */
const PLACES: [Nodes, string, doctor: string][] = [
  [
    { [`${CARD}/backend`]: '/local/domain/0/backend/vsnd/9/9' },
    noBackend('/local/domain/0/backend/vsnd/9/9', 0),
    `backend: no backend is ready: there is no /local/domain/0/backend/vsnd/9/9/state, which is where ${CARD}/backend says`,
  ],
  ...[undefined, '', 'nowhere', '/local/domain/0/backend//0', '/local/domain/x/a b'].map(
    (value): [Nodes, string, string] => {
      const found = value === undefined ? 'missing' : JSON.stringify(value);
      const message = `${CARD}/backend is ${found}; ${ANYWHERE}`;
      return [{ [`${CARD}/backend`]: value }, message, `configuration: ${message}`];
    },
  ),
  [
    { [`${CARD}/backend`]: '/local/domain/5/backend/vsnd/1/0' },
    `${noBackend('/local/domain/5/backend/vsnd/1/0', 0)}; ${CARD}/backend-id is 0, but ${CARD}/backend is in another domain: /local/domain/5/backend/vsnd/1/0`,
    `backend: no backend is ready: there is no /local/domain/5/backend/vsnd/1/0/state, which is where ${CARD}/backend says; ${CARD}/backend-id is 0, but ${CARD}/backend is in another domain: /local/domain/5/backend/vsnd/1/0`,
  ],
  [
    { [`${CARD}/backend-id`]: '77', [`${BACKEND}/state`]: '6' },
    `${silent('Closed (6)', 77)}; ${CARD}/backend-id is 77, but ${CARD}/backend is in another domain: ${BACKEND}`,
    `backend: no backend is ready: ${BACKEND}/state is Closed (6); ${CARD}/backend-id is 77, but ${CARD}/backend is in another domain: ${BACKEND}`,
  ],
  ...['x', '', undefined, '-1', '99999'].map((value): [Nodes, string, string] => {
    const found = value === undefined ? 'missing' : JSON.stringify(value);
    const message = `${CARD}/backend-id is ${found}; allowed: a decimal number from 0 to 32767`;
    return [{ [`${CARD}/backend-id`]: value }, message, `configuration: ${message}`];
  }),
  ...['9', '', 'abc', '\x1b[2J'].map((value): [Nodes, string, string] => {
    const state = `${JSON.stringify(value)}, which is no state`;
    return [
      { [`${BACKEND}/state`]: value },
      silent(state),
      `backend: no backend is ready: ${BACKEND}/state is ${state}`,
    ];
  }),
  [
    { [`${CARD}/0/0/unique-id`]: undefined, [`${BACKEND}/state`]: '6' },
    `${silent('Closed (6)')}; ${CARD}/0/0/unique-id is missing, which many a backend needs`,
    `backend: no backend is ready: ${BACKEND}/state is Closed (6); ${CARD}/0/0/unique-id is missing, which many a backend needs`,
  ],
];

test.each(PLACES)('a backend at %o', async (nodes, message, doctor) => {
  const guest = await startTestGuest();
  await guest.backend.close();
  write(guest, nodes);
  expect(await open(guest)).toEqual([message]);
  expect(await examine(guest)).toEqual([doctor]);
  await guest.close();
});

test('a buffer too small for anything is a matter of the stream, not of the card', async () => {
  const guest = await startTestGuest({ fields: { 'buffer-size': '3' } });
  const card = await openCard({ hypervisor: guest.hypervisor });
  expect(() => card.createPlaybackStream(STEREO)).toThrow(/buffer-size of 3 /);
  await card.close();
  await guest.close();
});

test('the backend says what it makes of a configuration: once, however often its guest connects', async () => {
  const lines: string[] = [];
  const guest = await startTestGuest({ fields: { 'buffer-size': 'abc' }, log: (line) => lines.push(line) });
  for (let times = 0; times < 3; times++) {
    const card = await openCard({ hypervisor: guest.hypervisor });
    await card.close();
    await guest.machine.settle();
  }
  expect(lines.filter((line) => line.includes('buffer-size'))).toEqual([
    `1/0: ${CARD}/buffer-size is "abc": no number from 1 to 4294967295; ${NOT_THERE}`,
  ]);
  await guest.close();
});

test('no name of the card reaches a terminal as control characters', async () => {
  const finding = { check: 'configuration', status: 'ok', message: '\x1b]0;owned\x07\n\x9b2J' } as const;
  expect(describeFinding(finding)).not.toMatch(/\p{Cc}/u);
  expect(oneLine('\x1b]0;owned\x07\n\x9b2J')).toBe('?]0;owned???2J');
  expect(oneLine('x'.repeat(1500))).toHaveLength(81);
  const turned = 'Music\u202edevomer\u2066\u200f\u2028';
  expect(oneLine(turned)).toBe('Music?devomer???');
  expect(describeFinding({ ...finding, message: turned })).toContain('Music?devomer???');
});

test('a value that a warning quotes commands no terminal, turns no line, and a name fills no page', async () => {
  const guest = await startTestGuest({
    fields: { 'buffer-size': '1\u009b2J\u007f\u202e\u2028', 'long-name': 'x'.repeat(1500) },
  });
  const [warning] = (await listCards({ hypervisor: guest.hypervisor }))[0]?.warnings ?? [];
  expect(warning?.message).toContain('"1\\u009b2J\\u007f\\u202e\\u2028": no number');
  const process = guest.machine.startProcess(1);
  const xenstore = await XenStoreClient.open(process);
  expect((await readConfiguration({ hypervisor: process, xenstore }, 0)).message.length).toBeLessThan(200);
  await xenstore.close();
  await process.close();
  await guest.close();
});

test('a card that nobody understands hides no other one', async () => {
  const guest = await startTestGuest();
  createSoundCard(guest.machine, { frontendDomid: 1, devid: 1, pcmDevices: [{ streams: [{ fields: {} }] }] });
  const { hypervisor } = guest;
  const unreadable: string[] = [];
  const onUnreadable = ({ message }: Error) => unreadable.push(message);
  const cards = await listCards({ hypervisor, onUnreadable });
  expect(cards.map(({ devid }) => devid)).toEqual([0]);
  expect(unreadable).toEqual([
    '/local/domain/1/device/vsnd/1/0/0/type is missing; allowed: "p" (playback) or "c" (capture)',
  ]);
  await expect(listCards({ hypervisor })).rejects.toMatchObject({ code: 'ERR_VSND_CONFIG' });
  await guest.close();
});
