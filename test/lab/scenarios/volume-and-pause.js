// The backend's volume, and a pause: what is recorded is what the guest asked for.
import { Gain } from '../../../dist/pcm/gain.js';
import { jsonLines } from '../dom0/lab.js';
import { expectBytes, expectRecording } from '../dom0/recording.js';
import { noise } from '../noise.js';

const VOLUME = [-6, -20.5];

export async function run(lab) {
  await lab.backend('--sink', `wav:${lab.recordings}/{id}.wav`);
  const guest = await lab.guest();
  const scaled = { seed: 60, frames: 48_000, stream: 0, volume: VOLUME };
  const paused = { seed: 61, frames: 144_000, stream: 1 };
  const what = JSON.stringify({ scaled, paused });
  const output = await guest.run(`node /vsnd/test/lab/guest/volume-and-pause.js '${what}'`);

  const [{ volume }] = jsonLines(output, 'volume');
  if (String(volume) !== String(VOLUME)) throw new Error(`the backend says that the volume is ${volume} dB`);
  const gain = new Gain({ format: 's16_le', channels: 2, rate: 48_000 });
  gain.setVolumes(VOLUME);
  const softer = Buffer.from(gain.apply(noise(scaled.seed, scaled.frames * 4)));
  await expectBytes(`${lab.recordings}/one.wav`, softer);

  const [{ state, before, after }] = jsonLines(output, 'paused');
  if (state !== 'paused' || before !== after) {
    throw new Error(`paused, the stream was ${state} and went from frame ${before} to ${after}`);
  }
  await expectRecording(`${lab.recordings}/two.wav`, paused);
}
