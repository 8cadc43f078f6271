import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { spans } from '../../src/pcm/spans.ts';
import { bytesOf } from './modelled-stream.ts';

/** Where `length` bytes from `position` lie, one by one. */
const bytesFrom = (position: number, length: number, size: number): number[] =>
  Array.from({ length }, (_, index) => (position + index) % size);

describe('spans', () => {
  it('cover exactly the bytes asked for, in order, for every small buffer', () => {
    for (let size = 1; size <= 9; size++) {
      for (let position = 0; position <= 2 * size; position++) {
        for (let length = 0; length <= size; length++) {
          const where = spans(position, length, size);
          expect(bytesOf(where)).toEqual(bytesFrom(position, length, size));
          expect(where.length).toBeLessThanOrEqual(2);
          expect(where.every((span) => span.length > 0)).toBe(true);
        }
      }
    }
  });

  it('are one where nothing wraps, two where it does, and none of nothing', () => {
    expect(spans(24, 8, 32)).toEqual([{ offset: 24, length: 8 }]);
    expect(spans(24, 9, 32)).toEqual([
      { offset: 24, length: 8 },
      { offset: 0, length: 1 },
    ]);
    expect(spans(32, 32, 32)).toEqual([{ offset: 0, length: 32 }]);
    expect(spans(31, 32, 32)).toEqual([
      { offset: 31, length: 1 },
      { offset: 0, length: 31 },
    ]);
    expect(spans(7, 0, 32)).toEqual([]);
  });

  it('stay in the buffer and lose nothing, wherever the position is', () => {
    const cases = fc
      .integer({ min: 1, max: 2 ** 32 - 1 })
      .chain((size) =>
        fc.tuple(
          fc.oneof(fc.integer({ min: 0, max: 2 ** 40 }), fc.maxSafeInteger().map(Math.abs)),
          fc.integer({ min: 1, max: size }),
          fc.constant(size),
        ),
      );
    fc.assert(
      fc.property(cases, ([position, length, size]) => {
        const where = spans(position, length, size);
        expect(where[0]?.offset).toBe(Number(BigInt(position) % BigInt(size)));
        expect(where[1]?.offset ?? 0).toBe(0);
        expect(where.reduce((sum, span) => sum + span.length, 0)).toBe(length);
        for (const span of where) expect(span.offset + span.length).toBeLessThanOrEqual(size);
      }),
    );
  });
});
