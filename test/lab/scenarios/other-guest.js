// In a guest unlike the others: `vsnd doctor` has nothing to fix there, and what it plays is what the backend hears.
import { expectRecording } from '../dom0/recording.js';

export async function run(lab) {
  const backend = await lab.backend('--sink', `wav:${lab.recordings}/{id}.wav`);
  const guest = await lab.guest();
  await guest.run('node /vsnd/dist/cli/main.js doctor');

  const both = [
    { seed: 61, frames: 96_000, stream: 0 },
    { seed: 62, frames: 88_200, stream: 1, rate: 44_100 },
  ];
  await lab.play(guest, { streams: both });
  await expectRecording(`${lab.recordings}/one.wav`, both[0]);
  await expectRecording(`${lab.recordings}/two.wav`, both[1]);
  await backend.stop();
  return guest.run('echo "Node $(node --version), Linux $(uname -r), $(cat /sys/hypervisor/guest_type)"');
}
