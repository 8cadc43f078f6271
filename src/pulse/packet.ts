import { protocolError } from '../errors.ts';

/** Bytes of a descriptor: length, channel, offset (high and low), flags; each a big-endian u32. */
export const DESCRIPTOR_BYTES = 20;

/** The channel of commands; any other one is that of a stream. */
export const COMMAND_CHANNEL = 0xffff_ffff;

/** Bytes of a command; PulseAudio's own clients send some hundred. */
const LONGEST_COMMAND = 65_536;

/** Bytes of a stream's data in one packet: FRAME_SIZE_MAX_ALLOW. */
const LONGEST_DATA = 16 << 20;

/** How a stream's data says where it belongs: pa_seek_mode. */
export const SeekMode = { relative: 0, absolute: 1, relativeOnRead: 2, relativeToEnd: 3 } as const;

/** What the bytes of a client come to. */
export interface PacketHandler {
  /** The fields of a command; valid during the call. */
  handleCommand(fields: Uint8Array): void;
  /** Data for a stream follows, `length` bytes in all, `offset` bytes from what the seek mode says. */
  handleDataBegin(channel: number, length: number, seekMode: number, offset: number): void;
  /** The next piece of it. */
  handleData(bytes: Uint8Array): void;
}

/** Cuts what comes from a client into commands and data. Data is handed on as it comes, commands when they are whole. */
export class PacketParser {
  readonly #handler: PacketHandler;
  /** A descriptor, or a command, of which a part has come. */
  #part: Buffer = Buffer.alloc(0);
  /** Bytes that the command under way has; undefined between packets. */
  #commandLength: number | undefined;
  /** Bytes of data that are still to come. */
  #dataLeft = 0;

  constructor(handler: PacketHandler) {
    this.#handler = handler;
  }

  /**
   * Takes bytes, `most` descriptors, commands and pieces of data, and returns those that are left. Throws ERR_VSND_PROTOCOL;
   * nothing can be read any more then.
   */
  take(chunk: Buffer, most = Number.POSITIVE_INFINITY): Buffer {
    let rest = chunk;
    for (let parts = 0; rest.length > 0 && parts < most; parts++) rest = this.#takeNext(rest);
    return rest;
  }

  /** As much as belongs to one descriptor, command or data. */
  #takeNext(chunk: Buffer): Buffer {
    if (this.#dataLeft > 0) return this.#takeData(chunk);
    const wanted = this.#commandLength ?? DESCRIPTOR_BYTES;
    const missing = wanted - this.#part.length;
    if (chunk.length < missing) {
      this.#part = Buffer.concat([this.#part, chunk]);
      return chunk.subarray(chunk.length);
    }
    const taken = chunk.subarray(0, missing);
    const whole = this.#part.length === 0 ? taken : Buffer.concat([this.#part, taken]);
    this.#part = this.#part.subarray(0, 0);
    if (this.#commandLength === undefined) this.#begin(whole);
    else {
      this.#commandLength = undefined;
      this.#handler.handleCommand(whole);
    }
    return chunk.subarray(missing);
  }

  #takeData(chunk: Buffer): Buffer {
    const data = chunk.subarray(0, this.#dataLeft);
    this.#dataLeft -= data.length;
    this.#handler.handleData(data);
    return chunk.subarray(data.length);
  }

  #begin(descriptor: Buffer): void {
    const length = descriptor.readUInt32BE(0);
    const channel = descriptor.readUInt32BE(4);
    const flags = descriptor.readUInt32BE(16);
    if (flags > 0xff) throw protocolError('a PulseAudio client uses shared memory, which was declined');
    if (channel === COMMAND_CHANNEL) {
      if (length === 0 || length > LONGEST_COMMAND) throw lengthError('a command', length, LONGEST_COMMAND);
      this.#commandLength = length;
      return;
    }
    if (length === 0 || length > LONGEST_DATA) throw lengthError('data', length, LONGEST_DATA);
    this.#dataLeft = length;
    const offset = Number(descriptor.readBigInt64BE(8));
    this.#handler.handleDataBegin(channel, length, flags, offset);
  }
}

/** A packet of a command's fields, or of a stream's data. */
export function encodePacket(channel: number, payload: Uint8Array): Buffer {
  const packet = Buffer.allocUnsafe(DESCRIPTOR_BYTES + payload.length);
  packet.writeUInt32BE(payload.length, 0);
  packet.writeUInt32BE(channel, 4);
  packet.fill(0, 8, DESCRIPTOR_BYTES);
  packet.set(payload, DESCRIPTOR_BYTES);
  return packet;
}

function lengthError(what: string, length: number, most: number): Error {
  return protocolError(`a PulseAudio client sends ${what} of ${length} bytes; allowed: 1 to ${most}`);
}
