import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readLines } from '../../src/control/lines.ts';

async function linesOf(chunks: readonly Uint8Array[], limit: number): Promise<(string | undefined)[]> {
  const lines: (string | undefined)[] = [];
  const bytes = (async function* () {
    yield* chunks;
  })();
  for await (const line of readLines(bytes, limit)) lines.push(line);
  return lines;
}

/** Bytes cut at these places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

test('lines come out as they were, however the bytes arrive; those over the limit are left out', async () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => text.replaceAll('\n', ''));
  const property = fc.asyncProperty(
    fc.array(line),
    fc.array(fc.nat()),
    fc.integer({ min: 0, max: 16 }),
    async (lines, places, limit) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
      const expected = lines.map((text) => (Buffer.byteLength(text) > limit ? undefined : text));
      expect(await linesOf(cut(bytes, places), limit)).toEqual(expected);
    },
  );
  await fc.assert(property);
});

test('a line that never ended is none', async () => {
  expect(await linesOf([Buffer.from('a\nb')], 8)).toEqual(['a']);
  expect(await linesOf([], 8)).toEqual([]);
});

test('bytes that are no UTF-8 are still a line', async () => {
  expect(await linesOf([Uint8Array.of(0x61, 0xff, 0x62, 0x0a)], 8)).toEqual(['a\ufffdb']);
});

test('of a line without an end no more is kept than the limit', async () => {
  const before = process.memoryUsage().arrayBuffers;
  const chunk = Buffer.alloc(65_536, 0x61);
  const bytes = (async function* () {
    for (let count = 0; count < 4096; count++) yield chunk;
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 << 20);
    yield Buffer.from('\nnext\n');
  })();
  const lines: (string | undefined)[] = [];
  for await (const line of readLines(bytes, 4096)) lines.push(line);
  expect(lines).toEqual([undefined, 'next']);
});
