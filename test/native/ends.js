// node ends.js ADDON MODE: plays, carried by the engine's thread, and ends as MODE says. Says 'playing' when it is carried.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { leaveAtProcessEnd } from '../../dist/frontend/departure.js';
import { noise } from '../lab/noise.js';
import { Domain0, FORMAT, held, openGuest } from './machine.js';

/** Frames: more than the shared buffer has, so that somebody else has put them in. */
const BEYOND_BUFFER = 4800;
const OPTIONS = { ...FORMAT, bufferFrames: 2400, periodFrames: 600, highWaterMark: 4 * FORMAT.rate };

const [addon, mode] = isMainThread ? process.argv.slice(2) : workerData;
const say = (text) => writeSync(1, `${text}\n`);

/** Plays noise for ever on a card of its own, and captures beside it. */
async function play(options) {
  const guest = await openGuest(addon, options);
  const out = guest.card.createPlaybackStream(OPTIONS);
  const piece = noise(1, OPTIONS.highWaterMark / 2);
  const feed = () => {
    while (out.write(piece));
  };
  out.on('drain', feed);
  feed();
  const input = guest.card.createCaptureStream(OPTIONS);
  input.resume();
  await Promise.all([once(out, 'position'), once(input, 'data')]);
  return { ...guest, out, input };
}

/** Unlike once(), whatever errors come before. */
const seen = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve));

/** What the descriptors of a process are. Those that vanish meanwhile are not told of. */
function openFiles(pid) {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(`${folder}/${fd}`)];
    } catch {
      return [];
    }
  });
}

/** Says 'playing' when the thread carries the stream, so that JavaScript may be busy. */
async function showCarried(domain0) {
  for (let tries = 0; tries < 20; tries++) {
    if (domain0.keepBusy(BEYOND_BUFFER)) return say('playing');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  say('not carried');
}

async function closeAll({ card, hypervisor }, domain0) {
  await card.close();
  await hypervisor.close();
  await domain0?.end();
  say(held());
}

/** Frontend and backend in one process; the stream outlives what happens to `mode`. */
async function playHere(options) {
  const domain0 = await Domain0.start(addon);
  const guest = await play(options);
  await showCarried(domain0);
  return { domain0, guest };
}

/** Loses the backend while it plays; with `reconnect` it plays on. */
async function outlive({ reconnect }, lose) {
  const { domain0, guest } = await playHere({ reconnect });
  const streams = [guest.out, guest.input];
  const failures = [];
  for (const stream of streams) stream.on('error', ({ code }) => failures.push(code));
  const happens = (event) => Promise.all(streams.map((stream) => seen(stream, event)));
  const hasCome = happens(reconnect ? 'reconnect' : 'close');
  const then = await lose(domain0);
  await hasCome;
  if (reconnect) {
    await once(guest.out, 'position');
    await showCarried(then);
  }
  say(failures.join(' '));
  await closeAll(guest, then);
}

/** Gives what does not keep them. */
async function destroyStreams(guest) {
  const streams = [guest.out, guest.input];
  guest.out = guest.input = undefined;
  for (const stream of streams) stream.destroy();
  await Promise.all(streams.map((stream) => seen(stream, 'close')));
  return streams.map((stream) => new WeakRef(stream));
}

/** The frontend in a worker. */
async function playThere() {
  const domain0 = await Domain0.start(addon);
  const worker = new Worker(new URL(import.meta.url), { workerData: [addon, 'play'] });
  worker.on('error', (error) => say(`error ${error.message}`));
  await once(worker, 'message');
  await showCarried(domain0);
  return { domain0, worker };
}

const MODES = {
  /** A worker's. */
  play: async () => {
    await play();
    parentPort.postMessage('playing');
    parentPort.once('message', (what) => {
      if (what === 'exit') process.exit();
      throw new Error('on purpose');
    });
  },
  close: async () => {
    const { domain0, guest } = await playHere();
    await closeAll(guest, domain0);
  },
  exit: async () => {
    const { guest } = await playHere();
    guest.out.on('position', () => process.exit(7));
  },
  'leaving-exit': async () => {
    const { guest } = await playHere();
    leaveAtProcessEnd(guest.card);
    process.exit(7);
  },
  throw: async () => {
    const { guest } = await playHere();
    leaveAtProcessEnd(guest.card);
    guest.out.on('position', () => {
      throw new Error('on purpose');
    });
  },
  signal: async () => {
    await playHere();
    say('ready');
  },
  'leaving-signal': async () => {
    const { guest } = await playHere();
    leaveAtProcessEnd(guest.card);
    say('ready');
  },
  'own-signal': async () => {
    const { domain0, guest } = await playHere();
    process.once('SIGTERM', async () => {
      await closeAll(guest, domain0);
      process.exit(7);
    });
    say('ready');
  },
  'worker-terminate': async () => {
    const { domain0, worker } = await playThere();
    await worker.terminate();
    await domain0.end();
    say(held());
  },
  'worker-exit': async () => {
    const { domain0, worker } = await playThere();
    worker.postMessage('exit');
    await seen(worker, 'exit');
    await domain0.end();
    say(held());
  },
  'worker-throw': async () => {
    const { domain0, worker } = await playThere();
    worker.postMessage('throw');
    await seen(worker, 'exit');
    await domain0.end();
    say(held());
  },
  'main-exit': async () => {
    await playThere();
    process.exit(7);
  },
  children: async () => {
    const { domain0, guest } = await playHere();
    const child = spawn(process.execPath, ['-e', 'process.stdin.pipe(process.stdout)'], { env: {} });
    child.stdin.write('up');
    await once(child.stdout, 'data');
    const own = new Set(openFiles('self').filter((name) => /^socket:|memfd:ram/.test(name)));
    if (!own.has('/memfd:ram (deleted)')) say('no devices');
    for (const name of openFiles(child.pid)) if (own.has(name)) say(`a child has ${name}`);
    await showCarried(domain0);
    child.stdin.end();
    await once(child, 'exit');
    await closeAll(guest, domain0);
  },
  restore: (options) =>
    outlive(options, async (domain0) => {
      readFileSync('/xen-stand-in/restore/1');
      say('restored');
      return domain0;
    }),
  death: (options) =>
    outlive(options, async (domain0) => {
      await domain0.die();
      return await Domain0.start(addon);
    }),
  /** Streams that were played and closed are garbage. */
  garbage: async () => {
    const { domain0, guest } = await playHere();
    const destroyed = await destroyStreams(guest);
    for (let round = 0; round < 20; round++) {
      await new Promise((resolve) => setImmediate(resolve));
      globalThis.gc();
    }
    say(destroyed.every((stream) => stream.deref() === undefined) ? 'collected' : 'kept');
    await closeAll(guest, domain0);
  },
};

const [name, how] = mode.split(':');
await MODES[name]({ reconnect: how === 'reconnect' });
