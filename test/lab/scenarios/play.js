// Our frontend plays into our backend, which records what reaches it: not a byte more or less.
import { expectRecording } from '../dom0/recording.js';

export async function run(lab) {
  const backend = await lab.backend('--sink', `wav:${lab.recordings}/{id}.wav`);
  const guest = await lab.guest();

  const ten = { seed: 1, frames: 480_000, stream: 0 };
  await lab.play(guest, { streams: [ten] });
  await expectRecording(`${lab.recordings}/one.wav`, ten);

  const both = [
    { seed: 2, frames: 96_000, stream: 0 },
    { seed: 3, frames: 88_200, stream: 1, rate: 44_100 },
  ];
  await lab.play(guest, { streams: both });
  await expectRecording(`${lab.recordings}/one-2.wav`, both[0]);
  await expectRecording(`${lab.recordings}/two.wav`, both[1]);
  await backend.stop();
}
