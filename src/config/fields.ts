import { VsndError } from '../errors.ts';
import type { StreamLimits } from '../pcm/hw-params.ts';
import { PCM_FORMATS, type PcmFormatName, pcmFormatByName } from '../wire/pcm-format.ts';
import { type ConfigWarnings, quote } from './warnings.ts';

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

const U8_MAX = 0xff;
const U32_MAX = 0xffff_ffff;

const NOT_THERE = 'taken as if it were not there';

/**
 * Narrows the limits of the levels above by one level's own fields. `path` names the node in warnings. What cannot be
 * understood counts as not there, what contradicts itself is fixed, as Linux's own driver does; `warnings` hears of both.
 */
export function narrowLimits(
  upper: SaidLimits,
  fields: Fields,
  path: string,
  warnings: ConfigWarnings,
): SaidLimits {
  const listOf = <T>(
    name: string,
    what: string,
    parse: (item: string) => T | undefined,
    above?: readonly T[],
  ) =>
    narrowList(above, parseList(fields[name], `${path}/${name}`, what, parse, warnings), () =>
      warnings.add(`${path}/${name}`, fields[name], `the level above has none of it; it holds all the same`),
    );
  const numberOf = (name: string, most: number) =>
    parseNumber(fields[name], `${path}/${name}`, most, warnings);
  const limits = {
    rates: listOf(Field.sampleRates, 'rate in Hz', parseRate, upper.rates),
    formats: listOf(Field.sampleFormats, 'format', parseFormat, upper.formats),
    channelsMin: both(Math.max, upper.channelsMin, numberOf(Field.channelsMin, U8_MAX)),
    channelsMax: both(Math.min, upper.channelsMax, numberOf(Field.channelsMax, U8_MAX)),
    bufferBytes: both(Math.min, upper.bufferBytes, numberOf(Field.bufferSize, U32_MAX)),
  };
  const { channelsMin: min = 1, channelsMax: max = U8_MAX } = limits;
  if (min <= max) return limits;
  const name = fields[Field.channelsMax] === undefined ? Field.channelsMin : Field.channelsMax;
  warnings.add(
    `${path}/${name}`,
    fields[name],
    `channels-min, ${min}, is above channels-max, ${max}; taken for it`,
  );
  return { ...limits, channelsMin: max };
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
  switch (value?.trim().toLowerCase()) {
    case 'p': // XENSND_STREAM_TYPE_PLAYBACK
      return 'playback';
    case 'c': // XENSND_STREAM_TYPE_CAPTURE
      return 'capture';
    default:
      throw configError(`${path}/${Field.type}`, value, '"p" (playback) or "c" (capture)');
  }
}

/** A decimal number in a node of `fields` that must be there. Throws ERR_VSND_CONFIG. */
export function requireNumber(fields: Fields, name: string, path: string, min: number, max: number): number {
  const value = fields[name];
  const number = numberIn(value, min, max);
  if (number === undefined)
    throw configError(`${path}/${name}`, value, `a decimal number from ${min} to ${max}`);
  return number;
}

/** A number from 1 to `most`; undefined where the node is not there, or says no such number. */
function parseNumber(
  value: string | undefined,
  path: string,
  most: number,
  warnings: ConfigWarnings,
): number | undefined {
  const number = numberIn(value?.trim(), 1, most);
  if (value !== undefined && number === undefined)
    warnings.add(path, value, `no number from 1 to ${most}; ${NOT_THERE}`);
  return number;
}

function numberIn(value: string | undefined, min: number, max: number): number | undefined {
  const number = value !== undefined && /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
  return number >= min && number <= max ? number : undefined;
}

function parseRate(item: string): number | undefined {
  return numberIn(item, 1, U32_MAX);
}

function parseFormat(item: string): PcmFormatName | undefined {
  return pcmFormatByName(item.toLowerCase())?.name;
}

/** A list without what it names in vain; undefined where the node is not there, or nothing of it is left. */
function parseList<T>(
  value: string | undefined,
  path: string,
  what: string,
  parse: (item: string) => T | undefined,
  warnings: ConfigWarnings,
): readonly T[] | undefined {
  if (value === undefined) return undefined;
  const texts = value.split(LIST_SEPARATOR);
  if (texts.length > MOST_ITEMS)
    warnings.add(path, value, `a list of ${texts.length}; the first ${MOST_ITEMS} hold`);
  const items = texts.slice(0, MOST_ITEMS).map((text) => ({ text, item: parse(text.trim()) }));
  const understood = items.flatMap(({ item }) => (item === undefined ? [] : [item]));
  const wrong = items.find(({ item }) => item === undefined);
  if (wrong === undefined) return understood;
  const found = `${quote(wrong.text)} is no ${what}`;
  warnings.add(path, value, understood.length > 0 ? `${found}, and is left out` : `${found}; ${NOT_THERE}`);
  return understood.length > 0 ? understood : undefined;
}

/** The topmost list stands as it is; one further down can only leave items out, but not all of them. */
function narrowList<T>(
  upper: readonly T[] | undefined,
  own: readonly T[] | undefined,
  onContradiction: () => void,
): readonly T[] | undefined {
  if (own === undefined) return upper;
  const unique = [...new Set(own)];
  if (upper === undefined) return unique;
  const allowed = new Set(upper);
  const narrowed = unique.filter((item) => allowed.has(item));
  if (narrowed.length > 0) return narrowed;
  onContradiction();
  return unique;
}

function both(pick: (a: number, b: number) => number, a?: number, b?: number): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return pick(a, b);
}

export function configError(path: string, value: string | undefined, allowed: string): VsndError {
  return new VsndError('ERR_VSND_CONFIG', `${path} is ${quote(value)}; allowed: ${allowed}`, { path });
}
