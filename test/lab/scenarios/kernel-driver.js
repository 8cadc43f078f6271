// The kernel's own snd_xen_front plays into our backend: a frontend that nobody here wrote.
import { jsonLines, playCommand } from '../dom0/lab.js';
import { expectRecording } from '../dom0/recording.js';

const FRAMES = 192_000;
const BUFFER_FRAMES = 8192;
const BUFFER_BYTES = BUFFER_FRAMES * 4;

/** aplay that was late says so, and writes some frames twice: on a machine that is busy with other things. Then once more. */
const ATTEMPTS = 8;

export async function run(lab) {
  await lab.backend('--sink', `wav:${lab.recordings}/{id}.wav`);
  const guest = await lab.guest();
  await guest.run('sh /vsnd/test/lab/guest/kernel-driver.sh load');
  try {
    await guest.run(`node /vsnd/test/lab/guest/make-noise.js 10 ${FRAMES * 4} /tmp/noise.raw`);
    let takes = 0;
    for (const periods of [4, 2]) {
      takes += await play(guest, BUFFER_FRAMES / periods);
      const recording = `${lab.recordings}/one${takes === 1 ? '' : `-${takes}`}.wav`;
      await expectRecording(recording, { seed: 10, frames: FRAMES, silence: BUFFER_BYTES - 1 });
    }
    await expectRefusal(guest);
  } finally {
    await guest.run('sh /vsnd/test/lab/guest/kernel-driver.sh unload');
  }
  // What the driver let go is ours.
  const after = { seed: 11, frames: 24_000, stream: 1 };
  await lab.play(guest, { streams: [after] });
  await expectRecording(`${lab.recordings}/two.wav`, after);
}

/** Plays until aplay has not been late. Returns how often. */
async function play(guest, periodFrames) {
  const sizes = `--buffer-size=${BUFFER_FRAMES} --period-size=${periodFrames}`;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const output = await guest.run(
      `aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 ${sizes} /tmp/noise.raw`,
    );
    if (!output.includes('underrun')) return attempt;
  }
  throw new Error(`aplay was late in each of ${ATTEMPTS} attempts`);
}

/** While the driver has the card, we say so and how to end that. */
async function expectRefusal(guest) {
  const { output } = await guest.try(playCommand({ streams: [{ seed: 1, frames: 4800 }] }));
  const [refusal] = jsonLines(output, 'error');
  if (!/snd_xen_front/.test(refusal?.message) || !/unbind/.test(refusal?.message)) {
    throw new Error(`with the kernel's driver on the card:\n${output}`);
  }
}
