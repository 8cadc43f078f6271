import { isVsndError, VsndError } from '../errors.ts';
import { parseWavHeader } from '../wav/header.ts';
import { wavConverter } from '../wav/repack.ts';
import { type Octets, readOctets } from './octets.ts';
import { openPcm } from './pcm.ts';
import type { Recording } from './recording.ts';

/** Opens a WAV file that begins at `start`. Rejects with ERR_VSND_FILE. */
export async function openWav(octets: Octets, start: number): Promise<Recording> {
  const parser = parseWavHeader(octets.name, start);
  let step = parser.next();
  while (!step.done) step = parser.next(await readBack(octets, step.value.offset, step.value.length));
  const header = step.value;
  await readBack(octets, header.dataOffset, 1);
  return await openPcm(octets, {
    ...header,
    kind: 'WAV',
    dataBytes: header.dataBytes ?? 0, // not known: what follows tells
    chunks: header.isBigEndian ? 'big-endian' : 'little-endian',
    convert: wavConverter(header),
  });
}

/** As {@link readOctets}, of what may stand before what has been read. */
async function readBack(octets: Octets, offset: number, length: number): Promise<Uint8Array> {
  try {
    return await readOctets(octets, offset, length);
  } catch (error) {
    if (!isVsndError(error, 'ERR_VSND_INVALID_STATE') || octets.size !== undefined) throw error;
    const reason =
      'has its sound before the fmt chunk that describes it: a file can be played, a stream cannot';
    throw new VsndError('ERR_VSND_FILE', `${octets.name} ${reason}`, { cause: error });
  }
}
