import { VsndError } from '../errors.ts';
import { sampleCodec } from '../pcm/samples.ts';
import type { Signal } from '../pcm/signal.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import type { FrameFormat } from './audio-source.ts';

/** Seconds in which a tone comes and goes, without a click. */
const FADE = 0.01;

export interface TestTone {
  readonly signal: Signal;
  /** Of full scale. */
  readonly amplitude: number;
  /** Infinity: until there is enough. */
  readonly frames: number;
  /** In this channel only; by default in all of them. */
  readonly channel?: number | undefined;
  /** Whether it is to fade out now; by default never before its end. */
  readonly isEnough?: (() => boolean) | undefined;
}

/** A signal that fades in and out, in pieces of 10 ms or less. Throws ERR_VSND_NOT_SUPPORTED for a format without samples. */
export function* testTone(format: FrameFormat, tone: TestTone): Generator<Uint8Array, void> {
  const { signal, amplitude, channel, isEnough = () => false } = tone;
  const codec = sampleCodec(format.format);
  if (codec === undefined) throw new VsndError('ERR_VSND_NOT_SUPPORTED', `${format.format} has no samples`);
  const { sampleBytes } = codec;
  const fadeFrames = Math.ceil(format.rate * FADE);
  let end = tone.frames;
  for (let first = 0; first < end; first += fadeFrames) {
    if (isEnough()) end = Math.min(end, first + fadeFrames);
    const piece = silentFrames(format, Math.min(fadeFrames, end - first));
    const view = new DataView(piece.buffer);
    let offset = 0;
    for (let frame = first; offset < piece.length; frame++) {
      const value = amplitude * fade(Math.min(frame, end - 1 - frame) / fadeFrames) * signal();
      for (let index = 0; index < format.channels; index++, offset += sampleBytes) {
        if (index === (channel ?? index)) codec.write(view, offset, value);
      }
    }
    yield piece;
  }
}

/** Frames of silence. */
export function silentFrames({ format, channels }: FrameFormat, frames: number): Uint8Array<ArrayBuffer> {
  const { silence } = pcmFormat(format);
  const bytes = new Uint8Array(frames * channels * silence.length);
  for (let offset = 0; offset < bytes.length; offset += silence.length) bytes.set(silence, offset);
  return bytes;
}

/** From 0 to 1, as a cosine goes. */
function fade(part: number): number {
  return part >= 1 ? 1 : 0.5 - 0.5 * Math.cos(Math.PI * part);
}
