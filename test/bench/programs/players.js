// What plays silence for ever, in real time: vsnd, what it is compared with, and Node's floor.
import { createRequire } from 'node:module';
import { openCard } from '../../../dist/index.js';
import { Backend, createSoundCard, EmulatedMachine, nullDevice, RealClock } from '../../../dist/testing.js';
import { openStandIn } from './stand-in.js';

const FORMAT = { rate: 48_000, channels: 2, format: 's16_le' };
const PIECE = Buffer.alloc(4096);

/** ns */
const PERIOD = (1024 / FORMAT.rate) * 1e9;

/** Writes as much as the stream takes, for ever. */
function feed(stream) {
  const write = () => {
    while (stream.write(PIECE));
  };
  stream.on('drain', write);
  write();
}

/** npm `speaker` at its defaults. */
export function speaker() {
  const Speaker = createRequire(import.meta.url)('speaker');
  feed(new Speaker({ channels: FORMAT.channels, sampleRate: FORMAT.rate }));
}

/** A timer that copies a piece a period of 1024 frames. */
export function timer() {
  const target = new Uint8Array(new SharedArrayBuffer(16 * PIECE.length));
  const begun = performance.now();
  let periods = 0;
  const tick = () => {
    target.set(PIECE, (periods % 16) * PIECE.length);
    periods += 1;
    setTimeout(tick, begun + (periods * PERIOD) / 1e6 - performance.now());
  };
  tick();
}

/** A PlaybackStream over the shipped addon and the stand-in devices; the backend has a thread of its own. */
export async function frontend({ engine, ...options }) {
  const { hypervisor, backendThread } = await openStandIn({ engine });
  const card = await openCard({ hypervisor, engine });
  feed(card.createPlaybackStream({ ...FORMAT, ...options }));
  return { backendThread };
}

/** PlaybackStreams with their emulated Xen and their backend, in this one thread. */
export async function bothSides({ streams = 1, ...options }) {
  const machine = new EmulatedMachine();
  const guest = machine.createDomain({ grantLimit: 4096 });
  const pcmDevices = Array.from({ length: streams }, () => ({ streams: [{ fields: { type: 'p' } }] }));
  createSoundCard(machine, { frontendDomid: guest.domid, pcmDevices });
  const clock = new RealClock();
  const limits = ['streams', 'opens-per-second'].map((name) => ({ domid: undefined, name, value: 100 }));
  await Backend.start(machine.dom0, { deviceFor: () => nullDevice(clock), limits });
  const card = await openCard({ hypervisor: guest });
  for (let n = 0; n < streams; n++) feed(card.createPlaybackStream({ ...FORMAT, ...options }));
}
