import { closeSync, fstatSync, ftruncateSync, writeSync } from 'node:fs';
import { invalidArgError, VsndError } from '../errors.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import { fileError } from './file-error.ts';
import { encodeWavHeader, type WavFormat, wavContainerBytes } from './header.ts';
import { createOwnFile } from './own-file.ts';
import { packS24 } from './repack.ts';

/**
 * Writes a WAV file with calls that block, for a thread that has nothing else to do. The file is a valid one,
 * without sound, from the start; {@link close} gives it its length.
 */
export class WavWriter {
  readonly path: string;
  readonly #format: WavFormat;
  /** Bytes of a frame in memory, and in the file. */
  readonly #frameBytes: number;
  readonly #blockBytes: number;
  readonly #headerBytes: number;
  #fd: number | undefined;
  #dataBytes = 0;
  /** Why nothing more can be written. */
  #failure: unknown;

  /**
   * Creates the file, or empties one of this user's that is there: see {@link createOwnFile}. Throws
   * ERR_VSND_NOT_SUPPORTED for a format that is not one of WAV_FORMATS, ERR_VSND_INVALID_ARG for a rate or channels that
   * WAV has no room for, ERR_VSND_FILE with the errno.
   */
  constructor(path: string, { format, rate, channels }: WavFormat) {
    const header = encodeWavHeader({ format, rate, channels }, 0);
    const maxChannels = Math.floor(0xffff / (wavContainerBytes(format) ?? 1));
    if (!isWithin(rate, 0xffff_ffff)) throw invalidArgError('rate', rate, `1 to ${0xffff_ffff} Hz`);
    if (!isWithin(channels, maxChannels)) throw invalidArgError('channels', channels, `1 to ${maxChannels}`);
    this.path = path;
    this.#format = { format, rate, channels };
    this.#frameBytes = (pcmFormat(format).sampleBytes ?? 1) * channels;
    this.#blockBytes = (wavContainerBytes(format) ?? 1) * channels;
    this.#headerBytes = header.length;
    this.#fd = createOwnFile(path);
    try {
      this.#writeAt(this.#fd, header, 0);
    } catch (error) {
      ftruncateSync(this.#fd); // part of a header is no header
      this.#release();
      throw error;
    }
  }

  /** Frames written so far. */
  get frames(): number {
    return this.#dataBytes / this.#blockBytes;
  }

  /**
   * Appends whole frames, laid out as sndif has them in memory. Throws ERR_VSND_INVALID_ARG for part of a
   * frame, ERR_VSND_INVALID_STATE after close, ERR_VSND_FILE with the errno: then the file keeps the whole frames that had
   * room, and takes no more.
   */
  write(bytes: Uint8Array): void {
    if (this.#fd === undefined) throw new VsndError('ERR_VSND_INVALID_STATE', `${this.path} is closed`);
    if (bytes.length % this.#frameBytes !== 0) {
      throw invalidArgError('bytes', bytes.length, `a multiple of ${this.#frameBytes}, whole frames`);
    }
    if (this.#failure) throw this.#failure;
    const data = this.#format.format === 's24_le' ? packS24(bytes) : bytes;
    try {
      this.#writeAt(this.#fd, data, this.#headerBytes + this.#dataBytes);
      this.#dataBytes += data.length;
    } catch (error) {
      this.#failure = error;
      this.#keepWholeFrames(this.#fd);
      throw error;
    }
  }

  /**
   * Writes the header again with the sizes, and closes the file. Idempotent. Throws ERR_VSND_FILE with the
   * errno, but not once more where a write has.
   */
  close(): void {
    if (this.#fd === undefined) return;
    try {
      this.#writeAt(this.#fd, encodeWavHeader(this.#format, this.#dataBytes), 0);
      // RIFF pads chunks to even sizes.
      const padding = new Uint8Array(this.#dataBytes & 1);
      this.#writeAt(this.#fd, padding, this.#headerBytes + this.#dataBytes);
    } catch (error) {
      if (!this.#failure) throw error;
    } finally {
      this.#release();
    }
  }

  /** What a write has left behind that found no room: part of a frame, or frames that were not counted. */
  #keepWholeFrames(fd: number): void {
    try {
      const present = fstatSync(fd).size - this.#headerBytes;
      const whole = present - (present % this.#blockBytes);
      // Where that is odd, one frame less: the byte of padding would have no room either.
      this.#dataBytes = whole - (whole & 1 ? this.#blockBytes : 0);
      ftruncateSync(fd, this.#headerBytes + this.#dataBytes);
    } catch {
      // The header, which counts none of it, is still true.
    }
  }

  /** Always at a given place: a file that cannot be rewound then fails at once, not at close. */
  #writeAt(fd: number, bytes: Uint8Array, position: number): void {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(fd, bytes, done, bytes.length - done, position + done);
      }
    } catch (error) {
      throw fileError(`cannot write ${this.path}`, error);
    }
  }

  #release(): void {
    if (this.#fd === undefined) return;
    const fd = this.#fd;
    this.#fd = undefined;
    try {
      closeSync(fd);
    } catch (error) {
      throw fileError(`cannot close ${this.path}`, error);
    }
  }
}

function isWithin(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max;
}
