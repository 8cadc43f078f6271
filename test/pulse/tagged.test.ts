import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isVsndError } from '../../src/errors.ts';
import { propertiesOf, TagReader, TagWriter, textOf } from '../../src/pulse/tagged.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const index = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
const text = fc.string().map((one) => one.replaceAll('\0', ''));
const bytes = fc.uint8Array({ maxLength: 32 });

/** Fields of any kind, in any order: how each is written, and read. */
const field = fc.oneof(
  u32.map((value) => ['u32', value] as const),
  fc.integer({ min: 0, max: 255 }).map((value) => ['u8', value] as const),
  index.map((value) => ['s64', value] as const),
  fc.nat().map((value) => ['u64', value] as const),
  fc.nat().map((value) => ['usec', value] as const),
  fc.boolean().map((value) => ['boolean', value] as const),
  fc.option(text, { nil: undefined }).map((value) => ['string', value] as const),
  fc.array(u32, { maxLength: 32 }).map((value) => ['volumes', value] as const),
  fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 32 }).map((value) => ['map', value] as const),
  fc.record({ seconds: u32, microseconds: u32 }).map((value) => ['timeval', value] as const),
  fc
    .record({
      format: fc.integer({ min: 0, max: 255 }),
      channels: fc.integer({ min: 0, max: 255 }),
      rate: u32,
    })
    .map((value) => ['spec', value] as const),
  fc.dictionary(text, bytes).map((value) => ['properties', new Map(Object.entries(value))] as const),
);

type Method = Exclude<keyof TagReader, 'isAtEnd' | 'bytes' | 'format'>;

function write(fields: readonly (readonly [Method, unknown])[]): Buffer {
  const writer = new TagWriter();
  for (const [name, value] of fields) (writer[name] as (value: unknown) => unknown).call(writer, value);
  return writer.bytes;
}

function read(from: Uint8Array, names: readonly Method[]): unknown[] {
  const reader = new TagReader(from);
  const values = names.map((name) => reader[name]());
  expect(reader.isAtEnd).toBe(true);
  return values;
}

describe('fields', () => {
  test('are read as they were written, however many there are', () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 40 }), (fields) => {
        const values = read(
          write(fields),
          fields.map(([name]) => name),
        );
        expect(values).toEqual(fields.map(([, value]) => value));
      }),
    );
  });

  test('that are cut off are a protocol error, wherever that is', () => {
    fc.assert(
      fc.property(field, ([name, value]) => {
        const whole = write([[name, value]]);
        for (let length = 0; length < whole.length; length++) {
          expect(() => read(whole.subarray(0, length), [name])).toThrow(
            expect.objectContaining({ code: 'ERR_VSND_PROTOCOL' }),
          );
        }
      }),
    );
  });

  test('of any bytes are a value or a protocol error', () => {
    const names: Method[] = ['u32', 'string', 'properties', 'volumes', 'map', 'spec', 'boolean', 'timeval'];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...names), (raw, name) => {
        try {
          new TagReader(raw)[name]();
        } catch (error) {
          expect(isVsndError(error, 'ERR_VSND_PROTOCOL')).toBe(true);
        }
      }),
    );
  });
});

test('a property is text up to its end', () => {
  const list = new TagReader(new TagWriter().properties(propertiesOf({ 'media.role': 'navigation' })).bytes);
  expect(textOf(list.properties(), 'media.role')).toBe('navigation');
  expect(textOf(new Map([['a', Buffer.from('no end')]]), 'a')).toBe('no end');
  expect(textOf(new Map(), 'a')).toBeUndefined();
});
