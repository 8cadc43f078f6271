import { describe, expect, test } from 'vitest';
import { PREFERRED_FORMATS, preferredFormat, USUAL_FORMAT } from '../../src/audio/usual-format.ts';
import { sampleCodec } from '../../src/pcm/samples.ts';
import { PCM_FORMATS, type PcmFormatName } from '../../src/wire/pcm-format.ts';

describe('what is played and recorded where nobody says', () => {
  const card = (formats: readonly PcmFormatName[], rates = [8000, 48_000, 96_000], min = 1, max = 8) => ({
    ...{ formats, rates, channels: { min, max } },
  });

  test('is 48 kHz, 16 bits, stereo', () => {
    expect(preferredFormat(card(['u8', 's32_le', 's16_le']), {})).toEqual(USUAL_FORMAT);
    expect(preferredFormat(undefined, {})).toEqual(USUAL_FORMAT);
  });

  test('is what comes nearest to it of what a card has', () => {
    expect(preferredFormat(card(['u8', 's32_le'], [8000, 96_000], 4), {})).toEqual({
      ...{ rate: 96_000, channels: 4, format: 's32_le' },
    });
    expect(preferredFormat(card(['a_law', 'u8'], [8000], 1, 1), {})).toEqual({
      ...{ rate: 8000, channels: 1, format: 'u8' },
    });
  });

  test('is what is wished, which nobody asks the card for', () => {
    const wishes = { rate: 1, channels: 99, format: 'gsm' } as const;
    expect(preferredFormat(card(['s16_le']), wishes)).toEqual(wishes);
    expect(preferredFormat(undefined, wishes)).toEqual(wishes);
  });

  test('is no format where none can be taken', () => {
    const takes = (format: PcmFormatName, channels: number) => format === 'u8' && channels === 2;
    expect(preferredFormat(card(['s16_le', 'u8']), {}, takes).format).toBe('u8');
    expect(preferredFormat(card(['s16_le', 'u8']), { channels: 1 }, takes).format).toBeUndefined();
  });

  test('is any format whose samples can be read', () => {
    const readable = PCM_FORMATS.map(({ name }) => name).filter((name) => sampleCodec(name));
    expect([...PREFERRED_FORMATS].sort()).toEqual(readable.sort());
  });
});
