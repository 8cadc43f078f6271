import { pcmFormat } from '../wire/pcm-format.ts';
import type { FrameFormat } from './audio-source.ts';

/** Seconds of what is missing that silence stands for, so that what follows comes at its time; a longer hole is passed over. */
const LONGEST_HOLE = 60;

/** The silence in place of `frames` missing frames, in pieces of at most a tenth of a second. */
export function* fillHole(format: FrameFormat, frames: number): Generator<Uint8Array> {
  if (frames > LONGEST_HOLE * format.rate) return;
  const most = Math.ceil(format.rate / 10);
  for (let rest = frames; rest > 0; rest -= most) yield silence(format, Math.min(rest, most));
}

export function silence({ format, channels }: FrameFormat, frames: number): Uint8Array {
  const { sampleBytes = 1, silence: sample } = pcmFormat(format);
  const bytes = new Uint8Array(frames * channels * sampleBytes);
  return sample.some((byte) => byte !== 0) ? bytes.map((_, at) => sample[at % sampleBytes] ?? 0) : bytes;
}
