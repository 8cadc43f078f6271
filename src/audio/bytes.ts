import { constants, createReadStream, openSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { invalidArgError, VsndError } from '../errors.ts';
import { fileError } from '../wav/file-error.ts';
import { Turns } from './turns.ts';

/** Where the bytes of a recording come from. */
export interface Bytes {
  /** The path, or what the stream is called. */
  readonly name: string;
  /** Bytes in all; undefined for a stream, whose bytes pass by once. */
  readonly size: number | undefined;
  /** By what other programs open them; undefined where only this one has them. */
  readonly path?: string | undefined;
  /**
   * Fills `target` with the bytes from `offset` on, and says how many those were: fewer only where they end. Rejects with
   * ERR_VSND_FILE, and after close() with ERR_VSND_INVALID_STATE.
   */
  readInto(target: Uint8Array, offset: number): Promise<number>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** `length` bytes from `offset` on; fewer only where they end. Rejects as {@link Bytes.readInto} does. */
export async function readBytes(bytes: Bytes, offset: number, length: number): Promise<Uint8Array> {
  const present = bytes.size === undefined ? length : Math.max(0, Math.min(length, bytes.size - offset));
  const target = new Uint8Array(present);
  return target.subarray(0, await bytes.readInto(target, offset));
}

/** The bytes as they pass by: what is joined to a recording is read once, and nobody asks how long it is. */
export function passing(bytes: Bytes): Bytes {
  return {
    name: bytes.name,
    size: undefined,
    path: bytes.path,
    readInto: (target, offset) => bytes.readInto(target, offset),
    close: () => bytes.close(),
  };
}

/** The bytes of a file, or those that come through a pipe or a device with that name. Rejects with ERR_VSND_FILE. */
export async function openFile(path: string): Promise<Bytes> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a FIFO would wait for its other end
    const stats = await handle.stat();
    if (stats.isDirectory()) throw new VsndError('ERR_VSND_FILE', `${path} is a directory, not a recording`);
    if (stats.isFile()) return new FileBytes(path, stats.size, handle);
    const stream = stats.isFIFO() ? openPipe(path) : createReadStream(path);
    await handle.close(); // only now: whoever writes to a pipe must never find it without a reader
    return new StreamBytes(stream, path, path);
  } catch (error) {
    await handle?.close();
    const own = (error as NodeJS.ErrnoException).code === 'ENXIO' ? ownDescriptor(path) : undefined;
    if (own !== undefined) return new StreamBytes(new Socket({ fd: own, writable: false }), path, path);
    throw error instanceof VsndError ? error : fileError(`cannot open ${path}`, error);
  }
}

/** Opened without a wait, and read without a thread that waits: whoever writes to it may never come. */
function openPipe(path: string): Readable {
  return new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), writable: false });
}

/** The descriptor that a path is one of this process's own by: Linux cannot open a socket by its name. */
function ownDescriptor(path: string): number | undefined {
  const [, number] = /^\/(?:dev\/fd|proc\/self\/fd)\/(\d+)$/.exec(path) ?? [];
  return path === '/dev/stdin' ? 0 : number === undefined ? undefined : Number(number);
}

/** Bytes of a file that are read at once where fewer are asked for: headers and tags may be many, and small. */
const BLOCK_BYTES = 32 * 1024;

/** Bytes of a recording that are in memory, from `offset` on. */
interface Block {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The bytes of a recording that is in memory. */
export class MemoryBytes implements Bytes {
  readonly name: string;
  readonly size: number;
  readonly #bytes: Uint8Array;
  readonly #turns = new Turns();
  #isClosed = false;

  constructor(bytes: Uint8Array, name: string) {
    this.name = name;
    this.size = bytes.length;
    this.#bytes = bytes;
  }

  async readInto(target: Uint8Array, offset: number): Promise<number> {
    if (this.#isClosed) throw closedError(this.name);
    await this.#turns.take(target.length);
    const part = this.#bytes.subarray(offset, offset + target.length);
    target.set(part);
    return part.length;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }
}

class FileBytes implements Bytes {
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly #handle: FileHandle;
  readonly #turns = new Turns();
  /** What was read last; never changed, as another reader may be copying from it. */
  #block: Block = { offset: 0, bytes: new Uint8Array(0) };
  #closing: Promise<void> | undefined;

  constructor(path: string, size: number, handle: FileHandle) {
    this.name = path;
    this.path = path;
    this.size = size;
    this.#handle = handle;
  }

  async readInto(target: Uint8Array, offset: number): Promise<number> {
    if (this.#closing) throw closedError(this.name);
    await this.#turns.take(target.length);
    if (target.length >= BLOCK_BYTES) return await this.#read(target, offset);
    const block = await this.#blockWith(offset, target.length);
    const part = block.bytes.subarray(offset - block.offset).subarray(0, target.length);
    target.set(part);
    return part.length;
  }

  close(): Promise<void> {
    this.#closing ??= this.#handle.close();
    return this.#closing;
  }

  async #blockWith(offset: number, length: number): Promise<Block> {
    const from = offset - this.#block.offset;
    if (from >= 0 && from + length <= this.#block.bytes.length) return this.#block;
    const bytes = new Uint8Array(BLOCK_BYTES);
    this.#block = { offset, bytes: bytes.subarray(0, await this.#read(bytes, offset)) };
    return this.#block;
  }

  async #read(target: Uint8Array, offset: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      if (this.#closing) throw closedError(this.name);
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
}

/** Bytes of a stream that stay within reach: enough to recognise what it is, and then to read it from the start. */
const BACKLOG_BYTES = 1 << 20;

/** Bytes that are kept in one piece, in whatever pieces they come. */
const PIECE_BYTES = 64 * 1024;

/** The bytes of a stream, within reach until {@link BACKLOG_BYTES} more have been read. */
export class StreamBytes implements Bytes {
  readonly name: string;
  readonly size = undefined;
  readonly path: string | undefined;
  readonly #stream: Readable;
  readonly #incoming: AsyncIterator<unknown>;
  readonly #turns = new Turns();
  /** Those within reach, {@link PIECE_BYTES} each; the last one is filled up to #received. */
  readonly #pieces: Uint8Array[] = [];
  /** Bytes before the first piece. */
  #passed = 0;
  #received = 0;
  #hasEnded = false;

  constructor(stream: Readable, name: string, path?: string) {
    this.name = name;
    this.path = path;
    this.#stream = stream;
    this.#incoming = stream[Symbol.asyncIterator]();
  }

  async readInto(target: Uint8Array, offset: number): Promise<number> {
    await this.#turns.take(target.length);
    const end = offset + target.length;
    while (this.#received < end && !this.#hasEnded) await this.#receive(offset);
    const filled = Math.max(0, Math.min(end, this.#received) - offset);
    if (filled > 0 && offset < this.#passed) {
      throw new VsndError('ERR_VSND_INVALID_STATE', `byte ${offset} of ${this.name} has passed by`);
    }
    for (let done = 0; done < filled; ) {
      const at = offset + done - this.#passed;
      const piece = this.#pieces[Math.floor(at / PIECE_BYTES)] as Uint8Array;
      const part = piece.subarray(at % PIECE_BYTES).subarray(0, filled - done);
      target.set(part, done);
      done += part.length;
    }
    return filled;
  }

  async close(): Promise<void> {
    this.#stream.destroy();
  }

  /** Takes the next chunk, and lets go of what is out of reach and not `wanted`. */
  async #receive(wanted: number): Promise<void> {
    if (this.#stream.destroyed && !this.#stream.readableEnded) throw this.#readError();
    const { value, done } = await this.#incoming.next().catch(() => {
      throw this.#readError();
    });
    if (done) {
      this.#hasEnded = true;
      return;
    }
    if (!(value instanceof Uint8Array)) throw invalidArgError(`what ${this.name} gives`, value, 'Uint8Array');
    await this.#turns.take(value.length);
    this.#keep(value);
    const reach = Math.min(wanted, this.#received - BACKLOG_BYTES);
    while (this.#passed + PIECE_BYTES <= reach && this.#pieces.shift()) this.#passed += PIECE_BYTES;
  }

  #readError(): VsndError {
    const { errored } = this.#stream;
    return errored === null ? closedError(this.name) : fileError(`cannot read ${this.name}`, errored);
  }

  #keep(chunk: Uint8Array): void {
    for (let done = 0; done < chunk.length; ) {
      const at = (this.#received - this.#passed) % PIECE_BYTES;
      if (at === 0) this.#pieces.push(new Uint8Array(PIECE_BYTES));
      const part = chunk.subarray(done, done + PIECE_BYTES - at);
      this.#pieces.at(-1)?.set(part, at);
      done += part.length;
      this.#received += part.length;
    }
  }
}

function closedError(name: string): VsndError {
  return new VsndError('ERR_VSND_INVALID_STATE', `${name} is closed`);
}
