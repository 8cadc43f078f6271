import { isVsndError, VsndError } from '../errors.ts';
import { parseWavHeader } from '../wav/header.ts';
import { wavConverter } from '../wav/repack.ts';
import { type Bytes, readBytes } from './bytes.ts';
import { openPcm } from './pcm.ts';
import type { Recording } from './recording.ts';

/** Opens a WAV file that begins at `start`. Rejects with ERR_VSND_FILE. */
export async function openWav(bytes: Bytes, start: number): Promise<Recording> {
  const parser = parseWavHeader(bytes.name, start);
  let step = parser.next();
  while (!step.done) step = parser.next(await readBack(bytes, step.value.offset, step.value.length));
  const header = step.value;
  await readBack(bytes, header.dataOffset, 1);
  return await openPcm(bytes, {
    ...header,
    kind: 'WAV',
    dataBytes: header.dataBytes ?? 0, // not known: what follows tells
    chunks: header.isBigEndian ? 'big-endian' : 'little-endian',
    convert: wavConverter(header),
  });
}

/** As {@link readBytes}, of what may stand before what has been read. */
async function readBack(bytes: Bytes, offset: number, length: number): Promise<Uint8Array> {
  try {
    return await readBytes(bytes, offset, length);
  } catch (error) {
    if (!isVsndError(error, 'ERR_VSND_INVALID_STATE') || bytes.size !== undefined) throw error;
    const reason =
      'has its sound before the fmt chunk that describes it: a file can be played, a stream cannot';
    throw new VsndError('ERR_VSND_FILE', `${bytes.name} ${reason}`, { cause: error });
  }
}
