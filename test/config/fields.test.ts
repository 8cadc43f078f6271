import { describe, expect, it } from 'vitest';
import {
  completeLimits,
  DEVICE_CLASS,
  Field,
  type Fields,
  LIMIT_FIELDS,
  narrowLimits,
  requireNumber,
  type SaidLimits,
} from '../../src/config/fields.ts';
import { ConfigWarnings } from '../../src/config/warnings.ts';
import { golden } from '../golden/golden.ts';
import { thrownBy } from '../wire/support.ts';

const NOT_DECIMAL = [
  '',
  ' 5',
  '5 ',
  '5\n',
  '\t5',
  '5\0',
  '-1',
  '-0',
  '+5',
  '1e3',
  '0x10',
  '0b1',
  '5.0',
  '1_000',
  'NaN',
  'Infinity',
  'five',
  '٤',
  '４',
  '5,6',
  '00000000005',
  '9'.repeat(5000),
];

describe('the fields', () => {
  it("have sndif.h's names", () => {
    expect(Object.values(Field).sort()).toEqual(Object.values(golden.fields).sort());
    expect(DEVICE_CLASS).toBe('vsnd');
  });

  it('that each level may have are the PCM settings and the size of the buffer', () => {
    expect([...LIMIT_FIELDS].sort()).toEqual([
      'buffer-size',
      'channels-max',
      'channels-min',
      'sample-formats',
      'sample-rates',
    ]);
  });
});

describe('a number', () => {
  it.each([
    ['0', 0],
    ['5', 5],
    ['007', 7],
    ['4294967295', 0xffff_ffff],
    ['0000000005', 5],
  ])('is decimal: %j', (value, number) => {
    expect(requireNumber({ n: value }, 'n', '/p', 0, 0xffff_ffff)).toBe(number);
  });

  it.each(NOT_DECIMAL)('is not %j', (value) => {
    const quoted = JSON.stringify(value.slice(0, 80));
    const expected = {
      code: 'ERR_VSND_CONFIG',
      path: '/p/n',
      message: `/p/n is ${quoted}; allowed: a decimal number from 0 to 4294967295`,
    };
    expect(thrownBy(() => requireNumber({ n: value }, 'n', '/p', 0, 0xffff_ffff))).toMatchObject(expected);
  });

  it('lies between its bounds, both included', () => {
    const parse = (value: string) => requireNumber({ n: value }, 'n', '/p', 3, 12);
    expect([parse('3'), parse('12')]).toEqual([3, 12]);
    for (const value of ['2', '13', '4294967296', '9999999999']) {
      expect(thrownBy(() => parse(value))).toMatchObject({
        message: `/p/n is "${value}"; allowed: a decimal number from 3 to 12`,
      });
    }
  });

  it('must be there', () => {
    expect(thrownBy(() => requireNumber({}, 'n', '/p', 0, 9))).toMatchObject({
      code: 'ERR_VSND_CONFIG',
      path: '/p/n',
      message: '/p/n is missing; allowed: a decimal number from 0 to 9',
    });
  });
});

/** {@link narrowLimits} below nothing, and what it has to say. */
function limitsOf(fields: Fields, path = '/c', upper: SaidLimits = {}) {
  const warnings = new ConfigWarnings();
  return { limits: narrowLimits(upper, fields, path, warnings), warnings: warnings.all };
}

describe('the limits of one level', () => {
  it.each([
    [Field.channelsMin, '0', '255'],
    [Field.channelsMin, '256', '255'],
    [Field.channelsMax, '0', '255'],
    [Field.channelsMax, '256', '255'],
    [Field.bufferSize, '0', '4294967295'],
    [Field.bufferSize, '4294967296', '4294967295'],
  ])('%s of %j is none, which is told', (name, value, most) => {
    const { limits, warnings } = limitsOf({ [name]: value }, '/c/1/0');
    expect(limits).toEqual({});
    const message = `/c/1/0/${name} is "${value}": no number from 1 to ${most}; taken as if it were not there`;
    expect(warnings).toEqual([{ path: `/c/1/0/${name}`, message }]);
  });

  it.each([Field.channelsMin, Field.channelsMax, Field.bufferSize])('%s takes no odd number', (name) => {
    for (const value of NOT_DECIMAL.filter((text) => !/^\s*5\s*$/.test(text))) {
      const { limits, warnings } = limitsOf({ [name]: value });
      expect(limits).toEqual({});
      expect(warnings).toMatchObject([{ path: `/c/${name}` }]);
      expect(warnings[0]?.message.length).toBeLessThan(300);
    }
  });

  it.each([' 5', '5 ', '5\n', '\t5'])(
    'takes a number with blanks around it, as lists may have them: %j',
    (value) => {
      expect(limitsOf({ 'channels-max': value })).toEqual({ limits: { channelsMax: 5 }, warnings: [] });
    },
  );

  it('are what was said, and nothing where nothing was', () => {
    expect(limitsOf({}).limits).toEqual({});
    expect(limitsOf({ 'channels-max': '255', 'buffer-size': '4294967295' }).limits).toEqual({
      channelsMax: 255,
      bufferBytes: 0xffff_ffff,
    });
    const upper = { rates: [8000], formats: ['s8'], channelsMin: 2, channelsMax: 2, bufferBytes: 1 } as const;
    expect(limitsOf({}, '/c', upper).limits).toEqual(upper);
  });

  it('do not change the list of the level above', () => {
    const rates = Object.freeze([48000, 8000]);
    expect(completeLimits({ rates }).rates).toEqual([8000, 48000]);
    expect(rates).toEqual([48000, 8000]);
  });
});
