// Our backend dies by SIGKILL while the guest plays, and starts again: the guest is told, and can play anew.
import { jsonLines, playCommand } from '../dom0/lab.js';
import { expectRecording } from '../dom0/recording.js';

export async function run(lab) {
  const first = await lab.backend('--sink', 'null');
  const guest = await lab.guest();
  const endless = { streams: [{ seed: 1, frames: 480_000, stream: 0 }] };
  const { output } = await guest.try(playCommand(endless), {
    onLine: (line) => {
      if (/"playing"/.test(line)) first.kill();
    },
  });
  const [error] = jsonLines(output, 'error');
  if (error?.code !== 'ERR_VSND_BACKEND_GONE') throw new Error(`the guest's stream ended so:\n${output}`);

  await lab.backend('--sink', `wav:${lab.recordings}/{id}.wav`);
  const after = { seed: 30, frames: 48_000, stream: 0 };
  await lab.play(guest, { streams: [after] });
  await expectRecording(`${lab.recordings}/one.wav`, after);
}
