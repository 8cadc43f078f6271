/** For programs that have recordings: opens them as frames, whatever kind they are, and writes WAV files. */

export type { AudioSource, FrameFormat } from './audio/audio-source.ts';
export { type OpenAudioOptions, openAudio } from './audio/open-audio.ts';
export type { WavFormat } from './wav/header.ts';
export { createWavFile, WavStream } from './wav/stream.ts';
