import type { FrameFormat } from './audio-source.ts';
import { attempt, interleave, ready } from './decoders.ts';
import { silence } from './silence.ts';

/** The sound of MPEG frames. */
export interface MpegSound {
  readonly sound: Uint8Array;
  /** Whether silence stands for some that are damaged. */
  readonly hasHoles: boolean;
}

/** Takes MPEG frames, and gives as much sound for each. */
export class MpegDecoder {
  readonly #format: FrameFormat;
  readonly #frames: number;
  #decoder: Awaited<ReturnType<typeof createDecoder>> | undefined;
  /** What was decoded last: what comes next may lie in it, and overlaps it. */
  #last: readonly Uint8Array[] = [];

  /** `frames`: of sound in each of MPEG's. */
  constructor(format: FrameFormat, frames: number) {
    this.#format = format;
    this.#frames = frames;
  }

  async decode(batch: readonly Uint8Array[]): Promise<MpegSound> {
    const sound = await this.#decode(batch);
    const decoded = sound ? { sound, hasHoles: false } : await this.#decodeOneByOne(batch);
    this.#last = batch;
    return decoded;
  }

  free(): void {
    const decoder = this.#decoder;
    this.#decoder = undefined;
    attempt(() => decoder?.free());
  }

  /** Undefined where one of them is damaged: then it goes on with another decoder, as what state this one is in is not known. */
  async #decode(batch: readonly Uint8Array[]): Promise<Uint8Array | undefined> {
    this.#decoder ??= await createDecoder();
    const decoder = this.#decoder;
    const [first = new Uint8Array(0)] = batch;
    const decoded = attempt(() => decoder.decode(batch.length === 1 ? first : Buffer.concat(batch)));
    const samples = batch.length * this.#frames;
    if (decoded?.samplesDecoded === samples && decoded.errors.length === 0)
      return interleave(this.#channels(decoded.channelData, batch), samples);
    this.free();
    return undefined;
  }

  async #decodeOneByOne(batch: readonly Uint8Array[]): Promise<MpegSound> {
    if (batch.length > 1) await this.#decode(this.#last);
    const sounds: (Uint8Array | undefined)[] = [];
    for (const frame of batch) sounds.push(batch.length > 1 ? await this.#decode([frame]) : undefined);
    const sound = Buffer.concat(sounds.map((sound) => sound ?? silence(this.#format, this.#frames)));
    return { sound, hasHoles: sounds.includes(undefined) };
  }

  /** The decoder gives two channels, which are alike where a frame has one; others in the same recording may have two. */
  #channels(decoded: Float32Array[], batch: readonly Uint8Array[]): Float32Array[] {
    const [left, right] = decoded;
    if (this.#format.channels === 2 || left === undefined || right === undefined || batch.every(isMono))
      return decoded.slice(0, this.#format.channels);
    return [left.map((sample, at) => (sample + (right[at] as number)) / 2)];
  }
}

function isMono([, , , fourth = 0]: Uint8Array): boolean {
  return fourth >> 6 === 3;
}

async function createDecoder() {
  const { MPEGDecoder } = await import('mpg123-decoder');
  // What an encoder added is taken off elsewhere: mpg123 could not, having been entered in the middle.
  return ready(new MPEGDecoder({ enableGapless: false }));
}
