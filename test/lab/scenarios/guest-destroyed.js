// `xl destroy` while the guest plays: the backend gives everything back, and serves the next guest.
import { setTimeout as sleep } from 'node:timers/promises';
import { xl } from '../dom0/guest.js';
import { playCommand } from '../dom0/lab.js';
import { expectRecording } from '../dom0/recording.js';

const GONE_LIMIT_MS = 10_000;

export async function run(lab) {
  const backend = await lab.backend('--sink', `wav:${lab.recordings}/{domid}-{id}.wav`);
  const guest = await lab.guest();
  const endless = { streams: [{ seed: 1, frames: 480_000, stream: 0 }] };
  await new Promise((resolve, reject) => {
    const playing = guest.try(playCommand(endless), {
      onLine: (line) => {
        if (/"playing"/.test(line)) resolve();
      },
    });
    const stopped = ({ output }) => reject(new Error(`the guest did not play on:\n${output}`));
    playing.then(stopped, () => {}); // it does not survive the guest
  });
  await guest.destroy();
  await backend.said(/removed/);
  await expectNothingLeft(guest.domid);

  const next = await lab.guest();
  const after = { seed: 40, frames: 48_000, stream: 0 };
  await lab.play(next, { streams: [after] });
  await expectRecording(`${lab.recordings}/${next.domid}-one.wav`, after);
}

/** Xen keeps what is left of a domain as long as another one maps its pages. */
async function expectNothingLeft(domid) {
  const deadline = performance.now() + GONE_LIMIT_MS;
  for (;;) {
    const list = await xl('list');
    if (!list.split('\n').some((line) => Number(line.trim().split(/\s+/)[1]) === domid)) return;
    if (performance.now() > deadline)
      throw new Error(`the backend still holds pages of the dead guest:\n${list}`);
    await sleep(500);
  }
}
