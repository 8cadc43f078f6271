import { invalidArgError, VsndError } from '../errors.ts';
import { PCM_FORMATS, type PcmFormatName, pcmFormat, pcmFormatByName } from '../wire/pcm-format.ts';
import type { HwParamRanges, Interval } from '../wire/sndif.ts';
import { VOLUME_BYTES } from '../wire/volume.ts';

/** What XenStore says a stream can be set to. */
export interface StreamLimits {
  /** Hz, ascending */
  readonly rates: readonly number[];
  /** Names of sndif.h. */
  readonly formats: readonly PcmFormatName[];
  /** Channels of a frame. */
  readonly channels: Interval;
  /** Bytes, the whole shared buffer (buffer-size), the control area included. */
  readonly bufferBytes: number;
}

/** What one stream is set to. */
export interface HwParams {
  /** Hz */
  readonly rate: number;
  readonly channels: number;
  readonly format: PcmFormatName;
  /** Bytes of one frame */
  readonly frameBytes: number;
  /** Frames of the audio area of the shared buffer: whole periods */
  readonly bufferFrames: number;
  readonly periodFrames: number;
}

/** The format and layout part, which the caller chooses. */
export type PcmSpec = Pick<HwParams, 'rate' | 'channels' | 'format' | 'frameBytes'>;

/** What the caller wishes of the buffer; what is left out has a default. */
export interface BufferWishes {
  readonly bufferFrames?: number | undefined;
  readonly periodFrames?: number | undefined;
}

/** ms: an event loop that is blocked for up to three quarters of it causes no underrun. */
const DEFAULT_BUFFER_MS = 200;

/**
 * Each period wakes this process once. With 4 it costs three quarters of what it costs with 8; with 2 half, but then an event
 * loop may be blocked for half of the buffer only. Measured: `npm run bench`, "periods in the default buffer".
 */
const DEFAULT_PERIODS = 4;

/** Periods that a buffer has at least, unless the caller says otherwise. */
export const LEAST_PERIODS = 2;

/** The shortest period to ask for, ms: the reference backend's timer has whole milliseconds and spins below one. */
const MIN_PERIOD_MS = 1;

/** So many periods longer and shorter than the one wished are looked at for one of which a buffer is a multiple. */
const MOST_TRIES = 10_000;

/**
 * Periods at the end of the shared buffer that belong to the control area, which needs 4 bytes a channel on a multiple
 * of 4: one, unless periods are tiny. A buffer of whole periods is what host devices take as it is.
 */
function controlPeriods(
  { channels, frameBytes }: Pick<HwParams, 'channels' | 'frameBytes'>,
  periodFrames: number,
) {
  return Math.ceil((VOLUME_BYTES * (channels + 1) - 1) / (periodFrames * frameBytes));
}

/**
 * The parts of the shared buffer, in bytes: the audio area at 0, of whole periods, then, in a period of its own, the
 * control area through which volumes are exchanged (sndif.h: "buffer space sharing"). The area is there on every stream:
 * whether a backend has volumes can only be asked through it, and a question is also how a backend is seen to live.
 */
export function bufferLayout(
  params: Pick<HwParams, 'bufferFrames' | 'periodFrames' | 'frameBytes' | 'channels'>,
): {
  audioBytes: number;
  controlOffset: number;
  totalBytes: number;
} {
  const { bufferFrames, periodFrames, frameBytes } = params;
  const audioBytes = bufferFrames * frameBytes;
  const controlOffset = Math.ceil(audioBytes / VOLUME_BYTES) * VOLUME_BYTES;
  const controlFrames = controlPeriods(params, periodFrames) * periodFrames;
  return { audioBytes, controlOffset, totalBytes: audioBytes + controlFrames * frameBytes };
}

/** Frames of the largest audio area that leaves room for the control area in `bufferBytes` bytes. */
export function maxBufferFrames(spec: PcmSpec, bufferBytes: number): number {
  const period = minPeriodFrames(spec.rate);
  const periods = Math.floor(bufferBytes / (period * spec.frameBytes)) - controlPeriods(spec, period);
  return Math.max(0, periods * period);
}

/** Bytes of the shared buffer, at most, where nobody says how long it is to be: at the highest rate, of the largest frames. */
export function usualBufferBytes({ rates, formats, channels, bufferBytes }: StreamLimits): number {
  const sizes = formats.map((name) => pcmFormat(name).sampleBytes ?? 0);
  const periodFrames = Math.ceil((Math.max(...rates) * DEFAULT_BUFFER_MS) / 1000 / DEFAULT_PERIODS);
  const frames = (DEFAULT_PERIODS + 1) * periodFrames;
  return Math.min(bufferBytes, frames * Math.max(...sizes) * channels.max);
}

/** Checks rate, channels and format against the stream's limits. Throws ERR_VSND_INVALID_ARG with what is allowed. */
export function checkSpec(
  wanted: { rate: number; channels: number; format: string },
  limits: StreamLimits,
): PcmSpec {
  const { rate, channels } = wanted;
  if (!limits.rates.includes(rate)) throw invalidArgError('rate', rate, `${limits.rates.join(', ')} (Hz)`);
  const { min, max } = limits.channels;
  if (!Number.isInteger(channels) || channels < min || channels > max) {
    throw invalidArgError('channels', channels, min === max ? `${min}` : `${min} to ${max}`);
  }
  const format = pcmFormatByName(wanted.format);
  const playable = limits.formats.filter((name) => pcmFormat(name).sampleBytes !== undefined);
  if (format && format.sampleBytes === undefined) throw withoutFramesError(format.name, playable);
  if (format?.sampleBytes === undefined || !playable.includes(format.name)) {
    throw invalidArgError('format', wanted.format, describeFormats(playable));
  }
  return { rate, channels, format: format.name, frameBytes: format.sampleBytes * channels };
}

/** Checks the wishes for buffer and period, in frames. Throws ERR_VSND_INVALID_ARG. */
export function checkBufferWishes(wishes: BufferWishes, spec: PcmSpec, limits: StreamLimits): void {
  const { bufferBytes } = limits;
  const most = maxBufferFrames(spec, bufferBytes);
  const least = minPeriodFrames(spec.rate);
  if (most < least) {
    throw new VsndError(
      'ERR_VSND_CONFIG',
      `the card's buffer-size of ${bufferBytes} bytes holds ${framesIn(bufferBytes, spec)} frames of ${spec.frameBytes} bytes; ` +
        `a period needs ${least}, and as many more are for volumes`,
    );
  }
  const { bufferFrames, periodFrames } = wishes;
  const isBetween = (value: number, low: number, high: number) =>
    Number.isInteger(value) && value >= low && value <= high;
  if (bufferFrames !== undefined && !isBetween(bufferFrames, least, most)) {
    throw invalidArgError('bufferFrames', bufferFrames, `${least} to ${most}`);
  }
  const longest = Math.min(bufferFrames ?? most, longestPeriod(spec, bufferBytes));
  if (periodFrames !== undefined && !isBetween(periodFrames, least, longest)) {
    throw invalidArgError('periodFrames', periodFrames, `${least} (1 ms) to ${longest}`);
  }
}

/** Frames of the longest period of which the audio area has one, beside the control area. */
function longestPeriod(spec: PcmSpec, bufferBytes: number): number {
  return Math.floor(framesIn(bufferBytes, spec) / (1 + controlPeriods(spec, minPeriodFrames(spec.rate))));
}

const framesIn = (bytes: number, { frameBytes }: PcmSpec): number => Math.floor(bytes / frameBytes);

const NOTHING: Interval = { min: 1, max: 0 };

/** All that the limits allow, as XENSND_OP_HW_PARAM_QUERY says it. */
export function rangesOf(limits: StreamLimits): HwParamRanges {
  const sizes = limits.formats.map((name) => pcmFormat(name).sampleBytes ?? 1);
  const most = Math.floor(limits.bufferBytes / (Math.min(...sizes) * limits.channels.min));
  return {
    formats: formatMask(limits.formats),
    rates:
      limits.rates.length === 0
        ? NOTHING
        : { min: Math.min(...limits.rates), max: Math.max(...limits.rates) },
    channels: limits.channels,
    bufferFrames: { min: 1, max: most },
    periodFrames: { min: 1, max: most },
  };
}

/** The question about one spec: which buffers and periods, within the wishes? Buffers with their control area. */
export function queryRanges(spec: PcmSpec, wishes: BufferWishes, limits: StreamLimits): HwParamRanges {
  const least = minPeriodFrames(spec.rate);
  const { bufferFrames = Number.POSITIVE_INFINITY, periodFrames } = wishes;
  const longest = Math.min(periodFrames ?? bufferFrames, longestPeriod(spec, limits.bufferBytes));
  const most = bufferFrames + controlPeriods(spec, longest) * longest;
  return {
    formats: formatMask([spec.format]),
    rates: { min: spec.rate, max: spec.rate },
    channels: { min: spec.channels, max: spec.channels },
    bufferFrames: {
      min: (1 + controlPeriods(spec, least)) * least,
      max: Math.min(most, framesIn(limits.bufferBytes, spec)),
    },
    periodFrames: { min: least, max: longest },
  };
}

const INTERVALS = ['rates', 'channels', 'bufferFrames', 'periodFrames'] as const;

/** What both allow: no formats, or an interval whose `min` is above its `max`, where that is nothing. */
export function overlapOf(a: HwParamRanges, b: HwParamRanges): HwParamRanges {
  const both = (name: (typeof INTERVALS)[number]): Interval => ({
    min: Math.max(a[name].min, b[name].min),
    max: Math.min(a[name].max, b[name].max),
  });
  return {
    formats: a.formats & b.formats,
    rates: both('rates'),
    channels: both('channels'),
    bufferFrames: both('bufferFrames'),
    periodFrames: both('periodFrames'),
  };
}

/** What both allow. Throws ERR_VSND_NOT_SUPPORTED, naming the parameter for which that is nothing. */
export function intersectRanges(a: HwParamRanges, b: HwParamRanges): HwParamRanges {
  const both = overlapOf(a, b);
  if (both.formats === 0n) {
    const [asked, offered] = [a, b].map(({ formats }) => describeFormats(formatNames(formats)));
    throw nothingLeftError('format', asked ?? '', offered ?? '');
  }
  for (const name of INTERVALS) {
    if (both[name].min > both[name].max) {
      throw nothingLeftError(name, describeInterval(a[name]), describeInterval(b[name]));
    }
  }
  return both;
}

/**
 * Frames of the audio area and of a period, as near to the wishes and the defaults as the offer allows, the whole buffer
 * a multiple of the period. `parts`: periods in a buffer, where nobody wishes a period. Throws ERR_VSND_NOT_SUPPORTED where two of the shortest periods are too much.
 */
export function chooseSizes(
  spec: PcmSpec,
  wishes: BufferWishes,
  offer: HwParamRanges,
  parts = DEFAULT_PERIODS,
): Pick<HwParams, 'bufferFrames' | 'periodFrames'> {
  const { min, max } = offer.bufferFrames;
  const audioFrames = wishes.bufferFrames ?? Math.ceil((spec.rate * DEFAULT_BUFFER_MS) / 1000);
  const part = audioFrames / parts;
  const wished = Math.floor(Math.min(wishes.bufferFrames ? part : Math.ceil(part), max / (parts + 1)));
  const periodFrames = choosePeriod(wishes.periodFrames ?? wished, spec, offer);
  const control = controlPeriods(spec, periodFrames);
  const audioPeriods = wishes.bufferFrames
    ? Math.floor(audioFrames / periodFrames)
    : Math.max(LEAST_PERIODS, Math.ceil(audioFrames / periodFrames));
  const periods = Math.min(
    Math.max(audioPeriods + control, Math.ceil(min / periodFrames)),
    Math.floor(max / periodFrames),
  );
  return { bufferFrames: (Math.max(periods, control + 1) - control) * periodFrames, periodFrames };
}

/** The period next to the one wished of which some buffer on offer is a multiple; where none is, the next one that fits. */
function choosePeriod(wished: number, spec: PcmSpec, { bufferFrames, periodFrames }: HwParamRanges): number {
  const { min, max } = bufferFrames;
  const fits = (period: number) => (1 + controlPeriods(spec, period)) * period <= max;
  const divides = (period: number) => {
    const periods = Math.max(1 + controlPeriods(spec, period), Math.ceil(min / period));
    return periods * period <= max;
  };
  if (!fits(periodFrames.min)) {
    const [asked, offered] = [2 * periodFrames.min, max];
    throw nothingLeftError(
      'bufferFrames',
      `a period of ${periodFrames.min} and one for volumes, ${asked}`,
      `${offered}`,
    );
  }
  const nearest = clamp(wished, periodFrames);
  for (let distance = 0; distance <= MOST_TRIES; distance++) {
    const found = [nearest - distance, nearest + distance].find(
      (period) => isIn(period, periodFrames) && divides(period),
    );
    if (found !== undefined) return found;
  }
  return fits(nearest) ? nearest : periodFrames.min;
}

const isIn = (value: number, { min, max }: Interval): boolean => value >= min && value <= max;

const clamp = (value: number, { min, max }: Interval): number => Math.min(Math.max(value, min), max);

/** Frames written before TRIGGER_START, unless the caller says otherwise: all but a period, which a host buffer smaller than ours may lack. */
export function defaultStartThreshold({ bufferFrames, periodFrames }: HwParams): number {
  return Math.max(1, bufferFrames - periodFrames);
}

/** The names of a format mask's bits; bits without a format are left out. */
export function formatNames(mask: bigint): PcmFormatName[] {
  return PCM_FORMATS.filter(({ code }) => (mask >> BigInt(code)) & 1n).map(({ name }) => name);
}

function formatMask(formats: readonly PcmFormatName[]): bigint {
  return formats.reduce((mask, name) => mask | (1n << BigInt(pcmFormat(name).code)), 0n);
}

function withoutFramesError(format: PcmFormatName, playable: readonly PcmFormatName[]): VsndError {
  const reason = 'it has no frames of a fixed size, which positions and buffers count in';
  return new VsndError(
    'ERR_VSND_INVALID_ARG',
    `format is "${format}"; ${reason}; allowed: ${describeFormats(playable)}`,
    { option: 'format' },
  );
}

function minPeriodFrames(rate: number): number {
  return Math.ceil((rate * MIN_PERIOD_MS) / 1000);
}

function describeFormats(names: readonly PcmFormatName[]): string {
  return names.join(', ') || 'none';
}

function describeInterval({ min, max }: Interval): string {
  return min === max ? `${min}` : `${min} to ${max}`;
}

function nothingLeftError(name: string, asked: string, offered: string): VsndError {
  return new VsndError(
    'ERR_VSND_NOT_SUPPORTED',
    `the backend cannot meet ${name}: asked for ${asked}, it offers ${offered}`,
  );
}
