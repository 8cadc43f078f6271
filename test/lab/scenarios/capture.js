// What the backend's source gives arrives in the guest, bit by bit: by our frontend, and by the kernel's driver.
import { createHash } from 'node:crypto';
import { WavWriter } from '../../../dist/wav/writer.js';
import { jsonLines } from '../dom0/lab.js';
import { noise } from '../noise.js';

/** Little data in a buffer of 64 KiB: nothing should be lost on a slow machine. */
const RATE = 44_100;
const FRAME_BYTES = 2;
const BUFFER_FRAMES = 65_536 / FRAME_BYTES;
/** Eight periods of it: a ninth one is for volumes. */
const OWN_BUFFER_FRAMES = 8 * Math.floor(BUFFER_FRAMES / 9);
const FRAMES = 4 * RATE;
const SOURCE = '/tmp/source.wav';

/** A guest that stood still for longer than its buffer lasts has an overrun, and says so: then once more. */
const ATTEMPTS = 3;

export async function run(lab) {
  const sound = noise(50, 2 * FRAMES * FRAME_BYTES); // it does not end before the recording does
  const expected = createHash('sha256')
    .update(sound.subarray(0, FRAMES * FRAME_BYTES))
    .digest('hex');
  const wav = new WavWriter(SOURCE, { format: 's16_le', rate: RATE, channels: 1 });
  wav.write(sound);
  wav.close();
  await lab.backend('--sink', 'null', '--source', `wav:${SOURCE}`);
  const guest = await lab.guest();

  await expectSound(expected, () => recordWithVsnd(guest));
  await guest.run('sh /vsnd/test/lab/guest/kernel-driver.sh load');
  try {
    await expectSound(expected, () => recordWithArecord(guest));
  } finally {
    await guest.run('sh /vsnd/test/lab/guest/kernel-driver.sh unload');
  }
}

/** `record` resolves with the recording's SHA-256; undefined where there was an overrun. */
async function expectSound(expected, record) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const sum = await record();
    if (sum === expected) return;
    if (sum !== undefined) throw new Error(`${record}: without an overrun, something else was recorded`);
  }
  throw new Error(`${record}: ${ATTEMPTS} recordings, and an overrun in each`);
}

async function recordWithVsnd(guest) {
  const what = { frames: FRAMES, rate: RATE, channels: 1, bufferFrames: OWN_BUFFER_FRAMES };
  const output = await guest.run(`node /vsnd/test/lab/guest/record.js '${JSON.stringify(what)}'`);
  const [{ sha256, overruns }] = jsonLines(output, 'recorded');
  return overruns === 0 ? sha256 : undefined;
}

async function recordWithArecord(guest) {
  const sizes = `--buffer-size=${BUFFER_FRAMES} --period-size=${BUFFER_FRAMES / 4}`;
  const format = `-t raw -f S16_LE -c 1 -r ${RATE} --samples=${FRAMES}`;
  const output = await guest.run(`arecord -q -D hw:0,0 ${format} ${sizes} /tmp/heard.raw`);
  if (/overrun/.test(output)) return undefined;
  const [sum] = (await guest.run('sha256sum /tmp/heard.raw')).split(' ');
  return sum;
}
