import { expect, test } from 'vitest';
import { Backend } from '../../src/backend/backend.ts';
import { memoryDevice } from '../../src/backend/devices.ts';
import { isVsndError } from '../../src/errors.ts';
import type { Card } from '../../src/frontend/card.ts';
import { openCard } from '../../src/open-card.ts';
import { createSoundCard, EmulatedMachine, ManualClock } from '../../src/testing.ts';
import { type Answer, RawBackend } from '../frontend/raw-backend.ts';
import { eventPageOf, keepEventPages } from '../hostile/peers.ts';
import { noise, STEREO } from '../sound.ts';
import { FUZZ_TIMEOUT, type Random, runRounds } from './rounds.ts';

const FORMAT = {
  ...STEREO,
  bufferFrames: 1000,
  periodFrames: 125,
} as const;
const DRIVER_DOMAIN = 5;

type AnyStream = Card['streams'][number];

/** What a backend may answer: mostly what it should. */
function anyAnswer(random: Random): Answer | undefined {
  if (random.chance(70)) return {};
  const ranges = {
    formats: random.u64(),
    rates: { min: random.u32(), max: random.u32() },
    channels: { min: random.u32(), max: random.u32() },
    bufferFrames: { min: random.u32(), max: random.u32() },
    periodFrames: { min: random.u32(), max: random.u32() },
  };
  return random.pick<Answer | undefined>([
    undefined,
    { status: -random.below(140) },
    { status: random.u32() | 0 },
    { id: random.below(0x10000) },
    { operation: random.below(256) },
    { ranges },
  ]);
}

/** Something that a backend should not do, or only at another time. */
async function misbehave(backend: RawBackend, keepPageFull: () => void, random: Random): Promise<void> {
  const acts: (() => void | Promise<void>)[] = [
    () => backend.sendPosition(random.u64()),
    () => backend.sendPosition(4 * random.below(2000)),
    () => backend.sendPosition(4 * random.below(2000), random.below(0x10000)),
    () => backend.announceEvents(1 + random.below(random.chance(80) ? 4 : 70)),
    () => backend.scribbleEvents(4 * random.below(random.chance(50) ? 2 : 1024), random.bytes(4)),
    () => backend.scribbleRing(4 * random.below(random.chance(80) ? 4 : 1024), random.u32()),
    keepPageFull,
    () => backend.say(random.chance(60) ? random.below(9) : random.text()),
  ];
  try {
    await random.pick(acts)();
  } catch (error) {
    if (!isVsndError(error)) throw error; // it has spoilt its own page
  }
}

/** What a program may do with a stream at any time. It may be refused, but by errors that have a code. */
function use(stream: AnyStream, random: Random): void {
  const settle = (promise: Promise<unknown>) => {
    promise.catch((error: unknown) => {
      if (!isVsndError(error)) throw error;
    });
  };
  const acts = [
    () => settle(stream.trigger(random.pick(['start', 'pause', 'resume', 'stop']))),
    () => settle(stream.setVolume(-random.below(40))),
    () => settle(stream.getVolume()),
    () => settle(stream.mute()),
    () => stream.clock,
    () => (stream.type === 'playback' ? stream.end() : stream.finish()),
    () => stream.destroy(),
  ];
  if (stream.type === 'playback' && random.chance(60) && stream.writable)
    stream.write(noise(4 * random.below(900)));
  else random.pick(acts)();
}

async function round(random: Random): Promise<void> {
  const clock = new ManualClock();
  const machine = new EmulatedMachine({ clock });
  const guest = machine.createDomain();
  const keeper = keepEventPages(guest);
  const driverDomain = machine.createDomain({ domid: DRIVER_DOMAIN });
  const streams = [{ fields: { type: random.pick(['p', 'c']) } }];
  createSoundCard(machine, { frontendDomid: guest.domid, pcmDevices: [{ streams }] });
  createSoundCard(machine, {
    frontendDomid: guest.domid,
    backendDomid: DRIVER_DOMAIN,
    devid: 1,
    pcmDevices: [{ streams: [{ fields: { type: 'p' } }] }],
  });
  const good = memoryDevice(driverDomain.clock);
  const goodBackend = await Backend.start(driverDomain, { deviceFor: () => good });
  const wild = await RawBackend.start(machine, guest.domid);
  await machine.settle();

  const other = await openCard({ hypervisor: guest, card: 1 });
  const out = other.createPlaybackStream(FORMAT);
  const sound = noise(4 * 5000, 3);
  const finished = new Promise((resolve, reject) => out.once('close', resolve).once('error', reject));
  out.end(sound);

  const card = await openCard({ hypervisor: guest, card: 0, reconnect: random.chance(50) });
  const keepPageFull = () => {
    keeper.keepFull(eventPageOf(machine, guest.domid), random.below(3000));
    wild.announceEvents(0);
  };
  wild.answer = () => anyAnswer(random);
  wild.onError = () => {};
  const steps = 10 + random.below(30);
  for (let step = 0; step < steps; step++) {
    for (const stream of card.streams) use(stream, random);
    if (card.streams.length === 0 && card.connected) create(card);
    await misbehave(wild, keepPageFull, random);
    await clock.advance(random.below(300));
    if (random.chance(5)) await clock.advanceTime(3e9);
  }
  await clock.advance(20_000);
  await finished;
  expect(Buffer.from(good.heard()).equals(sound)).toBe(true);

  await other.close();
  const closed = card.close();
  await clock.advanceTime(60e9);
  await closed;
  await wild.close();
  await goodBackend.close();
  await machine.settle();
  // What the wild one leaves behind itself is its own affair.
  expect(machine.leaks().filter((leak) => !leak.startsWith('domain 0:'))).toEqual([]);
  await machine.close();
}

/** A stream of the kind that the card has, whose errors are as they should be. */
function create(card: Card): void {
  const isPlayback = card.info.pcmDevices[0]?.streams[0]?.type === 'playback';
  const stream = isPlayback ? card.createPlaybackStream(FORMAT) : card.createCaptureStream(FORMAT);
  stream.on('error', (error) => {
    const isExpected = isVsndError(error) || /^ERR_STREAM_/.test((error as NodeJS.ErrnoException).code ?? '');
    if (!isExpected) throw error;
  });
  if (stream.type === 'capture') stream.resume();
}

test(
  'a backend that says anything at all: one clear error, another card plays on, nothing is left',
  async () => {
    expect(await runRounds('frontend', round)).toBeGreaterThan(0);
  },
  FUZZ_TIMEOUT,
);
