// Plays two programmes at once, each in a zone of its own: the first two PCM devices of one card.
//
//   VSND_EMULATE=1 node examples/two-zones.js
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openCard } from 'vsnd';

const RATE = 48_000;

const ZONES = [
  { device: 0, name: 'front', noteSeconds: 0.5, notesHz: [220, 261.63, 329.63, 261.63] },
  { device: 1, name: 'rear', noteSeconds: 0.25, notesHz: [880, 783.99, 659.25, 783.99, 880, 880, 880] },
];

/** One note, mono s16_le: a sine that fades. */
function note(hz, seconds) {
  const samples = Int16Array.from({ length: RATE * seconds }, (_, frame) => {
    const decay = (1 - frame / (RATE * seconds)) ** 2;
    return 12_000 * decay * Math.sin((2 * Math.PI * hz * frame) / RATE);
  });
  return new Uint8Array(samples.buffer);
}

/** Resolves when the zone's last note has been played. */
async function playZone(card, { device, name, noteSeconds, notesHz }) {
  const out = card.createPlaybackStream({ device, rate: RATE, channels: 1, format: 's16_le' });
  out.on('underrun', ({ frames }) => console.error(`${name}: nothing to play after frame ${frames}`));
  await pipeline(Readable.from(notesHz.map((hz) => note(hz, noteSeconds))), out);
  console.log(`${name}: PCM device ${out.device} has played ${out.position / RATE} s`);
}

const card = await openCard();
try {
  // Each stream is paced by its own device: neither waits for the other.
  await Promise.all(ZONES.map((zone) => playZone(card, zone)));
} finally {
  await card.close();
}
