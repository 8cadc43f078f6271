import { describe, expect, test } from 'vitest';
import { parseCommandLine, parseIndex, parseNumber, UsageError } from '../../src/cli/arguments.ts';
import { clockTime, describeFormat, errorMessage } from '../../src/cli/messages.ts';
import { version } from '../../src/cli/version.ts';
import { abortError, VsndError } from '../../src/errors.ts';

const options = { fast: { help: '' }, sink: { argument: 'SINK', help: '' } } as const;

describe('arguments', () => {
  test('options and a file, in any order', () => {
    for (const args of [
      ['a.wav', '--fast', '--sink', 'null'],
      ['--sink=null', '--fast', '--', 'a.wav'],
    ]) {
      const { values, operands } = parseCommandLine(args, options, 1);
      expect({ ...values, file: operands[0] }).toEqual({ fast: true, sink: 'null', file: 'a.wav' });
    }
  });

  test.each([
    [['--bogus'], "unknown option '--bogus'"],
    [['-x'], "unknown option '-x'"],
    [['--sink'], "option '--sink <value>' argument missing"],
    [['--fast=yes'], "option '--fast' does not take an argument"],
    [['a.wav', 'b.wav'], "unexpected argument 'b.wav'"],
  ])('%j is wrong usage', (args, message) => {
    const parse = () => parseCommandLine(args, options, 1);
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(message);
    try {
      parse();
    } catch (error) {
      expect(errorMessage(error, false, 'play')).toBe(`${message}; see vsnd play --help`);
    }
  });

  test('a negative number is a value, and never an option', () => {
    const numbers = {
      volume: { argument: 'DB', short: 'v', help: '' },
      up: { argument: 'DB', multiple: true, help: '' },
    } as const;
    for (const [args, expected] of [
      [['-6'], { file: '-6' }],
      [['-.5'], { file: '-.5' }],
      [['--volume', '-6'], { volume: '-6', file: undefined }],
      [['--volume=-6'], { volume: '-6', file: undefined }],
      [['-v', '-6', '-3'], { volume: '-6', file: '-3' }],
      [['-v-6'], { volume: '-6', file: undefined }],
      [['--up', '-1', '--up', '-2', '--', '-3.wav'], { up: ['-1', '-2'], file: '-3.wav' }],
    ] as const) {
      const { values, operands } = parseCommandLine(args, numbers, 1);
      expect({ ...values, file: operands[0] }).toEqual(expected);
    }
    expect(() => parseCommandLine(['-6', '-7'], numbers, 1)).toThrow("unexpected argument '-7'");
    expect(() => parseCommandLine(['-x6'], numbers, 1)).toThrow("unknown option '-x'");
  });

  test('a number', () => {
    const range = { min: -10, max: 20, unit: 'dB' };
    expect(parseNumber('--up', undefined, range)).toBe(undefined);
    for (const [text, value] of [
      ['-10', -10],
      ['20', 20],
      ['0', 0],
      ['.5', 0.5],
      ['-1.25', -1.25],
    ] as const) {
      expect(parseNumber('--up', text, range)).toBe(value);
    }
    for (const text of ['', '-', '.', '5.', '1e1', '0x1', ' 1', '+1', '--1', '20.001', '-11', 'NaN']) {
      expect(() => parseNumber('--up', text, range)).toThrow(`--up is '${text}'; allowed: -10 to 20 dB`);
    }
  });

  test('an index', () => {
    expect(parseIndex('--card', undefined)).toBe(undefined);
    expect(parseIndex('--card', '12')).toBe(12);
    for (const value of ['', '-1', 'x', '1.5', '0x1', '9999999999']) {
      expect(() => parseIndex('--card', value)).toThrow(`--card is '${value}'; allowed: 0, 1, 2, ...`);
    }
  });
});

describe('messages', () => {
  test.each([
    [0, '0:00.0', '0:00'],
    [4.56, '0:04.5', '0:04'],
    [0.3, '0:00.3', '0:00'],
    [59.999, '0:59.9', '0:59'],
    [3599.99, '59:59.9', '59:59'],
    [3723.4, '1:02:03.4', '1:02:03'],
  ])('%d seconds', (seconds, tenths, whole) => {
    expect(clockTime(seconds)).toBe(tenths);
    expect(clockTime(seconds, 0)).toBe(whole);
  });

  test('a format', () => {
    const format = { format: 's16_le', rate: 8000, channels: 1 };
    expect(describeFormat(format)).toBe('s16_le, 8000 Hz, 1 channel');
    expect(describeFormat({ ...format, channels: 2 })).toBe('s16_le, 8000 Hz, 2 channels');
  });

  test('errors, without a stack unless asked for', () => {
    const bug = new TypeError('x is undefined');
    expect(errorMessage(new VsndError('ERR_VSND_FILE', 'a.wav is gone'), false)).toBe('a.wav is gone');
    expect(errorMessage(abortError(), false)).toBe('The operation was aborted');
    expect(errorMessage(Object.assign(new Error('ENOENT: a'), { syscall: 'open' }), false)).toBe('ENOENT: a');
    expect(errorMessage(bug, false)).toBe('internal error: x is undefined (VSND_DEBUG=1 shows where)');
    expect(errorMessage('odd', false)).toBe('odd');
    expect(errorMessage(new UsageError('no'), false)).toBe('no; see vsnd --help');
    expect(errorMessage(bug, true)).toContain('\n    at ');
  });

  test('the version', () => {
    expect(version()).toMatch(/^\d+\.\d+\.\d+$/);
  });
});
