// Plays in the guest, and ends the process in the middle of it: play-and-end.js HOW
import { openCard } from '../../../dist/index.js';
import { noise } from '../noise.js';

const WAYS = {
  exit: () => process.exit(0),
  exception: () => {
    throw new Error('nobody catches this');
  },
  SIGTERM: () => process.kill(process.pid, 'SIGTERM'),
  SIGINT: () => process.kill(process.pid, 'SIGINT'),
};

const card = await openCard();
const out = card.createPlaybackStream({ rate: 48_000, channels: 2, format: 's16_le' });
out.on('error', () => {}); // it is destroyed while it plays
out.once('position', () => setImmediate(WAYS[process.argv[2]]));
out.write(noise(1, 480_000 * 4));
