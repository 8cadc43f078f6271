import { Change, Facility, NO_INDEX, NO_TAG, ServerCommand } from './command.ts';
import { formatInfoOf, type StreamFormat } from './format-info.ts';
import { COMMAND_CHANNEL, encodePacket } from './packet.ts';
import type { PlaybackAttributes, RecordAttributes } from './requests.ts';
import { type PropertyList, TagWriter, type Timeval } from './tagged.ts';
import { NORMAL_VOLUME } from './volume.ts';

/** What a reply says. */
export type Fields = (writer: TagWriter) => void;

/** How many volumes there are: PA_VOLUME_NORM + 1. */
const VOLUME_STEPS = NORMAL_VOLUME + 1;

/** pa_sink_state_t, and pa_source_state_t. */
export const TargetState = { running: 0, idle: 1, suspended: 2 } as const;

/** pa_sink_flags_t, and pa_source_flags_t. */
const TargetFlag = {
  hardwareVolume: 1,
  latency: 2,
  hardware: 4,
  hardwareMute: 0x10,
  decibels: 0x20,
} as const;

const DRIVER = 'vsnd';

/** The packet of a command. */
function encodeCommand(command: number, tag: number, fields: Fields = () => {}): Buffer {
  const writer = new TagWriter().u32(command).u32(tag);
  fields(writer);
  return encodePacket(COMMAND_CHANNEL, writer.bytes);
}

export function encodeReply(tag: number, fields?: Fields): Buffer {
  return encodeCommand(ServerCommand.reply, tag, fields);
}

export function encodeError(tag: number, code: number): Buffer {
  return encodeCommand(ServerCommand.error, tag, (writer) => writer.u32(code));
}

/** `bytes`: as many more may come. */
export function encodeDataRequest(channel: number, bytes: number): Buffer {
  return encodeCommand(ServerCommand.request, NO_TAG, (writer) => writer.u32(channel).u32(bytes));
}

export function encodeOverflow(channel: number): Buffer {
  return encodeCommand(ServerCommand.overflow, NO_TAG, (writer) => writer.u32(channel));
}

/** `readIndex`: bytes of the stream that have been played when there were no more. A client that has an older version does not ask. */
export function encodeUnderflow(channel: number, readIndex: number, version: number): Buffer {
  return encodeCommand(ServerCommand.underflow, NO_TAG, (writer) => {
    writer.u32(channel);
    if (version >= 23) writer.s64(readIndex);
  });
}

export function encodeStarted(channel: number): Buffer {
  return encodeCommand(ServerCommand.started, NO_TAG, (writer) => writer.u32(channel));
}

export function encodeKilled(direction: 'playback' | 'record', channel: number): Buffer {
  const command =
    direction === 'playback' ? ServerCommand.playbackStreamKilled : ServerCommand.recordStreamKilled;
  return encodeCommand(command, NO_TAG, (writer) => writer.u32(channel));
}

export function encodeSubscriptionEvent(
  facility: keyof typeof Facility,
  change: keyof typeof Change,
  index: number,
): Buffer {
  return encodeCommand(ServerCommand.subscribeEvent, NO_TAG, (writer) =>
    writer.u32(Facility[facility] | Change[change]).u32(index),
  );
}

/** A new stream, as its client is told of it. */
export interface CreatedStream extends StreamFormat {
  readonly channel: number;
  readonly index: number;
  readonly target: { readonly index: number; readonly name: string };
  /** Microseconds that the card adds. */
  readonly latency: number;
}

export function createdPlayback(
  stream: CreatedStream,
  firstRequest: number,
  attributes: PlaybackAttributes,
): Fields {
  return (writer) => {
    writer.u32(stream.channel).u32(stream.index).u32(firstRequest);
    playbackAttributes(attributes)(writer);
    created(writer, stream);
  };
}

export function createdRecord(stream: CreatedStream, attributes: RecordAttributes): Fields {
  return (writer) => {
    writer.u32(stream.channel).u32(stream.index);
    recordAttributes(attributes)(writer);
    created(writer, stream);
  };
}

function created(writer: TagWriter, { spec, map, target, latency }: CreatedStream): void {
  writer.spec(spec).map(map).u32(target.index).string(target.name);
  writer.boolean(false); // not suspended
  writer.usec(latency).format(formatInfoOf({ spec, map }));
}

export function playbackAttributes(attributes: PlaybackAttributes): Fields {
  const { maxLength, targetLength, prebuffer, leastRequest } = attributes;
  return (writer) => writer.u32(maxLength).u32(targetLength).u32(prebuffer).u32(leastRequest);
}

export function recordAttributes({ maxLength, fragmentSize }: RecordAttributes): Fields {
  return (writer) => writer.u32(maxLength).u32(fragmentSize);
}

/** When a stream's latency was taken, and its indexes, in bytes since it began. */
export interface StreamTiming {
  /** Microseconds between the client's buffer and the card's loudspeaker, or microphone. */
  readonly latency: number;
  readonly isPlaying: boolean;
  /** The client's time, as it was sent, and ours; both of the machine's real clock. */
  readonly asked: Timeval;
  readonly answered: Timeval;
  readonly writeIndex: number;
  readonly readIndex: number;
}

/** `dry`, `playing`: bytes of silence, or of sound, since the stream last went over from the other. */
export function playbackTiming(timing: StreamTiming, dry: number, playing: number): Fields {
  return (writer) => {
    writer.usec(timing.latency).usec(0);
    times(writer, timing);
    writer.u64(dry).u64(playing);
  };
}

export function recordTiming(timing: StreamTiming): Fields {
  return (writer) => {
    writer.usec(0).usec(timing.latency);
    times(writer, timing);
  };
}

function times(writer: TagWriter, timing: StreamTiming): void {
  const { isPlaying, asked, answered, writeIndex, readIndex } = timing;
  writer.boolean(isPlaying).timeval(asked).timeval(answered).s64(writeIndex).s64(readIndex);
}

export interface ServerDescription extends StreamFormat {
  /** What the server is, and its version, as clients show them. */
  readonly name: string;
  readonly version: string;
  readonly user: string;
  readonly host: string;
  /** Empty where there is none. */
  readonly defaultSink: string;
  readonly defaultSource: string;
  /** A number that no other server on the machine has. */
  readonly cookie: number;
}

export function serverInfo(server: ServerDescription): Fields {
  return (writer) => {
    writer.string(server.name).string(server.version).string(server.user).string(server.host);
    writer.spec(server.spec).string(server.defaultSink).string(server.defaultSource);
    writer.u32(server.cookie).map(server.map);
  };
}

/** A sink or a source, as clients see it. */
export interface TargetDescription extends StreamFormat {
  readonly direction: 'sink' | 'source';
  readonly index: number;
  readonly name: string;
  readonly description: string;
  /** One a channel. */
  readonly volumes: readonly number[];
  readonly isMuted: boolean;
  /** Volume and mute are the backend's. */
  readonly hasHardwareVolume: boolean;
  /** Microseconds, now; and as much as is aimed at. */
  readonly latency: number;
  readonly configuredLatency: number;
  readonly state: keyof typeof TargetState;
  readonly properties: PropertyList;
}

export function targetInfo(target: TargetDescription): Fields {
  const { hardwareVolume, hardwareMute, latency, hardware, decibels } = TargetFlag;
  const flags =
    latency | hardware | decibels | (target.hasHardwareVolume ? hardwareVolume | hardwareMute : 0);
  return (writer) => {
    writer.u32(target.index).string(target.name).string(target.description);
    writer.spec(target.spec).map(target.map).u32(NO_INDEX); // of a module
    writer.volumes(target.volumes).boolean(target.isMuted);
    writer.u32(NO_INDEX).string(undefined); // no monitor of a sink, or no sink that it monitors
    writer.usec(target.latency).string(DRIVER).u32(flags).properties(target.properties);
    writer.usec(target.configuredLatency).volume(NORMAL_VOLUME).u32(TargetState[target.state]);
    writer.u32(VOLUME_STEPS).u32(NO_INDEX); // of a card
    writer.u32(0).string(undefined); // no ports
    writer.u8(1).format(formatInfoOf(target));
  };
}

/** A stream of a client's, as other clients see it. */
export interface StreamDescription extends StreamFormat {
  readonly direction: 'playback' | 'record';
  readonly index: number;
  readonly name: string;
  readonly client: number;
  /** Of the sink or source. */
  readonly target: number;
  readonly volumes: readonly number[];
  readonly isMuted: boolean;
  readonly isCorked: boolean;
  /** Microseconds of its own buffer, and of the card's. */
  readonly bufferLatency: number;
  readonly targetLatency: number;
  readonly resampler: string | undefined;
  readonly properties: PropertyList;
}

export function streamInfo(stream: StreamDescription): Fields {
  const { direction, volumes, isMuted } = stream;
  return (writer) => {
    writer.u32(stream.index).string(stream.name).u32(NO_INDEX).u32(stream.client).u32(stream.target);
    writer.spec(stream.spec).map(stream.map);
    if (direction === 'playback') writer.volumes(volumes);
    writer.usec(stream.bufferLatency).usec(stream.targetLatency).string(stream.resampler).string(DRIVER);
    if (direction === 'playback') writer.boolean(isMuted);
    writer.properties(stream.properties).boolean(stream.isCorked);
    if (direction === 'record') writer.volumes(volumes).boolean(isMuted);
    writer.boolean(true).boolean(true); // it has a volume, which can be changed
    writer.format(formatInfoOf(stream));
  };
}

export interface ClientDescription {
  readonly index: number;
  readonly name: string;
  readonly properties: PropertyList;
}

export function clientInfo({ index, name, properties }: ClientDescription): Fields {
  return (writer) => writer.u32(index).string(name).u32(NO_INDEX).string(DRIVER).properties(properties);
}

/** Of the memory that clients share with a server: there is none. */
export function memoryStatistics(): Fields {
  return (writer) => writer.u32(0).u32(0).u32(0).u32(0).u32(0);
}

/** Several of a kind, one behind the other. */
export function listOf(all: readonly Fields[]): Fields {
  return (writer) => {
    for (const fields of all) fields(writer);
  };
}
