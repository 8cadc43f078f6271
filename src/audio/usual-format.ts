import type { StreamLimits } from '../pcm/hw-params.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import type { FrameFormat } from './audio-source.ts';

/** What is played and recorded where nobody says otherwise. */
export const USUAL_FORMAT: FrameFormat = { format: 's16_le', rate: 48_000, channels: 2 };

/** The best first: 16 bits are what programs play, and what sound servers mix for; then what keeps all of them. */
export const PREFERRED_FORMATS: readonly PcmFormatName[] = [
  's16_le',
  's24_le',
  's32_le',
  'float_le',
  'float64_le',
  's16_be',
  's24_be',
  's32_be',
  'float_be',
  'float64_be',
  'u16_le',
  'u24_le',
  'u32_le',
  'u16_be',
  'u24_be',
  'u32_be',
  'u8',
  's8',
  'mu_law',
  'a_law',
];

/** What fits a stream of which nothing is known. */
const ANYTHING = {
  rates: [USUAL_FORMAT.rate],
  formats: PREFERRED_FORMATS,
  channels: { min: 1, max: Number.POSITIVE_INFINITY },
};

/**
 * As wished, and else {@link USUAL_FORMAT}, as far as a stream has it: the highest rate, the nearest number of channels, and
 * the first of {@link PREFERRED_FORMATS} that `takes` can do with. Whether the stream has what is wished is not asked.
 * `format` is undefined where there is none.
 */
export function preferredFormat(
  limits: Pick<StreamLimits, 'rates' | 'formats' | 'channels'> | undefined,
  wishes: { [Name in keyof FrameFormat]?: FrameFormat[Name] | undefined },
  takes: (format: PcmFormatName, channels: number) => boolean = () => true,
): Omit<FrameFormat, 'format'> & { format: PcmFormatName | undefined } {
  const { rate, channels } = USUAL_FORMAT;
  const {
    rates,
    formats,
    channels: { min, max },
  } = limits ?? ANYTHING;
  const chosen = wishes.channels ?? Math.min(Math.max(channels, min), max);
  return {
    rate: wishes.rate ?? (rates.includes(rate) ? rate : Math.max(...rates)),
    channels: chosen,
    format:
      wishes.format ?? PREFERRED_FORMATS.find((format) => formats.includes(format) && takes(format, chosen)),
  };
}
