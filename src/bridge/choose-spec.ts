import { invalidArgError, VsndError } from '../errors.ts';
import { checkSpec, type PcmSpec, type StreamLimits } from '../pcm/hw-params.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';

/** What the user wishes of an endpoint; the rest is chosen. */
export interface SpecWishes {
  readonly rate?: number | undefined;
  readonly channels?: number | undefined;
  readonly format?: string | undefined;
}

/** Hz, the best first. */
const RATES = [48_000, 44_100];

const CHANNELS = 2;

/** The best first: 16 bits are what programs play, and what sound servers mix for; then by what they keep of it. */
const FORMATS: readonly PcmFormatName[] = [
  's16_le',
  's32_le',
  'float_le',
  's24_le',
  's16_be',
  's32_be',
  'float_be',
  's24_be',
  'mu_law',
  'a_law',
  'u8',
];

/**
 * What a sink or source is set to: as wished, or else as programs mostly play. `takes`: whether the server can do with such
 * frames. Throws ERR_VSND_INVALID_ARG for a wish that card or server cannot meet, and ERR_VSND_NOT_SUPPORTED where they have
 * nothing in common.
 */
export function chooseSpec(
  limits: StreamLimits,
  wishes: SpecWishes,
  takes: (format: PcmFormatName, channels: number) => boolean,
): PcmSpec {
  const rate = wishes.rate ?? preferred(RATES, limits.rates) ?? Math.max(...limits.rates);
  const { min, max } = limits.channels;
  const channels = wishes.channels ?? Math.min(Math.max(CHANNELS, min), max);
  if (wishes.format !== undefined) {
    const spec = checkSpec({ rate, channels, format: wishes.format }, limits);
    if (takes(spec.format, channels)) return spec;
    const possible = FORMATS.filter((format) => limits.formats.includes(format) && takes(format, channels));
    throw invalidArgError(
      'format',
      wishes.format,
      `${possible.join(', ') || 'none'} (with ${channels} channels)`,
    );
  }
  const format = FORMATS.find((name) => limits.formats.includes(name) && takes(name, channels));
  if (format !== undefined) return checkSpec({ rate, channels, format }, limits);
  const offered = limits.formats.join(', ') || 'no format';
  throw new VsndError(
    'ERR_VSND_NOT_SUPPORTED',
    `the sound server takes none of the card's formats (${offered}) with ${channels} channels`,
  );
}

function preferred(wanted: readonly number[], offered: readonly number[]): number | undefined {
  return wanted.find((rate) => offered.includes(rate));
}
