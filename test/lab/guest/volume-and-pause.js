// In the guest: one stream at another volume, and one that is paused on its way: volume-and-pause.js WHAT
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { openCard } from '../../../dist/index.js';
import { noise } from '../noise.js';

const PAUSE_MS = 500;

const say = (event) => console.log(JSON.stringify(event));
const format = { rate: 48_000, channels: 2, format: 's16_le' };

async function playAt(card, { seed, frames, stream, volume }) {
  const out = card.createPlaybackStream({ ...format, stream });
  await out.setVolume(volume);
  say({ event: 'volume', volume: await out.getVolume() });
  await pipeline(Readable.from([noise(seed, frames * out.frameBytes)]), out);
}

async function playWithPause(card, { seed, frames, stream }) {
  const out = card.createPlaybackStream({ ...format, stream });
  const playing = pipeline(Readable.from([noise(seed, frames * out.frameBytes)]), out);
  while (out.position < frames / 4) await once(out, 'position');
  await out.trigger('pause');
  await sleep(PAUSE_MS); // what was on its way when the backend paused has arrived
  const before = out.position;
  await sleep(PAUSE_MS);
  say({ event: 'paused', state: out.state, before, after: out.position });
  await out.trigger('resume');
  await playing;
}

const { scaled, paused } = JSON.parse(process.argv[2]);
const card = await openCard();
await playAt(card, scaled);
await playWithPause(card, paused);
await card.close();
