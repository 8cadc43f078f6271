import { chooseUsual } from '../audio/target-format.ts';
import { invalidArgError, VsndError } from '../errors.ts';
import { checkSpec, type PcmSpec, type StreamLimits } from '../pcm/hw-params.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';

/** What the user wishes of an endpoint; the rest is chosen. */
export interface SpecWishes {
  readonly rate?: number | undefined;
  readonly channels?: number | undefined;
  readonly format?: string | undefined;
}

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
  const { rate, channels, format } = chooseUsual(limits, { ...wishes, format: undefined }, takes);
  const possible = limits.formats.filter((one) => takes(one, channels));
  if (wishes.format !== undefined) {
    const spec = checkSpec({ rate, channels, format: wishes.format }, limits);
    if (possible.includes(spec.format)) return spec;
    throw invalidArgError(
      'format',
      wishes.format,
      `${possible.join(', ') || 'none'} (with ${channels} channels)`,
    );
  }
  if (possible.includes(format)) return checkSpec({ rate, channels, format }, limits);
  const offered = limits.formats.join(', ') || 'no format';
  throw new VsndError(
    'ERR_VSND_NOT_SUPPORTED',
    `the sound server takes none of the card's formats (${offered}) with ${channels} channels`,
  );
}
