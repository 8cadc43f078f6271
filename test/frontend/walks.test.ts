import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PlaybackStream } from '../../src/frontend/playback-stream.ts';
import { openCard } from '../../src/open-card.ts';
import {
  Backend,
  createSoundCard,
  type EmulatedDomain,
  EmulatedMachine,
  ManualClock,
  type MemoryDevice,
  memoryDevice,
  type PlaybackDevice,
} from '../../src/testing.ts';
import { FRAME, noise, STEREO } from '../sound.ts';
import { closing } from './setup.ts';

const FORMAT = {
  ...STEREO,
  bufferFrames: 1000,
  periodFrames: 100,
  reconnect: true,
} as const;

/** From one OPEN that was answered to its end: the device's take, and the stream's positions. */
interface Part {
  readonly take: number;
  readonly from: number;
  to: number;
}

/** A guest, a device that remembers, and backends that come and go. */
class World {
  readonly clock = new ManualClock();
  readonly machine = new EmulatedMachine({ clock: this.clock });
  readonly guest = this.machine.createDomain();
  /** How often the device was opened. */
  takes = 0;
  readonly #device: MemoryDevice = memoryDevice(this.machine.clock);
  #host: EmulatedDomain | undefined;
  #backend: Backend | undefined;

  constructor() {
    const streams = [{ fields: { type: 'p' } }];
    createSoundCard(this.machine, { frontendDomid: this.guest.domid, pcmDevices: [{ streams }] });
  }

  async start(): Promise<void> {
    const device: PlaybackDevice = {
      ...this.#device,
      openPlayback: (params, feed) => {
        this.takes++;
        return this.#device.openPlayback(params, feed);
      },
    };
    this.#host = this.machine.startProcess(0);
    this.#backend = await Backend.start(this.#host, { deviceFor: () => device });
    await this.machine.settle();
  }

  async stop(): Promise<void> {
    await this.#backend?.close();
    this.kill();
  }

  kill(): void {
    this.#backend = undefined;
    this.#host?.exit();
  }

  heard({ take, from, to }: Part): Buffer {
    return Buffer.from(this.#device.heard(take).slice(0, (to - from) * FRAME));
  }
}

type Step =
  | { readonly do: 'write' | 'play'; readonly frames: number }
  | { readonly do: 'start' | 'pause' | 'resume' | 'stop' }
  | { readonly do: 'lose'; readonly isKilled: boolean }
  | { readonly do: 'restart'; readonly away: number };

const number = fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 3000 }));

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('write' as const), frames: number }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('play' as const), frames: number }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('start', 'pause', 'resume', 'stop') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('lose' as const),
      isKilled: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('restart' as const), away: fc.constantFrom(0, 1e6, 4e9) }),
  },
);

/** Follows what is open at the backend, from OPEN to its end. */
function followParts(out: PlaybackStream, world: World): { parts: Part[]; stop(): void } {
  const parts: Part[] = [];
  const note = (message: unknown) => {
    const { event } = message as { event: string };
    if (event === 'opened') {
      parts.push({ take: world.takes - 1, from: out.position, to: Number.POSITIVE_INFINITY });
    } else if (event === 'lost' || event === 'drop') {
      for (const part of parts.slice(-1)) part.to = Math.min(part.to, out.position);
    }
  };
  const ofStream = (message: unknown) => {
    if ((message as { path: string }).path.endsWith('/0/0')) note(message);
  };
  subscribe('vsnd:state', ofStream);
  return { parts, stop: () => unsubscribe('vsnd:state', ofStream) };
}

async function walk(steps: readonly Step[]): Promise<void> {
  const world = new World();
  await world.start();
  const card = await openCard({ hypervisor: world.guest });
  const out = card.createPlaybackStream(FORMAT);
  const { parts, stop } = followParts(out, world);
  const closed = closing(out);
  const answers: Promise<void>[] = [];
  const expected: Buffer[] = [];
  let begin = 0;
  let source: Buffer[] = [];
  for (const [n, step] of steps.entries()) {
    switch (step.do) {
      case 'write': {
        const bytes = noise(step.frames * FRAME, n);
        source.push(bytes);
        out.write(bytes);
        break;
      }
      case 'play':
        await world.clock.advance(step.frames);
        break;
      case 'lose':
        if (step.isKilled) world.kill();
        else await world.stop();
        await world.machine.settle();
        break;
      case 'restart':
        await world.stop();
        await world.clock.advanceTime(step.away);
        await world.start();
        await world.clock.advanceTime(1e9); // one try a second
        break;
      case 'stop':
        expected.push(Buffer.concat(source).subarray(0, (out.position - begin) * FRAME));
        begin = out.position;
        source = [];
        answers.push(out.drop());
        break;
      default:
        answers.push(out.trigger(step.do));
    }
  }
  expected.push(...source);
  answers.push(out.trigger('resume'));
  out.end();
  await world.stop();
  await world.start();
  await world.clock.advanceTime(30e9);
  expect(await closed).toBeUndefined();
  expect(out.writableFinished).toBe(true);
  await Promise.all(answers);
  stop();
  const heard = parts.map((part) => world.heard(part));
  expect(Buffer.concat(heard).equals(Buffer.concat(expected))).toBe(true);
  await card.close();
  await world.stop();
  await world.machine.settle();
  world.machine.assertCleanedUp();
}

test('whatever is done to a stream, and whatever happens to its backends: what was not dropped is heard once', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25, size: 'max' }), walk), { numRuns: 200 });
}, 60_000);
