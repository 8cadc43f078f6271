import { type Bytes, readBytes } from './bytes.ts';
import { foreignKindAt } from './foreign-kinds.ts';

/** Kinds of recordings that begin with what is theirs alone: MPEG audio does not. 'foreign': there is no decoder here. */
export type Beginning = 'wav' | 'aiff' | 'au' | 'flac' | 'ogg' | 'foreign';

/** Bytes that are enough to tell. */
export const HEAD_BYTES = 12;

const MAGICS: readonly [Beginning, RegExp][] = [
  ['wav', /^(?:RIFF|RIFX|RF64|BW64)/],
  ['aiff', /^FORM....AIF[FC]/s],
  ['au', /^\.snd/],
  ['flac', /^fLaC/],
  ['ogg', /^OggS/],
];

/** What a recording that begins with `head` is, where there is a decoder. */
export function beginningOf(head: Uint8Array): Beginning | undefined {
  const text = String.fromCharCode(...head.subarray(0, HEAD_BYTES));
  return MAGICS.find(([, magic]) => magic.test(text))?.[0];
}

/** What a recording that begins at `start` is. */
export async function beginningAt(bytes: Bytes, start: number): Promise<Beginning | undefined> {
  const beginning = beginningOf(await readBytes(bytes, start, HEAD_BYTES));
  if (beginning) return beginning;
  return (await foreignKindAt(bytes, start)) === undefined ? undefined : 'foreign';
}
