import {
  type ChannelMap,
  cardMap,
  mapText,
  POSITIONS,
  PULSE_FORMATS,
  type PulseSpec,
  pulseFormatByName,
} from './sample-spec.ts';
import { type FormatInfo, propertiesOf, textOf } from './tagged.ts';

/** PA_ENCODING_PCM */
const PCM = 1;

/** A stream's samples and channels. */
export interface StreamFormat {
  readonly spec: PulseSpec;
  readonly map: ChannelMap;
}

/** A list of formats as a stream that has this one tells it. */
export function formatInfoOf({ spec, map }: StreamFormat): FormatInfo {
  return {
    encoding: PCM,
    properties: propertiesOf({
      'format.sample_format': JSON.stringify(PULSE_FORMATS[spec.format]?.name),
      'format.rate': String(spec.rate),
      'format.channels': String(spec.channels),
      'format.channel_map': JSON.stringify(mapText(map)),
    }),
  };
}

/**
 * What the first PCM format of a client's list asks for; where it leaves something open, or offers several, it is `usual`'s.
 * Undefined where there is no PCM in the list.
 */
export function chooseFormat(formats: readonly FormatInfo[], usual: StreamFormat): StreamFormat | undefined {
  const info = formats.find(({ encoding }) => encoding === PCM);
  if (info === undefined) return undefined;
  const said = (key: string): unknown => parseJson(textOf(info.properties, `format.${key}`));
  const format = pulseFormatByName(said('sample_format'))?.code ?? usual.spec.format;
  const rate = numberOr(usual.spec.rate, said('rate'));
  const channels = numberOr(usual.spec.channels, said('channels'));
  const map = parseMap(said('channel_map'));
  return { spec: { format, rate, channels }, map: map?.length === channels ? map : cardMap(channels) };
}

function parseMap(text: unknown): ChannelMap | undefined {
  if (typeof text !== 'string') return undefined;
  const map = text.split(',').map((name) => POSITIONS.indexOf(name));
  return map.includes(-1) ? undefined : map;
}

function numberOr(otherwise: number, value: unknown): number {
  return typeof value === 'number' ? value : otherwise;
}

function parseJson(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
