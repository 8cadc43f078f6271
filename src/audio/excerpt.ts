import { pcmFormat } from '../wire/pcm-format.ts';
import type { AudioSource } from './audio-source.ts';

/** Seconds. */
export interface Excerpt {
  /** From there on. */
  readonly start: number;
  /** At most; undefined: to the end. */
  readonly duration: number | undefined;
}

/** A part of a recording, as a recording. What cannot be entered elsewhere is read from its start, and not given. */
export function excerptOf(source: AudioSource, { start, duration }: Excerpt): AudioSource {
  if (start === 0 && duration === undefined) return source;
  const { name, kind, format, rate, channels, isSeekable, warnings } = source;
  const first = Math.round(start * rate);
  const most = duration === undefined ? Number.POSITIVE_INFINITY : Math.round(duration * rate);
  const frameBytes = (pcmFormat(format).sampleBytes ?? 1) * channels;
  return {
    ...{ name, kind, format, rate, channels, isSeekable, warnings },
    get frames() {
      const there = framesBehind(source, first);
      return there === undefined && duration === undefined ? undefined : Math.min(most, there ?? most);
    },
    read: (from = 0) => {
      const pieces = source.read(isSeekable ? first + from : from);
      return partOf(pieces, (isSeekable ? 0 : first) * frameBytes, (most - from) * frameBytes);
    },
    close: () => source.close(),
  };
}

/** Frames from `first` on. A promise: of what passes by once, more may follow than it says. */
function framesBehind({ frames, isSeekable }: AudioSource, first: number): number | undefined {
  if (frames === undefined || (!isSeekable && frames <= first)) return undefined;
  return Math.max(0, frames - first);
}

/** So many bytes behind those that are left out. */
async function* partOf(
  pieces: AsyncIterable<Uint8Array>,
  leftOut: number,
  most: number,
): AsyncGenerator<Uint8Array> {
  let toSkip = leftOut;
  let toGive = most;
  if (toGive <= 0) return;
  for await (const piece of pieces) {
    const part = piece.subarray(toSkip, toSkip + toGive);
    toSkip -= Math.min(toSkip, piece.length);
    toGive -= part.length;
    if (part.length > 0) yield part;
    if (toGive <= 0) return;
  }
}
