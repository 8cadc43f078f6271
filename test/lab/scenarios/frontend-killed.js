// Our frontend dies by SIGKILL while it plays, and starts again: 5 times, with pages for two connections.

import { CARD_PAGES, withGrantLimit } from '../dom0/guest-limits.js';
import { playCommand } from '../dom0/lab.js';
import { expectRecording } from '../dom0/recording.js';

const KILLS = 5;

export async function run(lab) {
  await killAgain(lab, KILLS);
}

export async function killAgain(lab, kills) {
  await lab.backend('--map', 'one=null', '--map', `two=wav:${lab.recordings}/two.wav`);
  const guest = await lab.guest();
  await withGrantLimit(guest, 2 * CARD_PAGES, async () => {
    const endless = { streams: [{ seed: 1, frames: 480_000, stream: 0, bufferFrames: 14_560 }] };
    const command = `node /vsnd/test/lab/guest/kill-again.js ${kills} '${JSON.stringify(endless)}'`;
    await guest.run(command, { limitMs: 350_000 });
    const last = { seed: 20, frames: 24_000, stream: 1, bufferFrames: 14_560 };
    await guest.run(playCommand({ streams: [last] }));
    await expectRecording(`${lab.recordings}/two.wav`, last);
  });
}
