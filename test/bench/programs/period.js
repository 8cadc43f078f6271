// node period.js counts|garbage|walk PERIODS: what a period of both sides comes to, in one thread of an emulated machine, counted over
// that many of them once they are all alike; JSON to descriptor 3. `garbage` needs --expose-gc, and a young generation that holds it all.
import { createHook } from 'node:async_hooks';
import { readFileSync, writeSync } from 'node:fs';
import { Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';
import { openCard } from '../../../dist/index.js';
import { Backend, createSoundCard, EmulatedMachine, nullDevice, RealClock } from '../../../dist/testing.js';

const FORMAT = { rate: 48_000, channels: 2, format: 's16_le', periodFrames: 1024, bufferFrames: 8192 };
const WARM_UP = 100;

const counts = { wakes: 0, notifications: 0, timersSet: 0, timersCancelled: 0, deviceTimers: 0, promises: 0 };

function countingClock(clock, onSet, onCancel = () => {}) {
  return {
    now: () => clock.now(),
    after: (delay, callback) => {
      onSet();
      const timer = clock.after(delay, callback);
      const cancel = () => {
        onCancel();
        timer.cancel();
      };
      return { cancel, unref: () => timer.unref() };
    },
  };
}

/** `hypervisor`, with what happens through it counted; `onWake`: at each notification that arrives. */
function counting(hypervisor, onWake) {
  const clock = countingClock(
    hypervisor.clock,
    () => counts.timersSet++,
    () => counts.timersCancelled++,
  );
  const countPort = (port) => {
    const [notify, onNotify] = [port.notify.bind(port), port.onNotify.bind(port)];
    port.notify = () => {
      counts.notifications++;
      notify();
    };
    port.onNotify = (handler) =>
      onNotify(() => {
        onWake();
        handler();
      });
    return port;
  };
  const channels = hypervisor.eventChannels;
  const eventChannels = {
    bindUnbound: async (...args) => countPort(await channels.bindUnbound(...args)),
    bindInterdomain: async (...args) => countPort(await channels.bindInterdomain(...args)),
    forgetIfRestored: () => channels.forgetIfRestored(),
  };
  return new Proxy(hypervisor, {
    get: (target, name) => {
      if (name === 'clock') return clock;
      if (name === 'eventChannels') return eventChannels;
      const value = target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Plays for ever; gives what resolves after so many periods, and the requests so far. */
async function play({ isCounting = false } = {}) {
  const machine = new EmulatedMachine();
  const guest = machine.createDomain();
  createSoundCard(machine, {
    frontendDomid: guest.domid,
    pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
  });
  const [dom0, hypervisor] = isCounting
    ? [counting(machine.dom0, () => {}), counting(guest, () => counts.wakes++)]
    : [machine.dom0, guest];
  const clock = isCounting ? countingClock(new RealClock(), () => counts.deviceTimers++) : new RealClock();
  const backend = await Backend.start(dom0, { deviceFor: () => nullDevice(clock) });
  const stream = (await openCard({ hypervisor })).createPlaybackStream(FORMAT);
  const piece = Buffer.alloc(FORMAT.periodFrames * 4);
  const write = () => {
    while (stream.write(piece));
  };
  stream.on('drain', write);
  write();
  let [left, resolve] = [0, undefined];
  stream.on('position', () => {
    if (--left === 0) resolve();
  });
  const periods = (count) =>
    new Promise((done) => {
      [left, resolve] = [count, done];
    });
  await periods(WARM_UP);
  const requests = () => backend.status[0].streams[0].totals.requests;
  return { periods, requests };
}

async function countAll(number) {
  const { periods, requests } = await play({ isCounting: true });
  const hook = createHook({ init: (_id, type) => type === 'PROMISE' && counts.promises++ });
  await periods(1);
  for (const name of Object.keys(counts)) counts[name] = 0;
  const before = requests();
  hook.enable();
  await periods(number);
  hook.disable();
  const all = { ...counts, writes: requests() - before };
  return Object.fromEntries(Object.entries(all).map(([name, count]) => [name, count / number]));
}

async function measureGarbage(number) {
  const { periods } = await play();
  globalThis.gc();
  await periods(1);
  const before = process.memoryUsage();
  await periods(number);
  const after = process.memoryUsage();
  const grown = (name) => (after[name] - before[name]) / number;
  return { bytes: grown('heapUsed') + grown('arrayBuffers') };
}

/** The functions that were called, with the calls of each a period, the most often called ones first. */
async function walk(number) {
  const { periods } = await play();
  const session = new Session();
  session.connect();
  const post = (method, params) =>
    new Promise((resolve, reject) => {
      session.post(method, params, (error, result) => (error ? reject(error) : resolve(result)));
    });
  await post('Profiler.enable');
  await post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  await periods(10);
  await post('Profiler.takePreciseCoverage'); // which begins to count anew
  await periods(number);
  const { result } = await post('Profiler.takePreciseCoverage');
  const root = new URL('../../../dist/', import.meta.url).href;
  return result
    .filter(({ url }) => url.startsWith(root))
    .flatMap(({ url, functions }) => {
      const text = readFileSync(fileURLToPath(url), 'utf8');
      return functions.map(({ functionName, ranges: [{ startOffset, count }] }) => ({
        name: functionName || '(anonymous)',
        place: `${url.slice(root.length)}:${text.slice(0, startOffset).split('\n').length}`,
        calls: count / number,
      }));
    })
    .filter(({ calls }) => calls > 0)
    .toSorted((a, b) => b.calls - a.calls);
}

const [, , what, number] = process.argv;
const measure = { counts: countAll, garbage: measureGarbage, walk };
writeSync(3, JSON.stringify(await measure[what](Number(number))));
process.exit(0);
