import { VsndError } from '../errors.ts';
import type { StreamLimits } from '../pcm/hw-params.ts';
import { PCM_FORMATS, type PcmFormatName, pcmFormatByName } from '../wire/pcm-format.ts';

/** Names of the XenStore fields, sndif.h. */
export const Field = {
  backendVersions: 'versions', // XENSND_FIELD_BE_VERSIONS
  frontendVersion: 'version', // XENSND_FIELD_FE_VERSION
  shortName: 'short-name', // XENSND_FIELD_VCARD_SHORT_NAME
  longName: 'long-name', // XENSND_FIELD_VCARD_LONG_NAME
  ringRef: 'ring-ref', // XENSND_FIELD_RING_REF
  eventChannel: 'event-channel', // XENSND_FIELD_EVT_CHNL
  evtRingRef: 'evt-ring-ref', // XENSND_FIELD_EVT_RING_REF
  evtEventChannel: 'evt-event-channel', // XENSND_FIELD_EVT_EVT_CHNL
  deviceName: 'name', // XENSND_FIELD_DEVICE_NAME
  type: 'type', // XENSND_FIELD_TYPE
  uniqueId: 'unique-id', // XENSND_FIELD_STREAM_UNIQUE_ID
  channelsMin: 'channels-min', // XENSND_FIELD_CHANNELS_MIN
  channelsMax: 'channels-max', // XENSND_FIELD_CHANNELS_MAX
  sampleRates: 'sample-rates', // XENSND_FIELD_SAMPLE_RATES
  sampleFormats: 'sample-formats', // XENSND_FIELD_SAMPLE_FORMATS
  bufferSize: 'buffer-size', // XENSND_FIELD_BUFFER_SIZE
} as const;

/** XENSND_DRIVER_NAME: the device class. */
export const DEVICE_CLASS = 'vsnd';

/** XENSND_LIST_SEPARATOR */
const LIST_SEPARATOR = ',';

/** The fields that may stand at card, PCM and stream level. */
export const LIMIT_FIELDS = [
  Field.sampleRates,
  Field.sampleFormats,
  Field.channelsMin,
  Field.channelsMax,
  Field.bufferSize,
] as const;

/** Some node's fields; those that it lacks are undefined. */
export type Fields = Readonly<Record<string, string | undefined>>;

/** The limits said so far, from the card downwards; what no level has said is undefined. */
export interface SaidLimits {
  readonly rates?: readonly number[] | undefined;
  readonly formats?: readonly PcmFormatName[] | undefined;
  readonly channelsMin?: number | undefined;
  readonly channelsMax?: number | undefined;
  readonly bufferBytes?: number | undefined;
}

/** What holds where no level says anything. */
const DEFAULT_RATES = [
  5512, 8000, 11025, 16000, 22050, 32000, 44100, 48000, 64000, 88200, 96000, 176400, 192000,
];
const DEFAULT_FORMATS = PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined).map(
  ({ name }) => name,
);
const DEFAULT_CHANNELS_MAX = 8;
const DEFAULT_BUFFER_BYTES = 65_536;

/** Items of a list that are read: sndif.h names 13 rates and 21 formats. */
const MOST_ITEMS = 64;

/** Items of a list that an error names. */
const MOST_NAMED = 16;

const U8_MAX = 0xff;
const U32_MAX = 0xffff_ffff;

/**
 * Narrows the limits of the levels above by one level's own fields. `path` names the node in errors.
 * Throws ERR_VSND_CONFIG for a value that sndif.h does not allow, and where nothing is left.
 */
export function narrowLimits(upper: SaidLimits, fields: Fields, path: string): SaidLimits {
  const rates = parseList(fields, Field.sampleRates, path, 'rates in Hz', parseRate);
  const formats = parseList(fields, Field.sampleFormats, path, FORMAT_NAMES, parseFormat);
  const channelsMin = parseNumber(fields, Field.channelsMin, path, 1, U8_MAX);
  const channelsMax = parseNumber(fields, Field.channelsMax, path, 1, U8_MAX);
  const bufferBytes = parseNumber(fields, Field.bufferSize, path, 1, U32_MAX);
  const limits = {
    rates: narrowList(upper.rates, rates, `${path}/${Field.sampleRates}`),
    formats: narrowList(upper.formats, formats, `${path}/${Field.sampleFormats}`),
    channelsMin: both(Math.max, upper.channelsMin, channelsMin),
    channelsMax: both(Math.min, upper.channelsMax, channelsMax),
    bufferBytes: both(Math.min, upper.bufferBytes, bufferBytes),
  };
  const { channelsMin: min = 1, channelsMax: max = U8_MAX } = limits;
  if (min > max) {
    if (channelsMax === undefined)
      throw configError(`${path}/${Field.channelsMin}`, `${min}`, `at most ${max} (channels-max)`);
    throw configError(`${path}/${Field.channelsMax}`, `${channelsMax}`, `at least ${min} (channels-min)`);
  }
  return limits;
}

/** The limits of a stream, with the defaults for what no level has said. */
export function completeLimits(said: SaidLimits): StreamLimits {
  const min = said.channelsMin ?? 1;
  return {
    rates: [...(said.rates ?? DEFAULT_RATES)].sort((a, b) => a - b),
    formats: said.formats ?? DEFAULT_FORMATS,
    channels: { min, max: said.channelsMax ?? Math.max(min, DEFAULT_CHANNELS_MAX) },
    bufferBytes: said.bufferBytes ?? DEFAULT_BUFFER_BYTES,
  };
}

/** 'playback' or 'capture'. Throws ERR_VSND_CONFIG. */
export function parseStreamType(fields: Fields, path: string): 'playback' | 'capture' {
  const value = fields[Field.type];
  switch (value?.toLowerCase()) {
    case 'p': // XENSND_STREAM_TYPE_PLAYBACK
      return 'playback';
    case 'c': // XENSND_STREAM_TYPE_CAPTURE
      return 'capture';
    default:
      throw configError(`${path}/${Field.type}`, value, '"p" (playback) or "c" (capture)');
  }
}

/** A decimal number in a node of `fields`; undefined where there is no such node. Throws ERR_VSND_CONFIG. */
export function parseNumber(
  fields: Fields,
  name: string,
  path: string,
  min: number,
  max: number,
): number | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= min && number <= max)) {
    throw configError(`${path}/${name}`, value, `a decimal number from ${min} to ${max}`);
  }
  return number;
}

/** As {@link parseNumber}, for a node that must be there. */
export function requireNumber(fields: Fields, name: string, path: string, min: number, max: number): number {
  const number = parseNumber(fields, name, path, min, max);
  if (number === undefined)
    throw configError(`${path}/${name}`, undefined, `a decimal number from ${min} to ${max}`);
  return number;
}

function parseRate(value: string): number | undefined {
  const rate = /^\d{1,10}$/.test(value) ? Number(value) : 0;
  return rate >= 1 && rate <= U32_MAX ? rate : undefined;
}

function parseFormat(value: string): PcmFormatName | undefined {
  return pcmFormatByName(value)?.name;
}

const FORMAT_NAMES = PCM_FORMATS.map(({ name }) => name).join(', ');

function parseList<T>(
  fields: Fields,
  name: string,
  path: string,
  allowed: string,
  parse: (item: string) => T | undefined,
): T[] | undefined {
  const items = fields[name]?.split(LIST_SEPARATOR);
  if (items && items.length > MOST_ITEMS) {
    throw configError(`${path}/${name}`, fields[name], `a list of ${MOST_ITEMS} at most`);
  }
  return items?.map((item) => {
    const value = parse(item.trim());
    if (value === undefined) {
      throw configError(`${path}/${name}`, item, `a list, separated by commas, of ${allowed}`);
    }
    return value;
  });
}

/** The topmost list stands as it is; one further down can only leave items out. */
function narrowList<T>(
  upper: readonly T[] | undefined,
  own: readonly T[] | undefined,
  path: string,
): readonly T[] | undefined {
  if (own === undefined) return upper;
  const narrowed = [...new Set(own)].filter((item) => upper?.includes(item) ?? true);
  if (narrowed.length === 0) {
    throw configError(
      path,
      own.join(LIST_SEPARATOR),
      `some of ${upper?.slice(0, MOST_NAMED).join(', ')}, as the level above says`,
    );
  }
  return narrowed;
}

function both(pick: (a: number, b: number) => number, a?: number, b?: number): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return pick(a, b);
}

function configError(path: string, value: string | undefined, allowed: string): VsndError {
  const found = value === undefined ? 'missing' : JSON.stringify(value.slice(0, 80));
  return new VsndError('ERR_VSND_CONFIG', `${path} is ${found}; allowed: ${allowed}`, { path });
}
