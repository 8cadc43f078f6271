import { parseWavHeader } from '../wav/header.ts';
import { widenS24 } from '../wav/repack.ts';
import type { AudioSource } from './audio-source.ts';
import { type Octets, readOctets } from './octets.ts';
import { openPcm } from './pcm.ts';

/** Opens a WAV file. Rejects with ERR_VSND_FILE. */
export async function openWav(octets: Octets): Promise<AudioSource> {
  const parser = parseWavHeader(octets.name);
  let step = parser.next();
  while (!step.done) step = parser.next(await readOctets(octets, step.value.offset, step.value.length));
  const header = step.value;
  return openPcm(octets, {
    ...header,
    kind: 'WAV',
    convert: header.format === 's24_le' ? widenS24 : undefined,
  });
}
