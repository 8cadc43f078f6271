import { nextBeginning } from './beginnings.ts';
import type { Bytes } from './bytes.ts';
import { Cursor } from './cursor.ts';
import type { MpegEntry, MpegPart } from './mpeg-part.ts';

/** Every so many MPEG frames one is kept. */
const STRIDE = 32;

/** Where MPEG frames are: one of them says only where the next is, so all before it are looked at, once. */
export class MpegIndex {
  readonly #part: MpegPart;
  readonly #cursor: Cursor;
  readonly #offsets: number[] = [];
  #count = 0;
  #end: number;
  #isComplete = false;

  constructor(bytes: Bytes, part: MpegPart) {
    this.#part = part;
    this.#end = part.start.offset;
    this.#cursor = new Cursor(bytes, this.#end);
  }

  /** The last entry at or before the MPEG frame `number`. */
  async find(number: number): Promise<MpegEntry> {
    await this.#extend(number);
    const at = Math.floor(Math.min(Math.max(0, number), this.#count - 1) / STRIDE);
    const offset = this.#offsets[at];
    return offset === undefined ? this.#part.start : { number: at * STRIDE, offset };
  }

  /** MPEG frames in all, the byte behind them, and where another recording begins behind that. */
  async count(): Promise<{ mpegFrames: number; end: number; next: number | undefined }> {
    await this.#extend(Number.POSITIVE_INFINITY);
    const { bytes, position } = this.#cursor;
    return { mpegFrames: this.#count, end: this.#end, next: await nextBeginning(bytes, position) };
  }

  async #extend(number: number): Promise<void> {
    while (this.#count <= number && !this.#isComplete) {
      const frame = await this.#part.nextFrame(this.#cursor, this.#count);
      if (frame === undefined) {
        this.#isComplete = true;
        return;
      }
      this.#end = frame.offset + frame.bytes;
      if (this.#count++ % STRIDE === 0) this.#offsets.push(frame.offset);
    }
  }
}
