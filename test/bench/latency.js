// How long a position takes to become a write callback, against what Node needs to wake for a descriptor.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, printHead, printRow } from './figures.js';
import { HOW_TO_HAVE_DEVICES, standInDevices } from './peers.js';
import { pathOf, reportOf } from './process-cpu.js';

const SECONDS = 10;

export async function run({ rounds, share }) {
  printHead(
    [
      'us, median, once in 1024 frames at 48 kHz, over stand-in devices: from the notification of a CUR_POS by another thread',
      'to the write callback that it allows; Node: to the callback of uv_poll for the same descriptor',
    ],
    ['vsnd', 'Node', 'ratio', 'aim'],
  );
  const directory = mkdtempSync(join(tmpdir(), 'vsnd-bench-'));
  try {
    const devices = standInDevices(directory);
    if (devices === undefined) {
      console.log(`latency: skipped; ${HOW_TO_HAVE_DEVICES}`);
      return;
    }
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
  } finally {
    rmSync(directory, { recursive: true });
  }
}
