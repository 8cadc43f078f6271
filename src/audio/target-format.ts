import { VsndError } from '../errors.ts';
import type { StreamLimits } from '../pcm/hw-params.ts';
import { sampleCodec } from '../pcm/samples.ts';
import { PCM_FORMATS, type PcmFormatName } from '../wire/pcm-format.ts';
import type { FrameFormat } from './audio-source.ts';

/** Bits of a sample that a format keeps, by the start of its name; float formats count their mantissa and its sign. */
const PRECISION: readonly (readonly [prefix: string, bits: number])[] = [
  ['float64', 54],
  ['float', 25],
  ['s32', 32],
  ['u32', 32],
  ['s24', 24],
  ['u24', 24],
  ['s16', 16],
  ['u16', 16],
  ['s8', 8],
  ['u8', 8],
];

/** Bits that this format keeps of another's samples; 0 for G.711, whose steps grow with the sample, and where there are none. */
export function precision(format: PcmFormatName): number {
  return PRECISION.find(([prefix]) => format.startsWith(prefix))?.[1] ?? 0;
}

/** Bits that another format needs to keep all of this one's samples: those of G.711 lie on a scale of 16. */
export function neededPrecision(format: PcmFormatName): number {
  return format === 'mu_law' || format === 'a_law' ? 16 : precision(format);
}

type CardLimits = Pick<StreamLimits, 'rates' | 'formats' | 'channels'>;

/** What is played and recorded where nobody says otherwise: what programs play, and what sound servers mix for. */
const USUAL: FrameFormat = { format: 's16_le', rate: 48_000, channels: 2 };

/**
 * As wished, and else as {@link chooseTarget} sets a card for 48 kHz, 16 bits, stereo, in a format that `takes` can do with.
 * What nothing fits stays so: who opens the stream is told what there is.
 */
export function chooseUsual(
  card: CardLimits | undefined,
  wishes: { [Name in keyof FrameFormat]?: FrameFormat[Name] | undefined },
  takes: (format: PcmFormatName, channels: number) => boolean = () => true,
): FrameFormat {
  const { rates = [USUAL.rate], formats = [], channels: { min, max } = { min: 1, max: 255 } } = card ?? {};
  const channels = wishes.channels ?? clamp(USUAL.channels, min, max);
  const possible = formats.filter((format) => sampleCodec(format) && takes(format, channels));
  const format = possible.length > 0 ? chooseFormat(USUAL.format, possible) : USUAL.format;
  return { format: wishes.format ?? format, rate: wishes.rate ?? chooseRate(USUAL.rate, rates), channels };
}

const clamp = (value: number, min: number, max: number): number => Math.min(Math.max(value, min), max);

/**
 * What a card should be set to for frames of `source`: what loses nothing, if the card has it, else what loses least.
 * Rate: the same, else the lowest multiple, else the nearest higher one, else the highest. Channels: the nearest number.
 * Format: the same, else the narrowest that keeps all bits, else the one that keeps most. Throws ERR_VSND_NOT_SUPPORTED.
 */
export function chooseTarget(
  source: FrameFormat,
  { rates, formats, channels: { min, max } }: CardLimits,
): FrameFormat {
  return {
    format: chooseFormat(source.format, formats),
    rate: chooseRate(source.rate, rates),
    channels: clamp(source.channels, min, max),
  };
}

function chooseRate(wanted: number, rates: readonly number[]): number {
  const higher = rates.filter((rate) => rate >= wanted).sort((a, b) => a - b);
  return higher.find((rate) => rate % wanted === 0) ?? higher[0] ?? Math.max(...rates);
}

function chooseFormat(wanted: PcmFormatName, formats: readonly PcmFormatName[]): PcmFormatName {
  if (formats.includes(wanted)) return wanted;
  const candidates = PCM_FORMATS.map(({ name }) => name).filter(
    (name) => formats.includes(name) && sampleCodec(name) !== undefined,
  );
  const ascending = candidates.sort((a, b) => precision(a) - precision(b)); // stable: signed, little-endian first
  const most = precision(ascending.at(-1) ?? 'gsm');
  const enough = Math.min(neededPrecision(wanted), most);
  const chosen = ascending.find((name) => precision(name) >= enough);
  if (chosen === undefined || sampleCodec(wanted) === undefined) {
    throw new VsndError(
      'ERR_VSND_NOT_SUPPORTED',
      `${wanted} cannot be converted to what the card takes: ${formats.join(', ')}`,
    );
  }
  return chosen;
}
