// npm run bench:xen [-- [--seconds N] [--rounds N] [--profile]]: vsnd against aplay and snd_xen_front, in one boot of Xen.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from '../../bench/figures.js';
import { boot } from '../machine.js';
import { CACHE } from '../packages.js';
import { prepare } from '../prepare.js';

const ARCH = 'amd64';
/** The last one is for underruns. */
const SIZES = [
  ...[4096, 1024, 256, 128].map((periodFrames) => ({ periodFrames, bufferFrames: 8192 })),
  { periodFrames: 64, bufferFrames: 512 },
];
/** Booting, loading and unloading the driver, starting Node, on a busy machine. */
const OVERHEAD_MS = 600_000;

const FOLDER = join(CACHE, 'runs', 'bench');

const say = (text) => console.log(text);

function parseCommandLine() {
  const { values } = parseArgs({
    options: { seconds: { type: 'string' }, rounds: { type: 'string' }, profile: { type: 'boolean' } },
  });
  const count = (name, usual) => {
    const value = Number(values[name] ?? usual);
    if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} takes an integer from 1`);
    return value;
  };
  return { seconds: count('seconds', 20), rounds: count('rounds', 3), profile: values.profile ?? false };
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
  ['turns/s', ({ turns }) => turns?.toFixed(1) ?? ''],
];
const WIDTH = 12;

const line = (cells) => cells.map((cell) => String(cell).padStart(WIDTH)).join('');
const row = (measured) => line(COLUMNS.map(([, cell]) => cell(measured)));

const RATIOS = ['cpu', 'guestCpu', '', 'writes', 'fromGuest', 'toGuest'];

/** The median of the rounds' ratios; undefined where there is nothing to divide by. */
function ratio(pairs, name) {
  const ratios = pairs.filter(isWhole).map(([ours, theirs]) => ours[name] / theirs[name]);
  return ratios.length > 0 && ratios.every(Number.isFinite) ? median(ratios) : undefined;
}

/** A run of the driver that ended early has figures of a part of the sound. */
const isWhole = ([, theirs]) => theirs.failure === undefined;

const total = (pairs, side, name) => pairs.reduce((sum, pair) => sum + pair[side][name], 0);

/** Medians of the rounds, and their ratios. */
function summary(pairs) {
  const medians = (side) => {
    const all = pairs.map((pair) => pair[side]);
    const names = Object.keys(all[0]).filter((name) => typeof all[0][name] === 'number');
    const figures = names.map((name) => [name, median(all.map((one) => one[name]))]);
    return { who: all[0].who, ...Object.fromEntries(figures), underruns: total(pairs, side, 'underruns') };
  };
  const cells = RATIOS.map((name) => (name ? (ratio(pairs, name)?.toFixed(2) ?? '-') : ''));
  return [row(medians(0)), row(medians(1)), line(['', 'ratio', ...cells])];
}

const LEGEND = `
CPU s: user + system of the process, of vsnd from before its stream is made, less a run of it that plays nothing
guest CPU s: what Xen gave the whole guest from OPEN to CLOSE. Only here: interrupts, and the kernel's own
  threads, in which snd_xen_front hears of answers and positions
underruns: of all rounds
notify/s: notifications that the backend took from the guest; of several at once it sees one
notified/s: notifications that the backend sent to the guest
WRITEs and notifications: a second of audio, from OPEN to CLOSE
turns/s: how often JavaScript was woken, from before the stream is made to after it has closed
Emulated: figures hold against each other only, and inside one run`;

/** The aims by period: the most that is wished of each. */
const AIMS = [
  ["CPU of the process, times aplay's", 'cpu', { 1024: 2.0, 256: 1.8, 128: 1.6 }],
  ["CPU of the guest, times aplay's", 'guestCpu', { 4096: 1, 1024: 1, 256: 1, 128: 1 }],
  ["WRITEs, times the driver's", 'writes', { 4096: 0.5, 1024: 0.5, 256: 0.5, 128: 0.5 }],
  ["notifications, times the driver's", 'fromGuest', { 4096: 0.5, 1024: 0.5, 256: 0.5, 128: 0.5 }],
];
const MOST_TURNS = 6;

/** The aims, and where they were met; `pairs`: those of all rounds by period. */
function judge(bySizes) {
  const verdicts = AIMS.flatMap(([what, name, aims]) =>
    Object.entries(aims).map(([period, aim]) => {
      const found = ratio(bySizes.get(Number(period)), name);
      return [
        found === undefined ? undefined : found <= aim,
        `${what}, at ${period}: ${found?.toFixed(2)}; <= ${aim}`,
      ];
    }),
  );
  for (const [period, pairs] of bySizes) {
    const [ours, theirs] = [total(pairs, 0, 'underruns'), total(pairs, 1, 'underruns')];
    verdicts.push([ours <= theirs, `underruns at ${period}: ${ours}; the driver: ${theirs}`]);
  }
  for (const [period, pairs] of bySizes) {
    const turns = median(pairs.map(([ours]) => ours.turns));
    verdicts.push([
      turns <= MOST_TURNS,
      `JavaScript's wakes a second, at ${period}: ${turns.toFixed(1)}; <= ${MOST_TURNS}`,
    ]);
  }
  return verdicts.map(([isMet, what]) => {
    const word = isMet === undefined ? 'no case' : isMet ? 'met' : 'MISSED';
    return `${word.padEnd(8)}${what}`;
  });
}

async function main() {
  const { seconds, rounds, profile } = parseCommandLine();
  const { emulator, images } = await prepare(ARCH, join(CACHE, 'bench'), say);
  const limitMs = OVERHEAD_MS + rounds * SIZES.length * 2 * seconds * 3000;
  const scenarios = [{ name: 'bench', file: '../bench/scenario', limitMs }];
  const plan = { xenstore: 'xenstored', scenarios, bench: { seconds, rounds, profile, sizes: SIZES } };
  const started = performance.now();
  say(
    `${seconds} s of 48 kHz s16 stereo from a file, into a null sink; buffers of 8192 frames, and 512 at 64`,
  );
  say(line(COLUMNS.map(([head]) => head)));
  const bySizes = new Map();
  let error = 'the machine ended before the measurements';
  for await (const event of boot({ arch: ARCH, emulator, images, plan, folder: FOLDER, limitMs })) {
    if (event.event === 'scenario') error = event.error;
    if (event.event !== 'measured') continue;
    const { ours, theirs } = event;
    bySizes.set(ours.period, [...(bySizes.get(ours.period) ?? []), [ours, theirs]]);
    say([row(ours), row(theirs)].join('\n'));
    if (theirs.failure) say(`  it ended early: ${theirs.failure}`);
  }
  if (error) throw new Error(`${error}\nlogs: ${FOLDER}`);
  say(`\nmedians of ${rounds}`);
  for (const pairs of bySizes.values()) say(summary(pairs).join('\n'));
  say(LEGEND);
  say(`\n${judge(bySizes).join('\n')}`);
  say(`\n${((performance.now() - started) / 1000).toFixed(0)} s`);
  if (profile) say(`profiles: ${join(FOLDER, 'share')}`);
  else await rm(FOLDER, { recursive: true, force: true });
}

await main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
