// However a process ends while it plays, it leaves its backend: nobody is left at state 4.
import { xenstoreRead } from '../dom0/guest.js';
import { expectRecording } from '../dom0/recording.js';

const WAYS = ['exit', 'exception', 'SIGTERM', 'SIGINT'];

export async function run(lab) {
  await lab.backend('--map', 'one=null', '--map', `two=wav:${lab.recordings}/two.wav`);
  const guest = await lab.guest();
  for (const way of WAYS) {
    await guest.try(`node /vsnd/test/lab/guest/play-and-end.js ${way}`);
    const state = await xenstoreRead(`/local/domain/${guest.domid}/device/vsnd/0/state`);
    if (state !== '5' && state !== '6') throw new Error(`after ${way} the frontend's state is ${state}`);
  }
  const after = { seed: 80, frames: 24_000, stream: 1 };
  await lab.play(guest, { streams: [after] });
  await expectRecording(`${lab.recordings}/two.wav`, after);
}
