import { type Change, NO_INDEX, PulseError } from '../pulse/command.ts';
import { encodeSubscriptionEvent } from '../pulse/messages.ts';
import type { TargetName } from '../pulse/requests.ts';
import { type PropertyList, textOf } from '../pulse/tagged.ts';
import type { Client, FacilityName } from './client.ts';
import { MOST_STREAMS, MOST_WAITING } from './limits.ts';
import type { Sink } from './sink.ts';
import type { SinkInput } from './sink-input.ts';
import type { Source } from './source.ts';
import type { SourceOutput } from './source-output.ts';

export type ChangeName = keyof typeof Change;

/** What is known of the server itself. */
export interface ServerIdentity {
  readonly version: string;
  readonly user: string;
  readonly host: string;
  readonly cookie: number;
}

/** A stream, with what it plays into or records, and whose it is. */
export interface Entry<Stream, Target> {
  readonly stream: Stream;
  readonly target: Target;
  readonly client: Client;
}

/** What is told of clients. */
export interface HubEvents {
  handleConnect(client: Client): void;
  handleDisconnect(client: Client): void;
  /** A stream has come or gone, or is not what it was. */
  handleStreams(): void;
}

/** Who asks for something, and where. */
export interface Asking extends Client {
  readonly hub: Hub;
}

/** All that a server has: sinks, sources, clients and their streams, by their indexes. */
export class Hub {
  readonly identity: ServerIdentity;
  readonly sinks: readonly Sink[];
  readonly sources: readonly Source[];
  readonly clients = new Map<number, Client>();
  readonly inputs = new Map<number, Entry<SinkInput, Sink>>();
  readonly outputs = new Map<number, Entry<SourceOutput, Source>>();
  /** Indexes of sinks, by media.role. */
  readonly #roles: ReadonlyMap<string, number>;
  readonly #events: HubEvents;
  #lastIndex = 0;
  /** Streams that are being made. */
  #underWay = 0;

  constructor(
    identity: ServerIdentity,
    sinks: readonly Sink[],
    sources: readonly Source[],
    roles: ReadonlyMap<string, number>,
    events: HubEvents,
  ) {
    this.identity = identity;
    this.sinks = sinks;
    this.sources = sources;
    this.#roles = roles;
    this.#events = events;
  }

  /** An index that nothing else has. */
  takeIndex(): number {
    this.#lastIndex++;
    return this.#lastIndex;
  }

  /** The sink that is named; where none is, the one for the stream's role, or the default one. Throws {@link PulseError}. */
  findSink(wanted: TargetName, properties?: PropertyList): Sink {
    const isOpen = isUnnamed(wanted) || wanted.name === '@DEFAULT_SINK@';
    const role = properties && textOf(properties, 'media.role');
    const byRole = isOpen && role !== undefined ? this.#roles.get(role) : undefined;
    return this.sinks[byRole ?? -1] ?? find(this.sinks, wanted, '@DEFAULT_SINK@');
  }

  /** Throws {@link PulseError}. */
  findSource(wanted: TargetName): Source {
    return find(this.sources, wanted, '@DEFAULT_SOURCE@');
  }

  /** A client has said what it is. */
  announce(client: Client): void {
    this.publish('client', 'new', client.client);
    this.#events.handleConnect(client);
  }

  /** A client has gone. */
  forget(client: Client): void {
    this.clients.delete(client.client);
    if (client.properties.size === 0) return;
    this.publish('client', 'remove', client.client);
    this.#events.handleDisconnect(client);
  }

  /** Makes a stream, where there may be one more. Rejects with {@link PulseError}. */
  async make<Stream>(client: Client, create: () => Promise<Stream>): Promise<Stream> {
    const all = this.inputs.size + this.outputs.size + this.#underWay;
    if (client.streamCount >= MOST_STREAMS.each || all >= MOST_STREAMS.all) throw new PulseError('tooLarge');
    this.#underWay++;
    try {
      return await create();
    } finally {
      this.#underWay--;
    }
  }

  /** Whether no more bytes may wait to be played. */
  isMemoryFull(bytes: number): boolean {
    let sum = bytes;
    for (const { stream } of this.inputs.values()) sum += stream.storedBytes;
    return sum > MOST_WAITING;
  }

  /** Tells who has subscribed. */
  publish(facility: FacilityName, change: ChangeName, index: number): void {
    if (facility === 'sinkInput' || facility === 'sourceOutput') this.#events.handleStreams();
    let packet: Buffer | undefined;
    for (const client of this.clients.values()) {
      if (!client.hearsOf(facility)) continue;
      packet ??= encodeSubscriptionEvent(facility, change, index);
      client.notify(`${facility} ${change} ${index}`, packet);
    }
  }

  removeInput(index: number): void {
    const entry = this.inputs.get(index);
    if (entry === undefined) return;
    this.inputs.delete(index);
    entry.target.remove(entry.stream);
    this.publish('sinkInput', 'remove', index);
  }

  removeOutput(index: number): void {
    const entry = this.outputs.get(index);
    if (entry === undefined) return;
    this.outputs.delete(index);
    entry.target.remove(entry.stream);
    this.publish('sourceOutput', 'remove', index);
  }
}

function isUnnamed({ index, name }: TargetName): boolean {
  return index === NO_INDEX && name === undefined;
}

/** The one that is named, or the first. Throws {@link PulseError}. */
function find<Target extends Sink | Source>(
  targets: readonly Target[],
  wanted: TargetName,
  defaultName: string,
): Target {
  const { index, name } = wanted;
  const isDefault = isUnnamed(wanted) || name === defaultName;
  const found = isDefault
    ? targets[0]
    : targets.find(({ plan }) => (name === undefined ? plan.index === index : plan.name === name));
  if (found === undefined) throw new PulseError('noEntity');
  return found;
}
