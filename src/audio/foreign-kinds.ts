import { VsndError } from '../errors.ts';
import { isWebAddress } from './web-address.ts';

/** Kinds for which there is no decoder here, and what stands at an offset of theirs. */
const FOREIGN: readonly (readonly [kind: string, offset: number, ...marks: string[]])[] = [
  ['MPEG-4 audio (M4A)', 4, 'ftyp'],
  ['AAC', 0, '\xff\xf0', '\xff\xf1', '\xff\xf8', '\xff\xf9', 'ADIF'],
  ['Windows Media audio (WMA)', 0, '\x30\x26\xb2\x75\x8e\x66\xcf\x11'],
  ['Matroska or WebM', 0, '\x1a\x45\xdf\xa3'],
  ['WavPack', 0, 'wvpk'],
  ["Monkey's Audio", 0, 'MAC '],
  ['Core Audio (CAF)', 0, 'caff'],
  ['AMR', 0, '#!AMR'],
  ['DSD', 0, 'DSD ', 'FRM8'],
  ['TTA', 0, 'TTA1'],
  ['Musepack', 0, 'MPCK', 'MP+'],
];

/** What a recording is that begins with `head`, where it is of a kind that others play. */
export function foreignKindOf(head: Uint8Array): string | undefined {
  const text = String.fromCharCode(...head);
  return FOREIGN.find(([, offset, ...marks]) => marks.some((mark) => text.startsWith(mark, offset)))?.[0];
}

/** What is of a kind without a decoder here can be played all the same. `isFile`: else it is an address, or a stream. */
export function foreignKindError(name: string, kind: string, isFile: boolean): VsndError {
  const input = isFile || isWebAddress(name) ? shellWord(name.startsWith('-') ? `./${name}` : name) : '-';
  return new VsndError(
    'ERR_VSND_FILE',
    `${name} is ${kind}, for which vsnd has no decoder; ffmpeg has: ffmpeg -i ${input} -f wav - | vsnd play -`,
  );
}

/** A word that no shell takes apart. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
