/**
 * What passes through a control socket: a JSON object a line. A request is `{ id, method, params }`; its answer,
 * `{ id, result }` or `{ id, error: { code, message } }`. Answers come in the order of the requests.
 *
 * Everything is described once: what is checked, and the types, come from that.
 */

import { protocolError, VsndError, type VsndErrorCode } from '../errors.ts';
import type { StreamTrigger } from '../frontend/stream-core.ts';
import type { StreamState } from '../pcm/substream.ts';
import {
  BOOLEAN,
  either,
  type Fields,
  INDEX,
  listOf,
  NUMBER,
  type ObjectOf,
  type Of,
  object,
  oneOf,
  optional,
  STRING,
  word,
} from './schema.ts';

/** Bytes of a line, without its end. */
export const LONGEST_REQUEST = 4096;
export const LONGEST_ANSWER = 1 << 20;

const STREAM_NAME = {
  type: oneOf('playback', 'capture'),
  /** The PCM device's index, and the stream's in it. */
  device: INDEX,
  stream: INDEX,
};

const STREAM_CHOICE = {
  type: optional(STREAM_NAME.type),
  device: optional(INDEX),
  stream: optional(INDEX),
};

const PROGRESS = {
  /** Hz */
  rate: NUMBER,
  channels: NUMBER,
  format: STRING,
  /** Frames played or captured since the stream was created, or opened at the backend, as reported. */
  position: NUMBER,
  /** Frames that are still to be played, or have not been read. */
  latency: NUMBER,
  /** Frames; 0 before the backend has opened the stream. */
  bufferFrames: NUMBER,
  /** Underruns or overruns, so far. */
  xruns: NUMBER,
};

const STREAM_STATUS = object({
  ...STREAM_NAME,
  ...PROGRESS,
  state: word<StreamState>(),
  periodFrames: NUMBER,
  /** The position against the monotonic clock: a ClockReading. */
  clock: object({
    frames: NUMBER,
    errorFrames: NUMBER,
    deviation: optional(NUMBER),
    deviationError: optional(NUMBER),
  }),
  /** One a channel. */
  muted: listOf(BOOLEAN),
  /** As many xruns more at the host, between two positions, as their times show. An owner that is older does not tell. */
  estimatedXruns: optional(NUMBER),
});

/** A program that plays or records through the owner of a card. */
const CLIENT_STATUS = object({
  /** What it says it is, and its process. */
  name: STRING,
  pid: optional(NUMBER),
  streams: listOf(
    object({
      direction: oneOf('sink', 'source'),
      /** The sink or source that it uses. */
      target: STRING,
      rate: NUMBER,
      channels: NUMBER,
      corked: BOOLEAN,
      muted: BOOLEAN,
      /** ms of sound that wait, beside those at the card. */
      buffered: NUMBER,
    }),
  ),
});

const CARD_STATUS = object({
  /** The process that owns the card. */
  pid: NUMBER,
  card: object({
    devid: NUMBER,
    shortName: optional(STRING),
    longName: optional(STRING),
    backendDomid: NUMBER,
    /** Whether a backend is connected now. */
    connected: BOOLEAN,
  }),
  /** Those in use. */
  streams: listOf(STREAM_STATUS),
  /** The programs that are connected, where the owner lets programs play: vsnd serve. */
  clients: optional(listOf(CLIENT_STATUS)),
});

/** A stream that a backend serves. */
const GUEST_STREAM = object({
  ...STREAM_NAME,
  /** What it is behind, as a person reads it. */
  target: STRING,
  /** Left out while the guest has not opened it. */
  open: optional(object({ ...PROGRESS, state: STRING })),
  /** Since the guest connected it: requests answered, the notifications of them, and those behind which none was. */
  totals: object({
    requests: NUMBER,
    notifications: NUMBER,
    idleNotifications: NUMBER,
    frames: NUMBER,
    xruns: NUMBER,
  }),
});

/** A guest's card, as its backend sees it. */
const GUEST_CARD = object({
  domid: NUMBER,
  devid: NUMBER,
  name: optional(STRING),
  connected: BOOLEAN,
  streams: listOf(GUEST_STREAM),
});

const BACKEND_STATUS = object({
  /** The process that is the backend. */
  pid: NUMBER,
  cards: listOf(GUEST_CARD),
});

const ERROR_REPORT = object({
  /** ERR_VSND_... */
  code: STRING,
  message: STRING,
});

/** What became of a request at one stream. */
const STREAM_OUTCOME = object({
  ...STREAM_NAME,
  /** dB, one a channel: what was asked for. */
  volume: optional(listOf(NUMBER)),
  error: optional(ERROR_REPORT),
});

/** A method that goes to each stream that is chosen. */
const forEach = <F extends Fields>(params: F) => ({
  params: { ...STREAM_CHOICE, ...params },
  result: listOf(STREAM_OUTCOME),
});

const VOLUME = either(NUMBER, listOf(NUMBER), 'a number of dB, or an array of one a channel');
const CHANNELS = optional(listOf(INDEX, 'an array of channel numbers'));

/** What can be asked of the owner of a card: what each method takes, and what it gives. */
export const CARD_METHODS = {
  /** All about the card; asks the backend for nothing. */
  status: { params: {}, result: CARD_STATUS },
  getVolume: forEach({}),
  /** dB, for all channels or one a channel. */
  setVolume: forEach({ volume: VOLUME }),
  /** All channels, or those with these numbers. */
  mute: forEach({ channels: CHANNELS }),
  unmute: forEach({ channels: CHANNELS }),
  trigger: forEach({ trigger: oneOf<StreamTrigger>('start', 'pause', 'resume', 'stop') }),
};

/** What can be asked of a backend. */
export const BACKEND_METHODS = {
  /** All about its guests. */
  guests: { params: {}, result: BACKEND_STATUS },
};

const METHODS = { ...CARD_METHODS, ...BACKEND_METHODS };

export type Method = keyof typeof METHODS;
export type CardMethod = keyof typeof CARD_METHODS;
export type Params<M extends Method> = ObjectOf<(typeof METHODS)[M]['params']>;
export type Result<M extends Method> = Of<(typeof METHODS)[M]['result']>;

/** One stream of the card. */
export type StreamName = ObjectOf<typeof STREAM_NAME>;
/** Streams in use; what is left out fits all of them. */
export type StreamChoice = ObjectOf<typeof STREAM_CHOICE>;
export type StreamStatus = Of<typeof STREAM_STATUS>;
export type CardStatus = Of<typeof CARD_STATUS>;
export type ClientStatus = Of<typeof CLIENT_STATUS>;
export type GuestStream = Of<typeof GUEST_STREAM>;
export type GuestCard = Of<typeof GUEST_CARD>;
export type BackendStatus = Of<typeof BACKEND_STATUS>;
export type ErrorReport = Of<typeof ERROR_REPORT>;
export type StreamOutcome = Of<typeof STREAM_OUTCOME>;

/** Of a request. */
export const ID = either(NUMBER, STRING, 'a number or a string');

export interface Request {
  readonly id: Of<typeof ID>;
  readonly method: unknown;
  readonly params: unknown;
}

/** `id` is null where the request had none that could be read. */
export type Answer =
  | { readonly id: Request['id'] | null; readonly result: unknown }
  | { readonly id: Request['id'] | null; readonly error: ErrorReport };

export function encodeLine(message: Request | Answer): string {
  return `${JSON.stringify(message)}\n`;
}

/** The JSON object in a line; undefined where there is none. */
export function parseObject(line: string | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line ?? '');
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The result in the answer to request `id`. Throws the error that is in it instead, and ERR_VSND_PROTOCOL for what is no
 * answer to that, whoever may have written it.
 */
export function parseResult<M extends Method>(
  line: string | undefined,
  id: Request['id'],
  method: M,
): Result<M> {
  const answer = parseObject(line);
  if (answer === undefined) throw protocolError(`a control socket's answer is no JSON object`);
  const { error, result } = answer;
  if (ERROR_REPORT.fits(error)) throw reportedError(error);
  if (answer['id'] === id && METHODS[method].result.fits(result)) return result as Result<M>;
  throw protocolError(`what a control socket has answered to ${method} is no answer to that`);
}

/** The error that another process has reported. */
export function reportedError({ code, message }: ErrorReport): VsndError {
  return new VsndError(code as VsndErrorCode, message);
}
