import { invalidArgError, VsndError } from '../errors.ts';
import type { OptionNames } from '../option-names.ts';
import { formatNames, intersectRanges, rangesOf, type StreamLimits } from '../pcm/hw-params.ts';
import { type PcmFormatName, pcmFormatByName } from '../wire/pcm-format.ts';
import type { HwParamRanges, Interval } from '../wire/sndif.ts';
import type { StreamAttachment } from './session.ts';

/** One value, or a closed interval of them. */
export type Wish = number | { readonly min?: number | undefined; readonly max?: number | undefined };

/** What is to be known of a stream: each parameter narrows the answer about the others. */
export interface HwParamsQuery {
  /** By default 'playback'. */
  type?: 'playback' | 'capture' | undefined;
  /** The PCM device's index; by default the first with a free stream. */
  device?: number | undefined;
  /** The stream's index in its device; by default the first free one. */
  stream?: number | undefined;
  /** By default all that the stream may have; so with each of the following. */
  formats?: readonly PcmFormatName[] | undefined;
  /** Hz */
  rate?: Wish | undefined;
  /** Channels of a frame. */
  channels?: Wish | undefined;
  /** Frames of the whole shared buffer. */
  bufferFrames?: Wish | undefined;
  /** Frames between two reports of the position. */
  periodFrames?: Wish | undefined;
}

/** Names of what can be asked for. */
export const HW_PARAMS_QUERY: OptionNames<HwParamsQuery> = {
  type: true,
  device: true,
  stream: true,
  formats: true,
  rate: true,
  channels: true,
  bufferFrames: true,
  periodFrames: true,
};

/** What the backend's device can do. Intervals are closed; not every value in them need be possible with every other. */
export interface HwParamsAnswer {
  /** Names of sndif.h. */
  readonly formats: readonly PcmFormatName[];
  /** Hz: what XenStore lists, as far as the device can. */
  readonly rates: readonly number[];
  /** Channels of a frame. */
  readonly channels: Interval;
  /** Of the whole shared buffer: a stream has a period less, through which volumes are exchanged. */
  readonly bufferFrames: Interval;
  /** Frames between two reports of the position. */
  readonly periodFrames: Interval;
}

/** Throws ERR_VSND_INVALID_ARG for what is no wish, or beyond what XenStore allows. */
export function rangesOfQuery(query: HwParamsQuery, limits: StreamLimits): HwParamRanges {
  const all = rangesOf({
    ...limits,
    formats: chooseFormats(query.formats, limits.formats),
    rates: chooseRates(query.rate, limits.rates),
    channels: narrow('channels', query.channels, limits.channels),
  });
  return {
    ...all,
    bufferFrames: narrow('bufferFrames', query.bufferFrames, all.bufferFrames),
    periodFrames: narrow('periodFrames', query.periodFrames, all.periodFrames),
  };
}

/**
 * Asks the backend (XENSND_OP_HW_PARAM_QUERY) about a stream that is not open. What it answers beyond the question does not
 * count. CLOSE follows: the question opens the host's device. Rejects with ERR_VSND_NOT_SUPPORTED, naming a parameter
 * that cannot be met, with ERR_VSND_STATUS, and as every request.
 */
export async function queryHwParams(
  { channel, config }: StreamAttachment,
  asked: HwParamRanges,
): Promise<HwParamsAnswer> {
  try {
    const { ranges } = await channel.request({ op: 'hwParamQuery', ranges: asked });
    const answer = ranges ? intersectRanges(asked, ranges) : asked;
    return {
      formats: formatNames(answer.formats),
      rates: chooseOffered(answer.rates, ratesWithin(asked.rates, config.rates)),
      channels: answer.channels,
      bufferFrames: answer.bufferFrames,
      periodFrames: answer.periodFrames,
    };
  } finally {
    await channel.request({ op: 'close' }).catch(() => {}); // the answer, or the error, is what counts
  }
}

/** Throws ERR_VSND_NOT_SUPPORTED where the device can do rates, but none of those `asked` for. */
function chooseOffered(offer: Interval, asked: readonly number[]): number[] {
  const rates = ratesWithin(offer, asked);
  if (rates.length > 0) return rates;
  throw new VsndError(
    'ERR_VSND_NOT_SUPPORTED',
    `the backend cannot meet rates: asked for ${asked.join(', ')}, it offers ${offer.min} to ${offer.max}`,
  );
}

function chooseFormats(
  wished: readonly PcmFormatName[] | undefined,
  listed: readonly PcmFormatName[],
): readonly PcmFormatName[] {
  if (wished === undefined) return listed;
  const allowed = `one or more of ${listed.join(', ')}`;
  if (!Array.isArray(wished) || wished.length === 0) throw invalidArgError('formats', wished, allowed);
  return wished.map((name) => {
    const format = pcmFormatByName(name);
    if (format === undefined || !listed.includes(format.name))
      throw invalidArgError('formats', name, allowed);
    return format.name;
  });
}

function chooseRates(wish: Wish | undefined, listed: readonly number[]): number[] {
  const all = { min: Math.min(...listed), max: Math.max(...listed) };
  const allowed = `${listed.join(', ')} (Hz)`;
  const wished = narrow('rate', wish, all, allowed);
  const rates = ratesWithin(wished, listed);
  if (rates.length > 0) return rates;
  throw invalidArgError('rate', describeInterval(wished.min, wished.max), allowed);
}

function ratesWithin({ min, max }: Interval, rates: readonly number[]): number[] {
  return rates.filter((rate) => rate >= min && rate <= max);
}

function narrow(
  option: string,
  wish: Wish | undefined,
  { min: least, max: most }: Interval,
  allowed = `${least} to ${most}`,
): Interval {
  const { min = least, max = most } = wish && typeof wish === 'object' ? wish : { min: wish, max: wish };
  const isWhole = Number.isInteger(min) && Number.isInteger(max);
  if (isWhole && min <= max && min >= least && max <= most) return { min, max };
  throw invalidArgError(option, describeInterval(min, max), allowed);
}

/** A single value is itself: its type may be what is wrong. */
function describeInterval(min: number, max: number): number | string {
  return min === max || Number.isNaN(min) ? min : `${min} to ${max}`;
}
