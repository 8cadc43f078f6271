import type { PcmFormatName } from '../wire/pcm-format.ts';

/** PipeWire's names of the formats that it has, too. */
export const PIPEWIRE_FORMATS: Partial<Record<PcmFormatName, string>> = {
  s8: 'S8',
  u8: 'U8',
  s16_le: 'S16LE',
  s16_be: 'S16BE',
  s24_le: 'S24_32LE',
  s24_be: 'S24_32BE',
  s32_le: 'S32LE',
  s32_be: 'S32BE',
  float_le: 'F32LE',
  float_be: 'F32BE',
  float64_le: 'F64LE',
  float64_be: 'F64BE',
};

/** More have no places that programs agree on. */
export const MOST_CHANNELS = 8;

/** In ALSA's order: that of the backend's devices. */
const POSITIONS = ['FL', 'FR', 'RL', 'RR', 'FC', 'LFE', 'SL', 'SR'];

/** Where each channel's loudspeaker is. */
export function positionsOf(channels: number): string[] {
  if (channels === 1) return ['MONO'];
  if ([2, 4, 6, 8].includes(channels)) return POSITIONS.slice(0, channels);
  return POSITIONS.slice(0, channels).map((_, index) => `AUX${index}`);
}
