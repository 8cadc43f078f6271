/** Kinds of recordings that begin with what is theirs alone: MPEG audio does not. */
export type Beginning = 'wav' | 'aiff' | 'au' | 'flac' | 'ogg';

/** Bytes that are enough to tell. */
export const HEAD_BYTES = 12;

const MAGICS: readonly [Beginning, RegExp][] = [
  ['wav', /^(?:RIFF|RIFX|RF64|BW64)/],
  ['aiff', /^FORM....AIF[FC]/s],
  ['au', /^\.snd/],
  ['flac', /^fLaC/],
  ['ogg', /^OggS/],
];

/** What a recording that begins with `head` is. */
export function beginningOf(head: Uint8Array): Beginning | undefined {
  const text = String.fromCharCode(...head.subarray(0, HEAD_BYTES));
  return MAGICS.find(([, magic]) => magic.test(text))?.[0];
}
