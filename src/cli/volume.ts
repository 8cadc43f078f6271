import type { ControlClient } from '../control/client.ts';
import type { StreamChoice, StreamOutcome } from '../control/protocol.ts';
import { invalidArg, VsndError } from '../errors.ts';
import { parseCommandLine, parseIndex, parseNumber, UsageError } from './arguments.ts';
import { isSame, lookAt, OWNER_OPTIONS, reachOwner, type StreamView, streamText } from './owner.ts';
import { volumeText } from './status-line.ts';
import type { Terminal } from './terminal.ts';

/** dB */
const RANGE = { min: -1000, max: 1000, unit: 'dB' };
const STEPS = { min: 0, max: 1000, unit: 'dB' };

type Change =
  | { readonly kind: 'mute' }
  | { readonly kind: 'unmute' }
  | { readonly kind: 'set' | 'add'; readonly dB: number };

interface VolumeOptions {
  choice: StreamChoice;
  change: Change | undefined;
  /** Undefined: all of them. */
  channels: number[] | undefined;
  json: boolean;
}

/**
 * `vsnd volume`: sets the volume of streams that another process plays or captures, and prints it. Resolves with whether
 * that went well for each of them.
 */
export async function volume(args: string[], terminal: Terminal): Promise<boolean> {
  const { values, file: operand } = parseCommandLine(
    'volume',
    args,
    {
      ...OWNER_OPTIONS,
      playback: { type: 'boolean' },
      capture: { type: 'boolean' },
      device: { type: 'string' },
      stream: { type: 'string' },
      channel: { type: 'string', multiple: true },
      up: { type: 'string' },
      down: { type: 'string' },
      json: { type: 'boolean' },
    },
    { takesFile: true },
  );
  const options: VolumeOptions = {
    choice: parseChoice(values),
    change: parseChange({ ...values, operand }),
    channels: values.channel?.map((channel) => parseIndex('volume', '--channel', channel) ?? 0),
    json: values.json ?? false,
  };
  if (options.channels && !options.change) {
    throw new UsageError('--channel needs DB, mute, unmute, --up or --down', 'volume');
  }
  const client = await reachOwner('volume', values);
  try {
    const streams = await changeAndLook(client, options);
    if (options.json) terminal.say(JSON.stringify(streams.map(essence), null, 2));
    else for (const stream of streams) tell(stream, terminal);
    return streams.every(({ error }) => error === undefined);
  } finally {
    await client.close();
  }
}

function parseChoice(values: {
  playback?: boolean;
  capture?: boolean;
  device?: string;
  stream?: string;
}): StreamChoice {
  const { playback, capture } = values;
  if (playback && capture) throw new UsageError('--playback and --capture exclude each other', 'volume');
  const device = parseIndex('volume', '--device', values.device);
  const stream = parseIndex('volume', '--stream', values.stream);
  return {
    ...(playback && { type: 'playback' }),
    ...(capture && { type: 'capture' }),
    ...(device !== undefined && { device }),
    ...(stream !== undefined && { stream }),
  };
}

function parseChange(values: {
  operand: string | undefined;
  up?: string;
  down?: string;
}): Change | undefined {
  const { operand, up, down } = values;
  const given = [operand, up, down].filter((value) => value !== undefined);
  if (given.length > 1)
    throw new UsageError('DB, mute, unmute, --up and --down exclude each other', 'volume');
  if (operand === 'mute' || operand === 'unmute') return { kind: operand };
  const set = parseNumber('volume', 'DB', operand, RANGE);
  const add = parseNumber('volume', '--up', up, STEPS);
  const subtract = parseNumber('volume', '--down', down, STEPS);
  if (set !== undefined) return { kind: 'set', dB: set };
  if (add !== undefined) return { kind: 'add', dB: add };
  return subtract === undefined ? undefined : { kind: 'add', dB: -subtract };
}

/** What has become of the streams that are meant, or why nothing has. */
async function changeAndLook(client: ControlClient, options: VolumeOptions): Promise<StreamView[]> {
  const { choice, change, channels } = options;
  const outcomes = change ? await apply(client, choice, change, channels) : [];
  const { streams } = await lookAt(client, choice);
  if (streams.length === 0) throw new VsndError('ERR_VSND_NO_STREAM', 'no such stream is in use');
  return streams.map((stream) => {
    const error = outcomes.find((outcome) => isSame(outcome, stream))?.error;
    return error ? { ...stream, error } : stream;
  });
}

async function apply(
  client: ControlClient,
  choice: StreamChoice,
  change: Change,
  channels: number[] | undefined,
): Promise<readonly StreamOutcome[]> {
  if (change.kind === 'mute' || change.kind === 'unmute') {
    return await client.request(change.kind, { ...choice, ...(channels && { channels }) });
  }
  if (change.kind === 'set' && channels === undefined) {
    return await client.request('setVolume', { ...choice, volume: change.dB });
  }
  const { kind, dB: amount } = change;
  const outcomes: StreamOutcome[] = [];
  for (const { volume: before, ...outcome } of await client.request('getVolume', choice)) {
    if (before === undefined) {
      outcomes.push(outcome);
      continue;
    }
    const wrong = channels?.find((channel) => channel >= before.length);
    if (wrong !== undefined) throw invalidArg('--channel', wrong, `0 to ${before.length - 1}`);
    const after = before.map((dB, channel) => {
      if (channels?.includes(channel) === false) return dB;
      return kind === 'set' ? amount : dB + amount;
    });
    const { type, device, stream } = outcome;
    outcomes.push(...(await client.request('setVolume', { type, device, stream, volume: after })));
  }
  return outcomes;
}

function tell(stream: StreamView, terminal: Terminal): void {
  const { volume: dB = [], muted, error } = stream;
  if (error) terminal.complain(`${streamText(stream)}: ${error.message}`);
  else terminal.say(`${streamText(stream)}: ${volumeText(dB, muted)}`);
}

function essence({ type, device, stream, volume: dB, muted, error }: StreamView) {
  return { type, device, stream, volume: dB, muted, error };
}
