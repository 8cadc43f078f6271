import { VsndError } from '../errors.ts';
import { type Bytes, readBytes } from './bytes.ts';
import { isWebAddress } from './web-address.ts';

/** Kinds for which there is no decoder here, and what stands at an offset of theirs. */
const FOREIGN: readonly (readonly [kind: string, offset: number, ...marks: string[]])[] = [
  ['MPEG-4 audio (M4A)', 4, 'ftyp'],
  ['AAC', 0, 'ADIF'],
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

const HEAD_BYTES = 8;

/** What a recording that begins at `start` is, where it is of a kind that others play. */
export async function foreignKindAt(bytes: Bytes, start: number): Promise<string | undefined> {
  const text = String.fromCharCode(...(await readBytes(bytes, start, HEAD_BYTES)));
  const found = FOREIGN.find(([, offset, ...marks]) => marks.some((mark) => text.startsWith(mark, offset)));
  return found?.[0] ?? ((await hasAacFrames(bytes, start)) ? 'AAC' : undefined);
}

/** A frame of AAC with a header (ISO 14496-3, 1.A.2.2: ADTS), and behind it another one like it. */
async function hasAacFrames(data: Bytes, start: number): Promise<boolean> {
  const first = await readBytes(data, start, AAC_HEADER_BYTES);
  const bytes = aacFrameBytes(first);
  if (bytes < AAC_HEADER_BYTES) return false;
  const next = await readBytes(data, start + bytes, 3);
  return next.length === 3 && next.every((byte, index) => byte === first[index]);
}

const AAC_HEADER_BYTES = 7;

/** 0 where it is no header: the rates that there are have numbers up to 12. */
function aacFrameBytes([sync = 0, version = 0, profile = 0, a = 0, b = 0, c = 0]: Uint8Array): number {
  const isHeader = sync === 0xff && (version & 0xf6) === 0xf0 && ((profile >> 2) & 0xf) <= 12;
  return isHeader ? ((a & 3) << 11) | (b << 3) | (c >> 5) : 0;
}

/** Opens nothing: rejects with ERR_VSND_FILE, which says how a recording at `start` can be played all the same. */
export async function refuseForeign(bytes: Bytes, start: number): Promise<never> {
  const kind = (await foreignKindAt(bytes, start)) ?? 'of another kind';
  throw foreignKindError(bytes, kind, start === 0 ? 'is' : 'holds');
}

/** What is of a kind without a decoder here can be played all the same. `path`: where another program finds it. */
export function foreignKindError(
  { name, path }: { readonly name: string; readonly path?: string | undefined },
  kind: string,
  verb = 'is',
): VsndError {
  const found = path ?? (isWebAddress(name) ? name : '-');
  const input = shellWord(found !== '-' && found.startsWith('-') ? `./${found}` : found);
  return new VsndError(
    'ERR_VSND_FILE',
    `${name} ${verb} ${kind}, for which vsnd has no decoder; ffmpeg has: ffmpeg -i ${input} -f wav - | vsnd play -`,
  );
}

/** A word that no shell takes apart. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
