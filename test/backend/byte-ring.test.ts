import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteRing } from '../../src/backend/byte-ring.ts';
import { ArrayMemory } from '../wire/memory.ts';

const SIZE = 48;

const step = fc.record({
  op: fc.constantFrom('put', 'putFrom', 'take', 'takeInto', 'drop', 'clear'),
  length: fc.nat(SIZE),
});

test('gives the bytes in the order in which they came, however they are put in and taken out', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const ring = new ByteRing(SIZE);
      const memory = new ArrayMemory();
      let expected: number[] = [];
      let next = 0;
      for (const { op, length } of steps) {
        const fits = Math.min(length, SIZE - expected.length);
        const there = Math.min(length, expected.length);
        const fresh = Uint8Array.from({ length: fits }, () => next++ & 0xff);
        if (op === 'put' || op === 'putFrom') {
          if (op === 'put') ring.put(fresh);
          else {
            memory.copyIn(8, fresh);
            expect(ring.putFrom(memory, 8, fits)).toBe(true);
            expect(ring.putFrom(memory, 8, ring.room + 1)).toBe(false);
          }
          expected.push(...fresh);
        } else if (op === 'clear') {
          ring.clear();
          expected = [];
        } else {
          const oldest = expected.splice(0, there);
          const target = new Uint8Array(there);
          if (op === 'take') expect([...ring.take(length)]).toEqual(oldest);
          else if (op === 'drop') ring.drop(there);
          else {
            ring.takeInto(memory, 4, there);
            memory.copyOut(4, target);
            expect([...target]).toEqual(oldest);
          }
        }
        expect([ring.available, ring.room]).toEqual([expected.length, SIZE - expected.length]);
      }
    }),
  );
});
