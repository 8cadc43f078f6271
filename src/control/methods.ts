import { invalidArg, isVsndError, VsndError } from '../errors.ts';
import type { StreamTrigger } from '../frontend/lifecycle.ts';
import type {
  CardMethod,
  CardStatus,
  ErrorReport,
  Params,
  Result,
  StreamChoice,
  StreamName,
  StreamOutcome,
  StreamStatus,
} from './protocol.ts';

/** What of a playback or capture stream can be seen and controlled. */
export interface ControlledStream extends Omit<StreamStatus, 'xruns' | 'estimatedXruns'> {
  readonly underruns?: number;
  readonly overruns?: number;
  readonly estimatedUnderruns?: number;
  readonly estimatedOverruns?: number;
  getVolume(): Promise<number[]>;
  setVolume(volume: number | readonly number[]): Promise<void>;
  mute(channels?: readonly number[]): Promise<void>;
  unmute(channels?: readonly number[]): Promise<void>;
  trigger(trigger: StreamTrigger): Promise<void>;
}

/** What of a card can be seen and controlled. */
export interface ControlledCard {
  readonly info: Omit<CardStatus['card'], 'connected'>;
  readonly connected: boolean;
  readonly streams: readonly ControlledStream[];
}

/** What a parameter may be. */
export interface Rule {
  readonly allowed: string;
  readonly isAllowed: (value: unknown) => boolean;
}

type Handlers = {
  readonly [M in CardMethod]: {
    readonly rules: { readonly [Name in keyof Params<M>]-?: Rule };
    readonly run: (card: ControlledCard, params: Params<M>) => Result<M> | Promise<Result<M>>;
  };
};

const isIndex = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
const isNumber = (value: unknown): boolean => typeof value === 'number';

const oneOf = (...values: readonly string[]): Rule => ({
  allowed: values.join(', '),
  isAllowed: (value) => values.some((one) => one === value),
});
const optional = (rule: Rule): Rule => ({
  allowed: rule.allowed,
  isAllowed: (value) => value === undefined || rule.isAllowed(value),
});

const INDEX = optional({ allowed: 'a whole number from 0', isAllowed: isIndex });
const CHOICE = { type: optional(oneOf('playback', 'capture')), device: INDEX, stream: INDEX };
const CHANNELS = optional({
  allowed: 'an array of channel numbers',
  isAllowed: (value) => Array.isArray(value) && value.every(isIndex),
});
const VOLUME: Rule = {
  allowed: 'a number of dB, or an array of one a channel',
  isAllowed: (value) => isNumber(value) || (Array.isArray(value) && value.every(isNumber)),
};

const HANDLERS: Handlers = {
  status: { rules: {}, run: statusOf },
  getVolume: {
    rules: CHOICE,
    run: (card, params) =>
      atEach(card, params, async (stream) => ({ volume: await opened(card, stream).getVolume() })),
  },
  setVolume: {
    rules: { ...CHOICE, volume: VOLUME },
    run: (card, params) => atEach(card, params, (stream) => opened(card, stream).setVolume(params.volume)),
  },
  mute: {
    rules: { ...CHOICE, channels: CHANNELS },
    run: (card, params) => atEach(card, params, (stream) => opened(card, stream).mute(params.channels)),
  },
  unmute: {
    rules: { ...CHOICE, channels: CHANNELS },
    run: (card, params) => atEach(card, params, (stream) => opened(card, stream).unmute(params.channels)),
  },
  trigger: {
    rules: { ...CHOICE, trigger: oneOf('start', 'pause', 'resume', 'stop') },
    run: (card, params) => atEach(card, params, (stream) => stream.trigger(params.trigger)),
  },
};

/**
 * Carries a request out. Rejects with ERR_VSND_INVALID_ARG for a method or parameters that there are not, with
 * ERR_VSND_NO_STREAM where no stream in use is meant.
 */
export async function carryOut(
  card: ControlledCard,
  method: unknown,
  params: unknown = {},
): Promise<unknown> {
  if (!isMethod(method)) throw invalidArg('method', method, Object.keys(HANDLERS).join(', '));
  const handler = HANDLERS[method];
  checkParams(params, handler.rules);
  return await handler.run(card, params as never);
}

/** An error as another process may be told of it. Throws what is no VsndError: that is a mistake of ours. */
export function reportOf(error: unknown): ErrorReport {
  if (!isVsndError(error)) throw error;
  return { code: error.code, message: error.message };
}

function isMethod(method: unknown): method is CardMethod {
  return typeof method === 'string' && Object.hasOwn(HANDLERS, method);
}

/** Throws ERR_VSND_INVALID_ARG for parameters that there are not. */
export function checkParams(params: unknown, rules: Readonly<Record<string, Rule>>): void {
  const names = Object.keys(rules);
  if (typeof params !== 'object' || params === null) throw invalidArg('params', params, 'an object');
  const unknown = Object.keys(params).find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalidArg('a parameter', unknown, names.join(', ') || 'none');
  for (const [name, { isAllowed, allowed }] of Object.entries(rules)) {
    const value = (params as Record<string, unknown>)[name];
    if (!isAllowed(value)) throw invalidArg(name, value, allowed);
  }
}

function statusOf({ info, connected, streams }: ControlledCard): CardStatus {
  const { devid, shortName, longName, backendDomid } = info;
  return {
    pid: process.pid,
    card: { devid, shortName, longName, backendDomid, connected },
    streams: streams.map(streamStatus),
  };
}

function streamStatus(stream: ControlledStream): StreamStatus {
  const { rate, channels, format, state, position, latency, bufferFrames, periodFrames } = stream;
  const { clock, muted, underruns = 0, overruns = 0 } = stream;
  const { estimatedUnderruns = 0, estimatedOverruns = 0 } = stream;
  const xruns = { xruns: underruns + overruns, estimatedXruns: estimatedUnderruns + estimatedOverruns };
  const numbers = { rate, channels, format, state, position, latency, bufferFrames, periodFrames };
  return { ...nameOf(stream), ...numbers, ...xruns, clock, muted };
}

/** What becomes of it at each stream that is meant: one that fails does not keep the others from it. */
async function atEach(
  card: ControlledCard,
  choice: StreamChoice,
  act: (stream: ControlledStream) => Promise<Pick<StreamOutcome, 'volume'>> | Promise<void>,
): Promise<StreamOutcome[]> {
  const outcomes = chosen(card, choice).map(async (stream) => {
    try {
      return { ...nameOf(stream), ...(await act(stream)) };
    } catch (error) {
      return { ...nameOf(stream), error: reportOf(error) };
    }
  });
  return await Promise.all(outcomes);
}

function chosen({ streams }: ControlledCard, { type, device, stream }: StreamChoice): ControlledStream[] {
  const meant = streams.filter(
    (one) =>
      (type ?? one.type) === one.type &&
      (device ?? one.device) === one.device &&
      (stream ?? one.stream) === one.stream,
  );
  if (meant.length > 0) return meant;
  const inUse = streams.map((one) => `${one.type} ${one.device}/${one.stream}`).join(', ');
  throw new VsndError('ERR_VSND_NO_STREAM', `no such stream is in use; in use: ${inUse || 'none'}`);
}

/** A stream that is not open would let the request wait for as long as it likes. */
function opened({ connected }: ControlledCard, stream: ControlledStream): ControlledStream {
  if (connected && stream.bufferFrames > 0) return stream;
  throw new VsndError('ERR_VSND_INVALID_STATE', 'the stream is not open at the backend now');
}

function nameOf({ type, device, stream }: ControlledStream): StreamName {
  return { type, device, stream };
}
