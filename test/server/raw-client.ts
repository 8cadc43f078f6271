import { COMMAND_CHANNEL, encodePacket, PacketParser } from '../../src/pulse/packet.ts';
import { type RequestName, requestNumber } from '../../src/pulse/requests.ts';
import { propertiesOf, TagReader, TagWriter } from '../../src/pulse/tagged.ts';
import type { Hub } from '../../src/server/hub.ts';
import { Session, type Transport } from '../../src/server/session.ts';

const OPEN = 0xffff_ffff;

/** What the server has sent by itself, or in answer: its number, and what reads its fields. */
export interface Told {
  readonly command: number;
  readonly tag: number;
  readonly fields: TagReader;
}

export interface StreamWishes {
  readonly targetLength?: number;
  readonly prebuffer?: number;
  readonly leastRequest?: number;
  readonly isCorked?: boolean;
  readonly rate?: number;
  readonly channels?: number;
  readonly format?: number;
  readonly sink?: string;
  readonly role?: string;
}

/** A client made of nothing but bytes, in the hand of a test. */
export class RawClient implements Transport {
  readonly session: Session;
  /** A test may pretend that it does not read. */
  backlog = 0;
  isClosed = false;
  readonly told: Told[] = [];
  /** Data of its record streams, by channel. */
  readonly recorded = new Map<number, Buffer>();
  /** Bytes that it has been asked for, by channel, and not sent. */
  readonly asked = new Map<number, number>();
  #channel = 0;
  readonly #parser = new PacketParser({
    handleCommand: (bytes) => this.#handleCommand(bytes),
    handleDataBegin: (channel) => {
      this.#channel = channel;
    },
    handleData: (bytes) => {
      const before = this.recorded.get(this.#channel) ?? Buffer.alloc(0);
      this.recorded.set(this.#channel, Buffer.concat([before, bytes]));
    },
  });
  #tag = 0;
  #news = () => {};

  constructor(hub: Hub, name = 'a test', isWelcome = true) {
    this.session = new Session(hub, this, isWelcome);
    this.request('auth', (writer) => writer.u32(35).value(Buffer.alloc(256)));
    this.request('setClientName', (writer) => writer.properties(propertiesOf({ 'application.name': name })));
  }

  send(packet: Buffer): void {
    this.#parser.take(packet);
  }

  close(): void {
    this.isClosed = true;
    this.#news();
  }

  /** Sends a command. Returns its tag. */
  request(name: RequestName | number, write: (writer: TagWriter) => unknown = () => {}): number {
    this.#tag++;
    const number = typeof name === 'number' ? name : requestNumber(name);
    const writer = new TagWriter().u32(number).u32(this.#tag);
    write(writer);
    this.session.receive(encodePacket(COMMAND_CHANNEL, writer.bytes));
    return this.#tag;
  }

  /** The reply to a request; waits for it. Throws the code of an error. */
  async reply(tag: number): Promise<TagReader> {
    for (;;) {
      const told = this.told.find((one) => one.tag === tag);
      if (told?.command === 0) throw new Error(`error ${told.fields.u32()}`);
      if (told) return told.fields;
      if (this.isClosed) throw new Error('the connection is over');
      await new Promise<void>((resolve) => {
        this.#news = resolve;
      });
    }
  }

  async ask(name: RequestName | number, write?: (writer: TagWriter) => unknown): Promise<TagReader> {
    return await this.reply(this.request(name, write));
  }

  /** Whether a request has been answered. */
  isAnswered(tag: number): boolean {
    return this.told.some((one) => one.tag === tag);
  }

  /** How often the server has sent that by itself. */
  count(command: number): number {
    return this.told.filter((one) => one.tag === 0xffff_ffff && one.command === command).length;
  }

  /** Makes a playback stream; gives its channel and its index. */
  async play(wishes: StreamWishes = {}): Promise<{ channel: number; index: number }> {
    const { rate = 48_000, channels = 2, format = 3, role, sink } = wishes;
    const fields = await this.ask('createPlaybackStream', (writer) => {
      writer.spec({ format, channels, rate }).map(channels === 1 ? [0] : [1, 2]);
      writer
        .u32(OPEN)
        .string(sink)
        .u32(OPEN)
        .boolean(wishes.isCorked ?? false);
      writer
        .u32(wishes.targetLength ?? OPEN)
        .u32(wishes.prebuffer ?? OPEN)
        .u32(wishes.leastRequest ?? OPEN);
      writer.u32(0).volumes(new Array<number>(channels).fill(0x1_0000));
      for (let flag = 0; flag < 7; flag++) writer.boolean(false);
      writer.boolean(false).boolean(false);
      writer.properties(
        propertiesOf({ 'media.name': 'noise', ...(role !== undefined && { 'media.role': role }) }),
      );
      for (let flag = 0; flag < 7; flag++) writer.boolean(false);
      writer.u8(0);
    });
    const [channel, index, asked] = [fields.u32(), fields.u32(), fields.u32()];
    this.asked.set(channel, asked);
    return { channel, index };
  }

  async record(fragmentSize = OPEN): Promise<{ channel: number; index: number }> {
    const fields = await this.ask('createRecordStream', (writer) => {
      writer.spec({ format: 3, channels: 2, rate: 48_000 }).map([1, 2]);
      writer.u32(OPEN).string(undefined).u32(OPEN).boolean(false).u32(fragmentSize);
      for (let flag = 0; flag < 9; flag++) writer.boolean(false);
      writer.properties(new Map()).u32(OPEN);
      for (let flag = 0; flag < 3; flag++) writer.boolean(false);
      writer.u8(0).volumes([0x1_0000, 0x1_0000]);
      for (let flag = 0; flag < 5; flag++) writer.boolean(false);
    });
    return { channel: fields.u32(), index: fields.u32() };
  }

  /** Sends data for a stream. */
  write(channel: number, bytes: Uint8Array): void {
    this.asked.set(channel, (this.asked.get(channel) ?? 0) - bytes.length);
    for (let rest: Buffer = encodePacket(channel, bytes); rest.length > 0; )
      rest = this.session.receive(rest);
  }

  /** Sends of `sound`, from `from` on, what it has been asked for; where the rest begins. */
  feed(channel: number, sound: Uint8Array, from: number): number {
    const length = Math.min(Math.max(0, this.asked.get(channel) ?? 0), sound.length - from);
    if (length > 0) this.write(channel, sound.subarray(from, from + length));
    return from + length;
  }

  #handleCommand(bytes: Uint8Array): void {
    const reader = new TagReader(Buffer.from(bytes));
    const told = { command: reader.u32(), tag: reader.u32(), fields: reader };
    if (told.command === 61) {
      const [channel, asked] = [reader.u32(), reader.u32()];
      this.asked.set(channel, (this.asked.get(channel) ?? 0) + asked);
    }
    this.told.push(told);
    this.#news();
  }
}
