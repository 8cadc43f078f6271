// node latency.js fd|callback SECONDS: us, median, from a notification by another thread to what it leads to here, written to descriptor 3.
import { writeSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { openCard } from '../../../dist/index.js';
import { median } from '../figures.js';
import { openBare, openStandIn } from './stand-in.js';

const [, , what, seconds] = process.argv;
const delays = [];
const note = (notified) => delays.push(Number(process.hrtime.bigint() - notified[0]) / 1e3);

/** Each piece waits for the CUR_POS that makes room for it. */
async function writeForEver() {
  const engine = 'script';
  const { hypervisor, notified } = await openStandIn({ engine });
  const card = await openCard({ hypervisor, engine });
  const stream = card.createPlaybackStream({
    ...{ rate: 48_000, channels: 2, format: 's16_le' },
    ...{ periodFrames: 1024, bufferFrames: 8192, highWaterMark: 0 },
  });
  const piece = Buffer.alloc(4096);
  const write = () =>
    stream.write(piece, () => {
      note(notified);
      write();
    });
  write();
}

await (what === 'fd' ? openBare(note) : writeForEver());
await wait(1000);
delays.length = 0;
await wait(Number(seconds) * 1000);
writeSync(3, JSON.stringify({ median: median(delays), count: delays.length }));
process.exit(0);
