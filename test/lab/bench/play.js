// Plays a raw file in the guest, as any program would: play.js '{"file":"/tmp/sound.raw","rate":48000,...}'
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { openCard } from '../../../dist/index.js';

const turns = () => performance.nodeTiming.uvMetricsInfo.loopCount;

const { file, ...options } = JSON.parse(process.argv[2]);
const card = await openCard();
const [before, turnsBefore] = [process.cpuUsage(), turns()];
const out = card.createPlaybackStream({ channels: 2, format: 's16_le', stream: 0, ...options });
await pipeline(createReadStream(file), out);
const { position: frames, underruns, periodFrames, bufferFrames } = out;
const played = { underruns, periodFrames, bufferFrames, frames, turns: turns() - turnsBefore };
await card.close();
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ event: 'played', cpu: (user + system) / 1e6, ...played }));
