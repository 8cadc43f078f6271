// Our backend dies by SIGKILL while the guest plays and records, and starts again after a while, or none: the guest plays on.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { jsonLines } from '../dom0/lab.js';
import { expectBytes } from '../dom0/recording.js';
import { noise } from '../noise.js';

/** ms between a backend's end and the start of the next one; systemd's default is 100. */
export const AWAY_MS = [0, 100, 500, 1000, 3500];
/** What a backend may play before it is killed. */
const PLAYED_MS = 1000;
const FORMAT = { rate: 44_100, channels: 1, format: 's16_le' };
const FRAME_BYTES = 2;
/** More than is played while backends are killed. */
const FRAMES = 14 * FORMAT.rate;
const LIMIT_MS = 600_000;

export async function run(lab) {
  return await outlive(lab, { aways: AWAY_MS, seed: 90 });
}

/** Plays through the death of a backend for each of `aways`; resolves with a note of the gaps. */
export async function outlive(lab, { aways, seed }) {
  const file = (take) => `${lab.recordings}/${seed}-${take}.wav`;
  const start = (take) => lab.backend('--sink', `wav:${file(take)}`, '--source', 'sine');
  let take = 0;
  let deaths = 0;
  let backend = await start(take);
  let restarting = Promise.resolve();
  const killAndRestart = async (away) => {
    await sleep(PLAYED_MS);
    await backend.kill();
    await sleep(away);
    backend = await start(++take);
  };
  const guest = await lab.guest();
  const what = JSON.stringify({ seed, frames: FRAMES, ...FORMAT });
  const { status, output } = await guest.try(`node /vsnd/test/lab/guest/play-and-record.js '${what}'`, {
    limitMs: LIMIT_MS,
    onLine: (line) => {
      if (!/"running"/.test(line) || deaths === aways.length) return;
      const away = aways[deaths++];
      restarting = restarting.then(() => killAndRestart(away)); // the guest may be sooner than the backend says that it is there
      restarting.catch(() => {}); // it is said below
    },
  });
  await restarting;
  const cuts = jsonLines(output, 'disconnect').map(({ frames }) => frames);
  const again = jsonLines(output, 'reconnect');
  const runs = jsonLines(output, 'running').length;
  if (status !== 0 || cuts.length !== deaths || again.length !== deaths || runs !== aways.length + 1) {
    throw new Error(`with a backend that was away for ${aways} ms, the streams did not go on:\n${output}`);
  }
  const sound = noise(seed, FRAMES * FRAME_BYTES);
  for (const [index, cut] of cuts.entries()) {
    const begin = cuts[index - 1] ?? 0;
    expectHeard(file(index), sound.subarray(begin * FRAME_BYTES, cut * FRAME_BYTES));
  }
  await expectBytes(file(deaths), sound.subarray(cuts.at(-1) * FRAME_BYTES));
  await backend.stop();
  return again.map(({ gap }, index) => `${aways[index]} ms: a gap of ${Math.round(gap)} ms`).join(', ');
}

/** What a killed backend has written begins with this. Its header has no length: it was not closed. */
function expectHeard(path, reported) {
  const file = readFileSync(path);
  const heard = file.subarray(file.indexOf('data') + 8);
  if (!heard.subarray(0, reported.length).equals(reported)) {
    throw new Error(
      `${path}: not what was reported as played, ${reported.length} bytes (${heard.length} are there)`,
    );
  }
}
