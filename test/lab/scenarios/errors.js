// What a guest that is not set up is told.
import { CARD_PAGES, withGrantLimit } from '../dom0/guest-limits.js';
import { jsonLines, playCommand } from '../dom0/lab.js';

const WHAT = {
  streams: [{ seed: 1, frames: 48_000, stream: 0, bufferFrames: 14_560 }],
  card: { timeout: 20_000 }, // a busy machine has taken 6 s
};

export async function run(lab) {
  const backend = await lab.backend('--sink', 'null');
  const guest = await lab.guest();
  await withGrantLimit(guest, CARD_PAGES - 1, async () => {
    await expectError(guest, 'ERR_VSND_HYPERVISOR', /gntalloc.*limit/s);
  });
  for (const node of ['gntalloc', 'evtchn', 'xenbus']) {
    await guest.run(`mv /dev/xen/${node} /dev/xen/hidden`);
    await expectError(guest, 'ERR_VSND_NO_XEN', new RegExp(`/dev/xen/${node}`));
    await guest.run(`mv /dev/xen/hidden /dev/xen/${node}`);
  }
  await lab.play(guest, WHAT); // nothing of this has spoilt the card
  backend.pause();
  await expectError(guest, 'ERR_VSND_BACKEND_GONE', /backend/);
}

async function expectError(guest, code, message) {
  const { output } = await guest.try(playCommand(WHAT));
  const [error] = jsonLines(output, 'error');
  if (error?.code !== code || !message.test(error.message)) {
    throw new Error(`expected ${code} and ${message}, found:\n${output}`);
  }
}
