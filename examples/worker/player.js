// The worker of main.js: has the card, and plays a tone.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parentPort, workerData as seconds } from 'node:worker_threads';
import { openCard } from 'vsnd';

const RATE = 48_000;

/** A sine of 440 Hz, mono s16_le, in pieces of 100 ms. */
function* tone() {
  const piece = RATE / 10;
  for (let start = 0; start < RATE * seconds; start += piece) {
    const samples = Int16Array.from({ length: piece }, (_, frame) => {
      return 8000 * Math.sin((2 * Math.PI * 440 * (start + frame)) / RATE);
    });
    yield new Uint8Array(samples.buffer);
  }
}

const card = await openCard();
try {
  const out = card.createPlaybackStream({ rate: RATE, channels: 1, format: 's16_le' });
  await pipeline(Readable.from(tone()), out);
  parentPort.postMessage({ frames: out.position, underruns: out.underruns });
} finally {
  await card.close();
}
