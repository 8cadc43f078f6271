import { invalidArg, VsndError } from '../errors.ts';
import { PCM_FORMATS, type PcmFormatName, pcmFormat, pcmFormatByName } from '../wire/pcm-format.ts';
import type { HwParamRanges, Interval } from '../wire/sndif.ts';

/** What XenStore says a stream can be set to. */
export interface StreamLimits {
  /** Hz, ascending */
  readonly rates: readonly number[];
  readonly formats: readonly PcmFormatName[];
  readonly channels: Interval;
  /** Octets, the whole shared buffer (buffer-size). */
  readonly bufferBytes: number;
}

/** What one stream is set to. */
export interface HwParams {
  /** Hz */
  readonly rate: number;
  readonly channels: number;
  readonly format: PcmFormatName;
  /** Octets of one frame */
  readonly frameBytes: number;
  /** Frames of the audio area of the shared buffer */
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

/** ms: an event loop that is blocked for up to seven eighths of it causes no underrun. */
const DEFAULT_BUFFER_MS = 200;
const DEFAULT_PERIODS = 8;

/** The shortest period to ask for, ms: the reference backend's timer has whole milliseconds and spins below one. */
const MIN_PERIOD_MS = 1;

const CONTROL_ALIGNMENT = 64;

const align = (octets: number): number => Math.ceil(octets / CONTROL_ALIGNMENT) * CONTROL_ALIGNMENT;

/**
 * The parts of the shared buffer, in octets: the audio area at 0, then, 64-octet aligned, the control area with
 * 4 octets a channel through which volumes are exchanged (sndif.h: "buffer space sharing").
 */
export function bufferLayout(params: Pick<HwParams, 'bufferFrames' | 'frameBytes' | 'channels'>): {
  audioBytes: number;
  controlOffset: number;
  totalBytes: number;
} {
  const audioBytes = params.bufferFrames * params.frameBytes;
  const controlOffset = align(audioBytes);
  return { audioBytes, controlOffset, totalBytes: controlOffset + align(4 * params.channels) };
}

/** Frames of the largest audio area that leaves room for the control area in `bufferBytes` octets. */
export function maxBufferFrames({ channels, frameBytes }: PcmSpec, bufferBytes: number): number {
  const controlOffset = bufferBytes - align(4 * channels);
  return Math.max(0, Math.floor((controlOffset - (controlOffset % CONTROL_ALIGNMENT)) / frameBytes));
}

/** Checks rate, channels and format against the stream's limits. Throws ERR_VSND_INVALID_ARG with what is allowed. */
export function checkSpec(
  wanted: { rate: number; channels: number; format: string },
  limits: StreamLimits,
): PcmSpec {
  const { rate, channels } = wanted;
  if (!limits.rates.includes(rate)) throw invalidArg('rate', rate, `${limits.rates.join(', ')} (Hz)`);
  const { min, max } = limits.channels;
  if (!Number.isInteger(channels) || channels < min || channels > max) {
    throw invalidArg('channels', channels, min === max ? `${min}` : `${min} to ${max}`);
  }
  const format = pcmFormatByName(wanted.format);
  const playable = limits.formats.filter((name) => pcmFormat(name).sampleBytes !== undefined);
  if (format && format.sampleBytes === undefined) throw withoutFrames(format.name, playable);
  if (format?.sampleBytes === undefined || !playable.includes(format.name)) {
    throw invalidArg('format', wanted.format, describeFormats(playable));
  }
  return { rate, channels, format: format.name, frameBytes: format.sampleBytes * channels };
}

/** Checks the wishes for buffer and period, in frames. Throws ERR_VSND_INVALID_ARG. */
export function checkBufferWishes(wishes: BufferWishes, spec: PcmSpec, limits: StreamLimits): void {
  const most = maxBufferFrames(spec, limits.bufferBytes);
  const least = minPeriodFrames(spec.rate);
  if (most < least) {
    throw new VsndError(
      'ERR_VSND_CONFIG',
      `the card's buffer-size of ${limits.bufferBytes} octets holds ${most} frames of ${spec.frameBytes} octets; ` +
        `one period needs ${least}`,
    );
  }
  const { bufferFrames, periodFrames } = wishes;
  const isBetween = (value: number, low: number, high: number) =>
    Number.isInteger(value) && value >= low && value <= high;
  if (bufferFrames !== undefined && !isBetween(bufferFrames, least, most)) {
    throw invalidArg('bufferFrames', bufferFrames, `${least} to ${most}`);
  }
  const longest = bufferFrames ?? most;
  if (periodFrames !== undefined && !isBetween(periodFrames, least, longest)) {
    throw invalidArg('periodFrames', periodFrames, `${least} (1 ms) to ${longest}`);
  }
}

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

/** The question about one spec: which buffers and periods, within the wishes? */
export function queryRanges(spec: PcmSpec, wishes: BufferWishes, limits: StreamLimits): HwParamRanges {
  const most = wishes.bufferFrames ?? maxBufferFrames(spec, limits.bufferBytes);
  const least = minPeriodFrames(spec.rate);
  return {
    formats: formatMask([spec.format]),
    rates: { min: spec.rate, max: spec.rate },
    channels: { min: spec.channels, max: spec.channels },
    bufferFrames: { min: least, max: most },
    periodFrames: { min: least, max: Math.min(wishes.periodFrames ?? most, most) },
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
    throw nothingLeft('format', asked ?? '', offered ?? '');
  }
  for (const name of INTERVALS) {
    if (both[name].min > both[name].max) {
      throw nothingLeft(name, describeInterval(a[name]), describeInterval(b[name]));
    }
  }
  return both;
}

/** Frames of the buffer, as near to the wishes and the default as the offer allows. */
export function chooseBufferFrames(spec: PcmSpec, wishes: BufferWishes, offer: HwParamRanges): number {
  const defaultPeriod = Math.ceil((spec.rate * DEFAULT_BUFFER_MS) / 1000 / DEFAULT_PERIODS);
  const leastPeriod = Math.max(wishes.periodFrames ?? defaultPeriod, offer.periodFrames.min);
  return clamp(wishes.bufferFrames ?? DEFAULT_PERIODS * leastPeriod, offer.bufferFrames);
}

/** Frames of the period for a buffer, as near to the wishes and the default as the offer allows. */
export function choosePeriodFrames(bufferFrames: number, wishes: BufferWishes, offer: HwParamRanges): number {
  const wished = wishes.periodFrames ?? Math.floor(bufferFrames / DEFAULT_PERIODS);
  return Math.min(clamp(wished, offer.periodFrames), bufferFrames);
}

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

function withoutFrames(format: PcmFormatName, playable: readonly PcmFormatName[]): VsndError {
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

function nothingLeft(name: string, asked: string, offered: string): VsndError {
  return new VsndError(
    'ERR_VSND_NOT_SUPPORTED',
    `the backend cannot meet ${name}: asked for ${asked}, it offers ${offered}`,
  );
}
