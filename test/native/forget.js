// Forgets everything that it has opened, collects the garbage, and prints what is still held (--expose-gc).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Numbers of a standing: src/xen/linux/engine.ts. */
const STANDING = 35;

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

/** A stream that is carried meanwhile. */
function carryAndForget() {
  const alloc = new addon.GrantAllocDevice('/xen-stand-in/1/gntalloc');
  const pages = [1, 1, 2].map((count) => alloc.grant(2, count, true).memory);
  const engine = new addon.EngineDevice('/xen-stand-in/1/evtchn', 0);
  engine.start(() => {});
  const shape = [8192, 2048, 4, 48_000, engine.bindUnbound(0), engine.bindUnbound(0)];
  const handle = engine.playback(shape, 16_384, ...pages, () => {});
  handle.write(new Uint8Array(10_000), 0);
  if (!handle.carry(new Float64Array(STANDING), 0n)) throw new Error('it is not carried');
}

for (let round = 0; round < 10; round++) openAndForget();
for (let round = 0; round < 10; round++) carryAndForget();
for (let round = 0; round < 10; round++) {
  globalThis.gc();
  await new Promise((resolve) => setImmediate(resolve));
}
console.log(readFileSync('/xen-stand-in/state', 'utf8').replaceAll('\n', ' '));
