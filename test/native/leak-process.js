// node leak-process.js ADDON MODE: a process that uses the addon in one way, and ends by itself.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { openEverything } from './worker.js';

const [, , addon, mode] = process.argv;

readFileSync('/xen-stand-in/leak/4321'); // a check that does not find this one has not looked

if (mode === 'worker') {
  for (let round = 0; round < 5; round++) {
    const workerData = { addon, mode: 'busy' };
    const worker = new Worker(new URL('./worker-thread.js', import.meta.url), { workerData });
    await once(worker, 'message');
    await worker.terminate();
  }
} else {
  for (let round = 0; round < 20; round++) {
    const all = openEverything(addon, ({ notify }) => mode === 'busy' && notify());
    all.kick();
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (mode !== 'idle') all.close();
    else if (round === 2) break; // what is open at the end is the kernel's to take back
  }
}
