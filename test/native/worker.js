// A user of the addon that is ended from outside, or ends itself: in a worker thread or a process of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Opens one of everything, with events going round for ever between two domains where `busy`. */
export function openEverything(addonPath, onEvent = () => {}) {
  const addon = createRequire(import.meta.url)(addonPath);
  const device = (name, domid, file) => new addon[name](`/xen-stand-in/${domid}/${file}`);
  const alloc = device('GrantAllocDevice', 1, 'gntalloc');
  const map = device('GrantMapDevice', 2, 'gntdev');
  const { grefs, memory } = alloc.grant(2, 3, true);
  const mapping = map.map(1, grefs, true);
  const [a, b] = [device('EventChannelDevice', 1, 'evtchn'), device('EventChannelDevice', 2, 'evtchn')];
  const xenbus = process.env.VSND_STAND_IN_XENSTORE ? [device('XenbusDevice', 1, 'xenbus')] : [];
  for (const bus of xenbus) bus.start(() => {});
  const fifo = openFifo(addon);
  const portA = a.bindUnbound(2);
  const portB = b.bindInterdomain(1, portA);
  const ports = new Uint8Array(8);
  for (const [own, port] of [
    [a, portA],
    [b, portB],
  ]) {
    own.start(() => {
      const bytes = own.read(ports);
      if (bytes === undefined) return;
      own.write(ports.subarray(0, bytes));
      onEvent({ port, notify: () => own.notify(port), memory, mapping });
    });
  }
  return {
    memory,
    mapping,
    kick: () => a.notify(portA),
    close: () => {
      for (const one of [mapping, memory]) one.release();
      for (const one of [a, b, ...xenbus, ...fifo, alloc, map]) one.close();
    },
  };
}

/** Both ends of a FIFO without a name, each being polled. */
function openFifo(addon) {
  const folder = mkdtempSync(join(tmpdir(), 'vsnd-fifo-'));
  const path = join(folder, 'pcm');
  addon.makeFifo(path);
  const reader = new addon.Fifo(path, false);
  const writer = new addon.Fifo(path, true);
  rmSync(folder, { recursive: true });
  reader.start(() => reader.read(Buffer.alloc(64)));
  writer.start(() => {
    writer.write(Buffer.alloc(64));
    writer.stop();
  });
  return [reader, writer];
}

/** What to do, by name. `ready` is called when everything is open and under way. */
export function live(mode, addonPath, ready) {
  const onEvent = ({ notify, memory, mapping }) => {
    if (mode === 'throw') throw new Error('a handler that throws');
    memory.store32(0, mapping.load32(0) + 1);
    memory.copyIn(8, new Uint8Array(64).fill(7));
    notify();
  };
  const all = openEverything(addonPath, mode === 'idle' ? () => {} : onEvent);
  if (mode !== 'idle') all.kick();
  ready();
  if (mode === 'close') setTimeout(all.close, 20);
  if (mode === 'exit') setTimeout(() => process.exit(0), 20);
  if (mode === 'spin') for (;;) all.memory.load32(0);
  if (mode === 'busy' || mode === 'idle' || mode === 'throw') setTimeout(() => {}, 1e6);
}
