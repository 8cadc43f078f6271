// Plays from a worker thread, which goes on while the main thread is busy:
//
//   VSND_EMULATE=1 node examples/worker/main.js [SECONDS]
import { Worker } from 'node:worker_threads';

const [seconds = '2'] = process.argv.slice(2);

const player = new Worker(new URL('player.js', import.meta.url), { workerData: Number(seconds) });
const played = new Promise((resolve, reject) => {
  player.once('message', resolve);
  player.once('error', reject);
});

let busy = 0;
// For a second at a time nothing else of this thread runs.
const work = setInterval(() => {
  const end = performance.now() + 1000;
  while (performance.now() < end);
  busy++;
}, 10);

const { frames, underruns } = await played;
clearInterval(work);
console.log(`played ${frames} frames, ${underruns} underruns, while the main thread was busy for ${busy} s`);
