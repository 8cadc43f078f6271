// The machine of test/native/stand-in.c, which must be in LD_PRELOAD: a guest's domain here, domain 0 and its backend in a worker.
import { once } from 'node:events';
import { readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Backend, createSoundCard, EmulatedMachine, nullDevice, RealClock } from '../../../dist/testing.js';
import { encodeXsMessage, XsMessageDecoder } from '../../../dist/wire/xenstore.js';
import { loadAddon } from '../../../dist/xen/linux/addon.js';
import { openLinuxHypervisor } from '../../../dist/xen/linux/hypervisor.js';

/** ms: 1024 frames at 48 kHz. */
const PERIOD = 21;

const devicesOf = (domid) => `/xen-stand-in/${domid}`;

/** The XenStore of an emulated machine, for the stand-in's xenbus devices. */
async function serveStore(machine) {
  const path = join(tmpdir(), `vsnd-bench-store-${process.pid}.sock`);
  const server = createServer((socket) => {
    socket.once('data', async (first) => {
      const transport = await machine.startProcess(first.readUInt32LE()).openXenStore();
      transport.onData((chunk) => socket.write(chunk));
      const decoder = new XsMessageDecoder();
      const take = (chunk) => {
        for (const message of decoder.push(chunk)) transport.send(encodeXsMessage(message));
      };
      take(first.subarray(4));
      socket.on('data', take);
    });
  });
  server.unref();
  rmSync(path, { force: true }); // of a process that had this one's number
  server.listen(path);
  await once(server, 'listening');
  process.env.VSND_STAND_IN_XENSTORE = path;
}

/**
 * A guest with one card of one playback stream. Gives its hypervisor, the backend's worker, the id of its thread for the kernel, and
 * `notified`: [0] is when the backend has last notified of an event, ns.
 */
export async function openStandIn({ engine } = {}) {
  const machine = new EmulatedMachine();
  const { domid } = machine.createDomain();
  createSoundCard(machine, { frontendDomid: domid, pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }] });
  await serveStore(machine);
  const notified = new BigInt64Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL(import.meta.url), { workerData: { notified } });
  worker.on('error', (error) => {
    throw error;
  });
  const [backendThread] = await once(worker, 'message');
  const claims = join(tmpdir(), `vsnd-bench-claims-${process.pid}`);
  writeFileSync(claims, '');
  const hypervisor = await openLinuxHypervisor({
    devices: devicesOf(domid),
    claims,
    threaded: engine !== 'script',
  });
  return { hypervisor, backendThread, notified };
}

/**
 * What Node itself needs for a descriptor, once a period of 1024 frames: `onWake` is called whenever the worker has made one
 * readable, after it has put the time into `notified`.
 */
export async function openBare(onWake) {
  const { EventChannelDevice } = loadAddon();
  const device = new EventChannelDevice(`${devicesOf(1)}/evtchn`);
  const port = device.bindUnbound(0);
  const notified = new BigInt64Array(new SharedArrayBuffer(8));
  const number = new Uint8Array(Uint32Array.of(port).buffer);
  const taken = new Uint8Array(number.length);
  device.start(() => {
    onWake(notified);
    device.read(taken);
    device.write(number); // unmasks
  });
  new Worker(new URL(import.meta.url), { workerData: { notified, port } });
}

/** `hypervisor` whose second port, that of events, says when it notifies. */
function noting(hypervisor, notified) {
  const { eventChannels } = hypervisor;
  let ports = 0;
  const bindInterdomain = async (...args) => {
    const port = await eventChannels.bindInterdomain(...args);
    if (++ports !== 2) return port;
    const notify = port.notify.bind(port);
    port.notify = () => {
      notified[0] = process.hrtime.bigint();
      notify();
    };
    return port;
  };
  return new Proxy(hypervisor, {
    get: (target, name) => {
      if (name === 'eventChannels') return { ...eventChannels, bindInterdomain };
      const value = target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function serveGuest({ notified }) {
  const hypervisor = noting(await openLinuxHypervisor({ devices: devicesOf(0) }), notified);
  const clock = new RealClock();
  await Backend.start(hypervisor, { deviceFor: () => nullDevice(clock) });
  parentPort.postMessage(Number(readlinkSync('/proc/thread-self').split('/').at(-1)));
}

function notifyOnly({ notified, port }) {
  const { EventChannelDevice } = loadAddon();
  const device = new EventChannelDevice(`${devicesOf(0)}/evtchn`);
  const own = device.bindInterdomain(1, port);
  setInterval(() => {
    notified[0] = process.hrtime.bigint();
    device.notify(own);
  }, PERIOD);
}

if (!isMainThread) await (workerData.port === undefined ? serveGuest : notifyOnly)(workerData);
