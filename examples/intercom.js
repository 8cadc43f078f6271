// An intercom: what the card captures is played on it a moment later, and both clocks are shown; the emulated card captures a
// sine:
//
//   VSND_EMULATE=1 node examples/intercom.js [SECONDS]
import { pipeline } from 'node:stream/promises';
import { openCard } from 'vsnd';

const RATE = 48_000;
const FORMAT = { rate: RATE, channels: 2, format: 's16_le' };

/** Frames of silence that are played first: what is captured later than that is heard as a gap. */
const DELAY = RATE / 10;

const [seconds = '10'] = process.argv.slice(2);

/** How far a stream is at this moment, and how far its device is off: undefined until that is known. */
function tell(name, { frames, errorFrames, deviation }) {
  const ppm = deviation === undefined ? '' : `, ${deviation.toFixed(0)} ppm`;
  return `${name} ${(frames / RATE).toFixed(3)} s +- ${((1000 * errorFrames) / RATE).toFixed(1)} ms${ppm}`;
}

const card = await openCard();
try {
  const microphone = card.createCaptureStream({ ...FORMAT, periodFrames: RATE / 100 });
  const loudspeaker = card.createPlaybackStream({ ...FORMAT, startThresholdFrames: DELAY });
  loudspeaker.on('underrun', ({ count }) => console.error(`nothing to play, ${count} times so far`));
  microphone.on('overrun', ({ lost }) => console.error(`${lost} frames were lost`));

  loudspeaker.write(Buffer.alloc(DELAY * loudspeaker.frameBytes));
  const shown = setInterval(() => {
    const [captured, played] = [microphone.clock, loudspeaker.clock];
    const delay = captured.frames - (played.frames - DELAY);
    console.log(
      `${tell('captured', captured)}; ${tell('played', played)}; delay ${((1000 * delay) / RATE).toFixed(0)} ms`,
    );
  }, 500);
  const end = setTimeout(() => microphone.finish(), 1000 * Number(seconds));
  try {
    await pipeline(microphone, loudspeaker); // resolves when the last frame captured has been played
  } finally {
    clearInterval(shown);
    clearTimeout(end);
  }
  console.log(`captured ${microphone.position} frames, played ${loudspeaker.position}`);
} finally {
  await card.close();
}
