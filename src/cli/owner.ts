import { RealClock } from '../clock.ts';
import { ControlClient } from '../control/client.ts';
import { findEmulatedOwner, findOwner } from '../control/find.ts';
import type {
  CardStatus,
  StreamChoice,
  StreamName,
  StreamOutcome,
  StreamStatus,
} from '../control/protocol.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { parseIndex, throwUsageError } from './arguments.ts';

/** A stream in use, with its volume, or why it has none. */
export type StreamView = StreamStatus & StreamOutcome;

/** A card, and those of its streams that were asked for. */
export interface CardView extends CardStatus {
  readonly streams: readonly StreamView[];
}

/** Reaches the process that owns the card. Rejects as {@link findOwner}, with ERR_VSND_NO_CARD where it owns another card. */
export async function reachOwner(values: {
  card?: string;
  socket?: string;
  emulate?: boolean;
}): Promise<ControlClient> {
  const devid = parseIndex('--card', values.card);
  const clock = new RealClock();
  const { socket, emulate } = values;
  if (socket === undefined && !emulate) return await findOwner(devid, clock);
  const client = await (socket === undefined ? findEmulatedOwner(clock) : connectTo(socket));
  try {
    const { pid, card } = await client.request('status', {});
    if (devid === undefined || devid === card.devid) return client;
    throw new VsndError('ERR_VSND_NO_CARD', `process ${pid} has card ${card.devid} open, not card ${devid}`);
  } catch (error) {
    await client.close();
    throw error;
  }
}

/** Reaches whoever serves the socket that --socket names. Rejects with {@link UsageError} for a path that is none of a socket. */
export async function connectTo(socket: string): Promise<ControlClient> {
  return await ControlClient.connect(socket, new RealClock()).catch(throwUsageError);
}

/** All about the card and the streams that are chosen; about none, where none is in use. */
export async function lookAt(client: ControlClient, choice: StreamChoice = {}): Promise<CardView> {
  const status = await client.request('status', {});
  const outcomes = await client.request('getVolume', choice).catch(nothingInUse);
  const streams = outcomes.flatMap((outcome) => {
    const stream = status.streams.find((one) => isSame(one, outcome));
    return stream ? [{ ...stream, ...outcome }] : []; // it has just begun
  });
  return { ...status, streams };
}

/** A stream as a person reads it: playback 0/1, stream 1 of PCM device 0. */
export function streamText({ type, device, stream }: StreamName): string {
  return `${type} ${device}/${stream}`;
}

export function isSame(one: StreamName, other: StreamName): boolean {
  return one.type === other.type && one.device === other.device && one.stream === other.stream;
}

function nothingInUse(error: unknown): StreamOutcome[] {
  if (isVsndError(error, 'ERR_VSND_NO_STREAM')) return [];
  throw error;
}
