// Plays a second of melody:
//
//   VSND_EMULATE=1 node examples/play-tone.js
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { openCard } from 'vsnd';

const RATE = 48_000;
const NOTES_HZ = [523.25, 659.25, 783.99, 1046.5];
const NOTE_FRAMES = RATE / NOTES_HZ.length;

/** One note, mono s16_le: a sine that fades. */
function note(hz) {
  const bytes = Buffer.alloc(NOTE_FRAMES * 2);
  for (let frame = 0; frame < NOTE_FRAMES; frame++) {
    const attack = Math.min(1, frame / 200);
    const decay = (1 - frame / NOTE_FRAMES) ** 2;
    const level = 0.4 * attack * decay * Math.sin((2 * Math.PI * hz * frame) / RATE);
    bytes.writeInt16LE(Math.round(level * 32_767), frame * 2);
  }
  return bytes;
}

const card = await openCard();
try {
  const out = card.createPlaybackStream({ rate: RATE, channels: 1, format: 's16_le' });
  out.on('underrun', ({ frames }) => console.error(`underrun: ${frames} frames of silence`));

  // Resolves when the backend says that the last frame has been played.
  await pipeline(Readable.from(NOTES_HZ.map(note)), out);
  console.log(`played ${out.position} frames at ${RATE} Hz, ${out.positionReports} positions reported`);
} finally {
  await card.close();
}
