import { widenS24 } from '../wav/repack.ts';
import type { Encoding } from './encoding.ts';

/** Makes whole frames, as sndif has them, of chunks that end anywhere. */
export class FrameCutter {
  readonly #frameBytes: number;
  readonly #isPacked: boolean;
  #carry = Buffer.alloc(0);

  constructor({ sampleBytes }: Encoding, channels: number) {
    this.#frameBytes = sampleBytes * channels;
    this.#isPacked = sampleBytes === 3;
  }

  /** Bytes of a frame that is not complete yet. */
  get rest(): number {
    return this.#carry.length;
  }

  cut(chunk: Buffer): Uint8Array {
    const bytes = this.#carry.length > 0 ? Buffer.concat([this.#carry, chunk]) : chunk;
    const whole = bytes.length - (bytes.length % this.#frameBytes);
    this.#carry = Buffer.from(bytes.subarray(whole));
    const frames = bytes.subarray(0, whole);
    return this.#isPacked ? widenS24(frames) : frames; // also unsigned ones: what the fourth byte says is ignored
  }
}
