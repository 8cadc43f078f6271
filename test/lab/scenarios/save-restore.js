// The guest is saved and restored while it plays with `reconnect`, 3 times; then the stream ends, and its process.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Guest } from '../dom0/guest.js';
import { jsonLines, playCommand } from '../dom0/lab.js';
import { noise } from '../noise.js';

const ROUNDS = 3;
/** MiB: all of it is saved, and the guest's ramdisk needs most of it. */
const MEMORY = 448;
/** Between two rounds. */
const PLAYED_MS = 1500;
/** Enough for a round, also where the machine is slow: the rest is played after the last one. */
const ROUND_FRAMES = 5 * 48_000;
const LIMIT_MS = 500_000;

export async function run(lab) {
  return await outlive(lab, ROUNDS);
}

/** Resolves with a note of the gaps. */
export async function outlive(lab, rounds) {
  const what = { seed: 80, frames: rounds * ROUND_FRAMES, stream: 0 };
  await lab.backend('--sink', `wav:${lab.recordings}/{domid}.wav`);
  const guest = await Guest.create({ memory: MEMORY });
  try {
    const { output, domids } = await playThrough(guest, what, rounds);
    const restarts = jsonLines(output, 'reconnect');
    if (restarts.length !== rounds || jsonLines(output, 'closed').length === 0) {
      throw new Error(`the stream did not outlive ${rounds} rounds:\n${output}`);
    }
    expectRecordings(lab.recordings, what, domids, [0, ...restarts.map(({ frames }) => frames)]);
    await expectCleanKernel(guest);
    const gaps = restarts.map(({ gap }) => Math.round(gap));
    return `gaps of ${Math.min(...gaps)} to ${Math.max(...gaps)} ms`;
  } finally {
    await guest.destroy();
  }
}

/** Saves and restores whenever the guest plays; resolves at the end of its process, with what that said. */
async function playThrough(guest, what, rounds) {
  const domids = [guest.domid];
  let plays;
  const nextPlaying = () =>
    new Promise((resolve) => {
      plays = resolve;
    });
  let playing = nextPlaying();
  const ended = guest.try(playCommand({ streams: [what], card: { reconnect: true } }), {
    limitMs: LIMIT_MS,
    onLine: (line) => {
      if (/"(?:playing|reconnect)"/.test(line)) plays();
    },
  });
  const early = ended.then(({ output }) => {
    throw new Error(`the guest ended after ${domids.length - 1} rounds:\n${output}`);
  });
  early.catch(() => {}); // as it should be in the end
  for (let round = 1; round <= rounds; round++) {
    await Promise.race([playing, early]);
    await sleep(PLAYED_MS);
    playing = nextPlaying();
    await guest.saveAndRestore();
    domids.push(guest.domid);
  }
  const { status, output } = await ended;
  if (status !== 0) throw new Error(`the guest's process ended with ${status}:\n${output}`);
  return { output, domids };
}

/** Each domid's recording begins with the first frame that was not reported before, and reaches the next one's. */
function expectRecordings(folder, { seed, frames }, domids, starts) {
  const sound = noise(seed, frames * 4);
  for (const [round, domid] of domids.entries()) {
    const file = readFileSync(`${folder}/${domid}.wav`);
    const heard = file.subarray(file.indexOf('data') + 8);
    const expected = sound.subarray(starts[round] * 4);
    const least = (starts[round + 1] ?? frames) * 4 - starts[round] * 4;
    if (heard.length < least || !heard.equals(expected.subarray(0, heard.length))) {
      throw new Error(
        `the recording of domain ${domid}, ${heard.length} bytes, is not what was played from ${starts[round]}`,
      );
    }
  }
}

async function expectCleanKernel(guest) {
  const log = await guest.run('dmesg');
  const complaint = /^.*(?:BUG|Oops|WARNING|Call Trace).*$/m.exec(log)?.[0];
  if (complaint) throw new Error(`the guest's kernel says: ${complaint}\n${log}`);
}
