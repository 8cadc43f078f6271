// node restored.js ADDON MODE: binds ports, is restored, and ends in one way or another, saying 'done' before that.
// What would have been a BUG in the kernel aborts the process, see stand-in.c.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

const EMFILE = 24;
const [addonPath, mode] = isMainThread ? process.argv.slice(2) : workerData;
const { EventChannelDevice } = createRequire(import.meta.url)(addonPath);
const command = (what) => readFileSync(`/xen-stand-in/${what}`);

/** Two devices, each with ports above one that is free, and in use by the event loop. */
function bindAndRestore() {
  const below = new EventChannelDevice('/xen-stand-in/1/evtchn');
  below.bindUnbound(2);
  const devices = [1, 2].map(() => {
    const device = new EventChannelDevice('/xen-stand-in/1/evtchn');
    device.start(() => {});
    return { device, ports: [device.bindUnbound(2), device.bindUnbound(2)] };
  });
  below.close();
  command('restore/1');
  return devices;
}

const MODES = {
  end: () => {},
  exit: () => process.exit(),
  throw: () => {
    throw new Error('on purpose');
  },
  close: (devices) => {
    for (const { device } of devices) device.close();
  },
  unbind: (devices) => {
    for (const { device, ports } of devices) for (const port of ports) device.unbind(port);
  },
  // What no process can help: it cannot find out, leaves the file open, and ends at last.
  blind: ([{ device }]) => {
    command(`fail/open:evtchn/${EMFILE}`);
    device.close();
  },
  tidy: ([{ device, ports }]) => {
    command('tidy');
    for (const attempt of [() => device.forgetIfRestored(), () => device.unbind(ports[0])]) {
      try {
        attempt();
      } catch ({ code, operation }) {
        console.log(operation, code);
      }
    }
    device.close();
  },
  terminate: () => parentPort.postMessage('restored'),
};
MODES['main-exit'] = MODES.terminate;

if (isMainThread && ['terminate', 'main-exit'].includes(mode)) {
  const worker = new Worker(new URL(import.meta.url), { workerData: [addonPath, mode] });
  worker.once('message', async () => {
    if (mode === 'terminate') await worker.terminate();
    console.log('done');
    process.exit();
  });
} else {
  globalThis.devices = bindAndRestore();
  if (isMainThread) console.log('done');
  else setInterval(() => {}, 1e6);
  MODES[mode](globalThis.devices);
}
