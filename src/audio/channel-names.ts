import { LAYOUTS, type Speaker } from './channel-mix.ts';

const NAMES: Readonly<Record<Speaker, string>> = {
  FL: 'Front Left',
  FR: 'Front Right',
  FC: 'Front Center',
  LFE: 'LFE',
  BL: 'Rear Left',
  BR: 'Rear Right',
  BC: 'Rear Center',
  SL: 'Side Left',
  SR: 'Side Right',
};

/** What channels are as speaker-test says it: 'Front Left'. Where there are too many for that, 'Channel 9', counted from 0. */
export function channelNames(channels: number): string[] {
  if (channels === 1) return ['Mono'];
  const layout = LAYOUTS[channels];
  return Array.from({ length: channels }, (_, channel) => {
    const speaker = layout?.[channel];
    return speaker ? NAMES[speaker] : `Channel ${channel}`;
  });
}
