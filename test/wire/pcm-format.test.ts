import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  PCM_FORMATS,
  type PcmFormat,
  pcmFormat,
  pcmFormatByCode,
  pcmFormatByName,
} from '../../src/wire/pcm-format.ts';
import { golden } from '../golden/golden.ts';

const goldenFormats = Object.entries(golden.formats);

/** Bytes of a sample by the name alone: 24 bits lie in 4 bytes. */
function bytesByName(name: string): number | undefined {
  if (/^(ima_adpcm|mpeg|gsm)$/.test(name)) return undefined;
  if (/_law$|8$/.test(name)) return 1;
  return /16_/.test(name) ? 2 : /float64/.test(name) ? 8 : 4;
}

/** The value of an integer sample, its unused bytes included. */
const unsignedValue = ({ name, silence }: PcmFormat): number =>
  (name.endsWith('_be') ? silence : [...silence].reverse()).reduce((value, byte) => value * 256 + byte, 0);

describe('the formats', () => {
  it('are the 25 of sndif.h with their codes and names, in the order of the codes', () => {
    expect(goldenFormats).toHaveLength(25);
    expect(PCM_FORMATS.map(({ code, name }) => ({ code, name }))).toEqual(
      goldenFormats.map(([, { code, str }]) => ({ code, name: str })),
    );
    expect(PCM_FORMATS.map(({ code }) => code)).toEqual([...PCM_FORMATS.keys()]);
  });

  it.each(goldenFormats)('%s is found by its code and by its name', (_, { code, str }) => {
    expect(pcmFormatByCode(code)).toMatchObject({ code, name: str });
    expect(pcmFormatByName(str)).toBe(pcmFormatByCode(code));
    expect(str.length).toBeLessThanOrEqual(golden.constants['XENSND_SAMPLE_FORMAT_MAX_LEN'] ?? 0);
  });

  it.each(goldenFormats)("%s is found by libxl's name, its enum's in lower case", (name, { code, libxl }) => {
    expect(libxl).toBe(code + 1);
    expect(pcmFormatByName(name.toLowerCase())).toBe(pcmFormatByCode(code));
  });

  it.each(PCM_FORMATS)('$name is found by a name known to be one', (format) => {
    expect(pcmFormat(format.name)).toBe(format);
  });

  it.each(PCM_FORMATS)('a sample of $name takes its bytes, and so does its silence', (format) => {
    expect(format.sampleBytes).toBe(bytesByName(format.name));
    expect(format.silence).toHaveLength(format.sampleBytes ?? 0);
  });

  it.each(PCM_FORMATS.filter(({ name }) => /^[su](8|16|24|32)/.test(name)))(
    'silence of $name is the middle of its range',
    (format) => {
      const bits = Number(/\d+/.exec(format.name)?.[0]);
      expect(unsignedValue(format)).toBe(format.name.startsWith('u') ? 2 ** (bits - 1) : 0);
    },
  );

  it('silence is 0.0 in floating point, and the code of 0 in the two laws', () => {
    for (const name of ['float_le', 'float_be', 'float64_le', 'float64_be']) {
      expect(pcmFormatByName(name)?.silence.every((byte) => byte === 0)).toBe(true);
    }
    expect(pcmFormatByName('mu_law')?.silence).toEqual([0xff]);
    expect(pcmFormatByName('a_law')?.silence).toEqual([0xd5]);
  });
});

describe('what is no format', () => {
  it.each([25, 255, -1, 0.5, Number.NaN])('has no code %s', (code) => {
    expect(pcmFormatByCode(code)).toBeUndefined();
  });

  it.each(['', 'S16_LE', 's16', ' s16_le', 'f32', '__proto__', 'constructor', 'toString'])(
    'has no name %j',
    (name) => {
      expect(pcmFormatByName(name)).toBeUndefined();
    },
  );

  it('has no name that neither sndif.h nor libxl gives', () => {
    const known = new Set(goldenFormats.flatMap(([name, { str }]) => [str, name.toLowerCase()]));
    fc.assert(
      fc.property(fc.string(), (name) => {
        expect(pcmFormatByName(name) !== undefined).toBe(known.has(name));
      }),
    );
  });
});
