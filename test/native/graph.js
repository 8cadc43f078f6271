// node graph.js ADDON OPTIONS: the card in PipeWire's graph while JavaScript is blocked again and again. Programs
// play or record when it has said 'ready'; it ends after the first of them, and says how often JavaScript was blocked meanwhile, and how often
// the card had nothing to play.
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createBridge } from '../../dist/index.js';
import { Domain0, openGuest } from './machine.js';

/** ms of a turn in which JavaScript does nothing else. */
const BLOCKED = 500;

const [addon, text] = process.argv.slice(2);
const { direction, heard, said, ...options } = JSON.parse(text);

const domain0 = await Domain0.start(addon);
if (direction === 'source') domain0.say(readFileSync(said));
const { hypervisor, card } = await openGuest(addon, { engine: options.engine });
const sides = { sink: direction === 'sink', source: direction === 'source' };
const bridge = await createBridge(card, {
  server: 'pipewire',
  name: 'card',
  latency: options.latency,
  ...sides,
});
const stopped = once(bridge, 'stop');
let isOver = false;
void stopped.then(() => {
  isOver = true;
});
console.log('ready');
await once(bridge, 'start');
const [stream] = card.streams;
while (stream.positionReports < 10) await new Promise((resolve) => setTimeout(resolve, 20));
let blocked = 0;
for (; !isOver; blocked++) {
  for (const end = Date.now() + BLOCKED; Date.now() < end; );
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const { slips } = bridge.endpoints[0].statistics;
await bridge.close();
await card.close();
await hypervisor.close();
writeFileSync(heard, await domain0.end());
console.log(JSON.stringify({ blocked, slips, dry: domain0.dry }));
