import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { AudioSource } from '../../src/audio/audio-source.ts';
import { type AudioInput, type OpenAudioOptions, openAudio } from '../../src/audio/open-audio.ts';

export const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

/** A stream that hands out `bytes` in pieces of `size`. */
export const trickle = (bytes: Uint8Array, size: number): Readable =>
  Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
    })(),
  );

/** All that a recording says of itself, and its frames from `from` on. */
export async function contents(input: AudioInput, options?: OpenAudioOptions, from = 0) {
  const source = await openAudio(input, options);
  try {
    const bytes = await framesFrom(source, from);
    const { name, kind, format, rate, channels, frames, isSeekable, warnings } = source;
    return { name, kind, format, rate, channels, frames, isSeekable, warnings, bytes };
  } finally {
    await source.close();
  }
}

/** The bytes of all frames from `from` on. */
export async function framesFrom(source: AudioSource, from: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source.read(from)) pieces.push(piece);
  return Buffer.concat(pieces);
}
