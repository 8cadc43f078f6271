// node busy.js ADDON WHAT OPTIONS: plays noise while JavaScript is busy with WHAT, and says what has become of it.
import { once } from 'node:events';
import { PerformanceObserver } from 'node:perf_hooks';
import { finished } from 'node:stream/promises';
import { noise } from '../lab/noise.js';
import { Domain0, FORMAT, openGuest } from './machine.js';

/** Bytes a second of the backend's time, and of one object. */
const GARBAGE = 100e6;
const OBJECT = 1000;

const [addon, what, text] = process.argv.slice(2);
const { engine, seconds, ...options } = JSON.parse(text);
const sound = noise(1, seconds * FORMAT.rate * 4);

/** Half a second of the backend's time in one turn. */
async function block() {
  return { wasPlaying: domain0.keepBusy(FORMAT.rate / 2) };
}

/** Objects of which the collector must look after each: some live for a while, most do not. */
async function makeGarbage() {
  const kept = [];
  let bytes = 0;
  let collections = 0;
  new PerformanceObserver((list) => (collections += list.getEntries().length)).observe({
    entryTypes: ['gc'],
  });
  for (let isOver = false; !isOver; await new Promise((resolve) => setTimeout(resolve, 10))) {
    isOver = stream.closed;
    for (const end = (domain0.played / FORMAT.rate) * GARBAGE; bytes < end; bytes += OBJECT) {
      kept[(bytes / OBJECT) % 20_000] = Array.from({ length: OBJECT / 8 }, (_, n) => bytes + n + 0.5);
    }
  }
  return { megabytes: bytes / 1e6, collections };
}

const domain0 = await Domain0.start(addon);
const { hypervisor, card } = await openGuest(addon, { engine });
const stream = card.createPlaybackStream({ ...FORMAT, ...options });
stream.end(sound);
const end = finished(stream);
// Until the thread has it, JavaScript carries it, and may be late.
do await once(stream, 'position');
while (engine === 'native' && !domain0.keepBusy(2 * options.bufferFrames));
const before = { underruns: stream.underruns, dry: domain0.dry };
const done = await { block, makeGarbage }[what]();
await end;
const { position } = stream;
const underruns = stream.underruns - before.underruns;
const dry = domain0.dry - before.dry;
const isRealTime = hypervisor.engine?.isRealTime;
await card.close();
await hypervisor.close();
const heard = await domain0.end();
console.log(
  JSON.stringify({
    ...done,
    underruns,
    position,
    dry,
    isExact: heard.equals(sound),
    isRealTime,
  }),
);
