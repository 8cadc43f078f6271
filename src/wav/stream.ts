import { close, ftruncate, write } from 'node:fs';
import { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { fileError } from './file-error.ts';
import { encodeWavHeader, type WavFormat, wavContainerBytes } from './header.ts';
import { createOwnFile } from './own-file.ts';
import { packS24 } from './repack.ts';

/** Bytes that may wait for a slow disk: 5 s of 48 kHz s16 stereo. */
const HIGH_WATER_MARK = 1 << 20;

/** What is done with an open file, without blocking. */
const FILE = { write: promisify(write), truncate: promisify(ftruncate), close: promisify(close) };

/** Where the bytes of a WAV file go. What fails is ERR_VSND_FILE, with the errno. */
interface WavOutput {
  /** Appends bytes: all of them, or none that count. */
  append(bytes: Uint8Array): Promise<void>;
  /** Nothing more will come. `header`: what would have stood at the start, had the length been known. */
  end(header: Uint8Array): Promise<void>;
}

/**
 * Takes whole frames, laid out as sndif has them in memory, and writes a WAV file without blocking. While it is written
 * its header says that it goes on to the end; when the stream is closed, for whatever reason, a file gets its length.
 */
export class WavStream extends Writable {
  readonly #format: WavFormat;
  readonly #blockBytes: number;
  readonly #output: WavOutput;
  #dataBytes = 0;
  #appending: Promise<void> = Promise.resolve();

  /** @internal Users have {@link createWavFile} and {@link wavInto}. */
  constructor(format: WavFormat, output: WavOutput) {
    super({ highWaterMark: HIGH_WATER_MARK });
    this.#format = format;
    this.#blockBytes = (wavContainerBytes(format.format) ?? 1) * format.channels;
    this.#output = output;
  }

  /** Frames written so far. */
  get frames(): number {
    return this.#dataBytes / this.#blockBytes;
  }

  /** @internal */
  override _construct(callback: (error?: Error | null) => void): void {
    this.#append(encodeWavHeader(this.#format, undefined), callback);
  }

  /** @internal */
  override _write(frames: Buffer, _: BufferEncoding, callback: (error?: Error | null) => void): void {
    const bytes = this.#format.format === 's24_le' ? packS24(frames) : frames;
    this.#append(bytes, (error) => {
      if (!error) this.#dataBytes += bytes.length;
      callback(error);
    });
  }

  /** @internal */
  override _final(callback: (error?: Error | null) => void): void {
    // RIFF pads chunks to even sizes.
    this.#append(new Uint8Array(this.#dataBytes & 1), callback);
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const end = () => this.#output.end(encodeWavHeader(this.#format, this.#dataBytes));
    this.#appending.then(end).then(
      () => callback(error),
      (failure: Error) => callback(error ?? failure),
    );
  }

  #append(bytes: Uint8Array, callback: (error?: Error | null) => void): void {
    this.#appending = this.#output.append(bytes).then(() => callback(), callback);
  }
}

/**
 * Creates a WAV file for this user alone (mode 0600), or empties one of this user's that is there. Rejects with ERR_VSND_NOT_SUPPORTED for a format that WAV cannot hold,
 * with ERR_VSND_FILE for what cannot be created, is no regular file (a link, a FIFO), or somebody else's.
 */
export async function createWavFile(path: string, format: WavFormat): Promise<WavStream> {
  encodeWavHeader(format, undefined); // before the file is touched
  return new WavStream(format, WavFileOutput.create(path));
}

/** A WAV file that goes to a stream, whose name is `name`, and does not end it. Throws ERR_VSND_NOT_SUPPORTED. */
export function wavInto(stream: Writable, name: string, format: WavFormat): WavStream {
  encodeWavHeader(format, undefined);
  const append = (bytes: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      stream.write(bytes, (error) =>
        error ? reject(fileError(`cannot write to ${name}`, error)) : resolve(),
      );
    });
  return new WavStream(format, { append, end: async () => {} });
}

class WavFileOutput implements WavOutput {
  readonly #path: string;
  readonly #fd: number;
  #length = 0;

  static create(path: string): WavFileOutput {
    return new WavFileOutput(path, createOwnFile(path));
  }

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.#write(bytes, this.#length);
    this.#length += bytes.length;
  }

  async end(header: Uint8Array): Promise<void> {
    try {
      await this.#attempt(FILE.truncate(this.#fd, this.#length)); // part of what did not fit may be there
      await this.#write(header, 0);
    } finally {
      await this.#attempt(FILE.close(this.#fd));
    }
  }

  async #write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.length - done;
      const { bytesWritten } = await this.#attempt(FILE.write(this.#fd, bytes, done, rest, position + done));
      done += bytesWritten;
    }
  }

  #attempt<T>(result: Promise<T>): Promise<T> {
    return result.catch((error: unknown) => {
      throw fileError(`cannot write ${this.#path}`, error);
    });
  }
}
