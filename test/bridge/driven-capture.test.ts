import { afterEach, describe, expect, it } from 'vitest';
import { DriftCorrector } from '../../src/bridge/drift-corrector.ts';
import { DrivenCapture } from '../../src/bridge/driven-capture.ts';
import { DeviatingClock } from '../../src/clock.ts';
import { openCard } from '../../src/index.ts';
import { sineDevice, startTestGuest } from '../../src/testing.ts';
import { FakeFifo } from './fake-fifo.ts';

const SPEC = { rate: 48_000, channels: 2, format: 's16_le', frameBytes: 4 } as const;
const QUANTUM = 256;
const TARGET = 4 * QUANTUM;

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A card that captures a sine, off by so many ppm, and a server that takes a quantum each time. */
async function setUp(ppm: number) {
  const guest = await startTestGuest({
    capture: true,
    device: (clock) => sineDevice(1000, new DeviatingClock(clock, ppm)),
  });
  closing.push(() => guest.close());
  const card = await openCard({ hypervisor: guest.hypervisor });
  closing.push(() => card.close());
  const events: string[] = [];
  const note = (name: string) => () => void events.push(name);
  const fifo = new FakeFifo();
  fifo.capacity = 65_536;
  const path = new DrivenCapture(
    fifo,
    new DriftCorrector(SPEC, QUANTUM),
    {
      targetFrames: TARGET,
      quantumFrames: QUANTUM,
      bufferFrames: 2 * TARGET,
      openReader: () => new FakeFifo(),
    },
    {
      card,
      device: 0,
      spec: SPEC,
      clock: guest.clock,
      exact: false,
      events: {
        handleStart: note('start'),
        handleStop: note('stop'),
        handleXrun: note('xrun'),
        handleBackendLost: note('lost'),
        handleBackendBack: note('back'),
        handleWarning: note('warning'),
        handleServerGone: note('gone'),
        handleFailure: note('failure'),
      },
    },
  );
  closing.push(() => path.close());
  const record = async (seconds: number) => {
    const pieces: Buffer[] = [];
    const fills: number[] = [];
    for (let quantum = 0; quantum * QUANTUM < seconds * SPEC.rate; quantum++) {
      await guest.clock.advance(QUANTUM);
      fills.push(fifo.waiting() / SPEC.frameBytes);
      pieces.push(fifo.take(QUANTUM * SPEC.frameBytes));
    }
    return { recorded: Buffer.concat(pieces), fills: fills.slice(100) };
  };
  return { path, events, fifo, record };
}

describe('DrivenCapture', () => {
  it('hands on what is captured, behind the silence that is to wait, and only while somebody records', async () => {
    const { path, events, record } = await setUp(0);
    await record(1);
    expect(path.statistics.active).toBe(false);
    path.setUsed(true);
    const { recorded } = await record(5);
    expect(path.statistics).toMatchObject({ active: true, xruns: 0, slips: 0 });
    const sound = recorded.subarray(recorded.findIndex((byte) => byte !== 0));
    expect(sound.length).toBeGreaterThan(4 * SPEC.rate * SPEC.frameBytes);
    expect(sound.some((_, at) => at % 400 === 0 && sound.subarray(at, at + 8).every((o) => o === 0))).toBe(
      false,
    );
    path.setUsed(false);
    await record(0.1);
    expect(events).toEqual(['start', 'stop']);
  });

  it.each([1000, -1000])('follows a card of %d ppm: the FIFO neither runs dry nor over', async (ppm) => {
    const { path, events, record } = await setUp(ppm);
    path.setUsed(true);
    const { fills } = await record(60);
    expect(events).toEqual(['start']);
    expect(Math.min(...fills)).toBeGreaterThan(TARGET - 3 * QUANTUM);
    expect(Math.max(...fills)).toBeLessThan(TARGET + 4 * QUANTUM);
  });

  it.each([1000, -1000])('drops or repeats whole quanta for a card of %d ppm', async (ppm) => {
    const { path, record } = await setUp(ppm);
    path.setUsed(true);
    await record(30);
    const drifted = (30 * SPEC.rate * 1000e-6) / QUANTUM;
    expect(path.statistics.slips).toBeGreaterThanOrEqual(Math.floor(drifted) - 2);
    expect(path.statistics.slips).toBeLessThanOrEqual(drifted + 1);
    expect(path.statistics.xruns).toBe(0);
  });
});
