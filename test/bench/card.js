// What the way to the card costs: frontend and backend together, against Node's own floor.
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { openCard } from '../../dist/index.js';
import { Backend, createSoundCard, EmulatedMachine, FastClock, nullDevice } from '../../dist/testing.js';
import { median, printHead, printRow } from './figures.js';

const FORMAT = { rate: 48_000, channels: 2, format: 's16_le' };

/** What any Writable that copies and goes through the event loop costs: Node's own floor. */
function floor(bufferBytes) {
  const target = new Uint8Array(new SharedArrayBuffer(bufferBytes));
  return new Writable({
    write(chunk, _encoding, callback) {
      for (let at = 0; at < chunk.length; at += bufferBytes) target.set(chunk.subarray(at, at + bufferBytes));
      setImmediate(callback);
    },
  });
}

async function withCard(body) {
  const machine = new EmulatedMachine();
  const guest = machine.createDomain();
  createSoundCard(machine, {
    frontendDomid: guest.domid,
    fields: { 'buffer-size': String(1 << 20) },
    pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
  });
  const clock = new FastClock(); // the card keeps no time: what is measured is the way to it
  const backend = await Backend.start(machine.dom0, { deviceFor: () => nullDevice(clock) });
  const card = await openCard({ hypervisor: guest });
  const result = await body(card);
  await card.close();
  await backend.close();
  await machine.close();
  return result;
}

/** CPU seconds for `bytes` through `stream` in pieces of `piece`. */
async function cpuSeconds(stream, bytes, piece) {
  const chunk = Buffer.alloc(piece, 1);
  const before = process.cpuUsage();
  for (let left = bytes; left > 0; left -= piece) {
    if (!stream.write(chunk)) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'close');
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** One row: the same bytes through the card and through the floor, in turn. */
async function compare({ rounds, share }, name, seconds, piece, { aim = '', ...options }) {
  const played = seconds * share;
  const bytes = played * FORMAT.rate * 4;
  const card = [];
  const node = [];
  for (let round = 0; round <= rounds; round++) {
    const ours = await withCard((opened) =>
      cpuSeconds(opened.createPlaybackStream({ ...FORMAT, ...options }), bytes, piece),
    );
    const theirs = await cpuSeconds(floor(1 << 16), bytes, piece);
    if (round === 0) continue; // warming up
    card.push((ours * 60) / played);
    node.push((theirs * 60) / played);
  }
  const throughput = median(node.map((value, n) => value / card[n]));
  printRow(name, [median(card) * 1000, median(node) * 1000, throughput, aim]);
}

export async function run(effort) {
  printHead(
    [
      'CPU ms a minute of 48 kHz s16 stereo, frontend and backend together, in one thread of an emulated machine',
      "floor: a Writable that copies each chunk and calls back from setImmediate; ratio: vsnd's throughput, times the floor's",
    ],
    ['vsnd', 'floor', 'ratio', 'aim'],
  );
  const row = (...args) => compare(effort, ...args);
  const large = { bufferFrames: 65_536, periodFrames: 16_384 };
  await row('default buffer, pieces of 64 KiB', 600, 65_536, {});
  await row('period 16384, buffer 65536 frames, 64 KiB', 600, 65_536, { ...large, aim: '>= 0.25' });
  await row('period 16384, buffer 65536 frames, 4 KiB', 300, 4096, { ...large, aim: '>= 0.4' });
  await row('default buffer, pieces of 4 KiB', 300, 4096, {});
  await row('period 1024, buffer 4096 frames, 4 KiB', 300, 4096, {
    periodFrames: 1024,
    bufferFrames: 4096,
  });
  await row('period 256, buffer 1024 frames, 1 KiB', 60, 1024, { periodFrames: 256, bufferFrames: 1024 });
  await row('period 128, buffer 512 frames, 512 bytes', 60, 512, { periodFrames: 128, bufferFrames: 512 });
}
