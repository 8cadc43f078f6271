import { isVsndError } from '../errors.ts';
import { Facility, PulseError } from '../pulse/command.ts';
import { encodeError, encodeReply, type Fields } from '../pulse/messages.ts';
import { type PacketHandler, PacketParser } from '../pulse/packet.ts';
import { decodeRequest, type PulseRequest } from '../pulse/requests.ts';
import { type PropertyList, TagReader, textOf } from '../pulse/tagged.ts';
import { answer } from './answers.ts';
import type { FacilityName } from './client.ts';
import type { Asking, Hub } from './hub.ts';
import { BACKLOG, TURN } from './limits.ts';
import type { SinkInput } from './sink-input.ts';
import type { SourceOutput } from './source-output.ts';

/** What carries packets to and from a client. */
export interface Transport {
  /** Bytes that have been sent and not been taken. */
  readonly backlog: number;
  send(packet: Buffer): void;
  /** Ends the connection. Idempotent. */
  close(): void;
}

/** One client: its requests, one after the other, and its streams. */
export class Session implements PacketHandler, Asking {
  readonly client: number;
  readonly hub: Hub;
  readonly isWelcome: boolean;
  version = 0;
  properties: PropertyList = new Map();
  subscription = 0;
  readonly inputs = new Map<number, SinkInput>();
  readonly outputs = new Map<number, SourceOutput>();
  readonly #transport: Transport;
  readonly #parser = new PacketParser(this);
  /** The stream that data comes for. */
  #receiver: SinkInput | undefined;
  #lastChannel = -1;
  /** What is told as soon as it reads again, each once. */
  readonly #untold = new Map<string, Buffer>();
  #isClosed = false;

  /** `isWelcome`: else it is told that it is not. */
  constructor(hub: Hub, transport: Transport, isWelcome = true) {
    this.hub = hub;
    this.isWelcome = isWelcome;
    this.client = hub.takeIndex();
    this.#transport = transport;
    hub.clients.set(this.client, this);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get name(): string {
    return textOf(this.properties, 'application.name') ?? 'a client';
  }

  get pid(): number | undefined {
    const pid = textOf(this.properties, 'application.process.id');
    return pid !== undefined && /^\d{1,9}$/.test(pid) ? Number(pid) : undefined;
  }

  get streamCount(): number {
    return this.inputs.size + this.outputs.size;
  }

  get backlog(): number {
    return this.#transport.backlog;
  }

  /**
   * Takes what has come from the client, as much as belongs to one turn, and returns what is left for the next. A client
   * that breaks the protocol is dropped.
   */
  receive(chunk: Buffer): Buffer {
    const now = chunk.subarray(0, TURN.bytes);
    try {
      const rest = this.#parser.take(now, TURN.parts);
      return this.#isClosed ? chunk.subarray(chunk.length) : chunk.subarray(now.length - rest.length);
    } catch (error) {
      if (!isVsndError(error, 'ERR_VSND_PROTOCOL')) throw error;
      this.close();
      return chunk.subarray(chunk.length);
    }
  }

  handleCommand(fields: Uint8Array): void {
    if (this.#isClosed) return;
    const reader = new TagReader(fields);
    const [number, tag] = [reader.u32(), reader.u32()];
    const request = decodeRequest(number, reader);
    if (request === undefined) this.send(encodeError(tag, new PulseError('notImplemented').code));
    else void this.#answer(request, tag);
  }

  handleDataBegin(channel: number, length: number, seekMode: number, offset: number): void {
    const input = this.inputs.get(channel);
    // What is for a stream that is gone was on its way; part of a frame is nobody's sound.
    this.#receiver = input && length % input.frameBytes === 0 ? input : undefined;
    this.#receiver?.seek(seekMode, offset);
  }

  handleData(bytes: Uint8Array): void {
    this.#receiver?.write(bytes);
  }

  send(packet: Buffer): void {
    if (this.#isClosed) return;
    this.#transport.send(packet);
    if (this.#transport.backlog > BACKLOG.most) this.close();
  }

  hearsOf(facility: FacilityName): boolean {
    return !this.#isClosed && (this.subscription & (1 << Facility[facility])) !== 0;
  }

  notify(key: string, packet: Buffer): void {
    if (this.backlog > BACKLOG.requests) this.#untold.set(key, packet);
    else this.send(packet);
  }

  /** It has read what it was sent. */
  handleDrained(): void {
    for (const packet of this.#untold.values()) this.send(packet);
    this.#untold.clear();
    for (const input of this.inputs.values()) input.request();
  }

  takeChannel(): number {
    this.#lastChannel++;
    return this.#lastChannel;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { index } of this.inputs.values()) this.hub.removeInput(index);
    for (const { index } of this.outputs.values()) this.hub.removeOutput(index);
    this.inputs.clear();
    this.outputs.clear();
    this.hub.forget(this);
    this.#transport.close();
  }

  /** Requests are carried out as they come; one that takes time does not hold up those behind it. */
  async #answer(request: PulseRequest, tag: number): Promise<void> {
    let reply: Fields;
    try {
      if (this.version === 0 && request.name !== 'auth') throw new PulseError('access');
      const answered = answer(this, request);
      reply = answered instanceof Promise ? await answered : answered;
    } catch (error) {
      if (!(error instanceof PulseError)) throw error;
      this.send(encodeError(tag, error.code));
      return;
    }
    this.send(encodeReply(tag, reply));
  }
}
