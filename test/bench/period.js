// What a paced period of both sides comes to, counted, not timed.
import { printHead, printRow } from './figures.js';
import { pathOf, reportOf } from './process-cpu.js';

const PERIODS = 200;

/** So that nothing is collected while it is counted, MB. */
const YOUNG = 64;

export const countIn = (what, flags = []) =>
  reportOf([...flags, pathOf('programs/period.js'), what, String(PERIODS)]);

export async function run() {
  printHead(
    ['a period of 1024 frames of one paced stream, both sides in one thread of an emulated machine, counted'],
    ['number', 'aim'],
  );
  const counts = await countIn('counts');
  const flags = ['--expose-gc', `--min-semi-space-size=${YOUNG}`, `--max-semi-space-size=${YOUNG}`];
  const garbage = await countIn('garbage', flags);
  const functions = await countIn('walk');
  printRow("the frontend's wakes", [counts.wakes, '1']);
  printRow('WRITEs', [counts.writes, '1']);
  printRow('notifications, either way', [counts.notifications, '2']);
  printRow("timers set, beside those of the card's own clock", [counts.timersSet, '0']);
  printRow('timers cancelled', [counts.timersCancelled, '0']);
  printRow("timers set of the card's own clock", [counts.deviceTimers, '1']);
  printRow('promises', [counts.promises, '0']);
  printRow('garbage, KB', [garbage.bytes / 1000, '<= 4']);
  printRow('calls of functions', [functions.reduce((sum, { calls }) => sum + calls, 0), '<= 150']);
}
