/**
 * What passes through a card's control socket: a JSON object a line. A request is `{ id, method, params }`; its answer,
 * `{ id, result }` or `{ id, error: { code, message } }`. Answers come in the order of the requests.
 */

import { protocolError, VsndError, type VsndErrorCode } from '../errors.ts';
import type { StreamTrigger } from '../frontend/lifecycle.ts';
import type { ClockReading } from '../pcm/position-clock.ts';
import type { StreamState } from '../pcm/substream.ts';

/** Octets of a line, without its end. */
export const LONGEST_REQUEST = 4096;
export const LONGEST_ANSWER = 1 << 20;

/** One stream of the card. */
export interface StreamName {
  readonly type: 'playback' | 'capture';
  /** The PCM device's index, and the stream's in it. */
  readonly device: number;
  readonly stream: number;
}

/** Streams in use; what is left out fits all of them. */
export type StreamChoice = Partial<StreamName>;

export interface StreamStatus extends StreamName {
  /** Hz */
  readonly rate: number;
  readonly channels: number;
  readonly format: string;
  readonly state: StreamState;
  /** Frames played or captured since the stream was created, as reported. */
  readonly position: number;
  /** Frames that are still to be played, or have not been read. */
  readonly latency: number;
  /** Frames; 0 before the backend has opened the stream. */
  readonly bufferFrames: number;
  readonly periodFrames: number;
  /** Underruns or overruns, so far. */
  readonly xruns: number;
  /** As many more at the host, between two positions, as their times show. An owner that is older does not tell. */
  readonly estimatedXruns?: number | undefined;
  /** The position against the monotonic clock. */
  readonly clock: ClockReading;
  /** One a channel. */
  readonly muted: readonly boolean[];
}

export interface CardStatus {
  /** The process that owns the card. */
  readonly pid: number;
  readonly card: {
    readonly devid: number;
    readonly shortName?: string | undefined;
    readonly longName?: string | undefined;
    readonly backendDomid: number;
    /** Whether a backend is connected now. */
    readonly connected: boolean;
  };
  /** Those in use. */
  readonly streams: readonly StreamStatus[];
}

/** A stream that a backend serves. */
export interface GuestStream extends StreamName {
  /** What it is behind, as a person reads it. */
  readonly target: string;
  /** Undefined while the guest has not opened it. */
  readonly open?:
    | (Pick<
        StreamStatus,
        'rate' | 'channels' | 'format' | 'position' | 'latency' | 'bufferFrames' | 'xruns'
      > & {
        readonly state: string;
      })
    | undefined;
  /** Since the guest connected it: requests answered, the notifications of them, and those behind which none was. */
  readonly totals: {
    readonly requests: number;
    readonly notifications: number;
    readonly idleNotifications: number;
    readonly frames: number;
    readonly xruns: number;
  };
}

/** A guest's card, as its backend sees it. */
export interface GuestCard {
  readonly domid: number;
  readonly devid: number;
  readonly name?: string | undefined;
  readonly connected: boolean;
  readonly streams: readonly GuestStream[];
}

export interface BackendStatus {
  /** The process that is the backend. */
  readonly pid: number;
  readonly cards: readonly GuestCard[];
}

export interface ErrorReport {
  /** ERR_VSND_... */
  readonly code: string;
  readonly message: string;
}

/** What became of a request at one stream. */
export interface StreamOutcome extends StreamName {
  /** dB, one a channel: what was asked for. */
  readonly volume?: readonly number[];
  readonly error?: ErrorReport;
}

/** The methods: what each takes, and what it gives. */
export interface ControlMethods {
  /** All about the card; asks the backend for nothing. */
  status: { params: Record<never, never>; result: CardStatus };
  getVolume: ForEach;
  /** dB, for all channels or one a channel. */
  setVolume: ForEach<{ readonly volume: number | readonly number[] }>;
  /** All channels, or those with these numbers. */
  mute: ForEach<{ readonly channels?: readonly number[] }>;
  unmute: ForEach<{ readonly channels?: readonly number[] }>;
  trigger: ForEach<{ readonly trigger: StreamTrigger }>;
  /** All about the guests of a backend. */
  guests: { params: Record<never, never>; result: BackendStatus };
}

/** A method that goes to each stream that is chosen. */
interface ForEach<P = unknown> {
  readonly params: StreamChoice & P;
  readonly result: readonly StreamOutcome[];
}

export type Method = keyof ControlMethods;
/** Those of a card's socket; a backend's has the others. */
export type CardMethod = Exclude<Method, 'guests'>;
export type Params<M extends Method> = ControlMethods[M]['params'];
export type Result<M extends Method> = ControlMethods[M]['result'];

export interface Request {
  readonly id: number | string;
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
  if (hasShape(error, REPORT)) throw errorOf(error as ErrorReport);
  if (answer['id'] === id && hasShape(result, SHAPES[method])) return result as Result<M>;
  throw protocolError(`what a control socket has answered to ${method} is no answer to that`);
}

/** The error that another process has reported. */
export function errorOf({ code, message }: ErrorReport): VsndError {
  return new VsndError(code as VsndErrorCode, message);
}

/** What typeof says of a value, or of those in an array or an object; a key with ? may be left out. */
type Shape = 'string' | 'number' | 'boolean' | readonly [Shape] | { readonly [key: string]: Shape };

const NAME = { type: 'string', device: 'number', stream: 'number' } as const;
const REPORT = { code: 'string', message: 'string' } as const;
const OUTCOMES = [{ ...NAME, 'volume?': ['number'], 'error?': REPORT }] as const;

const SHAPES: Readonly<Record<Method, Shape>> = {
  status: {
    pid: 'number',
    card: {
      devid: 'number',
      'shortName?': 'string',
      'longName?': 'string',
      backendDomid: 'number',
      connected: 'boolean',
    },
    streams: [
      {
        ...NAME,
        ...{ rate: 'number', channels: 'number', format: 'string', state: 'string' },
        ...{ position: 'number', latency: 'number', bufferFrames: 'number', periodFrames: 'number' },
        ...{ xruns: 'number', 'estimatedXruns?': 'number' },
        clock: {
          frames: 'number',
          errorFrames: 'number',
          'deviation?': 'number',
          'deviationError?': 'number',
        },
        muted: ['boolean'],
      },
    ],
  },
  getVolume: OUTCOMES,
  setVolume: OUTCOMES,
  mute: OUTCOMES,
  unmute: OUTCOMES,
  trigger: OUTCOMES,
  guests: {
    pid: 'number',
    cards: [
      {
        ...{ domid: 'number', devid: 'number', 'name?': 'string', connected: 'boolean' },
        streams: [
          {
            ...NAME,
            target: 'string',
            'open?': {
              ...{ rate: 'number', channels: 'number', format: 'string', state: 'string' },
              ...{ position: 'number', latency: 'number', bufferFrames: 'number', xruns: 'number' },
            },
            totals: {
              ...{ requests: 'number', notifications: 'number', idleNotifications: 'number' },
              ...{ frames: 'number', xruns: 'number' },
            },
          },
        ],
      },
    ],
  },
};

function hasShape(value: unknown, shape: Shape): boolean {
  if (typeof shape === 'string') return typeof value === shape;
  if (isList(shape)) return Array.isArray(value) && value.every((one) => hasShape(one, shape[0]));
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Readonly<Record<string, unknown>>;
  return Object.entries(shape).every(([key, inner]) => {
    const field = fields[key.replace('?', '')];
    return field === undefined ? key.endsWith('?') : hasShape(field, inner);
  });
}

function isList(shape: readonly [Shape] | object): shape is readonly [Shape] {
  return Array.isArray(shape);
}
