import { describe, expect, it } from 'vitest';
import { chooseTarget, chooseUsual } from '../../src/audio/target-format.ts';
import type { PcmFormatName } from '../../src/wire/pcm-format.ts';
import { thrownBy } from '../wire/support.ts';

const CARD = {
  formats: ['u8', 's16_le', 's32_le'] as PcmFormatName[],
  rates: [8000, 44_100, 48_000, 88_200],
  channels: { min: 2, max: 6 },
};
const SONG = { format: 's16_le', rate: 48_000, channels: 2 } as const;

describe('what a card is set to', () => {
  it('what the card has stays as it is', () => {
    expect(chooseTarget(SONG, CARD)).toEqual(SONG);
  });

  it.each([
    [44_100, 44_100],
    [22_050, 44_100],
    [24_000, 48_000],
    [32_000, 44_100],
    [11_025, 44_100],
    [16_000, 48_000],
    [96_000, 88_200],
    [50_000, 88_200],
  ])('rate %i: %i', (rate, expected) => {
    expect(chooseTarget({ ...SONG, rate }, CARD).rate).toBe(expected);
  });

  it.each([
    [1, 2],
    [3, 3],
    [8, 6],
  ])('channels %i: %i', (channels, expected) => {
    expect(chooseTarget({ ...SONG, channels }, CARD).channels).toBe(expected);
  });

  it.each<[PcmFormatName, PcmFormatName[], PcmFormatName]>([
    ['s16_be', ['u8', 's16_le', 's32_le'], 's16_le'],
    ['mu_law', ['u8', 's16_le', 's32_le'], 's16_le'],
    ['s24_le', ['u8', 's16_le', 's32_le'], 's32_le'],
    ['u8', ['float_le', 's32_le', 's16_be'], 's16_be'],
    ['s24_le', ['s16_le', 'u8'], 's16_le'],
    ['float_le', ['s16_le', 's32_le', 's24_le'], 's32_le'],
    ['float_le', ['s16_le', 'float64_le'], 'float64_le'],
    ['s24_be', ['float_le', 's24_le'], 's24_le'],
    ['s24_be', ['float_be', 'float_le'], 'float_le'],
    ['s16_le', ['mpeg', 'a_law', 'gsm'], 'a_law'],
    ['mpeg', ['s16_le', 'mpeg'], 'mpeg'],
  ])('%s on a card with %j: %s', (format, formats, expected) => {
    expect(chooseTarget({ ...SONG, format }, { ...CARD, formats }).format).toBe(expected);
  });

  it.each<[PcmFormatName, PcmFormatName[]]>([
    ['s16_le', ['mpeg', 'gsm']],
    ['mpeg', ['s16_le']],
  ])('%s on a card with %j: an error', (format, formats) => {
    expect(thrownBy(() => chooseTarget({ ...SONG, format }, { ...CARD, formats }))).toMatchObject({
      code: 'ERR_VSND_NOT_SUPPORTED',
      message: `${format} cannot be converted to what the card takes: ${formats.join(', ')}`,
    });
  });
});

describe('what is played and recorded where nobody says', () => {
  const USUAL = { format: 's16_le', rate: 48_000, channels: 2 };

  it('is 48 kHz, 16 bits, stereo, where the card has that, or nobody knows the card', () => {
    expect(chooseUsual(CARD, {})).toEqual(USUAL);
    expect(chooseUsual(undefined, {})).toEqual(USUAL);
  });

  it('is what comes nearest to it', () => {
    const card = { formats: ['u8', 's32_le'] as const, rates: [8000, 96_000], channels: { min: 4, max: 8 } };
    expect(chooseUsual(card, {})).toEqual({ format: 's32_le', rate: 96_000, channels: 4 });
  });

  it('is what is wished, which nobody asks the card for', () => {
    const wishes = { format: 'gsm', rate: 1, channels: 99 } as const;
    expect(chooseUsual(CARD, wishes)).toEqual(wishes);
    expect(chooseUsual(undefined, wishes)).toEqual(wishes);
  });

  it('is in a format that can be taken, if there is one', () => {
    const takes = (format: PcmFormatName, channels: number) => format === 'u8' && channels === 2;
    expect(chooseUsual(CARD, {}, takes).format).toBe('u8');
    expect(chooseUsual(CARD, { channels: 3 }, takes).format).toBe('s16_le');
  });
});
