// Forgets everything that it has opened, collects the garbage, and prints what is still held (--expose-gc).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const addon = createRequire(import.meta.url)(process.argv[2]);

function openAndForget() {
  const alloc = new addon.GrantAllocDevice('/xen-stand-in/1/gntalloc');
  const map = new addon.GrantMapDevice('/xen-stand-in/2/gntdev');
  const { grefs } = alloc.grant(2, 2, true);
  map.map(1, grefs, true).load32(0);
  const evtchn = new addon.EventChannelDevice('/xen-stand-in/1/evtchn');
  evtchn.bindUnbound(0);
  evtchn.start(() => {});
}

for (let round = 0; round < 10; round++) openAndForget();
for (let round = 0; round < 10; round++) {
  globalThis.gc();
  await new Promise((resolve) => setImmediate(resolve));
}
console.log(readFileSync('/xen-stand-in/state', 'utf8').replaceAll('\n', ' '));
