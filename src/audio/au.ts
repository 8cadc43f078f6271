import { VsndError } from '../errors.ts';
import { fromBigEndian } from '../wav/repack.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import { type Bytes, readBytes } from './bytes.ts';
import { openPcm } from './pcm.ts';
import type { Recording } from './recording.ts';

const HEADER_BYTES = 24;
const NO_SIZE = 0xffff_ffff;
/** As many as WAV and AIFF can have. */
const MAX_CHANNELS = 0xffff;

/** By their numbers in the header: format, and bytes of a sample in the file. */
const ENCODINGS: Readonly<Record<number, readonly [PcmFormatName, number]>> = {
  1: ['mu_law', 1],
  2: ['s8', 1],
  3: ['s16_le', 2],
  4: ['s24_le', 3],
  5: ['s32_le', 4],
  6: ['float_le', 4],
  7: ['float64_le', 8],
  27: ['a_law', 1],
};

/** Opens a file of Sun's and NeXT's format, .au or .snd, that begins at `start`. Rejects with ERR_VSND_FILE. */
export async function openAu(bytes: Bytes, start: number): Promise<Recording> {
  const head = await readBytes(bytes, start, HEADER_BYTES);
  const damagedError = (reason: string) =>
    new VsndError('ERR_VSND_FILE', `${bytes.name} is a damaged AU file: ${reason}`);
  if (head.length < HEADER_BYTES) throw damagedError('it ends within its header');
  const view = new DataView(head.buffer, head.byteOffset);
  const field = (number: number): number => view.getUint32(number * 4);
  const [dataOffset, size, encoding, rate, channels] = [field(1), field(2), field(3), field(4), field(5)];
  const [format, containerBytes] = ENCODINGS[encoding] ?? [];
  if (format === undefined || containerBytes === undefined) {
    throw new VsndError(
      'ERR_VSND_FILE',
      `${bytes.name} holds AU encoding ${encoding}; allowed: ${Object.keys(ENCODINGS).join(', ')}`,
    );
  }
  if (dataOffset < HEADER_BYTES)
    throw damagedError(`its sound begins at byte ${dataOffset}; allowed: 24 or more`);
  if (rate === 0) throw damagedError('its rate is 0 Hz; allowed: 1 or more');
  if (channels < 1 || channels > MAX_CHANNELS)
    throw damagedError(`it has ${channels} channels; allowed: 1 to ${MAX_CHANNELS}`);
  return await openPcm(bytes, {
    kind: 'AU',
    format,
    rate,
    channels,
    containerBytes,
    dataOffset: start + dataOffset,
    dataBytes: size === NO_SIZE ? undefined : size,
    convert: fromBigEndian(containerBytes),
  });
}
