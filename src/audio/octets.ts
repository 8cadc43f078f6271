import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { VsndError } from '../errors.ts';
import { fileError } from '../wav/file-error.ts';

/** Where the octets of a recording come from. */
export interface Octets {
  /** The path, or what the stream is called. */
  readonly name: string;
  /** Octets in all; undefined for a stream, whose octets pass by once. */
  readonly size: number | undefined;
  /**
   * Fills `target` with the octets from `offset` on, and says how many those were: fewer only where they end. Rejects with
   * ERR_VSND_FILE, and after close() with ERR_VSND_INVALID_STATE.
   */
  readInto(target: Uint8Array, offset: number): Promise<number>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** `length` octets from `offset` on; fewer only where they end. Rejects as {@link Octets.readInto} does. */
export async function readOctets(octets: Octets, offset: number, length: number): Promise<Uint8Array> {
  const present = octets.size === undefined ? length : Math.max(0, Math.min(length, octets.size - offset));
  const target = new Uint8Array(present);
  return target.subarray(0, await octets.readInto(target, offset));
}

/** The octets of a regular file. Rejects with ERR_VSND_FILE. */
export async function openFile(path: string): Promise<Octets> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a FIFO would wait for its other end
    const stats = await handle.stat();
    if (stats.isDirectory()) throw new VsndError('ERR_VSND_FILE', `${path} is a directory, not a recording`);
    if (!stats.isFile()) throw new VsndError('ERR_VSND_FILE', `${path} is not a regular file`);
    return new FileOctets(path, stats.size, handle);
  } catch (error) {
    await handle?.close();
    throw error instanceof VsndError ? error : fileError(`cannot open ${path}`, error);
  }
}

class FileOctets implements Octets {
  readonly name: string;
  readonly size: number;
  readonly #handle: FileHandle;
  #closing: Promise<void> | undefined;

  constructor(path: string, size: number, handle: FileHandle) {
    this.name = path;
    this.size = size;
    this.#handle = handle;
  }

  async readInto(target: Uint8Array, offset: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      if (this.#closing) throw closed(this.name);
      const rest = target.length - filled;
      const { bytesRead } = await this.#handle
        .read(target, filled, rest, offset + filled)
        .catch((error: unknown) => {
          throw fileError(`cannot read ${this.name}`, error);
        });
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }

  close(): Promise<void> {
    this.#closing ??= this.#handle.close();
    return this.#closing;
  }
}

/** Octets of a stream that stay within reach: enough to recognise what it is, and then to read it from the start. */
const BACKLOG_BYTES = 1 << 20;

/** The octets of a stream, within reach until {@link BACKLOG_BYTES} more have been read. */
export class StreamOctets implements Octets {
  readonly name: string;
  readonly size = undefined;
  readonly #stream: Readable;
  readonly #incoming: AsyncIterator<Uint8Array>;
  readonly #kept: { offset: number; octets: Uint8Array }[] = [];
  #received = 0;
  #hasEnded = false;

  constructor(stream: Readable, name: string) {
    this.name = name;
    this.#stream = stream;
    this.#incoming = stream[Symbol.asyncIterator]();
  }

  async readInto(target: Uint8Array, offset: number): Promise<number> {
    const end = offset + target.length;
    while (this.#received < end && !this.#hasEnded) await this.#receive(offset);
    const filled = Math.max(0, Math.min(end, this.#received) - offset);
    if (filled > 0 && offset < (this.#kept[0]?.offset ?? this.#received)) {
      throw new VsndError('ERR_VSND_INVALID_STATE', `octet ${offset} of ${this.name} has passed by`);
    }
    for (const chunk of this.#kept) {
      const from = Math.max(0, offset - chunk.offset);
      const part = chunk.octets.subarray(from, Math.max(from, end - chunk.offset));
      if (part.length > 0) target.set(part, chunk.offset + from - offset);
    }
    return filled;
  }

  async close(): Promise<void> {
    this.#stream.destroy();
  }

  /** Takes the next chunk, and lets go of what is out of reach and not `wanted`. */
  async #receive(wanted: number): Promise<void> {
    if (this.#stream.destroyed && !this.#stream.readableEnded) throw closed(this.name);
    const { value, done } = await this.#incoming.next().catch((error: unknown) => {
      throw this.#stream.errored === null ? closed(this.name) : fileError(`cannot read ${this.name}`, error);
    });
    if (done) {
      this.#hasEnded = true;
      return;
    }
    this.#kept.push({ offset: this.#received, octets: value });
    this.#received += value.length;
    const reach = Math.min(wanted, this.#received - BACKLOG_BYTES);
    while (this.#kept[0] && this.#kept[0].offset + this.#kept[0].octets.length <= reach) this.#kept.shift();
  }
}

function closed(name: string): VsndError {
  return new VsndError('ERR_VSND_INVALID_STATE', `${name} is closed`);
}
