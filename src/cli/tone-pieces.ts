import type { FrameFormat } from '../audio/audio-source.ts';
import { channelNames } from '../audio/channel-names.ts';
import { silentFrames, testTone } from '../audio/test-tone.ts';
import { pinkNoise, sineSignal } from '../pcm/signal.ts';
import { UsageError } from './arguments.ts';

/** Seconds of a channel's burst in a walk, and of the silence behind it. */
const BURST = 1;
const PAUSE = 0.25;

export const TONE_TYPES = ['sine', 'pink', 'walk'] as const;

/** What is to be heard. */
export interface Tone {
  readonly type: (typeof TONE_TYPES)[number];
  /** Hz; undefined: pink noise. */
  readonly frequency: number | undefined;
  /** Seconds; Infinity: until it is stopped. */
  readonly duration: number;
  /** How often a walk goes through the channels. */
  readonly loops: number;
  /** Of full scale. */
  readonly amplitude: number;
}

/** Frames, the first of which begin what has a name. */
export interface Piece {
  readonly bytes: Uint8Array;
  readonly starts?: string;
}

/** How long it is, in seconds; Infinity: until it is stopped. */
export function toneSeconds({ type, duration, loops }: Tone, channels: number): number {
  return type === 'walk' ? Math.min(duration, loops * channels * (BURST + PAUSE)) : duration;
}

/** All of it, in pieces; it fades as soon as `signal` aborts. Throws {@link UsageError} for a frequency that is too high. */
export function tonePieces(format: FrameFormat, tone: Tone, signal: AbortSignal): Iterable<Piece> {
  const { frequency, amplitude, duration, type } = tone;
  const { rate } = format;
  if (frequency !== undefined && frequency * 2 >= rate) {
    throw new UsageError(`--frequency is '${frequency}'; allowed: less than ${rate / 2} Hz, half the rate`);
  }
  const source = frequency === undefined ? pinkNoise(rate) : sineSignal(frequency, rate);
  const isEnough = () => signal.aborted;
  const burst = (frames: number, channel?: number) =>
    testTone(format, { signal: source, amplitude, isEnough, frames, channel });
  if (type === 'walk') return walk(format, tone, burst, isEnough);
  return named(burst(Math.round(duration * rate)));
}

function* walk(
  format: FrameFormat,
  { duration, loops }: Tone,
  burst: (frames: number, channel: number) => Iterable<Uint8Array>,
  isEnough: () => boolean,
): Generator<Piece, void> {
  const { rate, channels } = format;
  const names = channelNames(channels);
  let left = Math.round(duration * rate);
  for (let count = 0; count < loops * channels && left > 0 && !isEnough(); count++) {
    const channel = count % channels;
    const frames = Math.min(left, BURST * rate);
    yield* named(burst(frames, channel), `${channel}: ${names[channel]}`);
    const rest = Math.min(left - frames, Math.round(PAUSE * rate));
    if (!isEnough()) yield { bytes: silentFrames(format, rest) };
    left -= frames + rest;
  }
}

/** The first of the pieces gets the name. */
function* named(pieces: Iterable<Uint8Array>, name?: string): Generator<Piece, void> {
  let starts = name;
  for (const bytes of pieces) {
    yield starts === undefined ? { bytes } : { bytes, starts };
    starts = undefined;
  }
}
