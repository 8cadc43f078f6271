// Plays a WAV file from a program:
//
//   VSND_EMULATE=1 node examples/play-wav.js [FILE.wav]
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { openCard } from 'vsnd';
import { openAudio } from 'vsnd/audio';

const HELLO = fileURLToPath(new URL('hello.wav', import.meta.url));

const source = await openAudio(process.argv[2] ?? HELLO);
const { format, rate, channels } = source;
const card = await openCard();
try {
  const out = card.createPlaybackStream({ format, rate, channels });
  await pipeline(source.read(), out); // resolves when the last frame has been played
  console.log(`played ${out.position} frames at ${rate} Hz, ${out.underruns} underruns`);
} finally {
  await card.close();
  await source.close();
}
