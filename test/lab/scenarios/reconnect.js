// Our backend dies by SIGKILL while the guest plays with `reconnect`: the next one plays on, from the first frame that was not reported.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { jsonLines, playCommand } from '../dom0/lab.js';
import { expectBytes } from '../dom0/recording.js';
import { noise } from '../noise.js';

/** Long enough for the first backend to have played something, and short enough to leave something. */
const PLAYED_MS = 1500;

export async function run(lab) {
  const first = await lab.backend('--sink', `wav:${lab.recordings}/a.wav`);
  const guest = await lab.guest();
  const what = { seed: 70, frames: 384_000, stream: 0 };
  let second;
  const { status, output } = await guest.try(playCommand({ streams: [what], card: { reconnect: true } }), {
    limitMs: 100_000,
    onLine: async (line) => {
      if (!/"playing"/.test(line)) return;
      await sleep(PLAYED_MS);
      first.kill();
      second = lab.backend('--sink', `wav:${lab.recordings}/b.wav`);
    },
  });
  await second;
  const [lost] = jsonLines(output, 'disconnect');
  const [again] = jsonLines(output, 'reconnect');
  if (status !== 0 || !lost || !again) throw new Error(`the stream did not outlive its backend:\n${output}`);

  const sound = noise(what.seed, what.frames * 4);
  const cut = lost.frames * 4;
  const file = readFileSync(`${lab.recordings}/a.wav`); // its header has no length: it was not closed
  const heard = file.subarray(file.indexOf('data') + 8);
  if (heard.length < cut) throw new Error(`${heard.length} bytes were recorded of ${cut} that were reported`);
  if (!heard.equals(sound.subarray(0, heard.length)))
    throw new Error('the first backend heard something else');
  await expectBytes(`${lab.recordings}/b.wav`, sound.subarray(cut));
  return `cut at frame ${lost.frames}, a gap of ${Math.round(again.gap)} ms`;
}
