import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { PacedCapture } from '../../src/bridge/paced-capture.ts';
import { PacedPlayback } from '../../src/bridge/paced-playback.ts';
import type { PathContext, PathEvents } from '../../src/bridge/path.ts';
import type { Card } from '../../src/frontend/card.ts';
import type { PcmSpec } from '../../src/pcm/hw-params.ts';
import type { TestGuest } from '../../src/testing.ts';
import { startCard } from '../frontend/setup.ts';
import { FakeFifo } from './fake-fifo.ts';

const SPEC: PcmSpec = { rate: 48_000, channels: 2, format: 's16_le', frameBytes: 4 };

const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** What a path has told, a line each. */
class Told implements PathEvents {
  readonly lines: string[] = [];
  handleStart = () => this.#say('start');
  handleStop = () => this.#say('stop');
  handleXrun = (count: number) => this.#say(`xrun ${count}`);
  handleBackendLost = () => this.#say('backend lost');
  handleBackendBack = () => this.#say('backend back');
  handleWarning = (code: string) => this.#say(`warning ${code}`);
  handleServerGone = () => this.#say('server gone');
  handleFailure = (error: Error) => this.#say(`failure ${error.message}`);

  #say(line: string): void {
    this.lines.push(line);
  }
}

function contextOf(card: Card, guest: TestGuest, events: PathEvents): PathContext {
  return { card, device: undefined, spec: SPEC, clock: guest.clock, exact: false, events };
}

describe('a path from a sink', () => {
  async function open(bufferFrames = 2400) {
    const { guest, card } = await startCard();
    const fifo = new FakeFifo();
    const told = new Told();
    const path = new PacedPlayback(fifo, bufferFrames, contextOf(card, guest, told));
    ends.push(async () => {
      const closed = path.close();
      await guest.machine.settle();
      await closed;
      expect(fifo.isClosed).toBe(true);
      await card.close();
    });
    /** So many frames of time, a period's worth at a time, with the event loop looking after the FIFO in between. */
    const pass = async (frames: number) => {
      for (let rest = frames; rest > 0; rest -= 100) {
        await guest.clock.advance(Math.min(rest, 100));
        fifo.turn();
      }
    };
    return { guest, card, fifo, told, path, pass };
  }

  test('takes nothing, and polls but the FIFO, until there is something', async () => {
    const { guest, card, fifo, told, path, pass } = await open();
    await pass(48_000);
    expect(card.streams).toEqual([]);
    expect(guest.clock.pendingTimers).toBe(0);
    expect(fifo.isPolled).toBe(true);
    expect(told.lines).toEqual([]);
    expect(path.statistics).toMatchObject({ active: false, frames: 0, latencyFrames: 0 });
  });

  test('takes no more than what has been played makes room for', async () => {
    const { fifo, pass } = await open(2400);
    fifo.put(Buffer.alloc(40_000 * SPEC.frameBytes));
    await pass(0);
    await pass(100);
    const before = fifo.waiting();
    expect(before).toBeGreaterThanOrEqual((40_000 - 2400 - 300) * SPEC.frameBytes);
    await pass(9600);
    const taken = (before - fifo.waiting()) / SPEC.frameBytes;
    expect(Math.abs(taken - 9600)).toBeLessThanOrEqual(300); // a period
  });

  test('plays all that comes, whatever its pieces, and sleeps after two seconds without', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 9000 }), pause: fc.nat(800) }), {
          minLength: 1,
          maxLength: 12,
        }),
        async (pieces) => {
          const { guest, card, fifo, told, path, pass } = await open();
          const total = pieces.reduce((sum, { bytes }) => sum + bytes, 0);
          const file = randomBytes(total - (total % SPEC.frameBytes) + (total % SPEC.frameBytes && 4));
          let at = 0;
          for (const { bytes, pause } of pieces) {
            fifo.put(file.subarray(at, at + bytes));
            at += bytes;
            await pass(pause);
          }
          fifo.put(file.subarray(at)); // the rest of a frame
          await pass(file.length / SPEC.frameBytes + 48_000 * 2 + 6000);
          await guest.clock.advanceTime(3e9); // the timer that looks after requests
          expect(told.lines).toEqual(['start', 'stop']);
          expect(card.streams).toEqual([]);
          expect(withoutSilence(Buffer.from(guest.device.heard()))).toEqual(withoutSilence(file));
          expect(path.statistics).toMatchObject({
            frames: file.length / SPEC.frameBytes,
            xruns: 0,
            slips: 0,
            active: false,
          });
          expect(guest.clock.pendingTimers).toBe(0);
        },
      ),
      { numRuns: 15 },
    );
  });

  test('counts silence as an underrun only where a program was playing all the time', async () => {
    const { fifo, told, path, pass } = await open();
    path.setUsed(true);
    fifo.put(Buffer.alloc(3000 * 4, 1));
    await pass(12_000);
    fifo.put(Buffer.alloc(3000 * 4, 1));
    expect(told.lines).toEqual(['start', 'xrun 1']);
    await pass(6000);
    path.setUsed(false);
    await pass(6000);
    path.setUsed(true);
    await pass(3000); // the next program is there, and has not said anything yet
    fifo.put(Buffer.alloc(3000 * 4, 1));
    await pass(100);
    expect(told.lines).toEqual(['start', 'xrun 1']);
    expect(path.statistics.xruns).toBe(1);
  });

  test('has the buffer that the card can have', async () => {
    const { guest, card, fifo, pass } = await open(1_000_000);
    fifo.put(Buffer.alloc(30_000 * 4, 1));
    await pass(100);
    const [stream] = card.streams;
    expect(stream?.bufferFrames).toBe(14_280); // 64 KiB, less a period for the volumes
    await pass(34_000);
    expect(guest.device.heard().length).toBeGreaterThanOrEqual(30_000 * 4);
  });

  test('begins anew after sleep, with the first frame', async () => {
    const { guest, fifo, told, pass } = await open();
    for (const take of [0, 1]) {
      const sound = Buffer.alloc(40, take + 1); // 10 frames
      fifo.put(sound);
      await pass(110_000);
      expect(Buffer.from(guest.device.heard(take)).subarray(0, 40)).toEqual(sound);
    }
    expect(told.lines).toEqual(['start', 'stop', 'start', 'stop']);
  });

  test('tells of a server that has gone, asleep or not, and opens nothing for it', async () => {
    const asleep = await open();
    asleep.fifo.breakOff();
    expect(asleep.told.lines).toEqual(['server gone']);
    const awake = await open();
    awake.fifo.put(Buffer.alloc(4000, 1));
    await awake.pass(2000);
    awake.fifo.breakOff();
    await awake.pass(2000);
    expect(awake.told.lines).toEqual(['start', 'server gone', 'stop']);
  });
});

/** The order of all samples but silent ones: gaps of silence may be anywhere. */
function withoutSilence(bytes: Buffer): number[] {
  const frames = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32LE(index * 4));
  return frames.filter((frame) => frame !== 0);
}

describe('a path into a source', () => {
  async function open() {
    const { guest, card } = await startCard({ capture: true });
    const fifo = new FakeFifo();
    const told = new Told();
    const path = new PacedCapture(fifo, () => readerOf(fifo), 100, contextOf(card, guest, told));
    ends.push(async () => {
      const closed = path.close();
      await guest.machine.settle();
      await closed;
      await card.close();
    });
    return { guest, card, fifo, told, path };
  }

  /** The other end, which the path opens for draining; closing it leaves the FIFO. */
  function readerOf(fifo: FakeFifo) {
    const reader = new FakeFifo();
    reader.read = (into) => fifo.read(into);
    return reader;
  }

  test('captures while somebody records, hands on what was captured, and nothing of it to the next', async () => {
    const { guest, card, fifo, told, path } = await open();
    const said = randomBytes(48_000 * 4);
    guest.device.say(said);
    await guest.clock.advance(4800);
    expect(card.streams).toEqual([]);
    path.setUsed(true);
    await guest.machine.settle();
    const recorded: Buffer[] = [];
    for (let turn = 0; turn < 40; turn++) {
      await guest.clock.advance(600);
      const bytes = fifo.take();
      expect(bytes.length % 4).toBe(0);
      recorded.push(bytes);
      fifo.turn({ writable: true });
    }
    const whole = Buffer.concat(recorded);
    expect(whole.length).toBeGreaterThan(20_000 * 4);
    expect(whole.equals(said.subarray(0, whole.length))).toBe(true);
    expect(path.statistics).toMatchObject({ active: true, xruns: 0 });
    path.setUsed(false);
    await guest.machine.settle();
    await guest.clock.advance(100);
    expect(fifo.waiting()).toBe(0);
    expect(card.streams).toEqual([]);
    expect(told.lines).toEqual(['start', 'stop']);
  });

  test('waits for room, without losing anything, and tells of what the card then lost', async () => {
    const { guest, fifo, told, path } = await open();
    const said = randomBytes(96_000 * 4);
    guest.device.say(said);
    path.setUsed(true);
    for (let turn = 0; turn < 100; turn++) await guest.clock.advance(600); // nobody reads
    expect(fifo.isPolled).toBe(true);
    expect(told.lines.filter((line) => line.startsWith('xrun')).length).toBeGreaterThan(0);
    const first = fifo.take();
    expect(first.equals(said.subarray(0, first.length))).toBe(true);
    fifo.turn({ writable: true });
    const second = fifo.take();
    expect(second.equals(said.subarray(first.length, first.length + second.length))).toBe(true);
  });

  test('tells of a server that has gone', async () => {
    const { guest, fifo, told, path } = await open();
    path.setUsed(true);
    fifo.isBroken = true;
    await guest.clock.advance(4800);
    expect(told.lines).toEqual(['start', 'server gone', 'stop']);
  });
});
