// The same through what stands in for it, on an emulated card that keeps no time.
import { createReadStream } from 'node:fs';
import { startEmulatedGuest } from '../../../dist/emulation/guest.js';
import { openCard } from '../../../dist/index.js';
import Speaker from '../../../dist/speaker.js';

const guest = await startEmulatedGuest({ sink: 'null', fast: true });
const card = await openCard({ hypervisor: guest.hypervisor });
const speaker = new Speaker({ channels: 2, sampleRate: 44100, card });
speaker.once('close', async () => {
  await card.close();
  await guest.close();
});
createReadStream(process.argv[2], { start: 44 }).pipe(speaker);
