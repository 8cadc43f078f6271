const LINE_END = 0x0a;

/**
 * The lines of a stream of bytes, as UTF-8; what has no end is none. One of more than `limit` bytes comes as undefined,
 * and no more than that of it is ever kept.
 */
export async function* readLines(
  bytes: AsyncIterable<Uint8Array>,
  limit: number,
): AsyncGenerator<string | undefined, void> {
  let line: Uint8Array = new Uint8Array(0);
  const take = (piece: Uint8Array) =>
    Buffer.concat([line, piece], Math.min(line.length + piece.length, limit + 1));
  for await (const chunk of bytes) {
    let begin = 0;
    for (let end = chunk.indexOf(LINE_END); end !== -1; end = chunk.indexOf(LINE_END, begin)) {
      const whole = take(chunk.subarray(begin, end));
      yield whole.length > limit ? undefined : whole.toString('utf8');
      line = new Uint8Array(0);
      begin = end + 1;
    }
    line = take(chunk.subarray(begin));
  }
}
