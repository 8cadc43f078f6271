// The udev rule of docs/guest-setup.md, in a guest with udev: with it, and not before, a user of the group plays.
import { playCommand } from '../dom0/lab.js';
import { expectRecording } from '../dom0/recording.js';

const DEVICES = ['xenbus', 'evtchn', 'gntalloc'].map((name) => `/dev/xen/${name}`);
const PLAY_LIMIT_MS = 100_000;

const sound = { seed: 71, frames: 48_000, stream: 0 };
const PLAY_AS_USER = `su player -c "${playCommand({ streams: [sound] }).replaceAll('"', '\\"')}"`;

export async function run(lab) {
  const backend = await lab.backend('--sink', `wav:${lab.recordings}/{id}.wav`);
  const guest = await lab.guest();
  await guest.run('ln -s udevadm /bin/systemd-udevd');

  const refused = await guest.try(PLAY_AS_USER);
  if (refused.status === 0 || !/EACCES/.test(refused.output)) {
    throw new Error(`without the rule, a user is not refused:\n${refused.output}`);
  }
  await guest.run('systemd-udevd --daemon && udevadm trigger --settle --subsystem-match=misc');
  const nodes = await guest.run(`stat -c '%n %G %a' ${DEVICES.join(' ')}`);
  const expected = DEVICES.map((device) => `${device} vsnd 660`).join('\n');
  if (nodes !== expected) throw new Error(`the rule makes of the nodes:\n${nodes}`);

  await guest.run(PLAY_AS_USER, { limitMs: PLAY_LIMIT_MS });
  await expectRecording(`${lab.recordings}/one.wav`, sound);
  await backend.stop();
}
