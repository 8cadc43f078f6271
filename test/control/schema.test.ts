import { describe, expect, expectTypeOf, test } from 'vitest';
import type { Params, StreamStatus } from '../../src/control/protocol.ts';
import {
  checkFields,
  either,
  INDEX,
  listOf,
  NUMBER,
  type Of,
  object,
  oneOf,
  optional,
  type Schema,
  STRING,
} from '../../src/control/schema.ts';

const FIELDS = {
  type: oneOf('one', 'two'),
  count: optional(INDEX),
  names: listOf(STRING, 'an array of names'),
};

test.each<[name: string, schema: Schema<unknown>, fit: unknown[], misfit: unknown[]]>([
  ['a number', NUMBER, [0, -1.5], ['0', null, undefined]],
  ['an index', INDEX, [0, 7], [-1, 0.5, 2 ** 53, '0', Number.NaN]],
  ['one of some words', FIELDS.type, ['one', 'two'], ['One', '', 1, undefined]],
  ['what may be left out', FIELDS.count, [undefined, 1], [null, -1]],
  ['a list', listOf(NUMBER), [[], [1, 2]], [[1, '2'], {}, 1, null]],
  ['either', either(NUMBER, STRING, 'a number or a string'), [1, ''], [null, true]],
  [
    'an object, which may have more',
    object(FIELDS),
    [
      { type: 'one', names: [] },
      { type: 'two', names: ['a'], count: 2, more: {} },
    ],
    [{ type: 'one' }, { type: 'one', names: [], count: null }, [], null, 'one'],
  ],
])('%s', (_, { fits }, fit, misfit) => {
  expect(fit.map(fits)).toEqual(fit.map(() => true));
  expect(misfit.map(fits)).toEqual(misfit.map(() => false));
});

describe('fields that are checked', () => {
  const check = (value: unknown) => () => checkFields('params', value, FIELDS);

  test('may be those that there are', () => {
    expect(check({ type: 'one', names: [] })).not.toThrow();
  });

  test.each<[unknown, string]>([
    [null, 'params is null; allowed: an object'],
    [{ type: 'one', names: [], kind: 1 }, 'a parameter is "kind"; allowed: type, count, names'],
    [{ names: [] }, 'type is undefined; allowed: one, two'],
    [{ type: 'one', names: [1] }, 'names is an array; allowed: an array of names'],
    [{ type: 'one', names: [], count: -1 }, 'count is -1; allowed: a whole number from 0'],
  ])('%j is an error that names what does not fit', (value, message) => {
    expect(check(value)).toThrow(expect.objectContaining({ code: 'ERR_VSND_INVALID_ARG', message }));
  });
});

test('types come from schemas', () => {
  const schema = object(FIELDS);
  expectTypeOf<Of<typeof schema>>().toEqualTypeOf<
    { readonly type: 'one' | 'two'; readonly names: readonly string[] } & {
      readonly count?: number | undefined;
    }
  >();
  expectTypeOf<Params<'setVolume'>['volume']>().toEqualTypeOf<number | readonly number[]>();
  expectTypeOf<Params<'trigger'>['device']>().toEqualTypeOf<number | undefined>();
  expectTypeOf<StreamStatus['type']>().toEqualTypeOf<'playback' | 'capture'>();
});
