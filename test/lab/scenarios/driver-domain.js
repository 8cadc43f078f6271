// A driver domain, which is a guest itself, serves another guest's card: with the rights and the quotas of a guest.
// What its XenStore does when the daemon is started anew cannot be tried: xenstored can only be started once in a machine's
// life, and its clients would not find the next one.
import { Guest } from '../dom0/guest.js';
import { jsonLines, playCommand } from '../dom0/lab.js';

/** MiB: beside the guest that scenarios share. */
const MEMORY = 450;
const PLAY_LIMIT_MS = 150_000;

/** The sound of each stream goes to a file of the driver domain's own, where it is also compared. */
const START =
  "node /vsnd/dist/cli/main.js backend --json --sink 'wav:/tmp/{id}.wav' > /tmp/backend.log 2>&1 &" +
  ' echo $! > /tmp/backend.pid; until grep -q "serving the guests" /tmp/backend.log; do sleep 0.2; done';
const KILL = 'kill -9 $(cat /tmp/backend.pid)';

export async function run() {
  const driver = await Guest.create({ memory: MEMORY, isDriverDomain: true });
  try {
    await driver.run(START);
    const guest = await Guest.create({ memory: MEMORY, backend: driver.name });
    try {
      return await tryDriver(driver, guest);
    } catch (error) {
      const { output } = await driver.try('cat /tmp/backend.log');
      throw new Error(`${error.message}\nthe backend in the driver domain said:\n${output}`);
    } finally {
      await guest.destroy();
    }
  } finally {
    await driver.destroy();
  }
}

async function tryDriver(driver, guest) {
  const both = [
    { seed: 51, frames: 96_000, stream: 0 },
    { seed: 52, frames: 88_200, stream: 1, rate: 44_100 },
  ];
  await guest.run(playCommand({ streams: both }), { limitMs: PLAY_LIMIT_MS });
  await expectRecording(driver, { path: '/tmp/one.wav', ...both[0] });
  await expectRecording(driver, { path: '/tmp/two.wav', ...both[1] });

  const lasting = { seed: 53, frames: 240_000, stream: 0 };
  let killed;
  const onLine = (line) => {
    if (/"playing"/.test(line)) killed ??= driver.run(KILL).then(() => driver.run(START));
  };
  const played = await guest.run(playCommand({ streams: [lasting], card: { reconnect: true } }), {
    limitMs: PLAY_LIMIT_MS,
    onLine,
  });
  await killed;
  const [reconnect] = jsonLines(played, 'reconnect');
  if (reconnect === undefined) throw new Error(`the stream was not connected again:\n${played}`);
  await guest.destroy();
  await driver.run('until grep -q removed /tmp/backend.log; do sleep 0.2; done');
  return `bit-exact; killed, and playing again after ${Math.round(reconnect.gap)} ms`;
}

async function expectRecording(driver, expected) {
  await driver.run(`node /vsnd/test/lab/guest/expect-recording.js '${JSON.stringify(expected)}'`);
}
