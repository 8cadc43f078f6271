import { invalidArgError, VsndError } from '../errors.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import type { AudioSource } from './audio-source.ts';
import type { Bytes } from './bytes.ts';
import { gathered, gatheredAsTheyCome } from './gathered.ts';
import { type OpenAt, readJoined } from './joined.ts';
import type { Recording } from './recording.ts';
import { Turns } from './turns.ts';

/** A source that reads `recording` out of `bytes`, and what `openAt` opens behind it, and closes them. */
export function sourceOf(bytes: Bytes, recording: Recording, openAt: OpenAt): AudioSource {
  const { kind, format, rate, channels, warnings } = recording;
  const isSeekable = bytes.size !== undefined && recording.frames !== undefined;
  const frameBytes = (pcmFormat(format).sampleBytes ?? 1) * channels;
  let { frames } = recording;
  let isUsedUp = false;

  async function* read(from: number): AsyncGenerator<Uint8Array> {
    const turns = new Turns();
    let end = from;
    for await (const piece of readJoined(bytes, recording, from, openAt)) {
      end += piece.length / frameBytes;
      if (frames !== undefined && end > frames) frames = undefined; // there is more than was promised
      yield piece;
      await turns.take(piece.length); // decoding must not keep the rest of the program waiting, however fast pieces are taken
    }
  }

  return {
    name: bytes.name,
    kind,
    format,
    rate,
    channels,
    get frames() {
      return frames;
    },
    isSeekable,
    warnings: warnings.texts,
    read(from = 0) {
      if (!Number.isSafeInteger(from) || from < 0) throw invalidArgError('from', from, '0 or more (frames)');
      if (!isSeekable && from > 0)
        throw invalidArgError('from', from, `0: ${bytes.name} cannot be entered elsewhere`);
      if (bytes.size === undefined) {
        if (isUsedUp) throw new VsndError('ERR_VSND_INVALID_STATE', `${bytes.name} has been read already`);
        isUsedUp = true;
        return gatheredAsTheyCome(read(0), rate * frameBytes);
      }
      return gathered(read(Math.min(from, frames ?? from)), rate * frameBytes);
    },
    close: () => bytes.close(),
  };
}
