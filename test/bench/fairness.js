// What one guest can do to another: a player with 20 ms of buffer, alone and beside guests that mean it no good.
import { setTimeout as wait } from 'node:timers/promises';
import { openCard } from '../../dist/index.js';
import { Backend, createSoundCard, EmulatedMachine, nullDevice, RealClock } from '../../dist/testing.js';
import { RING_ENTRY_SIZE, RING_SIZE } from '../../dist/wire/ring.js';
import { encodeRequest } from '../../dist/wire/sndif.js';
import { XenStoreClient } from '../../dist/xenstore/client.js';
import { printHead, printRow } from './figures.js';

/** 20 ms of buffer, 5 ms of period. */
const FORMAT = { rate: 48_000, channels: 2, format: 's16_le', bufferFrames: 960, periodFrames: 240 };
const SECONDS = 20;
const INTERVAL = 5;

const REQ_PROD = 0;
const RSP_PROD = 8;
const ENTRIES = 64;

const forDomain = (machine, frontendDomid) =>
  createSoundCard(machine, { frontendDomid, pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }] });

/** Plays silence until the function returned is called. */
async function play(hypervisor) {
  const card = await openCard({ hypervisor });
  const stream = card.createPlaybackStream(FORMAT);
  const piece = Buffer.alloc(FORMAT.periodFrames * 4);
  let playing = true;
  const write = () => {
    while (playing && stream.write(piece));
  };
  stream.on('drain', write);
  write();
  return async () => {
    playing = false;
    stream.destroy();
    await card.close();
  };
}

/** A guest's end of a ring, which knows no rules. */
async function connectRing(guest) {
  const store = await XenStoreClient.open(guest);
  const path = `/local/domain/${guest.domid}/device/vsnd/0`;
  const pages = [await guest.grants.grant(0, 1), await guest.grants.grant(0, 1)];
  const ports = [await guest.eventChannels.bindUnbound(0), await guest.eventChannels.bindUnbound(0)];
  const transport = {
    'ring-ref': pages[0].grefs[0],
    'event-channel': ports[0].port,
    'evt-ring-ref': pages[1].grefs[0],
    'evt-event-channel': ports[1].port,
  };
  for (const [name, value] of Object.entries(transport))
    await store.write(`${path}/0/0/${name}`, String(value));
  await store.write(`${path}/state`, '3');
  while ((await store.read(`/local/domain/0/backend/vsnd/${guest.domid}/0/state`)) !== '4') await wait(1);
  return { page: pages[0], port: ports[0] };
}

/** Its other processors put a request into each slot whose response is published, at once. */
async function keepRingFull(machine, guest) {
  const entry = encodeRequest(1, { op: 'trigger', trigger: 'stop' });
  const { mapper } = machine.dom0;
  const { map } = mapper;
  let isOn = true;
  mapper.map = async (domid, ...args) => {
    const pages = await map(domid, ...args);
    if (domid !== guest.domid) return pages;
    const store32 = pages.store32.bind(pages);
    pages.store32 = (offset, value) => {
      store32(offset, value);
      if (offset !== RSP_PROD || !isOn) return;
      pages.copyIn(ENTRIES + ((value - 1) % RING_SIZE) * RING_ENTRY_SIZE, entry);
      store32(REQ_PROD, value + RING_SIZE);
    };
    return pages;
  };
  const { page, port } = await connectRing(guest);
  for (let slot = 0; slot < RING_SIZE; slot++) page.copyIn(ENTRIES + slot * RING_ENTRY_SIZE, entry);
  page.store32(REQ_PROD, RING_SIZE);
  port.notify();
  return () => {
    isOn = false;
    mapper.map = map;
  };
}

/** Once a turn of the loop: more become one. */
async function notifyWithoutEnd(_machine, guest) {
  const { port } = await connectRing(guest);
  let next;
  const notify = () => {
    port.notify();
    next = setImmediate(notify);
  };
  notify();
  return () => clearImmediate(next);
}

async function connectAndLeave(_machine, guest) {
  let isOn = true;
  const loop = (async () => {
    while (isOn) await (await openCard({ hypervisor: guest })).close();
  })();
  return async () => {
    isOn = false;
    await loop;
  };
}

const nobody = async () => () => {};

/** Underruns, the longest time between two calls of a timer (ms), and what the backend has done for the other guest. */
async function measure(attack, seconds) {
  const machine = new EmulatedMachine();
  const [player, attacker] = [machine.createDomain(), machine.createDomain()];
  for (const { domid } of [player, attacker]) forDomain(machine, domid);
  const clock = new RealClock();
  const backend = await Backend.start(machine.dom0, { deviceFor: () => nullDevice(clock) });
  const totalsOf = (domid) => backend.status.find((card) => card.domid === domid)?.streams[0]?.totals;
  const stopPlaying = await play(player);
  await wait(500);
  const before = totalsOf(player.domid).xruns;
  const stopAttack = await attack(machine, attacker);
  let worst = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    worst = Math.max(worst, now - last);
    last = now;
  }, INTERVAL);
  await wait(seconds * 1000);
  clearInterval(timer);
  const underruns = totalsOf(player.domid).xruns - before;
  const { requests = 0, notifications = 0 } = totalsOf(attacker.domid) ?? {};
  await stopAttack();
  await stopPlaying();
  await backend.close();
  await machine.close();
  return { underruns, worst, requests, notifications };
}

export async function run({ share }) {
  const seconds = SECONDS * share;
  printHead(
    [
      `a guest that plays with 20 ms of buffer, ${seconds} s each, with all guests and the backend in one thread`,
      `gap: the longest time between two calls of a ${INTERVAL} ms timer, ms; answered and looked into: of the other guest`,
    ],
    ['underruns', 'gap', 'requests', 'notified'],
  );
  const rows = [
    ['alone', nobody],
    ['beside one that keeps its ring full', keepRingFull],
    ['beside one that notifies without end', notifyWithoutEnd],
    ['beside one that connects and leaves in a loop', connectAndLeave],
  ];
  for (const [name, attack] of rows) {
    const { underruns, worst, requests, notifications } = await measure(attack, seconds);
    printRow(name, [String(underruns), worst, String(requests), String(notifications)]);
  }
}
