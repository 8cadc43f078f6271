import type { PcmFormatName } from '../wire/pcm-format.ts';

/** How a stream's samples are laid out, by PulseAudio's numbers. */
export interface PulseSpec {
  /** pa_sample_format_t */
  readonly format: number;
  readonly channels: number;
  /** Hz */
  readonly rate: number;
}

/** Where each channel belongs: pa_channel_position_t. */
export type ChannelMap = readonly number[];

/** A sample format of PulseAudio's. */
export interface PulseFormat {
  readonly code: number;
  /** As formats are named in a list of formats, and by PulseAudio's programs. */
  readonly name: string;
  readonly sampleBytes: number;
  /** vsnd's format of the same samples; where they are packed in 3 bytes, the one with a fourth. */
  readonly pcm: PcmFormatName;
  readonly isPacked: boolean;
}

const format = (code: number, name: string, sampleBytes: number, pcm: PcmFormatName): PulseFormat => ({
  code,
  name,
  sampleBytes,
  pcm,
  isPacked: sampleBytes === 3,
});

/** In the order of their codes. */
export const PULSE_FORMATS: readonly PulseFormat[] = [
  format(0, 'u8', 1, 'u8'), // PA_SAMPLE_U8
  format(1, 'alaw', 1, 'a_law'), // PA_SAMPLE_ALAW
  format(2, 'ulaw', 1, 'mu_law'), // PA_SAMPLE_ULAW
  format(3, 's16le', 2, 's16_le'), // PA_SAMPLE_S16LE
  format(4, 's16be', 2, 's16_be'), // PA_SAMPLE_S16BE
  format(5, 'float32le', 4, 'float_le'), // PA_SAMPLE_FLOAT32LE
  format(6, 'float32be', 4, 'float_be'), // PA_SAMPLE_FLOAT32BE
  format(7, 's32le', 4, 's32_le'), // PA_SAMPLE_S32LE
  format(8, 's32be', 4, 's32_be'), // PA_SAMPLE_S32BE
  format(9, 's24le', 3, 's24_le'), // PA_SAMPLE_S24LE
  format(10, 's24be', 3, 's24_be'), // PA_SAMPLE_S24BE
  format(11, 's24-32le', 4, 's24_le'), // PA_SAMPLE_S24_32LE
  format(12, 's24-32be', 4, 's24_be'), // PA_SAMPLE_S24_32BE
];

/** PulseAudio's format of a card's samples; undefined where it has none. */
export function pulseFormatOf(pcm: PcmFormatName): PulseFormat | undefined {
  return PULSE_FORMATS.find((one) => one.pcm === pcm && !one.isPacked);
}

/** By its name in a list of formats. */
export function pulseFormatByName(name: unknown): PulseFormat | undefined {
  return PULSE_FORMATS.find((one) => one.name === name);
}

/** Names of the positions, by their numbers: pa_channel_position_to_string(). */
export const POSITIONS: readonly string[] = [
  'mono',
  'front-left',
  'front-right',
  'front-center',
  'rear-center',
  'rear-left',
  'rear-right',
  'lfe',
  'front-left-of-center',
  'front-right-of-center',
  'side-left',
  'side-right',
  ...Array.from({ length: 32 }, (_, channel) => `aux${channel}`),
];

const AUX = POSITIONS.indexOf('aux0');

const named = (...names: string[]): ChannelMap => names.map((name) => POSITIONS.indexOf(name));

/** ALSA's order, which is that of the backends' devices. */
const MAPS: Readonly<Record<number, ChannelMap>> = {
  1: named('mono'),
  2: named('front-left', 'front-right'),
  3: named('front-left', 'front-right', 'front-center'),
  4: named('front-left', 'front-right', 'rear-left', 'rear-right'),
  5: named('front-left', 'front-right', 'rear-left', 'rear-right', 'front-center'),
  6: named('front-left', 'front-right', 'rear-left', 'rear-right', 'front-center', 'lfe'),
  8: named(
    'front-left',
    'front-right',
    'rear-left',
    'rear-right',
    'front-center',
    'lfe',
    'side-left',
    'side-right',
  ),
};

/** What the channels of a card are, by how many there are. */
export function cardMap(channels: number): ChannelMap {
  return MAPS[channels] ?? Array.from({ length: channels }, (_, channel) => AUX + (channel % 32));
}

/** As modules take it as an argument: 'front-left,front-right'. */
export function mapText(map: ChannelMap): string {
  return map.map((position) => POSITIONS[position]).join(',');
}
