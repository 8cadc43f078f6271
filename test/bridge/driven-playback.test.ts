import { afterEach, describe, expect, it } from 'vitest';
import { DriftCorrector } from '../../src/bridge/drift-corrector.ts';
import { DrivenPlayback } from '../../src/bridge/driven-playback.ts';
import type { PathEvents } from '../../src/bridge/path.ts';
import { type Clock, DeviatingClock } from '../../src/clock.ts';
import { openCard } from '../../src/index.ts';
import {
  Backend,
  type MemoryDevice,
  memoryDevice,
  startTestGuest,
  type TestGuest,
} from '../../src/testing.ts';
import { FakeFifo } from './fake-fifo.ts';

const SPEC = { rate: 48_000, channels: 2, format: 's16_le', frameBytes: 4 } as const;
const QUANTUM = 256;
const TARGET = 4 * QUANTUM;

interface Setup {
  readonly guest: TestGuest;
  readonly fifo: FakeFifo;
  readonly path: DrivenPlayback;
  readonly events: string[];
  /** What the card has played so far. */
  heard(): Buffer;
}

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function setUp({ ppm = 0 } = {}): Promise<Setup> {
  let played: MemoryDevice | undefined;
  const device = (clock: Clock) => {
    played = memoryDevice(new DeviatingClock(clock, ppm));
    return played;
  };
  const guest = await startTestGuest({ device, rate: SPEC.rate });
  closing.push(() => guest.close());
  const card = await openCard({ hypervisor: guest.hypervisor, reconnect: true });
  closing.push(() => card.close());
  const events: string[] = [];
  const note = (name: string) => (detail?: unknown) => void events.push(`${name} ${detail ?? ''}`.trim());
  const handlers: PathEvents = {
    handleStart: note('start'),
    handleStop: note('stop'),
    handleXrun: note('xrun'),
    handleBackendLost: () => events.push('lost'),
    handleBackendBack: () => events.push('back'),
    handleWarning: note('warning'),
    handleServerGone: note('gone'),
    handleFailure: note('failure'),
  };
  const fifo = new FakeFifo();
  const path = new DrivenPlayback(
    fifo,
    new DriftCorrector(SPEC, QUANTUM),
    { targetFrames: TARGET, quantumFrames: QUANTUM, bufferFrames: 2 * TARGET },
    { card, device: 0, spec: SPEC, clock: guest.clock, exact: false, events: handlers },
  );
  closing.push(() => path.close());
  return { guest, fifo, path, events, heard: () => Buffer.from(played?.heard() ?? []) };
}

/** Frames whose left sample counts: none is like another, and none is silence. */
function counting(from: number, frames: number): Buffer {
  const bytes = Buffer.alloc(frames * SPEC.frameBytes);
  for (let i = 0; i < frames; i++) {
    bytes.writeInt16LE(((from + i) % 30_000) + 1, 4 * i);
    bytes.writeInt16LE(Math.floor((from + i) / 30_000) + 1, 4 * i + 2);
  }
  return bytes;
}

/** As PipeWire does: a quantum each time that as much time has passed. */
async function bring({ guest, fifo }: Setup, sound: Buffer): Promise<void> {
  for (let at = 0; at < sound.length; at += QUANTUM * SPEC.frameBytes) {
    fifo.put(sound.subarray(at, at + QUANTUM * SPEC.frameBytes));
    await guest.clock.advance(QUANTUM);
  }
}

describe('DrivenPlayback', () => {
  it('plays what comes, every frame, in order, none twice, where the clocks agree', async () => {
    const setup = await setUp();
    const sound = counting(0, 400 * QUANTUM);
    await bring(setup, sound);
    expect(setup.path.statistics).toMatchObject({ frames: 400 * QUANTUM, active: true, xruns: 0, slips: 0 });
    expect(setup.path.statistics.latencyFrames).toBeLessThanOrEqual(TARGET + 2 * QUANTUM);
    await setup.guest.clock.advance(SPEC.rate);
    const heard = setup.heard();
    expect(heard.indexOf(sound)).toBe(TARGET * SPEC.frameBytes);
  });

  it('closes the stream after two seconds of nothing, without an underrun, and plays all that comes then', async () => {
    const setup = await setUp();
    const { guest, path, events } = setup;
    await bring(setup, counting(0, 3 * QUANTUM)); // less than what waits at the card
    await guest.clock.advance(3 * SPEC.rate);
    expect(events).toEqual(['start', 'stop']);
    expect(path.statistics).toMatchObject({ active: false, xruns: 0, latencyFrames: 0 });
    const sound = counting(1000, 20 * QUANTUM);
    await bring(setup, sound);
    await guest.clock.advance(SPEC.rate);
    expect(events).toEqual(['start', 'stop', 'start']);
    expect(setup.heard().includes(sound)).toBe(true);
  });

  it('closes it after two seconds of zeros, and does not open it for them', async () => {
    const setup = await setUp();
    const { events, path } = setup;
    const zeros = Buffer.alloc(Math.ceil((2.5 * SPEC.rate) / QUANTUM) * QUANTUM * SPEC.frameBytes);
    await bring(setup, zeros);
    expect(events).toEqual([]);
    await bring(setup, Buffer.concat([counting(0, 4 * QUANTUM), zeros]));
    expect(events).toEqual(['start', 'stop']);
    expect(path.statistics).toMatchObject({ active: false, xruns: 0 });
    const sound = counting(0, 10 * QUANTUM);
    await bring(setup, sound);
    await setup.guest.clock.advance(SPEC.rate);
    expect(setup.heard().includes(sound)).toBe(true);
  });

  it('counts an underrun where a program plays and nothing comes in time', async () => {
    const setup = await setUp();
    setup.path.setUsed(true);
    await bring(setup, counting(0, 20 * QUANTUM));
    await setup.guest.clock.advance(2 * TARGET);
    await bring(setup, counting(0, 20 * QUANTUM));
    expect(setup.events).toEqual(['start', 'xrun 1']);
  });

  it('goes on with the next backend', async () => {
    const setup = await setUp();
    const { guest, events } = setup;
    await bring(setup, counting(0, 40 * QUANTUM));
    await guest.backend.close();
    await bring(setup, counting(0, 40 * QUANTUM));
    expect(events).toEqual(['start', 'lost']);
    const next = memoryDevice(guest.machine.dom0.clock);
    const backend = await Backend.start(guest.machine.dom0, { deviceFor: () => next });
    closing.splice(1, 0, () => backend.close()); // after the card, before the guest
    await guest.machine.settle();
    const sound = counting(0, 40 * QUANTUM);
    await bring(setup, sound);
    expect(setup.path.statistics.latencyFrames).toBeLessThan(TARGET + 3 * QUANTUM);
    await guest.clock.advance(SPEC.rate);
    expect(events).toEqual(['start', 'lost', 'back']);
    expect(Buffer.from(next.heard()).includes(sound)).toBe(true);
  });

  it('carries a frame that was cut over to the next read', async () => {
    const setup = await setUp();
    const sound = counting(0, 40 * QUANTUM);
    setup.fifo.put(sound.subarray(0, 1021));
    await setup.guest.clock.advance(QUANTUM);
    await bring(setup, sound.subarray(1021));
    await setup.guest.clock.advance(SPEC.rate);
    expect(setup.heard().includes(sound)).toBe(true);
  });

  it('tells that the server has gone', async () => {
    const { fifo, events } = await setUp();
    fifo.breakOff();
    expect(events).toEqual(['gone the sink has been removed from the sound server']);
  });

  it.each([1000, -1000])('keeps the latency bounded with a card of %d ppm', async (ppm) => {
    const setup = await setUp({ ppm });
    const latencies: number[] = [];
    for (let second = 0; second < 60; second++) {
      await bring(setup, counting(0, SPEC.rate));
      latencies.push(setup.path.statistics.latencyFrames);
    }
    expect(setup.path.statistics.xruns).toBe(0);
    expect(Math.min(...latencies)).toBeGreaterThan(TARGET - 3 * QUANTUM);
    expect(Math.max(...latencies)).toBeLessThan(TARGET + 3 * QUANTUM);
  });

  it.each([1000, -1000])(
    'drops or repeats whole quanta for a card of %d ppm, and nothing else',
    async (ppm) => {
      const setup = await setUp({ ppm });
      const sound = counting(0, 30 * SPEC.rate);
      await bring(setup, sound);
      await setup.guest.clock.advance(SPEC.rate);
      const { slips, xruns } = setup.path.statistics;
      expect(xruns).toBe(0);
      expect(slips).toBeGreaterThanOrEqual(Math.floor((30 * SPEC.rate * 1000e-6) / QUANTUM) - 1);
      expect(slips).toBeLessThanOrEqual((30 * SPEC.rate * 1000e-6) / QUANTUM + 1);
      expect(countedSteps(setup.heard())).toEqual({
        [ppm > 0 ? 1 - QUANTUM : 1 + QUANTUM]: slips,
      });
    },
  );
});

/** How often the counting frames did not go on by 1, by how far they went. */
function countedSteps(heard: Buffer): Record<number, number> {
  const steps: Record<number, number> = {};
  let last: number | undefined;
  for (let at = 0; at < heard.length; at += 4) {
    const sample = heard.readInt16LE(at);
    if (sample === 0) continue;
    const count = (heard.readInt16LE(at + 2) - 1) * 30_000 + sample - 1;
    if (last !== undefined && count !== last + 1) steps[count - last] = (steps[count - last] ?? 0) + 1;
    last = count;
  }
  return steps;
}
