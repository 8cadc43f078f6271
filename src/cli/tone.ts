import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FrameFormat } from '../audio/audio-source.ts';
import { chooseUsual } from '../audio/target-format.ts';
import { streamsOf } from '../config/card.ts';
import type { EmulatedGuest } from '../emulation/guest.ts';
import type { Card, PcmFormatName, PlaybackStream, StreamWarning } from '../index.ts';
import { WAV_FORMATS } from '../wav/header.ts';
import { type CommandLine, parseIndex, parseNumber, parseOneOf, UsageError } from './arguments.ts';
import { type CommandContext, defineCommand } from './command.ts';
import { CARD, EMULATION, parseEmulation } from './common-options.ts';
import { LevelMeter } from './level-meter.ts';
import { clockTime, describeFormat } from './messages.ts';
import { announceCard } from './play/report.ts';
import { showProgress } from './show-progress.ts';
import { type Xruns, xrunCount } from './status-line.ts';
import type { Terminal } from './terminal.ts';
import { type Piece, TONE_TYPES, type Tone, tonePieces, toneSeconds } from './tone-pieces.ts';
import { withCard } from './with-card.ts';

const USUAL_FREQUENCY = 440;
const USUAL_LEVEL = -20;

const OPTIONS = {
  type: {
    short: 't',
    argument: 'TYPE',
    help: 'what is to be heard (default: sine)',
    values: {
      sine: 'a sine, in all channels',
      pink: 'pink noise, in all channels: as much of it in each octave',
      walk: 'a burst in one channel after the other; says which one it is',
    },
  },
  frequency: {
    short: 'f',
    argument: 'HZ',
    help: `of the sine (default: ${USUAL_FREQUENCY}); with it, a walk is one of sines, else of pink noise`,
  },
  duration: { short: 'd', argument: 'SECONDS', help: 'how long (default: until Ctrl-C)' },
  loops: { short: 'l', argument: 'N', help: 'how often a walk goes through the channels (default: once)' },
  level: {
    argument: 'DBFS',
    help: `how loud, against a sine of full scale (default: ${USUAL_LEVEL}); peaks of noise are higher by 9 dB`,
  },
  rate: { short: 'r', argument: 'HZ', help: 'frames a second (default: 48000, or what the card has)' },
  channels: { short: 'c', argument: 'N', help: 'how many (default: 2, or what the card has)' },
  format: {
    argument: 'FORMAT',
    help: 'how a sample is written (default: s16_le, or what the card has)',
    oneOf: WAV_FORMATS,
  },
  card: CARD,
  device: {
    argument: 'N',
    help: "the card's PCM device with this number (default: the first one that plays)",
  },
  json: { help: 'print JSON: an object that says what has been played' },
  ...EMULATION,
} as const;

type Values = CommandLine<typeof OPTIONS>['values'];

/** `vsnd tone`: plays a test tone, as speaker-test does. */
export const tone = defineCommand({
  name: 'tone',
  summary: 'play a test tone, or find out which channel is which',
  description: [
    `Plays a sine, pink noise, or a burst in one channel after the other, that comes and goes without a click.
    Ctrl-C lets it fade.`,
  ],
  options: OPTIONS,
  examples: {
    'vsnd tone -d 2': 'whether there is sound at all',
    'vsnd tone -t walk -c 6': 'which of six loudspeakers is which',
    'vsnd tone -t pink --level -30': 'noise at a low level, until Ctrl-C',
    'vsnd tone -t walk -f 1000 --emulate --fast --sink wav:walk.wav': 'a file to test others with',
  },
  run: playTone,
});

interface ToneOptions extends Tone {
  wish: Partial<FrameFormat>;
  card: number | undefined;
  device: number | undefined;
  emulation: { sink: string | undefined; fast: boolean } | undefined;
  json: boolean;
}

/** An aborted `signal` lets the tone fade. */
async function playTone({ values }: CommandLine<typeof OPTIONS>, context: CommandContext): Promise<boolean> {
  const options = parseOptions(values);
  const { emulation, json } = options;
  const { terminal, signal } = context;
  await withCard(options, context, async ({ card, guest }) => {
    const stream = openStream(card, options);
    stream.on('warning', (warning: StreamWarning) => terminal.complain(`warning: ${warning.message}`));
    const pieces = tonePieces(stream, options, signal);
    if (!json) terminal.say(`${announcement(options, stream)}\n${announceCard(card, guest)}`);
    const isPaced = !emulation?.fast || guest?.sink.hasOwnClock === true;
    await playThrough(pieces, stream, isPaced, terminal, options);
    terminal.say(json ? report(options, stream, isPaced, guest) : summary(options, stream, isPaced));
  });
  return true;
}

function parseOptions(values: Values): ToneOptions {
  const type = parseOneOf('--type', values.type, TONE_TYPES) ?? 'sine';
  const range = { min: 1, max: 96_000, unit: 'Hz' };
  const frequency =
    parseNumber('--frequency', values.frequency, range) ?? (type === 'sine' ? USUAL_FREQUENCY : undefined);
  if (type === 'pink' && frequency !== undefined) throw new UsageError('--frequency is not for pink noise');
  if (type !== 'walk' && values.loops !== undefined) throw new UsageError('--loops needs --type walk');
  const level = parseNumber('--level', values.level, { min: -120, max: 0, unit: 'dBFS' }) ?? USUAL_LEVEL;
  const duration = parseNumber('--duration', values.duration, { min: 0.02, max: 1e6, unit: 's' });
  const loops = parseNumber('--loops', values.loops, { min: 1, max: 1e6, unit: 'loops' });
  return {
    type,
    frequency,
    duration: duration ?? Number.POSITIVE_INFINITY,
    // Given a time, it goes round for as long as that.
    loops: Math.trunc(loops ?? (duration === undefined ? 1 : Number.POSITIVE_INFINITY)),
    amplitude: 10 ** (level / 20),
    wish: parseFormat(values),
    card: parseIndex('--card', values.card),
    device: parseIndex('--device', values.device),
    emulation: parseEmulation(values),
    json: values.json ?? false,
  };
}

function parseFormat(values: Values): Partial<FrameFormat> {
  const format = parseOneOf<PcmFormatName>('--format', values.format, WAV_FORMATS);
  const rate = parseIndex('--rate', values.rate);
  const channels = parseIndex('--channels', values.channels);
  return {
    ...(format !== undefined && { format }),
    ...(rate !== undefined && { rate }),
    ...(channels !== undefined && { channels }),
  };
}

/** Set to what the user said, and else to what the card has. */
function openStream(card: Card, { device, wish }: ToneOptions): PlaybackStream {
  const [place] = streamsOf(card.info, { type: 'playback', device });
  return card.createPlaybackStream({ ...chooseUsual(place?.config, wish), device });
}

/** Returns when the last frame has been played. */
async function playThrough(
  pieces: Iterable<Piece>,
  stream: PlaybackStream,
  isPaced: boolean,
  terminal: Terminal,
  options: ToneOptions,
): Promise<void> {
  const { rate, channels } = stream;
  if (options.json) return await pipeline(Readable.from(bytesOf(pieces, stream, () => {})), stream);
  const total = toneSeconds(options, channels);
  const meter = new LevelMeter(stream);
  const hide = showProgress(terminal, () => ({
    elapsed: stream.position / rate,
    total: Number.isFinite(total) ? total : undefined,
    fill: stream.latency / (stream.bufferFrames || 1), // 0 before the backend has opened the stream
    latency: (stream.latency / rate) * 1000,
    xruns: underruns(stream, isPaced),
    levels: terminal.live ? meter.levelsUpTo(stream.position) : [],
  }));
  try {
    const source = Readable.from(bytesOf(pieces, stream, (name) => terminal.say(name)));
    await pipeline(terminal.live ? [source, meter, stream] : [source, stream]);
  } finally {
    hide();
  }
}

/** The bytes of the pieces; says the name of each that has one when it begins to be heard. */
function* bytesOf(
  pieces: Iterable<Piece>,
  stream: PlaybackStream,
  say: (name: string) => void,
): Generator<Uint8Array, void> {
  const toCome: { frame: number; name: string }[] = [];
  stream.on('position', ({ frames }: { frames: number }) => {
    while (toCome[0] && toCome[0].frame <= frames) say(toCome.shift()?.name ?? '');
  });
  let frame = 0;
  for (const { bytes, starts } of pieces) {
    if (starts !== undefined) toCome.push({ frame, name: starts });
    yield bytes;
    frame += bytes.length / stream.frameBytes;
  }
}

function underruns(stream: PlaybackStream, isPaced: boolean): Xruns {
  const { underruns: count, estimatedUnderruns: estimated } = stream;
  return { name: 'underruns', ...(isPaced ? { count, estimated } : { count: undefined }) };
}

function announcement({ type, frequency, amplitude }: ToneOptions, stream: PlaybackStream): string {
  const what = frequency === undefined ? 'pink noise' : `a sine of ${frequency} Hz`;
  const where = type === 'walk' ? ' in one channel after the other' : '';
  const level = Math.round(20 * Math.log10(amplitude) * 100) / 100;
  return `playing ${what}${where} at ${level} dBFS: ${describeFormat(stream)}`;
}

function summary({ type }: ToneOptions, stream: PlaybackStream, isPaced: boolean): string {
  const { position, rate, positionReports } = stream;
  return [
    `played ${position} frames (${clockTime(position / rate)}) of ${type}: ${describeFormat(stream)}`,
    `positions reported by the backend: ${positionReports}`,
    `underruns: ${xrunCount(underruns(stream, isPaced))}`,
  ].join('\n');
}

function report(
  { type }: ToneOptions,
  stream: PlaybackStream,
  isPaced: boolean,
  guest: EmulatedGuest | undefined,
): string {
  const { position: frames, format, rate, channels, positionReports } = stream;
  const { count = null, estimated = null } = underruns(stream, isPaced);
  const sink = guest?.sink.description;
  return JSON.stringify(
    {
      ...{ type, frames, format, rate, channels, positionReports },
      ...{ underruns: count, estimatedUnderruns: estimated, sink },
    },
    null,
    2,
  );
}
