// What playing in real time costs: the frontend alone, with either engine, both sides, and fifty streams.
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
  program,
  standInDevices,
} from './peers.js';
import { pathOf, reportOf } from './process-cpu.js';

const SECONDS = 20;
const STREAMS = 50;

/** As the floor's timer. */
const PERIOD = { periodFrames: 1024, bufferFrames: 8192 };
const SHORT_PERIOD = { periodFrames: 128, bufferFrames: 8192 };

/** Each row: the program and what it is measured against, which threads count, the aim. */
function rowsOf(speaker, devices, copy) {
  const vsnd = (player, options, env) => ({ player, options, env });
  const frontend = (engine, options) => devices && vsnd('frontend', { engine, ...options }, devices);
  const timer = { player: 'timer' };
  const copying = copy && { command: copy, frames: SHORT_PERIOD.periodFrames };
  const own = { threads: 'own' };
  const whole = { threads: 'whole' };
  return [
    { name: 'native, default options; speaker', ours: frontend('native'), peer: speaker, ...own, aim: '' },
    {
      name: 'native, 1024 frames; speaker',
      ours: frontend('native', PERIOD),
      peer: speaker,
      ...own,
      aim: '<= 0.7',
    },
    {
      name: 'native, 128 frames; C',
      ours: frontend('native', SHORT_PERIOD),
      peer: copying,
      ...own,
      aim: '<= 3',
    },
    { name: 'script, default options; speaker', ours: frontend('script'), peer: speaker, ...own, aim: '< 1' },
    {
      name: 'script, 1024 frames; timer',
      ours: frontend('script', PERIOD),
      peer: timer,
      ...own,
      aim: '<= 1.3',
    },
    { name: 'script, 128 frames; C', ours: frontend('script', SHORT_PERIOD), peer: copying, ...own, aim: '' },
    {
      name: 'both sides, 1024 frames; speaker',
      ours: vsnd('bothSides', PERIOD),
      peer: speaker,
      ...whole,
      aim: '<= 2',
    },
    {
      name: `both sides, ${STREAMS} streams; ${STREAMS} times one`,
      ours: vsnd('bothSides', { streams: STREAMS }),
      peer: { ...vsnd('bothSides', {}), times: STREAMS },
      ...whole,
      aim: '<= 0.5',
    },
  ];
}

/** CPU ms a minute, and turns of the event loop a second. */
async function costOf({ player, command, frames, options = {}, env = {}, times = 1 }, threads, seconds) {
  const args = command
    ? [String(frames), String(seconds)]
    : [pathOf('programs/paced.cjs'), player, String(seconds), JSON.stringify(options)];
  const report = await reportOf(args, env, command);
  return { cpu: (report[threads] * times * 60) / seconds, turns: (report.turns ?? 0) / seconds };
}

export async function run({ rounds, share }) {
  printHead(
    [
      'CPU ms a minute of 48 kHz s16 stereo, played in real time in pieces of 4 KiB; start-up is not counted',
      "native, script: the frontend alone, with that engine, over stand-in devices, without the backend's thread and V8's helpers;",
      'both sides: in one thread, all counted; turns: of the event loop, a second',
      'speaker: npm speaker 0.5.5 at its defaults, into a card of ALSA that keeps time; timer: copies 4 KiB a period of 1024 frames;',
      'C: timerfd and a copy, in C',
    ],
    ['vsnd', 'peer', 'ratio', 'aim', 'turns'],
  );
  const directory = mkdtempSync(join(tmpdir(), 'vsnd-bench-'));
  try {
    const card = isSpeakerInstalled() ? pacedCard(directory) : undefined;
    const speaker = card && { player: 'speaker', env: alsaWith(card, directory) };
    const devices = standInDevices(directory);
    const copy = program('paced-copy', directory);
    for (const { name, ours, peer, threads, aim } of rowsOf(speaker, devices, copy)) {
      if (ours === undefined || peer === undefined) {
        printRow(name, ['skipped', '', '', aim]);
        continue;
      }
      const figures = { ours: [], peer: [], turns: [] };
      for (let round = 0; round < rounds; round++) {
        const { cpu, turns } = await costOf(ours, threads, SECONDS * share);
        figures.ours.push(cpu);
        figures.turns.push(turns);
        figures.peer.push((await costOf(peer, threads, SECONDS * share)).cpu);
      }
      const ratio = median(figures.ours.map((value, n) => value / figures.peer[n]));
      printRow(name, [median(figures.ours), median(figures.peer), ratio, aim, median(figures.turns)]);
    }
    if (speaker === undefined) console.log(HOW_TO_INSTALL_SPEAKER);
    if (devices === undefined) console.log(HOW_TO_HAVE_DEVICES);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
