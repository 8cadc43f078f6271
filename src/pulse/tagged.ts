import { protocolError } from '../errors.ts';
import type { ChannelMap, PulseSpec } from './sample-spec.ts';

/** Seconds and microseconds, as gettimeofday(2) has them. */
export interface Timeval {
  readonly seconds: number;
  readonly microseconds: number;
}

/** What a client says of itself or of a stream. A value may be any bytes; text ends with NUL. */
export type PropertyList = ReadonlyMap<string, Uint8Array>;

/** A format that a client offers, or a stream has. */
export interface FormatInfo {
  /** 1 is PCM. */
  readonly encoding: number;
  readonly properties: PropertyList;
}

const letter = (text: string): number => text.charCodeAt(0);

/** The type of a field, before its value. */
const Tag = {
  string: letter('t'),
  nullString: letter('N'),
  u32: letter('L'),
  u8: letter('B'),
  u64: letter('R'),
  s64: letter('r'),
  spec: letter('a'),
  bytes: letter('x'),
  yes: letter('1'),
  no: letter('0'),
  timeval: letter('T'),
  usec: letter('U'),
  map: letter('m'),
  volumes: letter('v'),
  properties: letter('P'),
  volume: letter('V'),
  format: letter('f'),
} as const;

/** PA_CHANNELS_MAX */
export const MOST_CHANNELS = 32;

/** Properties of one list. */
const MOST_PROPERTIES = 256;

const NUL = '\0';

/**
 * Reads the fields of a command. Whatever is there that should not be, or is not, throws ERR_VSND_PROTOCOL. Nothing is allocated
 * beyond what has come.
 */
export class TagReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u32(): number {
    this.#expect(Tag.u32);
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  u8(): number {
    this.#expect(Tag.u8);
    return this.#bytes.readUInt8(this.#take(1));
  }

  s64(): number {
    this.#expect(Tag.s64);
    return Number(this.#bytes.readBigInt64BE(this.#take(8)));
  }

  u64(): number {
    this.#expect(Tag.u64);
    return Number(this.#bytes.readBigUInt64BE(this.#take(8)));
  }

  /** Microseconds. */
  usec(): number {
    this.#expect(Tag.usec);
    return Number(this.#bytes.readBigUInt64BE(this.#take(8)));
  }

  boolean(): boolean {
    const tag = this.#bytes.readUInt8(this.#take(1));
    if (tag !== Tag.yes && tag !== Tag.no) throw this.#unexpected(tag);
    return tag === Tag.yes;
  }

  string(): string | undefined {
    const tag = this.#bytes.readUInt8(this.#take(1));
    if (tag === Tag.nullString) return undefined;
    if (tag !== Tag.string) throw this.#unexpected(tag);
    const end = this.#bytes.indexOf(NUL, this.#at);
    if (end === -1) throw protocolError('a string of a PulseAudio client has no end');
    const text = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return text;
  }

  bytes(): Uint8Array {
    this.#expect(Tag.bytes);
    return this.#sized(this.#bytes.readUInt32BE(this.#take(4)));
  }

  timeval(): Timeval {
    this.#expect(Tag.timeval);
    const at = this.#take(8);
    return { seconds: this.#bytes.readUInt32BE(at), microseconds: this.#bytes.readUInt32BE(at + 4) };
  }

  /** Its values are not checked: with a list of formats it is empty. */
  spec(): PulseSpec {
    this.#expect(Tag.spec);
    const at = this.#take(6);
    const [format = 0, channels = 0] = this.#bytes.subarray(at, at + 2);
    return { format, channels, rate: this.#bytes.readUInt32BE(at + 2) };
  }

  map(): ChannelMap {
    this.#expect(Tag.map);
    return [...this.#sized(this.#count())];
  }

  /** One a channel, or one for all. */
  volumes(): number[] {
    this.#expect(Tag.volumes);
    const count = this.#count();
    const at = this.#take(4 * count);
    return Array.from({ length: count }, (_, channel) => this.#bytes.readUInt32BE(at + 4 * channel));
  }

  properties(): PropertyList {
    this.#expect(Tag.properties);
    const list = new Map<string, Uint8Array>();
    for (let key = this.string(); key !== undefined; key = this.string()) {
      const length = this.u32();
      const value = this.bytes();
      if (value.length !== length) throw protocolError('a property of a PulseAudio client has two lengths');
      list.set(key, value);
      if (list.size > MOST_PROPERTIES) throw protocolError('a PulseAudio client has too many properties');
    }
    return list;
  }

  format(): FormatInfo {
    this.#expect(Tag.format);
    return { encoding: this.u8(), properties: this.properties() };
  }

  #expect(tag: number): void {
    const found = this.#bytes.readUInt8(this.#take(1));
    if (found !== tag) throw this.#unexpected(found);
  }

  #count(): number {
    const count = this.#bytes.readUInt8(this.#take(1));
    if (count > MOST_CHANNELS) throw protocolError(`a PulseAudio client has ${count} channels`);
    return count;
  }

  /** A copy: what it came in is larger. */
  #sized(length: number): Uint8Array {
    const at = this.#take(length);
    return Uint8Array.from(this.#bytes.subarray(at, at + length));
  }

  /** Where the next `length` bytes are. */
  #take(length: number): number {
    const at = this.#at;
    if (length > this.#bytes.length - at)
      throw protocolError('a command of a PulseAudio client is too short');
    this.#at = at + length;
    return at;
  }

  #unexpected(tag: number): Error {
    const name = JSON.stringify(String.fromCharCode(tag));
    return protocolError(`a command of a PulseAudio client has a field of type ${name} in the wrong place`);
  }
}

/** Bytes that a command mostly needs. */
const USUAL_LENGTH = 256;

/** Writes the fields of a command. */
export class TagWriter {
  #bytes = Buffer.allocUnsafe(USUAL_LENGTH);
  #length = 0;

  /** What has been written. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  u32(value: number): this {
    const at = this.#tagged(Tag.u32, 4);
    this.#bytes.writeUInt32BE(value >>> 0, at);
    return this;
  }

  u8(value: number): this {
    const at = this.#tagged(Tag.u8, 1);
    this.#bytes.writeUInt8(value, at);
    return this;
  }

  u64(value: number): this {
    return this.#wide(Tag.u64, value);
  }

  s64(value: number): this {
    return this.#wide(Tag.s64, value);
  }

  /** Microseconds, rounded. */
  usec(value: number): this {
    return this.#wide(Tag.usec, Math.max(0, value));
  }

  boolean(value: boolean): this {
    this.#tagged(value ? Tag.yes : Tag.no, 0);
    return this;
  }

  string(text: string | undefined): this {
    if (text === undefined) {
      this.#tagged(Tag.nullString, 0);
      return this;
    }
    const clean = text.replaceAll(NUL, ' ');
    const length = Buffer.byteLength(clean);
    const at = this.#tagged(Tag.string, length + 1);
    this.#bytes.write(clean, at);
    this.#bytes[at + length] = 0;
    return this;
  }

  value(bytes: Uint8Array): this {
    const at = this.#tagged(Tag.bytes, 4 + bytes.length);
    this.#bytes.writeUInt32BE(bytes.length, at);
    this.#bytes.set(bytes, at + 4);
    return this;
  }

  timeval({ seconds, microseconds }: Timeval): this {
    const at = this.#tagged(Tag.timeval, 8);
    this.#bytes.writeUInt32BE(seconds >>> 0, at);
    this.#bytes.writeUInt32BE(microseconds >>> 0, at + 4);
    return this;
  }

  spec({ format, channels, rate }: PulseSpec): this {
    const at = this.#tagged(Tag.spec, 6);
    this.#bytes[at] = format;
    this.#bytes[at + 1] = channels;
    this.#bytes.writeUInt32BE(rate, at + 2);
    return this;
  }

  map(map: ChannelMap): this {
    const at = this.#tagged(Tag.map, 1 + map.length);
    this.#bytes[at] = map.length;
    this.#bytes.set(map, at + 1);
    return this;
  }

  volumes(volumes: readonly number[]): this {
    const at = this.#tagged(Tag.volumes, 1 + 4 * volumes.length);
    this.#bytes[at] = volumes.length;
    volumes.forEach((volume, channel) => {
      this.#bytes.writeUInt32BE(volume, at + 1 + 4 * channel);
    });
    return this;
  }

  volume(volume: number): this {
    const at = this.#tagged(Tag.volume, 4);
    this.#bytes.writeUInt32BE(volume, at);
    return this;
  }

  properties(list: PropertyList): this {
    this.#tagged(Tag.properties, 0);
    for (const [key, value] of list) this.string(key).u32(value.length).value(value);
    return this.string(undefined);
  }

  format({ encoding, properties }: FormatInfo): this {
    this.#tagged(Tag.format, 0);
    return this.u8(encoding).properties(properties);
  }

  #wide(tag: number, value: number): this {
    const at = this.#tagged(tag, 8);
    this.#bytes.writeBigInt64BE(BigInt(Math.round(value)), at);
    return this;
  }

  /** Writes the type, and makes room for `length` bytes behind it, in other memory where need be. Where those go. */
  #tagged(tag: number, length: number): number {
    const at = this.#length + 1;
    this.#length = at + length;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(2 * this.#length);
      larger.set(this.#bytes.subarray(0, at - 1));
      this.#bytes = larger;
    }
    this.#bytes[at - 1] = tag;
    return at;
  }
}

/** A list of texts. */
export function propertiesOf(texts: Readonly<Record<string, string>>): PropertyList {
  return new Map(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text + NUL)]));
}

/** The text that a property has; undefined where it has none. */
export function textOf(list: PropertyList, key: string): string | undefined {
  const value = list.get(key);
  if (value === undefined || value.length === 0) return undefined;
  const end = value.indexOf(0);
  return Buffer.from(end === -1 ? value : value.subarray(0, end)).toString();
}
