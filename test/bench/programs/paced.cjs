// node paced.cjs PLAYER SECONDS [OPTIONS]: plays silence in real time, 48 kHz s16 stereo in pieces of 4 KiB, and writes the CPU ms
// of that time and the turns of the event loop in it to descriptor 3. Start-up and the first second are not in it.
const { cpuTime } = require('./threads.cjs');
const { writeSync } = require('node:fs');
const { setTimeout: wait } = require('node:timers/promises');

const [, , player, seconds, options = '{}'] = process.argv;

const turns = () => performance.nodeTiming.uvMetricsInfo.loopCount;

async function main() {
  const players = await import('./players.js');
  const { backendThread } = (await players[player](JSON.parse(options))) ?? {};
  const except = backendThread === undefined ? [] : [backendThread];
  await wait(1000);
  const before = { ...cpuTime(except), turns: turns() };
  await wait(Number(seconds) * 1000);
  const after = { ...cpuTime(except), turns: turns() };
  const grown = Object.entries(after).map(([name, value]) => [name, value - before[name]]);
  writeSync(3, JSON.stringify(Object.fromEntries(grown)));
  process.exit(0);
}

main();
