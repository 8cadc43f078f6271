// What playing in real time costs: the frontend alone, both sides, and fifty streams.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, printHead, printRow } from './figures.js';
import {
  alsaWith,
  HOW_TO_HAVE_DEVICES,
  HOW_TO_INSTALL_SPEAKER,
  isSpeakerInstalled,
  pacedCard,
  standInDevices,
} from './peers.js';
import { pathOf, reportOf } from './process-cpu.js';

const SECONDS = 20;
const STREAMS = 50;

/** As the floor's timer. */
const PERIOD = { periodFrames: 1024, bufferFrames: 8192 };

/** Each row: the program and what it is measured against, which threads count, the aim. */
function rowsOf(speaker, devices) {
  const vsnd = (player, options, env) => ({ player, options, env });
  const timer = { player: 'timer' };
  return [
    {
      name: 'frontend alone, default options; speaker',
      ours: devices && vsnd('frontend', {}, devices),
      peer: speaker,
      threads: 'own',
      aim: '< 1',
    },
    {
      name: 'frontend alone, 1024 frames; timer',
      ours: devices && vsnd('frontend', PERIOD, devices),
      peer: timer,
      threads: 'own',
      aim: '<= 1.3',
    },
    {
      name: 'both sides, 1024 frames; speaker',
      ours: vsnd('bothSides', PERIOD),
      peer: speaker,
      threads: 'whole',
      aim: '<= 2',
    },
    {
      name: `both sides, ${STREAMS} streams; ${STREAMS} times one`,
      ours: vsnd('bothSides', { streams: STREAMS }),
      peer: { ...vsnd('bothSides', {}), times: STREAMS },
      threads: 'whole',
      aim: '<= 0.5',
    },
  ];
}

/** CPU ms a minute. */
async function cpuOfMinute({ player, options = {}, env = {}, times = 1 }, threads, seconds) {
  const args = [pathOf('programs/paced.cjs'), player, String(seconds), JSON.stringify(options)];
  return ((await reportOf(args, env))[threads] * times * 60) / seconds;
}

export async function run({ rounds, share }) {
  printHead(
    [
      'CPU ms a minute of 48 kHz s16 stereo, played in real time in pieces of 4 KiB; start-up is not counted',
      "frontend alone: over stand-in devices, without the backend's thread and V8's helpers; both sides: in one thread, all counted",
      'speaker: npm speaker 0.5.5 at its defaults, into a card of ALSA that keeps time; timer: copies 4 KiB a period of 1024 frames',
    ],
    ['vsnd', 'peer', 'ratio', 'aim'],
  );
  const directory = mkdtempSync(join(tmpdir(), 'vsnd-bench-'));
  try {
    const card = isSpeakerInstalled() ? pacedCard(directory) : undefined;
    const speaker = card && { player: 'speaker', env: alsaWith(card, directory) };
    const devices = standInDevices(directory);
    for (const { name, ours, peer, threads, aim } of rowsOf(speaker, devices)) {
      if (ours === undefined || peer === undefined) {
        printRow(name, ['skipped', '', '', aim]);
        continue;
      }
      const figures = { ours: [], peer: [] };
      for (let round = 0; round < rounds; round++) {
        figures.ours.push(await cpuOfMinute(ours, threads, SECONDS * share));
        figures.peer.push(await cpuOfMinute(peer, threads, SECONDS * share));
      }
      const ratio = median(figures.ours.map((value, n) => value / figures.peer[n]));
      printRow(name, [median(figures.ours), median(figures.peer), ratio, aim]);
    }
    if (speaker === undefined) console.log(HOW_TO_INSTALL_SPEAKER);
    if (devices === undefined) console.log(HOW_TO_HAVE_DEVICES);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
