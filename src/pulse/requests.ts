import { protocolError } from '../errors.ts';
import type { ChannelMap, PulseSpec } from './sample-spec.ts';
import type { FormatInfo, PropertyList, TagReader, Timeval } from './tagged.ts';

/** Versions of the protocol: libpulse 1.0 (2011) has 22, 16 and 17 have 35. Both ends use the lower one of theirs. */
export const OLDEST_VERSION = 22;
export const NEWEST_VERSION = 35;

/** The bits above say which shared memory a client has. */
const VERSION_MASK = 0xffff;

/** How much a stream's buffer has, in bytes; pa_buffer_attr. DEFAULT_SIZE in any of them leaves it to the server. */
export interface PlaybackAttributes {
  readonly maxLength: number;
  /** What is to be in it. */
  readonly targetLength: number;
  /** What is to be in it before it plays. */
  readonly prebuffer: number;
  /** The least that is asked for. */
  readonly leastRequest: number;
}

/** The same of a record stream. */
export interface RecordAttributes {
  readonly maxLength: number;
  /** What is sent at a time. */
  readonly fragmentSize: number;
}

/** How a client means the latency in its attributes. */
export interface LatencyWish {
  /** The target is all of the latency, the card's included. */
  readonly adjustLatency: boolean;
  /** The card is to ask as often as for the least request. */
  readonly earlyRequests: boolean;
}

interface StreamRequest extends StreamProperties, LatencyWish {
  readonly spec: PulseSpec;
  readonly map: ChannelMap;
  /** The sink or source, by index or by name; neither means the default one. */
  readonly target: TargetName;
  readonly isCorked: boolean;
  /** The card's own is to be taken instead of that of `spec`. */
  readonly fix: { readonly format: boolean; readonly rate: boolean; readonly channels: boolean };
  /** One a channel, or for all; undefined where the client leaves it open. */
  readonly volumes: readonly number[] | undefined;
  readonly isMuted: boolean;
  readonly isPassthrough: boolean;
  readonly formats: readonly FormatInfo[];
}

interface StreamProperties {
  readonly properties: PropertyList;
}

export interface PlaybackRequest extends StreamRequest {
  readonly attributes: PlaybackAttributes;
}

export interface RecordRequest extends StreamRequest {
  readonly attributes: RecordAttributes;
}

/** A sink or a source, as a client names it. */
export interface TargetName {
  readonly index: number;
  readonly name: string | undefined;
}

function auth(reader: TagReader) {
  const version = reader.u32() & VERSION_MASK;
  reader.bytes(); // the cookie: who may open the socket may use it
  return { version };
}

function createPlaybackStream(reader: TagReader): PlaybackRequest {
  const [spec, map, target] = [reader.spec(), reader.map(), targetName(reader)];
  const maxLength = reader.u32();
  const isCorked = reader.boolean();
  const [targetLength, prebuffer, leastRequest] = [reader.u32(), reader.u32(), reader.u32()];
  reader.u32(); // of streams that are to be in step: they are, on one card
  const volumes = reader.volumes();
  const fix = fixes(reader);
  const [isMuted, adjustLatency] = [reader.boolean(), reader.boolean()];
  const properties = reader.properties();
  const [isVolumeSet, earlyRequests, isMuteSet] = booleans(reader, 3);
  booleans(reader, 3); // not to be kept from suspending; to fail where that is suspended; relative volume
  const isPassthrough = reader.boolean();
  return {
    spec,
    map,
    target,
    attributes: { maxLength, targetLength, prebuffer, leastRequest },
    isCorked,
    fix,
    properties,
    adjustLatency,
    earlyRequests: earlyRequests ?? false,
    volumes: isVolumeSet ? volumes : undefined,
    isMuted: isMuteSet ? isMuted : false,
    isPassthrough,
    formats: formats(reader),
  };
}

function createRecordStream(reader: TagReader): RecordRequest {
  const [spec, map, target] = [reader.spec(), reader.map(), targetName(reader)];
  const maxLength = reader.u32();
  const isCorked = reader.boolean();
  const fragmentSize = reader.u32();
  const fix = fixes(reader);
  const [, adjustLatency] = [reader.boolean(), reader.boolean()]; // the first: peaks are enough
  const properties = reader.properties();
  reader.u32(); // the sink input that it is to hear alone
  const earlyRequests = reader.boolean();
  booleans(reader, 2); // as above
  const offered = formats(reader);
  const volumes = reader.volumes();
  const [isMuted, isVolumeSet, isMuteSet] = booleans(reader, 3);
  const [, isPassthrough] = booleans(reader, 2); // the first: relative volume
  return {
    spec,
    map,
    target,
    attributes: { maxLength, fragmentSize },
    isCorked,
    fix,
    properties,
    adjustLatency: adjustLatency ?? false,
    earlyRequests,
    volumes: isVolumeSet ? volumes : undefined,
    isMuted: isMuteSet ? (isMuted ?? false) : false,
    isPassthrough: isPassthrough ?? false,
    formats: offered,
  };
}

const nothing = () => ({});

const ofChannel = (reader: TagReader) => ({ channel: reader.u32() });

const ofIndex = (reader: TagReader) => ({ index: reader.u32() });

const ofName = (reader: TagReader) => ({ name: reader.string() });

function targetName(reader: TagReader): TargetName {
  return { index: reader.u32(), name: reader.string() };
}

function latency(reader: TagReader): { channel: number; time: Timeval } {
  return { channel: reader.u32(), time: reader.timeval() };
}

function cork(reader: TagReader) {
  return { channel: reader.u32(), isCorked: reader.boolean() };
}

function playbackAttributes(reader: TagReader): LatencyWish & {
  channel: number;
  attributes: PlaybackAttributes;
} {
  const channel = reader.u32();
  const [maxLength, targetLength, prebuffer, leastRequest] = [
    reader.u32(),
    reader.u32(),
    reader.u32(),
    reader.u32(),
  ];
  const [adjustLatency, earlyRequests] = [reader.boolean(), reader.boolean()];
  return {
    channel,
    attributes: { maxLength, targetLength, prebuffer, leastRequest },
    adjustLatency,
    earlyRequests,
  };
}

function recordAttributes(reader: TagReader): LatencyWish & {
  channel: number;
  attributes: RecordAttributes;
} {
  const channel = reader.u32();
  const [maxLength, fragmentSize] = [reader.u32(), reader.u32()];
  const [adjustLatency, earlyRequests] = [reader.boolean(), reader.boolean()];
  return { channel, attributes: { maxLength, fragmentSize }, adjustLatency, earlyRequests };
}

function streamName(reader: TagReader) {
  return { channel: reader.u32(), name: reader.string() };
}

function update(reader: TagReader) {
  return { mode: reader.u32(), properties: reader.properties() };
}

function streamUpdate(reader: TagReader) {
  return { channel: reader.u32(), ...update(reader) };
}

function removal(reader: TagReader): { keys: string[] } {
  const keys: string[] = [];
  for (let key = reader.string(); key !== undefined; key = reader.string()) keys.push(key);
  return { keys };
}

function streamRemoval(reader: TagReader) {
  return { channel: reader.u32(), ...removal(reader) };
}

function indexVolumes(reader: TagReader) {
  return { index: reader.u32(), volumes: reader.volumes() };
}

function targetVolumes(reader: TagReader) {
  return { ...targetName(reader), volumes: reader.volumes() };
}

function indexMute(reader: TagReader) {
  return { index: reader.u32(), isMuted: reader.boolean() };
}

function targetMute(reader: TagReader) {
  return { ...targetName(reader), isMuted: reader.boolean() };
}

function subscribe(reader: TagReader) {
  return { mask: reader.u32() };
}

/** no-remap, no-remix, then what is to be the card's, then no-move, variable-rate. */
function fixes(reader: TagReader): StreamRequest['fix'] {
  const [, , format = false, rate = false, channels = false] = booleans(reader, 7);
  return { format, rate, channels };
}

function booleans(reader: TagReader, count: number): boolean[] {
  return Array.from({ length: count }, () => reader.boolean());
}

function formats(reader: TagReader): FormatInfo[] {
  return Array.from({ length: reader.u8() }, () => reader.format());
}

type Decoder = (reader: TagReader) => object;

/** What a client can ask for: each command's number, and what its fields say. Those that are missing are answered with an error. */
const REQUESTS = {
  createPlaybackStream: [3, createPlaybackStream],
  deletePlaybackStream: [4, ofChannel],
  createRecordStream: [5, createRecordStream],
  deleteRecordStream: [6, ofChannel],
  auth: [8, auth],
  setClientName: [9, (reader: TagReader) => ({ properties: reader.properties() })],
  lookupSink: [10, ofName],
  lookupSource: [11, ofName],
  drain: [12, ofChannel],
  statistics: [13, nothing],
  playbackLatency: [14, latency],
  serverInfo: [20, nothing],
  sinkInfo: [21, targetName],
  sinkList: [22, nothing],
  sourceInfo: [23, targetName],
  sourceList: [24, nothing],
  moduleList: [26, nothing],
  clientInfo: [27, ofIndex],
  clientList: [28, nothing],
  sinkInputInfo: [29, ofIndex],
  sinkInputList: [30, nothing],
  sourceOutputInfo: [31, ofIndex],
  sourceOutputList: [32, nothing],
  sampleList: [34, nothing],
  subscribe: [35, subscribe],
  setSinkVolume: [36, targetVolumes],
  setSinkInputVolume: [37, indexVolumes],
  setSourceVolume: [38, targetVolumes],
  setSinkMute: [39, targetMute],
  setSourceMute: [40, targetMute],
  corkPlayback: [41, cork],
  flushPlayback: [42, ofChannel],
  trigger: [43, ofChannel],
  setPlaybackName: [46, streamName],
  setRecordName: [47, streamName],
  killClient: [48, ofIndex],
  killSinkInput: [49, ofIndex],
  killSourceOutput: [50, ofIndex],
  recordLatency: [57, latency],
  corkRecord: [58, cork],
  flushRecord: [59, ofChannel],
  prebuffer: [60, ofChannel],
  setSinkInputMute: [69, indexMute],
  setPlaybackAttributes: [72, playbackAttributes],
  setRecordAttributes: [73, recordAttributes],
  updateRecordProperties: [80, streamUpdate],
  updatePlaybackProperties: [81, streamUpdate],
  updateClientProperties: [82, update],
  removeRecordProperties: [83, streamRemoval],
  removePlaybackProperties: [84, streamRemoval],
  removeClientProperties: [85, removal],
  cardList: [89, nothing],
  setSourceOutputVolume: [98, indexVolumes],
  setSourceOutputMute: [99, indexMute],
} as const satisfies Readonly<Record<string, readonly [number, Decoder]>>;

type Requests = typeof REQUESTS;
export type RequestName = keyof Requests;

/** What a request of that name says. */
export type RequestOf<Name extends RequestName> = ReturnType<Requests[Name][1]>;

/** A request, in words. */
export type PulseRequest = {
  [Name in RequestName]: { readonly name: Name; readonly fields: RequestOf<Name> };
}[RequestName];

const BY_NUMBER: ReadonlyMap<number, RequestName> = new Map(
  (Object.keys(REQUESTS) as RequestName[]).map((name) => [REQUESTS[name][0], name]),
);

/** The number of a request. */
export function requestNumber(name: RequestName): number {
  return REQUESTS[name][0];
}

/**
 * What a command's fields say, after its number and tag: undefined for a command that is not known. Throws
 * ERR_VSND_PROTOCOL for one with other fields than it should have.
 */
export function decodeRequest(number: number, reader: TagReader): PulseRequest | undefined {
  const name = BY_NUMBER.get(number);
  if (name === undefined) return undefined;
  const fields = REQUESTS[name][1](reader);
  if (!reader.isAtEnd)
    throw protocolError(`command ${number} (${name}) of a PulseAudio client has too many fields`);
  return { name, fields } as PulseRequest;
}
