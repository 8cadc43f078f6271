import { createFrameConverter, type FrameConverter } from './frame-converter.ts';
import { type Octets, passing } from './octets.ts';
import type { Recording } from './recording.ts';

/** Opens the recording that begins at a byte. Rejects with ERR_VSND_FILE. */
export type OpenAt = (octets: Octets, start: number) => Promise<Recording>;

/** The frames of `first`, and those of what is joined to it, which are converted to its format: as `cat` joins files. */
export async function* readJoined(
  octets: Octets,
  first: Recording,
  from: number,
  openAt: OpenAt,
): AsyncGenerator<Uint8Array> {
  for (let start = yield* first.read(from); start !== undefined; ) {
    const next = await openAt(passing(octets), start);
    const converter = await createFrameConverter(next, first);
    try {
      start = yield* readThrough(next, converter);
    } finally {
      converter.close();
      for (const text of next.warnings.texts) first.warnings.add(text);
    }
  }
}

async function* readThrough(
  recording: Recording,
  converter: FrameConverter,
): AsyncGenerator<Uint8Array, number | undefined> {
  const reading = recording.read(0);
  try {
    for (;;) {
      const { value, done } = await reading.next();
      yield done ? converter.end() : converter.convert(value);
      if (done) return value;
    }
  } finally {
    await reading.return(undefined);
  }
}
