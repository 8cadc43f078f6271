import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Clock } from '../clock.ts';
import { VsndError } from '../errors.ts';
import { fileError } from '../wav/file-error.ts';
import { parseWavHeader, type WavHeader } from '../wav/header.ts';
import { wavConverter } from '../wav/repack.ts';
import { ClockedCapture, type FrameSource } from './clocked-capture.ts';
import type { CaptureDevice } from './pcm-device.ts';

/**
 * A device that captures what is in a WAV file, over and over, from START on. It has the file's rate, channels and
 * format, and no others. Throws ERR_VSND_FILE for a file that cannot be read, or has nothing in it.
 */
export function wavLoopDevice(path: string, clock: Clock): CaptureDevice {
  const loop = new WavLoop(path);
  loop.close();
  const { format, rate, channels } = loop.header;
  return {
    description: `WAV file ${path}, in a loop`,
    formats: [format],
    rates: [rate],
    channels: { min: channels, max: channels },
    openCapture: async (params, feed) => {
      const source = new WavLoop(path);
      const { header } = source;
      if (header.format === params.format && header.rate === rate && header.channels === channels) {
        return new ClockedCapture(params, feed, clock, source);
      }
      source.close();
      throw new VsndError('ERR_VSND_FILE', `${path} is another file than it was`);
    },
  };
}

/** Reads with calls that block: a period of a file at a time. */
class WavLoop implements FrameSource {
  readonly header: WavHeader;
  readonly #path: string;
  #fd: number | undefined;
  /** Bytes of sound in the file, whole frames, and where the next one is among them. */
  readonly #size: number;
  #at = 0;

  constructor(path: string) {
    this.#path = path;
    const fd = openFile(path);
    this.#fd = fd;
    try {
      this.header = readHeader(fd, path);
      const { dataOffset, dataBytes, channels, containerBytes } = this.header;
      const available = Math.max(0, fstatSync(fd).size - dataOffset);
      const frameBytes = channels * containerBytes;
      this.#size = Math.floor(Math.min(available, dataBytes ?? available) / frameBytes) * frameBytes;
      if (this.#size === 0) throw new VsndError('ERR_VSND_FILE', `${path} holds no frames`);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  fill(frames: Uint8Array): void {
    const convert = wavConverter(this.header);
    const isPacked = this.header.containerBytes === 3; // in the file, 4 in memory
    const wanted = isPacked ? (frames.length / 4) * 3 : frames.length;
    const bytes = new Uint8Array(wanted);
    for (let filled = 0; filled < wanted; ) {
      const length = Math.min(wanted - filled, this.#size - this.#at);
      this.#read(bytes.subarray(filled, filled + length));
      filled += length;
      this.#at = (this.#at + length) % this.#size;
    }
    frames.set(convert ? convert(bytes) : bytes);
  }

  rewind(): void {
    this.#at = 0;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #read(bytes: Uint8Array): void {
    if (this.#fd === undefined) throw new VsndError('ERR_VSND_INVALID_STATE', `${this.#path} is closed`);
    const read = readRange(this.#fd, this.#path, this.header.dataOffset + this.#at, bytes);
    if (read < bytes.length) throw new VsndError('ERR_VSND_FILE', `${this.#path} has become shorter`);
  }
}

function openFile(path: string): number {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a FIFO would wait for its other end
    if (!fstatSync(fd).isFile()) throw new VsndError('ERR_VSND_FILE', `${path} is not a regular file`);
    return fd;
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw error instanceof VsndError ? error : fileError(`cannot open ${path}`, error);
  }
}

function readHeader(fd: number, path: string): WavHeader {
  const parser = parseWavHeader(path);
  let step = parser.next();
  while (!step.done) {
    const bytes = new Uint8Array(step.value.length);
    const read = readRange(fd, path, step.value.offset, bytes);
    step = parser.next(bytes.subarray(0, read));
  }
  return step.value;
}

/** Fills `bytes` from `offset`; returns how many there were. */
function readRange(fd: number, path: string, offset: number, bytes: Uint8Array): number {
  try {
    let filled = 0;
    for (let read = -1; filled < bytes.length && read !== 0; filled += read) {
      read = readSync(fd, bytes, filled, bytes.length - filled, offset + filled);
    }
    return filled;
  } catch (error) {
    throw fileError(`cannot read ${path}`, error);
  }
}
