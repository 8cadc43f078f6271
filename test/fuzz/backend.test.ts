import { expect, test } from 'vitest';
import { memoryDevice } from '../../src/backend/devices.ts';
import type { QueueMode } from '../../src/backend/playback-queue.ts';
import { openCard } from '../../src/open-card.ts';
import { RING_SIZE } from '../../src/wire/ring.ts';
import { encodeRequest, type SndifOpName, type SndifRequest } from '../../src/wire/sndif.ts';
import { openRequest, type RawBuffer, type RawChannel, type RawFrontend } from '../backend/raw-frontend.ts';
import { CAPTURE, PLAYBACK, World } from '../backend/world.ts';
import { keepRingsFull, moveRequestIndexes } from '../hostile/peers.ts';
import { noise, STEREO } from '../sound.ts';
import { FUZZ_TIMEOUT, type Random, runRounds } from './rounds.ts';

const STREAMS = ['0/0', '0/1'];
const FORMAT = {
  ...STEREO,
  bufferFrames: 2000,
  periodFrames: 250,
} as const;

/** A guest that does what comes into its mind, right or wrong. */
class WildGuest {
  readonly #frontend: RawFrontend;
  readonly #random: Random;
  #channels: RawChannel[] = [];
  #buffer: RawBuffer | undefined;

  constructor(frontend: RawFrontend, random: Random) {
    this.#frontend = frontend;
    this.#random = random;
  }

  async act(): Promise<void> {
    const random = this.#random;
    const acts = [
      () => this.#connect(),
      () => this.#frontend.writeState(random.chance(70) ? String(random.below(10)) : random.text()),
      () => this.#writeNode(),
      () => this.#ask(),
      () => this.#ask(),
      () => this.#ask(),
      () => this.#ask(),
      () => this.#scribble(),
      () => this.#notify(),
    ];
    await random.pick(acts)();
  }

  async #connect(): Promise<void> {
    this.#channels = await this.#frontend.connect(STREAMS.slice(0, 1 + this.#random.below(2)));
    this.#buffer ??= await this.#frontend.createBuffer(8192);
    if (this.#random.chance(80)) await this.#frontend.setState('4');
    if (this.#random.chance(80)) await this.#send(openRequest(this.#buffer));
  }

  /** Some node of our own directory, the card's configuration included; what XenStore refuses is no harm done. */
  async #writeNode(): Promise<void> {
    const random = this.#random;
    const names = [
      'ring-ref',
      'event-channel',
      'evt-ring-ref',
      'evt-event-channel',
      'type',
      'buffer-size',
      'x',
    ];
    const where = random.pick(['', '/0', '/0/0', '/0/1', '/0/2', '/1']);
    const path = `${this.#frontend.path}${where}/${random.pick(names)}`;
    const { xenstore } = this.#frontend;
    await (random.chance(80) ? xenstore.write(path, random.text()) : xenstore.remove(path)).catch(() => {});
  }

  async #ask(): Promise<void> {
    const random = this.#random;
    const count = 1 + random.below(random.chance(10) ? 40 : 3);
    for (let request = 0; request < count; request++) await this.#send(this.anyRequest());
  }

  async #send(request: SndifRequest): Promise<void> {
    const channel = this.#channels[this.#random.below(2)];
    if (channel === undefined || channel.ring.free === 0) return;
    const bytes = encodeRequest(this.#random.below(0x10000), request);
    if (this.#random.chance(10))
      bytes.set(this.#random.bytes(1 + this.#random.below(8)), this.#random.below(56));
    channel.sendBytes(bytes);
    if (this.#random.chance(70)) await this.#frontend.settle();
    try {
      channel.takeResponses();
    } catch {
      this.#channels = []; // we have spoilt our own ring
    }
  }

  anyRequest(): SndifRequest {
    const random = this.#random;
    const op = random.pick<SndifOpName>([
      ...([
        'open',
        'close',
        'read',
        'write',
        'write',
        'write',
        'setVolume',
        'getVolume',
        'mute',
        'unmute',
      ] as const),
      ...(['trigger', 'trigger', 'hwParamQuery'] as const),
    ]);
    const span = random.chance(60)
      ? { offset: 4 * random.below(2000), length: 4 * random.below(1000) }
      : { offset: random.u32(), length: random.u32() };
    switch (op) {
      case 'open':
        return {
          op,
          rate: random.chance(80) ? 48_000 : random.u32(),
          format: random.chance(80) ? 2 : random.below(256),
          channels: random.chance(80) ? 2 : random.below(256),
          bufferBytes: random.chance(80) ? 8192 : random.u32(),
          directoryGref: random.chance(80) ? (this.#buffer?.directoryGref ?? 0) : random.u32(),
          periodBytes: random.chance(80) ? 1024 : random.u32(),
        };
      case 'close':
        return { op };
      case 'trigger':
        return { op, trigger: random.pick(['start', 'start', 'pause', 'resume', 'stop']) };
      case 'hwParamQuery': {
        const interval = () => ({ min: random.u32(), max: random.u32() });
        const ranges = {
          formats: random.u64(),
          rates: interval(),
          channels: interval(),
          bufferFrames: interval(),
          periodFrames: interval(),
        };
        return { op, ranges };
      }
      default:
        return { op, ...span };
    }
  }

  async #scribble(): Promise<void> {
    const random = this.#random;
    const channel = this.#channels[0];
    if (channel === undefined) return;
    const page = random.pick([channel.ringPage, channel.eventPage]);
    page.store32(4 * random.below(random.chance(80) ? 4 : 1024), random.u32());
    this.#buffer?.directory.store32(4 * random.below(4), random.u32());
    channel.ringPort.notify();
  }

  async #notify(): Promise<void> {
    for (const channel of this.#channels) channel.ringPort.notify();
  }
}

async function round(random: Random): Promise<void> {
  const world = new World({
    queueMode: random.pick<QueueMode>(['copy', 'direct']),
    pcmDevices: [{ streams: [PLAYBACK, CAPTURE] }],
  });
  const good = memoryDevice(world.backendClock);
  const wild = await world.addGuest();
  const guest = new WildGuest(wild, random);
  const { domid } = world.machine.createDomain();
  world.addCard({ frontendDomid: domid, pcmDevices: [{ streams: [PLAYBACK] }] });
  const { dom0 } = world.machine;
  if (random.chance(30)) keepRingsFull(dom0, wild.domain.domid, random.below(3000), guest.anyRequest());
  if (random.chance(20)) {
    const step = () => random.pick([1, RING_SIZE, -1, random.u32()]);
    moveRequestIndexes(dom0, wild.domain.domid, (now) => (random.chance(95) ? now : now + step()));
  }
  await world.startBackend({
    deviceFor: ({ frontendDomid }) => (frontendDomid === domid ? good : world.device),
  });
  const process = world.machine.startProcess(domid);
  const card = await openCard({ hypervisor: process });
  const out = card.createPlaybackStream(FORMAT);
  const sound = noise(4 * 6000, 7);
  const finished = new Promise((resolve, reject) => out.once('close', resolve).once('error', reject));
  out.end(sound);
  const steps = 10 + random.below(30);
  for (let step = 0; step < steps; step++) {
    await guest.act();
    await world.clock.advance(random.below(400));
  }
  await world.clock.advance(20_000);
  await finished;
  expect(Buffer.from(good.heard()).equals(Buffer.from(sound))).toBe(true);
  await card.close();
  if (random.chance(50)) await wild.release(); // it dies before its backend does
  await world.close();
}

test(
  'a guest that says anything at all: others play on, and nothing is left',
  async () => {
    expect(await runRounds('backend', round)).toBeGreaterThan(0);
  },
  FUZZ_TIMEOUT,
);
