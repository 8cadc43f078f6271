import type { PcmFormatName } from '../wire/pcm-format.ts';

/** PulseAudio's names of the formats that it has, too; its s24-32 has ALSA's 24 bits in 4 octets. */
export const PULSE_FORMATS: Readonly<Partial<Record<PcmFormatName, string>>> = {
  u8: 'u8',
  s16_le: 's16le',
  s16_be: 's16be',
  s24_le: 's24-32le',
  s24_be: 's24-32be',
  s32_le: 's32le',
  s32_be: 's32be',
  float_le: 'float32le',
  float_be: 'float32be',
  mu_law: 'ulaw',
  a_law: 'alaw',
};
