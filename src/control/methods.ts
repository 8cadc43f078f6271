import { invalidArgError, isVsndError, VsndError } from '../errors.ts';
import type { StreamTrigger } from '../frontend/stream-core.ts';
import {
  CARD_METHODS,
  type CardMethod,
  type CardStatus,
  type ClientStatus,
  type ErrorReport,
  type Params,
  type Result,
  type StreamChoice,
  type StreamName,
  type StreamOutcome,
  type StreamStatus,
} from './protocol.ts';
import { checkFields } from './schema.ts';

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
  /** The programs that are connected, where it is offered to some. */
  readonly clients?: readonly ClientStatus[] | undefined;
  /** Called when a stream's volume, or its mute, may be another one. */
  handleVolume?(): void;
}

type Handlers = {
  readonly [M in CardMethod]: (card: ControlledCard, params: Params<M>) => Result<M> | Promise<Result<M>>;
};

const HANDLERS: Handlers = {
  status: statusOf,
  getVolume: (card, choice) =>
    atEach(card, choice, async (stream) => ({ volume: await requireOpen(card, stream).getVolume() })),
  setVolume: (card, { volume, ...choice }) => turnEach(card, choice, (stream) => stream.setVolume(volume)),
  mute: (card, { channels, ...choice }) => turnEach(card, choice, (stream) => stream.mute(channels)),
  unmute: (card, { channels, ...choice }) => turnEach(card, choice, (stream) => stream.unmute(channels)),
  trigger: (card, { trigger, ...choice }) => atEach(card, choice, (stream) => stream.trigger(trigger)),
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
  if (!isMethod(method)) throw invalidArgError('method', method, Object.keys(HANDLERS).join(', '));
  checkFields('params', params, CARD_METHODS[method].params);
  return await HANDLERS[method](card, params as never);
}

/** An error as another process may be told of it. Throws what is no VsndError: that is a mistake of ours. */
export function reportOf(error: unknown): ErrorReport {
  if (!isVsndError(error)) throw error;
  return { code: error.code, message: error.message };
}

function isMethod(method: unknown): method is CardMethod {
  return typeof method === 'string' && Object.hasOwn(HANDLERS, method);
}

function statusOf({ info, connected, streams, clients }: ControlledCard): CardStatus {
  const { devid, shortName, longName, backendDomid } = info;
  return {
    pid: process.pid,
    card: { devid, shortName, longName, backendDomid, connected },
    streams: streams.map(streamStatus),
    ...(clients && { clients }),
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

/** Another volume, or mute, at each stream that is meant. */
async function turnEach(
  card: ControlledCard,
  choice: StreamChoice,
  turn: (stream: ControlledStream) => Promise<void>,
): Promise<StreamOutcome[]> {
  const outcomes = await atEach(card, choice, (stream) => turn(requireOpen(card, stream)));
  card.handleVolume?.();
  return outcomes;
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
function requireOpen({ connected }: ControlledCard, stream: ControlledStream): ControlledStream {
  if (connected && stream.bufferFrames > 0) return stream;
  throw new VsndError('ERR_VSND_INVALID_STATE', 'the stream is not open at the backend now');
}

function nameOf({ type, device, stream }: ControlledStream): StreamName {
  return { type, device, stream };
}
