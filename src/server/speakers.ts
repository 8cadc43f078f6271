import { type MixMatrix, mixLayouts, type Speaker } from '../audio/channel-mix.ts';
import { type ChannelMap, POSITIONS } from '../pulse/sample-spec.ts';

/** Where PulseAudio's positions are; others are nowhere in particular. */
const SPEAKERS: Readonly<Record<string, Speaker>> = {
  mono: 'FC',
  'front-left': 'FL',
  'front-right': 'FR',
  'front-center': 'FC',
  'rear-center': 'BC',
  'rear-left': 'BL',
  'rear-right': 'BR',
  lfe: 'LFE',
  'front-left-of-center': 'FL',
  'front-right-of-center': 'FR',
  'side-left': 'SL',
  'side-right': 'SR',
};

/** How the channels of one map become those of another: by where they belong, or one by one where nobody knows. */
export function mapMatrix(from: ChannelMap, to: ChannelMap): MixMatrix {
  const [sources, targets] = [speakersOf(from), speakersOf(to)];
  if (sources && targets) return mixLayouts(sources, targets);
  return to.map((_, out) => from.map((_, channel) => Number(channel === out)));
}

/** Whether nothing is to be mixed. */
export function isSameMap(from: ChannelMap, to: ChannelMap): boolean {
  return from.length === to.length && from.every((position, channel) => position === to[channel]);
}

function speakersOf(map: ChannelMap): Speaker[] | undefined {
  const speakers = map.map((position) => SPEAKERS[POSITIONS[position] ?? '']);
  return speakers.includes(undefined) ? undefined : (speakers as Speaker[]);
}
