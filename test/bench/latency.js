// How long a position takes to become the next period in the pages, and a write callback, against what a program needs to wake for it.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, percentile, printHead, printRow } from './figures.js';
import { HOW_TO_HAVE_DEVICES, program, standInDevices, timedDevices } from './peers.js';
import { pathOf, reportOf } from './process-cpu.js';

const SECONDS = 10;
const PERIOD_FRAMES = 1024;
const OPTIONS = { periodFrames: PERIOD_FRAMES, bufferFrames: 8192 };

async function compareCallbacks({ rounds, share }, devices) {
  printHead(
    [
      'us, median, once in 1024 frames at 48 kHz, over stand-in devices: from the notification of a CUR_POS by another thread',
      'to the write callback that it allows, without the native engine; Node: to the callback of uv_poll for the same descriptor',
    ],
    ['vsnd', 'Node', 'ratio', 'aim'],
  );
  const delayOf = async (what) =>
    (await reportOf([pathOf('programs/latency.js'), what, String(SECONDS * share)], devices)).median;
  const ours = [];
  const node = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await delayOf('callback'));
    node.push(await delayOf('fd'));
  }
  const ratio = median(ours.map((value, n) => value / node[n]));
  printRow('CUR_POS to write callback', [median(ours), median(node), ratio, '<= 3']);
}

async function comparePeriods({ rounds, share }, devices, directory) {
  printHead(
    [
      'us, once in 1024 frames at 48 kHz, over stand-in devices: from the notification of a CUR_POS by another thread to the',
      'notification that the next period is in the pages; C: a program that waits in epoll and copies',
    ],
    ['vsnd', 'C', 'ratio', 'aim'],
  );
  const file = join(directory, 'times');
  const timed = timedDevices(devices, directory, file);
  const waiting = program('epoll-frontend', directory);
  if (timed === undefined || waiting === undefined) {
    console.log(`skipped; ${HOW_TO_HAVE_DEVICES}`);
    return;
  }
  const seconds = String(SECONDS * share + 1);
  const timesOf = async (args, command) => {
    await reportOf(args, timed, command);
    const all = readFileSync(file, 'latin1').trim().split('\n');
    const times = all.slice(Math.ceil(48_000 / PERIOD_FRAMES)); // the first second is the start
    return times.map((nanoseconds) => Number(nanoseconds) / 1e3);
  };
  const vsnd = (engine) => [
    pathOf('programs/paced.cjs'),
    'frontend',
    seconds,
    JSON.stringify({ engine, ...OPTIONS }),
  ];
  const times = { native: [], script: [], C: [] };
  for (let round = 0; round < rounds; round++) {
    times.native.push(await timesOf(vsnd('native')));
    times.script.push(await timesOf(vsnd('script')));
    times.C.push(await timesOf([String(PERIOD_FRAMES), seconds], waiting));
  }
  for (const [part, aim] of [
    [0.5, '<= 1.5'],
    [0.99, '<= 2'],
  ]) {
    const [native, script, theirs] = Object.values(times).map((all) =>
      all.map((one) => percentile(one, part)),
    );
    for (const [name, ours, wished] of [
      ['native', native, aim],
      ['script', script, ''],
    ]) {
      const ratio = median(ours.map((value, n) => value / theirs[n]));
      printRow(`${name}, p${part * 100}`, [median(ours), median(theirs), ratio, wished]);
    }
  }
}

export async function run(effort) {
  const directory = mkdtempSync(join(tmpdir(), 'vsnd-bench-'));
  try {
    const devices = standInDevices(directory);
    if (devices === undefined) {
      console.log(`latency: skipped; ${HOW_TO_HAVE_DEVICES}`);
      return;
    }
    await comparePeriods(effort, devices, directory);
    await compareCallbacks(effort, devices);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
