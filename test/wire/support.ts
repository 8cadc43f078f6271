import fc from 'fast-check';
import { expect } from 'vitest';
import type { VsndErrorCode } from '../../src/errors.ts';
import { VsndError } from '../../src/errors.ts';

// A property that fails is shrunk no longer than this; a slow machine runs fewer cases instead of failing.
fc.configureGlobal({ interruptAfterTimeLimit: 3_000 });

/** Indexes to start at: 2^32 and the sign bit of 32 bits are where arithmetic goes wrong. */
export const startIndex: fc.Arbitrary<number> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 2 ** 32 - 70, max: 2 ** 32 - 1 }) },
  { weight: 2, arbitrary: fc.integer({ min: 2 ** 31 - 40, max: 2 ** 31 + 40 }) },
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 ** 32 - 1 }) },
);

export const u8: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xff });
export const u16: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xffff });
export const u32: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xffff_ffff });
export const i32: fc.Arbitrary<number> = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
export const u64: fc.Arbitrary<bigint> = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** `length` bytes of anything. */
export const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });

/** What `action` throws; fails where it returns. */
export function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return expect.unreachable('nothing was thrown');
}

/** `action` throws a VsndError with this code, and says something in it. */
export function expectCode(action: () => unknown, code: VsndErrorCode): void {
  const error = thrownBy(action);
  expect(error).toBeInstanceOf(VsndError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(/\S/) });
}

/** The law of every decoder: a value, or ERR_VSND_PROTOCOL (undefined is returned), and nothing else. */
export function valueOrProtocolError<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    expect(error).toBeInstanceOf(VsndError);
    expect(error).toHaveProperty('code', 'ERR_VSND_PROTOCOL');
    return undefined;
  }
}
