import { describe, expect, test } from 'vitest';
import type { LatencyWish, PlaybackAttributes } from '../../src/pulse/requests.ts';
import {
  cardShare,
  MOST_BUFFERED,
  negotiatePlayback,
  negotiateRecord,
  REPORTS,
} from '../../src/server/buffer-attributes.ts';

const OPEN = 0xffff_ffff;
const BYTES = { frameBytes: 4, bytesPerSecond: 192_000 };
const ms = (time: number) => time * 192;

const ALL_OPEN: PlaybackAttributes = {
  maxLength: OPEN,
  targetLength: OPEN,
  prebuffer: OPEN,
  leastRequest: OPEN,
};
const PLAIN: LatencyWish = { adjustLatency: false, earlyRequests: false };
const ADJUST: LatencyWish = { adjustLatency: true, earlyRequests: false };

/** The card of which 100 ms are played, or less, in so many pieces. */
function negotiate(wished: PlaybackAttributes, wish: LatencyWish) {
  const card = Math.min(Math.max(cardShare(wished, wish, BYTES), 0.01), 0.1);
  return negotiatePlayback(wished, wish, BYTES, { card, tick: card / REPORTS });
}

describe('a playback buffer', () => {
  test('that is left open is of two seconds', () => {
    expect(negotiate(ALL_OPEN, PLAIN)).toEqual({
      maxLength: MOST_BUFFERED,
      targetLength: ms(2000),
      leastRequest: ms(20),
      prebuffer: ms(1980) + 4,
    });
  });

  test('of a client that means all of the latency is what the card leaves of it', () => {
    const wished = { ...ALL_OPEN, targetLength: ms(100), leastRequest: ms(10) };
    expect(cardShare(wished, ADJUST, BYTES)).toBe(0.06);
    expect(negotiate(wished, ADJUST)).toMatchObject({ targetLength: ms(40), leastRequest: ms(10) });
  });

  test('is at least what a request and the card take at a time', () => {
    const wished = { ...ALL_OPEN, targetLength: ms(10), leastRequest: ms(2.5) };
    expect(negotiate(wished, ADJUST)).toMatchObject({
      targetLength: ms(5 + 10 / REPORTS),
      leastRequest: ms(2.5),
    });
  });

  test('raises a maximum below its target, as ogg123 has it', () => {
    const wished = { ...ALL_OPEN, targetLength: ms(20), maxLength: ms(4) };
    const { maxLength, targetLength } = negotiate(wished, PLAIN);
    expect(maxLength).toBe(targetLength);
  });

  test('keeps that there is no prebuffer', () => {
    expect(negotiate({ ...ALL_OPEN, prebuffer: 0 }, PLAIN).prebuffer).toBe(0);
  });

  test.each([0, 1, 3, 0x7fff_ffff, OPEN - 1])('of %i in every field is one that can be', (value) => {
    const wished = { maxLength: value, targetLength: value, prebuffer: value, leastRequest: value };
    for (const wish of [PLAIN, ADJUST, { adjustLatency: true, earlyRequests: true }]) {
      const { maxLength, targetLength, prebuffer, leastRequest } = negotiate(wished, wish);
      for (const length of [maxLength, targetLength, prebuffer, leastRequest]) expect(length % 4).toBe(0);
      expect(leastRequest).toBeGreaterThanOrEqual(4);
      expect(targetLength).toBeGreaterThan(leastRequest);
      expect(maxLength).toBeGreaterThanOrEqual(targetLength);
      expect(maxLength).toBeLessThanOrEqual(MOST_BUFFERED);
      expect(prebuffer).toBeLessThanOrEqual(targetLength);
    }
  });
});

describe('a record buffer', () => {
  test('that is left open gives 25 ms at a time', () => {
    expect(negotiateRecord({ maxLength: OPEN, fragmentSize: OPEN }, BYTES)).toEqual({
      maxLength: MOST_BUFFERED,
      fragmentSize: ms(25),
    });
  });

  test('of hours, as module-tunnel-source-new asks for it, gives 50 ms at a time', () => {
    expect(negotiateRecord({ maxLength: OPEN, fragmentSize: 3_700_000_000 }, BYTES).fragmentSize).toBe(
      ms(50),
    );
    expect(negotiateRecord({ maxLength: 0, fragmentSize: 0 }, BYTES)).toEqual({
      maxLength: 4,
      fragmentSize: 4,
    });
  });
});
