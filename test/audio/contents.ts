import type { Readable } from 'node:stream';
import type { AudioSource } from '../../src/audio/audio-source.ts';
import { type OpenAudioOptions, openAudio } from '../../src/audio/open-audio.ts';

/** All that a recording says of itself, and its frames from `from` on. */
export async function contents(input: string | Readable, options?: OpenAudioOptions, from = 0) {
  const source = await openAudio(input, options);
  try {
    const octets = await framesFrom(source, from);
    const { name, kind, format, rate, channels, frames, isSeekable, warnings } = source;
    return { name, kind, format, rate, channels, frames, isSeekable, warnings, octets };
  } finally {
    await source.close();
  }
}

/** The octets of all frames from `from` on. */
export async function framesFrom(source: AudioSource, from: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source.read(from)) pieces.push(piece);
  return Buffer.concat(pieces);
}
