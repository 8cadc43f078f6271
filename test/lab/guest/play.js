// Plays noise in the guest: play.js '{"streams":[{"seed":1,"frames":48000}]}'. Says how it goes, in JSON.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openCard } from '../../../dist/index.js';
import { noise } from '../noise.js';

const CHUNK_BYTES = 16_384;

const say = (event) => console.log(JSON.stringify(event));

/** `{ seed, frames, rate, channels, format }` and whatever else createPlaybackStream takes. */
async function play(card, { seed, frames, ...options }) {
  const format = { rate: 48_000, channels: 2, format: 's16_le', ...options };
  const out = card.createPlaybackStream(format);
  out.once('position', () => say({ event: 'playing', seed }));
  out.on('disconnect', ({ error, frames: at }) => say({ event: 'disconnect', code: error.code, frames: at }));
  out.on('reconnect', ({ frames: at, gap }) => say({ event: 'reconnect', frames: at, gap }));
  await pipeline(Readable.from(chunks(noise(seed, frames * out.frameBytes))), out);
  const { position, underruns, positionReports, periodFrames, bufferFrames } = out;
  say({ event: 'played', seed, frames: position, underruns, positionReports, periodFrames, bufferFrames });
}

function* chunks(bytes) {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}

const { streams, card: options } = JSON.parse(process.argv[2]);
try {
  const card = await openCard(options);
  const cpuBefore = process.cpuUsage();
  try {
    await Promise.all(streams.map((stream) => play(card, stream)));
  } finally {
    const { user, system } = process.cpuUsage(cpuBefore);
    say({ event: 'cpu', seconds: (user + system) / 1e6 });
    await card.close();
  }
  say({ event: 'closed' });
} catch ({ code, message }) {
  say({ event: 'error', code, message });
  process.exitCode = 1;
}
