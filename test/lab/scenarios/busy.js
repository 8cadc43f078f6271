// JavaScript is busy for ten times as long as the shared buffer lasts: what was written before plays on, bit by bit.
import { xl } from '../dom0/guest.js';
import { jsonLines } from '../dom0/lab.js';
import { expectRecording } from '../dom0/recording.js';

const RATE = 48_000;
const SOUND = { seed: 90, frames: 1.5 * RATE, busyMs: 500 };
/** 50 ms, and between JavaScript and the thread a second. */
const SIZES = { bufferFrames: 2400, periodFrames: 480, highWaterMark: RATE * 4 };

/** A backend or a guest that stood still for 50 ms has run dry, on a machine that is busy with other things: then once more. */
const ATTEMPTS = 8;

/** ms that a domain with much to do keeps a processor: a guest that is busy is not to keep the backend from it for the usual 30. */
const SLICE = '5';
const USUAL_SLICE = '30';

export async function run(lab) {
  await xl('sched-credit', '-s', '-t', SLICE);
  try {
    return await play(lab);
  } finally {
    await xl('sched-credit', '-s', '-t', USUAL_SLICE);
  }
}

async function play(lab) {
  await lab.backend('--sink', `wav:${lab.recordings}/{id}.wav`);
  const guest = await lab.guest();
  const what = JSON.stringify({ ...SOUND, ...SIZES });
  const dry = [];
  while (dry.length < ATTEMPTS) {
    const output = await guest.run(`node /vsnd/test/lab/guest/busy.js '${what}'`);
    const [{ underruns, during }] = jsonLines(output, 'played');
    if (underruns > 0) {
      dry.push(`${underruns} (${during} frames)`);
      continue;
    }
    await expectRecording(`${lab.recordings}/one${dry.length === 0 ? '' : `-${dry.length + 1}`}.wav`, SOUND);
    return `${during} frames while JavaScript was busy; attempt ${dry.length + 1}`;
  }
  throw new Error(`underruns in each of ${ATTEMPTS} attempts: ${dry.join(', ')}`);
}
