import { type FileHandle, open, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { VsndError } from '../errors.ts';
import type { PcmFormatName } from '../wire/pcm-format.ts';
import { fileError } from './file-error.ts';
import { parseWavHeader, type WavHeader } from './header.ts';
import { widenS24 } from './repack.ts';

/** Octets of the file in one read, and the stream's highWaterMark. */
const BLOCK_BYTES = 64 * 1024;

/** An open WAV file. */
export interface WavFile {
  readonly path: string;
  readonly format: PcmFormatName;
  /** Hz. */
  readonly rate: number;
  readonly channels: number;
  /** Whole frames that the file really has, at most those that its header promises. */
  readonly frames: number;
  /** The header promises more than the file has. */
  readonly truncated: boolean;
  /**
   * All frames from the first, laid out as sndif has them in memory (s24_le takes 4 octets). Each call begins
   * anew. Ends with ERR_VSND_FILE where the file fails or has become shorter.
   */
  stream(): Readable;
  /** Idempotent; a stream that still runs fails. */
  close(): Promise<void>;
}

/**
 * Opens a WAV file and reads its header. Rejects with ERR_VSND_FILE, naming the file and what is wrong with
 * it.
 */
export async function openWav(path: string): Promise<WavFile> {
  const { handle, size } = await openFile(path);
  try {
    const header = await readHeader(handle, path);
    return new OpenWav(path, handle, header, Math.max(0, size - header.dataOffset));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

class OpenWav implements WavFile {
  readonly path: string;
  readonly format: PcmFormatName;
  readonly rate: number;
  readonly channels: number;
  readonly frames: number;
  readonly truncated: boolean;
  readonly #handle: FileHandle;
  readonly #header: WavHeader;

  /** `availableBytes`: what the file has from the first frame to its end. */
  constructor(path: string, handle: FileHandle, header: WavHeader, availableBytes: number) {
    const promisedBytes = header.dataBytes ?? availableBytes;
    this.path = path;
    this.format = header.format;
    this.rate = header.rate;
    this.channels = header.channels;
    this.frames = Math.floor(
      Math.min(promisedBytes, availableBytes) / (header.channels * header.containerBytes),
    );
    this.truncated = promisedBytes > availableBytes;
    this.#handle = handle;
    this.#header = header;
  }

  stream(): Readable {
    return Readable.from(this.#blocks(), { objectMode: false, highWaterMark: BLOCK_BYTES });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async *#blocks(): AsyncGenerator<Uint8Array> {
    const { channels, containerBytes, dataOffset, format } = this.#header;
    const frameBytes = channels * containerBytes;
    const blockBytes = Math.max(1, Math.floor(BLOCK_BYTES / frameBytes)) * frameBytes;
    const end = dataOffset + this.frames * frameBytes;
    for (let offset = dataOffset; offset < end; ) {
      const length = Math.min(blockBytes, end - offset);
      const block = await readRange(this.#handle, this.path, offset, length);
      if (block.length < length) {
        throw new VsndError('ERR_VSND_FILE', `${this.path} became shorter while it was read`);
      }
      yield format === 's24_le' ? widenS24(block) : block;
      offset += length;
    }
  }
}

async function openFile(path: string): Promise<{ handle: FileHandle; size: number }> {
  try {
    // Before opening: to open a named pipe waits for its other end.
    const stats = await stat(path);
    if (stats.isDirectory()) throw new VsndError('ERR_VSND_FILE', `${path} is a directory, not a WAV file`);
    if (!stats.isFile()) throw new VsndError('ERR_VSND_FILE', `${path} is not a regular file`);
    return { handle: await open(path, 'r'), size: stats.size };
  } catch (error) {
    throw error instanceof VsndError ? error : fileError(`cannot open ${path}`, error);
  }
}

async function readHeader(handle: FileHandle, path: string): Promise<WavHeader> {
  const parser = parseWavHeader(path);
  let step = parser.next();
  while (!step.done) {
    step = parser.next(await readRange(handle, path, step.value.offset, step.value.length));
  }
  return step.value;
}

/** `length` octets from `offset`; fewer only where the file ends. */
async function readRange(
  handle: FileHandle,
  path: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle
      .read(bytes, filled, length - filled, offset + filled)
      .catch((error: unknown) => {
        throw fileError(`cannot read ${path}`, error);
      });
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
