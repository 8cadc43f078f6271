import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SeekMode } from '../../src/pulse/packet.ts';
import { PieceStore } from '../../src/server/piece-store.ts';
import { PlaybackQueue } from '../../src/server/playback-queue.ts';
import { FRAME } from '../sound.ts';

/** Bytes that tell where they belong. */
function numbered(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (from + at) % 251);
}

function queueOf({ prebuffer = 0, targetLength = 400, leastRequest = 40, maxLength = 1000 } = {}) {
  const attributes = { maxLength, targetLength, prebuffer, leastRequest };
  return new PlaybackQueue(attributes, { frameBytes: FRAME, silence: 0 });
}

describe('a queue with a prebuffer', () => {
  test('plays once so much is there, and waits for as much again when it is dry', () => {
    const queue = queueOf({ prebuffer: 200 });
    queue.write(numbered(0, 196));
    expect(queue.readableFrames).toBe(0);
    queue.write(numbered(196, 4));
    expect(queue.readableFrames).toBe(50);
    expect(queue.read(50)).toEqual(numbered(0, 200));
    queue.beginPrebuffering();
    queue.passSilence(10);
    expect(queue.readIndex).toBe(200);
    queue.write(numbered(200, 100));
    expect(queue.readableFrames).toBe(0);
  });

  test('plays what there is when it is told to', () => {
    const queue = queueOf({ prebuffer: 200 });
    queue.write(numbered(0, 40));
    queue.endPrebuffering();
    expect(queue.readableFrames).toBe(10);
  });

  test('forgets what is flushed, and waits', () => {
    const queue = queueOf({ prebuffer: 40 });
    queue.write(numbered(0, 80));
    queue.read(5);
    queue.flush();
    expect(queue).toMatchObject({ length: 0, writeIndex: 20, isPrebuffering: true });
  });
});

describe('a queue without one', () => {
  test('runs on through silence, and drops what comes for the past', () => {
    const queue = queueOf();
    queue.write(numbered(0, 40));
    queue.read(10);
    queue.passSilence(5);
    expect(queue.length).toBe(-20);
    queue.write(numbered(40, 16));
    expect(queue.readableFrames).toBe(0);
    queue.write(numbered(56, 8));
    expect(queue.readableFrames).toBe(1);
    expect(queue.read(1)).toEqual(numbered(60, 4));
  });
});

describe('requests', () => {
  test('are for what is missing, in whole frames, and not below the least', () => {
    const queue = queueOf();
    expect(queue.takeRequest()).toBe(400);
    expect(queue.takeRequest()).toBe(0);
    queue.write(numbered(0, 400));
    queue.read(9);
    expect(queue.takeRequest()).toBe(0);
    queue.read(1);
    expect(queue.takeRequest()).toBe(40);
  });

  test('grow while a queue runs on through silence', () => {
    const queue = queueOf();
    queue.takeRequest();
    queue.passSilence(100);
    expect(queue.takeRequest()).toBe(400);
  });

  test('ask for as much as has been played, whatever came unasked: clients count that, too', () => {
    const queue = queueOf();
    let asked = queue.takeRequest();
    queue.write(numbered(0, 440));
    queue.read(100);
    asked += queue.takeRequest();
    expect(asked).toBe(400 + 400);
  });
});

describe('where data belongs', () => {
  test.each([
    [SeekMode.relative, 8, 48],
    [SeekMode.absolute, 12, 12],
    [SeekMode.relativeOnRead, 4, 20],
    [SeekMode.relativeToEnd, -4, 36],
  ])('by seek mode %i, %i bytes from there, is %i', (mode, offset, index) => {
    const queue = queueOf();
    queue.write(numbered(0, 40));
    queue.read(4);
    queue.seek(mode, offset);
    expect(queue.writeIndex).toBe(index);
  });

  test('later data replaces earlier, and a hole is silence', () => {
    const queue = queueOf();
    queue.write(numbered(0, 40));
    queue.seek(SeekMode.absolute, 8);
    queue.write(new Uint8Array(8).fill(255));
    queue.seek(SeekMode.absolute, 48);
    queue.write(numbered(48, 4));
    const expected = [
      ...numbered(0, 8),
      ...new Array(8).fill(255),
      ...numbered(16, 24),
      ...new Array(8).fill(0),
    ];
    expect([...queue.read(13)]).toEqual([...expected, ...numbered(48, 4)]);
  });

  test('more than there may be is dropped, as if it had not come', () => {
    const queue = queueOf({ maxLength: 100 });
    expect(queue.write(numbered(0, 100))).toBe(true);
    expect(queue.write(numbered(100, 4))).toBe(false);
    expect(queue.writeIndex).toBe(100);
    expect(queue.read(25)).toEqual(numbered(0, 100));
  });
});

test('pieces are kept as a plain array would keep them', () => {
  const piece = fc.record({
    index: fc.nat(9000),
    length: fc.nat(5000),
    value: fc.integer({ min: 1, max: 255 }),
  });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const plain = new Uint8Array(15_000);
      const store = new PieceStore(0);
      for (const { index, length, value } of pieces) {
        plain.fill(value, index, index + length);
        store.put(index, new Uint8Array(length).fill(value));
      }
      expect(Buffer.compare(store.get(0, 15_000), plain)).toBe(0);
      store.dropBefore(5000);
      expect(Buffer.compare(store.get(5000, 15_000), plain.subarray(5000))).toBe(0);
    }),
  );
});

test('tiny pieces with holes between them do not take more than what they span', () => {
  const store = new PieceStore(0);
  for (let at = 0; at < 20_000; at += 2) store.put(at, Uint8Array.of(1));
  const [, ...both] = store.get(0, 20_000);
  expect(both.filter((byte) => byte === 1)).toHaveLength(9999);
  expect(store.pieceCount).toBeLessThan(3000);
});
