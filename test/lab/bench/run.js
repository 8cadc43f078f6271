// npm run bench:xen [-- [--seconds N] [--profile]]: vsnd against aplay and snd_xen_front, in one boot of Xen.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { boot } from '../machine.js';
import { CACHE } from '../packages.js';
import { prepare } from '../prepare.js';

const ARCH = 'amd64';
const PERIODS = [4096, 1024, 256, 128];
const BUFFER_FRAMES = 8192;
/** Booting, loading and unloading the driver, starting Node, on a busy machine. */
const OVERHEAD_MS = 600_000;

const FOLDER = join(CACHE, 'runs', 'bench');

const say = (text) => console.log(text);

function parseCommandLine() {
  const { values } = parseArgs({ options: { seconds: { type: 'string' }, profile: { type: 'boolean' } } });
  const seconds = Number(values.seconds ?? 20);
  if (!Number.isInteger(seconds) || seconds < 1) throw new Error('--seconds takes an integer from 1');
  return { seconds, profile: values.profile ?? false };
}

/** The columns: how each is named and written, and what a row of measurements has for it. */
const COLUMNS = [
  ['period', ({ period }) => period],
  ['', ({ who }) => who],
  ['CPU s', ({ cpu }) => cpu.toFixed(2)],
  ['guest CPU s', ({ guestCpu }) => guestCpu.toFixed(1)],
  ['underruns', ({ underruns }) => underruns],
  ['WRITEs/s', ({ writes }) => writes.toFixed(1)],
  ['notify/s', ({ fromGuest }) => fromGuest.toFixed(1)],
  ['notified/s', ({ toGuest }) => toGuest.toFixed(1)],
];
const WIDTH = 12;

const line = (cells) => cells.map((cell) => String(cell).padStart(WIDTH)).join('');
const row = (measured) => line(COLUMNS.map(([, cell]) => cell(measured)));

function ratios(ours, theirs) {
  const ratio = (name) => (theirs[name] === 0 ? '-' : (ours[name] / theirs[name]).toFixed(2));
  const named = ['cpu', 'guestCpu', '', 'writes', 'fromGuest', 'toGuest'];
  return line(['', 'ratio', ...named.map((name) => (name ? ratio(name) : ''))]);
}

const LEGEND = `
CPU s: user + system of the process from before its stream is made to after it has closed; of aplay the
  whole process, less a run of it that plays nothing
guest CPU s: what Xen gave the whole guest from OPEN to CLOSE. Only here: interrupts, and the kernel's own
  threads, in which snd_xen_front hears of answers and positions
notify/s: notifications that the backend took from the guest; of several at once it sees one
notified/s: notifications that the backend sent to the guest
WRITEs and notifications: a second of audio, from OPEN to CLOSE
Emulated: figures hold against each other only, and inside one run`;

/** The aims, and where they were met. A run of the driver that ended early has no CPU time to compare. */
function judge(pairs) {
  const verdict = (aim, concerns, isMet) => {
    const judged = pairs.filter(([ours, theirs]) => concerns(ours, theirs));
    const missed = judged.filter(([ours, theirs]) => !isMet(ours, theirs));
    const result = judged.length === 0 ? 'no case' : missed.length === 0 ? 'met' : 'MISSED';
    const list = (some) => some.map(([{ period }]) => period).join(', ');
    const where = judged.length === 0 ? '' : ` (of ${list(judged)}; missed: ${list(missed) || 'none'})`;
    return `${result.padEnd(8)}${aim}${where}`;
  };
  const isWhole = (_ours, theirs) => theirs.failure === undefined;
  return [
    verdict(
      'no more CPU than aplay and the driver at 1024 frames and above',
      (ours, theirs) => isWhole(ours, theirs) && ours.period >= 1024,
      (ours, theirs) => ours.cpu <= theirs.cpu,
    ),
    verdict(
      'no underrun where the driver has any',
      (_ours, theirs) => theirs.underruns > 0,
      (ours) => ours.underruns === 0,
    ),
    verdict('fewer notifications', isWhole, (ours, theirs) => ours.fromGuest < theirs.fromGuest),
  ];
}

async function main() {
  const { seconds, profile } = parseCommandLine();
  const { emulator, images } = await prepare(ARCH, join(CACHE, 'bench'), say);
  const limitMs = OVERHEAD_MS + PERIODS.length * 2 * seconds * 3000;
  const scenarios = [{ name: 'bench', file: '../bench/scenario', limitMs }];
  const bench = { seconds, profile, periods: PERIODS, bufferFrames: BUFFER_FRAMES };
  const plan = { xenstore: 'xenstored', scenarios, bench };
  const started = performance.now();
  say(`${seconds} s of 48 kHz s16 stereo from a file, buffer of ${BUFFER_FRAMES} frames, into a null sink`);
  say(line(COLUMNS.map(([head]) => head)));
  const pairs = [];
  let error = 'the machine ended before the measurements';
  for await (const event of boot({ arch: ARCH, emulator, images, plan, folder: FOLDER, limitMs })) {
    if (event.event === 'scenario') error = event.error;
    if (event.event !== 'measured') continue;
    const { ours, theirs } = event;
    pairs.push([ours, theirs]);
    say([row(ours), row(theirs), ratios(ours, theirs)].join('\n'));
    // Its figures are then those of a part of the sound: no pair to judge by.
    if (theirs.failure) say(`  it ended early: ${theirs.failure}`);
  }
  if (error) throw new Error(`${error}\nlogs: ${FOLDER}`);
  say(LEGEND);
  say(`\n${judge(pairs).join('\n')}`);
  say(`\n${((performance.now() - started) / 1000).toFixed(0)} s`);
  if (profile) say(`profiles: ${join(FOLDER, 'share')}`);
  else await rm(FOLDER, { recursive: true, force: true });
}

await main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
