import { describe, expect, test } from 'vitest';
import { openAudio } from '../../src/audio/open-audio.ts';
import { isVsndError } from '../../src/errors.ts';
import { ascii, useDirectory } from '../wav/files.ts';
import { contents, trickle } from './contents.ts';

const files = useDirectory();

/** sox -n -r 8000 -c 2 -b 16 g.aiff synth 0.0005 sine 1000 */
const SOX_AIFF =
  '464f524d0000006041494646434f4d540000001a0001e72dab7a0000001050726f63657373656420627920536f58434f4d4d0000001200020000' +
  '00040010400bfa0000000000000053534e44000000180000000000000000080608063e083e085b975b983e0b3e0b';

/** sox -n -r 44100 -c 1 -b 32 -e float g.aifc synth 0.0001 sine 1000 */
const SOX_AIFC =
  '464f524d00000068414946434656455200000004a2805140434f4d4d0000002c0001000000050020400eac44000000000000666c3332153332' +
  '2d62697420666c6f6174696e6720706f696e7453534e440000001c0000000000000000bc230a403df04b503e30e4d03eacaa003e6f8ee8';

/** sox -n -r 8000 -c 2 -b 24 g.au synth 0.0005 sine 1000 */
const SOX_AU =
  '2e736e640000002c000000180000000400001f400000000250726f63657373656420627920536f58000000000805e60805e63e08683e08685b98' +
  '2a5b982a3e0ae13e0ae1';

test.each([
  ['AIFF', SOX_AIFF, 's16_le', 8000, 2, 4, '06080608083e083e975b985b0b3e0b3e'],
  ['AIFF', SOX_AIFC, 'float_le', 44_100, 1, 5, '400a23bc504bf03dd0e4303e00aaac3ee88e6f3e'],
  ['AU', SOX_AU, 's24_le', 8000, 2, 4, 'e6050800e605080068083e0068083e002a985b002a985b00e10a3e00e10a3e00'],
])('a golden %s of sox', async (kind, hex, format, rate, channels, frames, expected) => {
  const bytes = Buffer.from(hex, 'hex');
  const whole = { kind, format, rate, channels, frames, warnings: [] };
  for (const input of [files.put('x', bytes), trickle(bytes, 7)]) {
    const { bytes, ...fields } = await contents(input);
    expect(fields).toMatchObject(whole);
    expect(bytes.toString('hex')).toBe(expected);
  }
});

const u16 = (value: number) => Uint8Array.of(value >>> 8, value & 0xff);
const u32 = (value: number) => Buffer.concat([u16(value >>> 16), u16(value & 0xffff)]);

/** 44100 Hz as a number of 80 bits. */
const RATE = Buffer.from('400eac44000000000000', 'hex');

const chunk = (id: string, ...parts: Uint8Array[]): Uint8Array => {
  const body = Buffer.concat(parts);
  return Buffer.concat([ascii(id), u32(body.length), body, new Uint8Array(body.length & 1)]);
};

const comm = ({ channels = 1, frames = 2, bits = 16, rate = RATE, type = '' } = {}) =>
  chunk('COMM', u16(channels), u32(frames), u16(bits), rate, ascii(type));

const ssnd = (data: Uint8Array, offset = 0) =>
  chunk('SSND', u32(offset), u32(0), new Uint8Array(offset), data);

const form = (type: string, ...chunks: Uint8Array[]) => chunk('FORM', ascii(type), ...chunks);

const hex = (text: string) => Buffer.from(text, 'hex');

describe('AIFF', () => {
  test.each([
    ['NONE', 8, 's8', '80ff', '80ff'],
    ['NONE', 12, 's16_le', '8000fff0', '0080f0ff'],
    ['twos', 16, 's16_le', '80001234', '00803412'],
    ['sowt', 16, 's16_le', '80001234', '80001234'],
    ['NONE', 24, 's24_le', '800001123456', '010080ff56341200'],
    ['sowt', 24, 's24_le', '800001123456', '8000010012345600'],
    ['in24', 24, 's24_le', '800001123456', '010080ff56341200'],
    ['NONE', 32, 's32_le', '8000000112345678', '0100008078563412'],
    ['in32', 32, 's32_le', '8000000112345678', '0100008078563412'],
    ['raw ', 8, 'u8', '80ff', '80ff'],
    ['FL32', 32, 'float_le', '3f800000bf800000', '0000803f000080bf'],
    ['fl64', 64, 'float64_le', '3ff0000000000000bff0000000000000', '000000000000f03f000000000000f0bf'],
    ['ulaw', 16, 'mu_law', '80ff', '80ff'],
    ['ALAW', 8, 'a_law', '80ff', '80ff'],
  ])('%s of %i bits is %s', async (type, bits, format, data, expected) => {
    const bytes = form('AIFC', comm({ bits, type }), ssnd(hex(data)));
    const { bytes: content, ...fields } = await contents(files.put('x.aifc', bytes));
    expect(fields).toMatchObject({
      kind: 'AIFF',
      format,
      rate: 44_100,
      channels: 1,
      frames: 2,
      warnings: [],
    });
    expect(content.toString('hex')).toBe(expected);
  });

  test('sound before COMM, behind an offset, among other chunks', async () => {
    const bytes = form('AIFF', chunk('NAME', ascii('odd')), ssnd(hex('00010002'), 6), comm(), chunk('ANNO'));
    const { bytes: data } = await contents(files.put('x.aiff', bytes));
    expect(data.toString('hex')).toBe('01000200');
  });

  test('cut short', async () => {
    const bytes = form('AIFF', comm({ frames: 4 }), ssnd(hex('0001000200030004'))).subarray(0, -3);
    expect(await contents(files.put('x.aiff', bytes))).toMatchObject({
      frames: 2,
      warnings: ['ends early'],
      bytes: hex('01000200'),
    });
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['no COMM', form('AIFF', ssnd(hex('0001'))), /it ends without a COMM chunk/],
    ['no SSND', form('AIFF', comm()), /it ends without a SSND chunk/],
    ['a short COMM', form('AIFF', chunk('COMM', u16(1))), /its COMM chunk has 2 bytes; allowed: 18 or more/],
    [
      '0 channels',
      form('AIFF', comm({ channels: 0 }), ssnd(hex('0001'))),
      /it has 0 channels; allowed: 1 or more/,
    ],
    ['0 Hz', form('AIFF', comm({ rate: Buffer.alloc(10) }), ssnd(hex('0001'))), /its rate is 0 Hz/],
    [
      '40 bits',
      form('AIFF', comm({ bits: 40 }), ssnd(hex('0001'))),
      /AIFF of type "NONE" with 40 bits a sample; allowed/,
    ],
    [
      'ADPCM',
      form('AIFC', comm({ type: 'ima4' }), ssnd(hex('0001'))),
      /AIFF of type "ima4" with 16 bits a sample/,
    ],
    ['zeros', form('AIFF', new Uint8Array(64)), /at byte 12 stands "\.\.\.\.", which is no chunk/],
  ])('%s', async (_, bytes, message) => {
    const error = await openAudio(files.put('x.aiff', bytes)).catch((reason: unknown) => reason);
    expect(isVsndError(error, 'ERR_VSND_FILE')).toBe(true);
    expect((error as Error).message).toMatch(message);
  });
});

const au = ({
  offset = 24,
  size = 4,
  encoding = 3,
  rate = 8000,
  channels = 1,
  data = hex('00010002'),
} = {}) =>
  Buffer.concat([
    ascii('.snd'),
    ...[offset, size, encoding, rate, channels].map(u32),
    new Uint8Array(Math.max(0, offset - 24)),
    data,
  ]);

describe('AU', () => {
  test.each([
    [1, 'mu_law', '80ff', '80ff'],
    [2, 's8', '80ff', '80ff'],
    [3, 's16_le', '80001234', '00803412'],
    [4, 's24_le', '800001123456', '010080ff56341200'],
    [5, 's32_le', '8000000112345678', '0100008078563412'],
    [6, 'float_le', '3f800000bf800000', '0000803f000080bf'],
    [7, 'float64_le', '3ff0000000000000bff0000000000000', '000000000000f03f000000000000f0bf'],
    [27, 'a_law', '80ff', '80ff'],
  ])('encoding %i is %s', async (encoding, format, data, expected) => {
    for (const size of [data.length / 2, 0xffff_ffff]) {
      const bytes = au({ encoding, size, offset: 28, data: hex(data) });
      const { bytes: content, ...fields } = await contents(files.put('x.au', bytes));
      expect(fields).toMatchObject({ kind: 'AU', format, rate: 8000, channels: 1, frames: 2, warnings: [] });
      expect(content.toString('hex')).toBe(expected);
    }
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['a cut header', au().subarray(0, 20), /x\.au is a damaged AU file: it ends within its header/],
    ['ADPCM', au({ encoding: 23 }), /x\.au holds AU encoding 23; allowed: 1, 2, 3, 4, 5, 6, 7, 27/],
    ['sound in the header', au({ offset: 8 }), /its sound begins at byte 8; allowed: 24 or more/],
    ['0 Hz', au({ rate: 0 }), /its rate is 0 Hz; allowed: 1 or more/],
    ['0 channels', au({ channels: 0 }), /it has 0 channels; allowed: 1 to 65535/],
  ])('%s', async (_, bytes, message) => {
    const error = await openAudio(files.put('x.au', bytes)).catch((reason: unknown) => reason);
    expect(isVsndError(error, 'ERR_VSND_FILE')).toBe(true);
    expect((error as Error).message).toMatch(message);
  });
});
