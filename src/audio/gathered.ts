import { nextTurn } from '../clock.ts';

/** Bytes that go on together: each piece costs whoever plays it a request. */
const LEAST_BYTES = 64 * 1024;

/** Turns of the event loop in which what is at hand already has been decoded. */
const PATIENCE_TURNS = 4;

/** The pieces in larger ones, of at most about `most` bytes: those of an MPEG frame are short. */
export async function* gathered(
  pieces: AsyncGenerator<Uint8Array>,
  most: number,
): AsyncGenerator<Uint8Array> {
  const held = new Held(most);
  try {
    for await (const piece of pieces) if (held.take(piece)) yield held.give();
  } catch (error) {
    if (!held.isEmpty) yield held.give();
    throw error;
  }
  if (!held.isEmpty) yield held.give();
}

/** As {@link gathered}, of a stream: what has come does not wait for what comes later. */
export async function* gatheredAsTheyCome(
  pieces: AsyncGenerator<Uint8Array>,
  most: number,
): AsyncGenerator<Uint8Array> {
  const held = new Held(most);
  try {
    for (;;) {
      const next = pieces.next();
      next.catch(() => {}); // it is awaited below
      if (!held.isEmpty && !(await settlesSoon(next))) yield held.give();
      const { value, done } = await next;
      if (done) break;
      if (held.take(value)) yield held.give();
    }
  } catch (error) {
    if (!held.isEmpty) yield held.give();
    throw error;
  } finally {
    pieces.return(undefined).catch(() => {}); // not awaited: it ends with the wait for what may never come
  }
  if (!held.isEmpty) yield held.give();
}

class Held {
  readonly #enough: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(most: number) {
    this.#enough = Math.min(most, LEAST_BYTES);
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** Whether it is enough to go on. */
  take(piece: Uint8Array): boolean {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    return this.#bytes >= this.#enough;
  }

  give(): Uint8Array {
    const [first] = this.#pieces;
    const all = this.#pieces.length === 1 && first ? first : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    return all;
  }
}

async function settlesSoon(promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  promise.then(settle, settle);
  for (let turn = 0; turn < PATIENCE_TURNS && !isSettled; turn++) await nextTurn();
  return isSettled;
}
