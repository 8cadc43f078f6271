import type { ControlClient } from '../control/client.ts';
import type { StreamChoice, StreamOutcome } from '../control/protocol.ts';
import { invalidArgError, VsndError } from '../errors.ts';
import { type CommandLine, parseIndex, parseNumber, UsageError } from './arguments.ts';
import { type CommandContext, defineCommand } from './command.ts';
import { OWNER_OPTIONS } from './common-options.ts';
import { isSame, lookAt, reachOwner, type StreamView, streamText } from './owner.ts';
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

const OPTIONS = {
  up: { argument: 'DB', help: 'louder by so much' },
  down: { argument: 'DB', help: 'softer by so much' },
  channel: {
    argument: 'N',
    multiple: true,
    help: 'this channel only, counted from 0; may be given several times',
  },
  playback: { help: 'streams that play only' },
  capture: { help: 'streams that capture only' },
  device: { argument: 'N', help: 'streams of this PCM device only' },
  stream: { argument: 'N', help: 'streams with this number only' },
  json: { help: 'print JSON: an array of streams' },
  ...OWNER_OPTIONS,
} as const;

/** `vsnd volume`: sets the volume of streams that another process plays or captures, and prints it. */
export const volume = defineCommand({
  name: 'volume',
  summary: 'show or set the volume of running streams',
  operands: { usage: '[DB|mute|unmute]', most: 1, complete: ['mute', 'unmute'] },
  description: [
    `Shows the volume of the streams that another process plays or captures, or sets it first: to DB (0 is unchanged, -6 is half), louder or softer
    by a step, or mute.`,
  ],
  options: OPTIONS,
  examples: {
    'vsnd volume': 'how loud each stream in use is',
    'vsnd volume -6': 'half as loud as what is played',
    'vsnd volume --down 3 --channel 1': 'the right channel, softer than before',
    'vsnd volume mute --capture': 'whoever records, records silence',
  },
  run: setAndShow,
});

async function setAndShow(
  { values, operands: [operand] }: CommandLine<typeof OPTIONS>,
  { terminal }: CommandContext,
): Promise<boolean> {
  const options: VolumeOptions = {
    choice: parseChoice(values),
    change: parseChange({ ...values, operand }),
    channels: values.channel?.map((channel) => parseIndex('--channel', channel) ?? 0),
    json: values.json ?? false,
  };
  if (options.channels && !options.change) {
    throw new UsageError('--channel needs DB, mute, unmute, --up or --down');
  }
  const client = await reachOwner(values);
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
  if (playback && capture) throw new UsageError('--playback and --capture exclude each other');
  const device = parseIndex('--device', values.device);
  const stream = parseIndex('--stream', values.stream);
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
  if (given.length > 1) throw new UsageError('DB, mute, unmute, --up and --down exclude each other');
  if (operand === 'mute' || operand === 'unmute') return { kind: operand };
  const set = parseNumber('DB', operand, RANGE);
  const add = parseNumber('--up', up, STEPS);
  const subtract = parseNumber('--down', down, STEPS);
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
    if (wrong !== undefined) throw invalidArgError('--channel', wrong, `0 to ${before.length - 1}`);
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
