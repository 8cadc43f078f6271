import { decodeText } from './text.ts';

/** Bytes: a title's length counts in these. */
const TITLE_UNIT = 16;

/**
 * Takes the titles out of the sound of a station: after every `interval` bytes there is one that says how long one is, in
 * units of 16. `onTitle` hears each that is another one than the last.
 */
export async function* withoutTitles(
  chunks: AsyncIterable<Uint8Array>,
  interval: number,
  onTitle: (title: string) => void,
): AsyncGenerator<Uint8Array> {
  let soundBytes = interval;
  let block: Buffer | undefined;
  let filled = 0;
  let last = '';
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; ) {
      if (soundBytes > 0) {
        const sound = chunk.subarray(at, at + soundBytes);
        yield sound;
        soundBytes -= sound.length;
        at += sound.length;
      } else if (block === undefined) {
        block = Buffer.alloc((chunk[at] ?? 0) * TITLE_UNIT);
        filled = 0;
        at += 1;
      } else {
        const part = chunk.subarray(at, at + block.length - filled);
        block.set(part, filled);
        filled += part.length;
        at += part.length;
      }
      if (block && filled === block.length) {
        const title = titleIn(block);
        if (title !== undefined && title !== last) onTitle(title);
        last = title ?? last;
        block = undefined;
        soundBytes = interval;
      }
    }
  }
}

/** Undefined where it says none. */
function titleIn(block: Uint8Array): string | undefined {
  const [, title] = /StreamTitle='(.*?)';/s.exec(decodeText(block)) ?? [];
  return title || undefined;
}
