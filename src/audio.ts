/**
 * For programs that have recordings: opens them as frames, in any format, converts these, and writes WAV files.
 * @module vsnd/audio
 */

export type { AudioSource, FrameFormat } from './audio/audio-source.ts';
export {
  createFrameConverter,
  type FrameConverter,
  type FrameConverterOptions,
} from './audio/frame-converter.ts';
export { type AudioInput, type OpenAudioOptions, openAudio, type WebByteStream } from './audio/open-audio.ts';
export type { ResamplerQuality } from './audio/resampler.ts';
export { chooseTarget } from './audio/target-format.ts';
export { openWebAudio, type WebAudio, type WebAudioOptions } from './audio/web-audio.ts';
export type { StreamLimits } from './pcm/hw-params.ts';
export type { WavFormat } from './wav/header.ts';
export { createWavFile, WavStream } from './wav/stream.ts';
