import { VsndError } from '../errors.ts';
import { type Bytes, passing } from './bytes.ts';
import { createFrameConverter, type FrameConverter } from './frame-converter.ts';
import type { Recording } from './recording.ts';

/** Opens the recording that begins at a byte. Rejects with ERR_VSND_FILE. */
export type OpenAt = (bytes: Bytes, start: number) => Promise<Recording>;

/** Recordings without sound, one behind the other, that are passed: each may cost a decoder, and thousands fit into a megabyte. */
const MOST_SILENT = 256;

/** The frames of `first`, and those of what is joined to it, which are converted to its format: as `cat` joins files. */
export async function* readJoined(
  bytes: Bytes,
  first: Recording,
  from: number,
  openAt: OpenAt,
): AsyncGenerator<Uint8Array> {
  let silent = 0;
  for (let start = yield* first.read(from); start !== undefined; ) {
    if (silent === MOST_SILENT) throw silentError(bytes.name);
    silent += 1;
    const next = await openAt(passing(bytes), start);
    const converter = await createFrameConverter(next, first);
    try {
      start = yield* readThrough(next, converter, () => {
        silent = 0;
      });
    } finally {
      converter.close();
      for (const text of next.warnings.texts) first.warnings.add(text);
    }
  }
}

async function* readThrough(
  recording: Recording,
  converter: FrameConverter,
  onSound: () => void,
): AsyncGenerator<Uint8Array, number | undefined> {
  const reading = recording.read(0);
  try {
    for (;;) {
      const { value, done } = await reading.next();
      if (!done && value.length > 0) onSound();
      yield done ? converter.end() : converter.convert(value);
      if (done) return value;
    }
  } finally {
    await reading.return(undefined);
  }
}

function silentError(name: string): VsndError {
  const what = `${MOST_SILENT} recordings without sound, one behind the other`;
  return new VsndError('ERR_VSND_FILE', `${name} goes on with ${what}: it is not looked through further`);
}
