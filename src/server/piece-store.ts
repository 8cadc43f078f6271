/** Bytes: smaller ones are put together. */
const SMALL = 4096;

/** Bytes of what smaller ones are put into. */
const BLOCK = 16_384;

/** More pieces than that become one. */
const MOST_PIECES = 2048;

/** Bytes that follow each other, from an index on. */
interface Piece {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/**
 * Bytes by their index in a stream, with holes where nothing has come. Later ones replace earlier ones. What it keeps
 * alive is at most about twice what is in it, however small the pieces are in which that has come.
 */
export class PieceStore {
  /** Ascending; none over another. */
  #pieces: Piece[] = [];
  /** Where small ones go, and how much of it is taken: by the last piece. */
  #block: Uint8Array = new Uint8Array(0);
  #blockLength = 0;
  readonly #silence: number;

  /** `silence`: a byte of what fills a hole. */
  constructor(silence: number) {
    this.#silence = silence;
  }

  get byteCount(): number {
    return this.#pieces.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** How many pieces there are: what it costs, beside them. */
  get pieceCount(): number {
    return this.#pieces.length;
  }

  /** Where the last one ends. */
  get end(): number {
    const last = this.#pieces.at(-1);
    return last === undefined ? 0 : last.index + last.bytes.length;
  }

  /** Puts bytes there. They may be kept as they are: nobody may change them. */
  put(index: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.#pieces.length > MOST_PIECES) this.#unite();
    if (index >= this.end) {
      this.#append(index, bytes);
      return;
    }
    const before = this.#pieces.flatMap((piece) => cut(piece, 0, index));
    const after = this.#pieces.flatMap((piece) => cut(piece, index + bytes.length, Number.POSITIVE_INFINITY));
    this.#pieces = [...before, { index, bytes: own(bytes) }, ...after];
    this.#closeBlock();
  }

  /** The bytes from `from` to `to`: as they came where they came in one piece. */
  get(from: number, to: number): Uint8Array {
    const [first] = this.#pieces;
    if (first && first.index <= from && first.index + first.bytes.length >= to) {
      return first.bytes.subarray(from - first.index, to - first.index);
    }
    const bytes = new Uint8Array(to - from).fill(this.#silence);
    for (const piece of this.#pieces) {
      if (piece.index >= to) break;
      for (const { index, bytes: part } of cut(piece, from, to)) bytes.set(part, index - from);
    }
    return bytes;
  }

  /** Forgets what lies before an index. */
  dropBefore(index: number): void {
    let count = 0;
    for (const piece of this.#pieces) {
      if (piece.index + piece.bytes.length > index) break;
      count++;
    }
    if (count > 0) this.#pieces.splice(0, count);
  }

  clear(): void {
    this.#pieces = [];
    this.#closeBlock();
  }

  #append(index: number, bytes: Uint8Array): void {
    if (bytes.length >= SMALL) {
      this.#pieces.push({ index, bytes: own(bytes) });
      this.#closeBlock();
      return;
    }
    const last = this.#pieces.at(-1);
    const follows = this.#blockLength > 0 && last !== undefined && this.end === index;
    if (last !== undefined && follows && bytes.length <= this.#block.length - this.#blockLength) {
      this.#block.set(bytes, this.#blockLength);
      const start = this.#blockLength - last.bytes.length;
      this.#blockLength += bytes.length;
      this.#pieces[this.#pieces.length - 1] = {
        index: last.index,
        bytes: this.#block.subarray(start, this.#blockLength),
      };
      return;
    }
    // Its room grows with what has come: one small piece does not take a whole block.
    this.#block = new Uint8Array(follows ? BLOCK : 2 * bytes.length);
    this.#block.set(bytes);
    this.#blockLength = bytes.length;
    this.#pieces.push({ index, bytes: this.#block.subarray(0, bytes.length) });
  }

  #unite(): void {
    const index = this.#pieces[0]?.index ?? 0;
    this.#pieces = [{ index, bytes: this.get(index, this.end) }];
    this.#closeBlock();
  }

  #closeBlock(): void {
    this.#blockLength = 0;
    this.#block = new Uint8Array(0);
  }
}

/** Not what it came in, where that is much larger. */
function own(bytes: Uint8Array): Uint8Array {
  return 2 * bytes.length < bytes.buffer.byteLength ? Uint8Array.from(bytes) : bytes;
}

/** What of a piece lies from `from` to `to`; nothing, or one piece. */
function cut({ index, bytes }: Piece, from: number, to: number): Piece[] {
  const begin = Math.max(index, from);
  const end = Math.min(index + bytes.length, to);
  return begin < end ? [{ index: begin, bytes: bytes.subarray(begin - index, end - index) }] : [];
}
