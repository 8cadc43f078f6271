// Plays noise, and is busy meanwhile: busy.js '{"seed":1,"frames":57600,"busyMs":500}'.
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCard } from '../../../dist/index.js';
import { noise } from '../noise.js';

/** Whatever the start brings is over then. */
const SETTLE_MS = 300;
/** In which JavaScript learns how to play: its first time takes longer than a short buffer lasts. */
const WARM_UP_SECONDS = 0.5;

const { seed, frames, busyMs, ...options } = JSON.parse(process.argv[2]);
const card = await openCard();
const format = { rate: 48_000, channels: 2, format: 's16_le', ...options };
const first = card.createPlaybackStream({ ...format, stream: 1 });
first.end(noise(0, WARM_UP_SECONDS * first.rate * first.frameBytes));
await finished(first);
const out = card.createPlaybackStream({ ...format, stream: 0 });
out.end(noise(seed, frames * out.frameBytes));
await once(out, 'position');
await sleep(SETTLE_MS);
const before = out.position;
for (const end = performance.now() + busyMs; performance.now() < end; );
const during = out.position - before;
await finished(out);
const { position, underruns } = out;
console.log(JSON.stringify({ event: 'played', frames: position, underruns, during }));
await card.close();
