// Records from the card into a WAV file; the emulated card captures a sine:
//
//   VSND_EMULATE=1 node examples/record-wav.js take.wav [SECONDS]
import { pipeline } from 'node:stream/promises';
import { openCard } from 'vsnd';
import { createWavFile } from 'vsnd/audio';

const FORMAT = { rate: 48_000, channels: 2, format: 's16_le' };

const [path = 'take.wav', seconds = '3'] = process.argv.slice(2);

/** The first `length` bytes; leaving the loop ends the capture. */
async function* firstBytes(chunks, length) {
  let rest = length;
  for await (const chunk of chunks) {
    yield chunk.subarray(0, rest);
    rest -= chunk.length;
    if (rest <= 0) return;
  }
}

const card = await openCard();
try {
  const take = card.createCaptureStream(FORMAT);
  take.on('overrun', ({ lost, frames }) => console.error(`${lost} frames were lost before frame ${frames}`));
  const file = await createWavFile(path, FORMAT);
  const length = Math.round(FORMAT.rate * Number(seconds)) * take.frameBytes;
  await pipeline(take, (chunks) => firstBytes(chunks, length), file);
  console.log(`recorded ${file.frames} frames into ${path}`);
} finally {
  await card.close();
}
