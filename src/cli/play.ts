import { relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { type EmulatedGuest, startEmulatedGuest } from '../emulation/guest.ts';
import { isVsndError, VsndError } from '../errors.ts';
import { type Card, openCard, type PlaybackStream, type StreamWarning } from '../index.ts';
import { ReleaseStack } from '../release-stack.ts';
import { openWav, type WavFile } from '../wav/reader.ts';
import { type CommandLine, parseIndex, UsageError } from './arguments.ts';
import { type CommandContext, defineCommand } from './command.ts';
import { CARD } from './common-options.ts';
import { LevelMeter } from './level-meter.ts';
import { clockTime, describeFormat } from './messages.ts';
import { isSameFile } from './same-file.ts';
import { showProgress } from './show-progress.ts';
import { type Xruns, xrunCount } from './status-line.ts';
import type { Terminal } from './terminal.ts';

interface PlayOptions {
  file: string;
  emulate: boolean;
  sink: string | undefined;
  fast: boolean;
  card: number | undefined;
  device: number | undefined;
}

/** All that takes part. */
interface Playing {
  wav: WavFile;
  card: Card;
  stream: PlaybackStream;
  /** The emulated machine, if it is one. */
  guest: EmulatedGuest | undefined;
  /** Whether the card keeps time, so that underruns mean something. */
  paced: boolean;
}

const OPTIONS = {
  card: CARD,
  device: {
    argument: 'N',
    help: "the card's PCM device with this number; without it, the first one that plays",
  },
  emulate: {
    help: `use an emulated Xen machine inside this process; without FILE, play a sound that comes with vsnd`,
  },
  sink: {
    argument: 'SINK',
    help: `where the emulated card's sound goes; without it, to the speaker if that is installed and opens, else
      to null`,
    values: {
      speaker: "this machine's speakers, by the npm package speaker",
      'wav:FILE': 'a WAV file: what the card heard, bit for bit',
      null: 'nowhere, at the pace of a real card',
    },
  },
  fast: { help: 'let the emulated card run as fast as it can' },
} as const;

/** `vsnd play`: plays a WAV file and says how it went. */
export const play = defineCommand({
  name: 'play',
  summary: 'play a WAV file through a virtual sound card',
  operands: { usage: '[FILE.wav]', most: 1, complete: 'files' },
  description: [
    `Plays a WAV file through this guest's virtual sound card, at the pace of the backend. WAV files hold PCM of
    8, 16, 24 or 32 bits, float of 32 or 64 bits, A-law or mu-law; vsnd list says which of these, and which
    rates, a card takes.`,
  ],
  options: OPTIONS,
  examples: {
    'vsnd play --emulate': 'hear a voice, on any machine',
    'vsnd play --emulate song.wav': 'hear a file of your own',
    'vsnd play --emulate --fast --sink wav:heard.wav song.wav': 'keep what the card has heard, at once',
    'vsnd play --card 1 --device 0 song.wav': 'in a guest with several cards',
  },
  run: playFile,
});

/** An aborted `signal` stops at once, without an error. */
async function playFile(
  line: CommandLine<typeof OPTIONS>,
  { terminal, signal }: CommandContext,
): Promise<boolean> {
  const options = parseOptions(line);
  const releases = new ReleaseStack();
  let summary: string[];
  try {
    const wav = await openWav(options.file);
    releases.push(() => wav.close());
    if (wav.truncated) terminal.complain(`warning: ${wav.path} ends early; playing what is there`);
    if (wav.frames === 0) {
      terminal.complain(`nothing to play: ${wav.path} holds no frames`);
      return true;
    }

    const guest = options.emulate ? await startGuest(options) : undefined;
    if (guest) releases.push(() => guest.close());
    const card = await openCard({ hypervisor: guest?.hypervisor, card: options.card, control: true, signal });
    releases.push(() => card.close());
    const stream = openStream(card, wav, options.device);
    stream.on('warning', (warning: StreamWarning) => terminal.complain(`warning: ${warning.message}`));

    // A speaker keeps its own time, --fast or not.
    const playing = { wav, card, stream, guest, paced: !options.fast || guest?.sink.kind === 'speaker' };
    terminal.say(announcement(playing));
    await playThrough(playing, terminal, signal);
    summary = summarize(playing);
  } finally {
    await releases.releaseAll();
  }
  // Only now is the sink's file complete.
  terminal.say(summary.join('\n'));
  return true;
}

function parseOptions({ values, operands: [file] }: CommandLine<typeof OPTIONS>): PlayOptions {
  const emulate = values.emulate ?? false;
  const { sink, fast = false } = values;
  if (!emulate && file === undefined) throw new UsageError('FILE.wav is missing (--emulate has one)');
  if (!emulate && (sink !== undefined || fast)) {
    throw new UsageError(`${fast ? '--fast' : '--sink'} needs --emulate`);
  }
  if (sink !== undefined && !/^(null|speaker|wav:.+)$/s.test(sink)) {
    throw new UsageError(`--sink is '${sink}'; allowed: null, speaker, wav:FILE`);
  }
  return {
    file: file ?? packagedExample(),
    emulate,
    sink,
    fast,
    card: parseIndex('--card', values.card),
    device: parseIndex('--device', values.device),
  };
}

/** The sound that comes with vsnd, by the shorter of its names. */
function packagedExample(): string {
  const path = fileURLToPath(new URL('../../examples/hello.wav', import.meta.url));
  const fromHere = relative('', path);
  return fromHere.startsWith('..') ? path : fromHere;
}

async function startGuest({ file, sink, fast }: PlayOptions): Promise<EmulatedGuest> {
  if (sink?.startsWith('wav:') && (await isSameFile(file, sink.slice(4)))) {
    throw new UsageError(`--sink is '${sink}', the file to be played; allowed: another one`);
  }
  return startEmulatedGuest({ sink, fast });
}

function openStream(card: Card, wav: WavFile, device: number | undefined): PlaybackStream {
  const { format, rate, channels } = wav;
  try {
    return card.createPlaybackStream({ format, rate, channels, device });
  } catch (error) {
    if (!isVsndError(error) || !['format', 'rate', 'channels'].includes(error.option ?? '')) throw error;
    const message = `${wav.path} (${describeFormat(wav)}) does not fit this card: ${error.message}`;
    throw new VsndError(error.code, message, { cause: error });
  }
}

/** Returns when the last frame has been played, or at once when `signal` aborts. */
async function playThrough(playing: Playing, terminal: Terminal, signal: AbortSignal): Promise<void> {
  const { wav, stream, guest } = playing;
  const meter = new LevelMeter(wav);
  const hide = showProgress(terminal, () => ({
    elapsed: stream.position / wav.rate,
    total: wav.frames / wav.rate,
    fill: stream.latency / (stream.bufferFrames || 1), // 0 before the backend has opened the stream
    latency: (stream.latency / wav.rate) * 1000,
    xruns: underruns(playing),
    levels: terminal.live ? meter.levelsUpTo(stream.position) : [],
  }));
  try {
    await pipeline(terminal.live ? [wav.stream(), meter, stream] : [wav.stream(), stream], { signal });
  } catch (error) {
    if (!signal.aborted) throw withSink(error, guest);
  } finally {
    hide();
  }
}

function underruns({ stream, paced }: Playing): Xruns {
  return { name: 'underruns', count: paced ? stream.underruns : undefined };
}

/** On Xen, Dom0 has the reason why its backend refused something; here the sink is the user's own. */
function withSink(error: unknown, guest: EmulatedGuest | undefined): unknown {
  if (guest === undefined || !isVsndError(error, 'ERR_VSND_STATUS')) return error;
  return new VsndError(error.code, `${error.message}; its sink: ${guest.sink.description}`, { cause: error });
}

function announcement({ wav, card, guest }: Playing): string {
  const { devid, backendDomid } = card.info;
  const where = guest
    ? `${guest.hypervisor.description}, sink ${guest.sink.description}`
    : `this guest, through the backend in domain ${backendDomid}`;
  return [
    `playing ${wav.path}: ${describeFormat(wav)}, ${clockTime(wav.frames / wav.rate)}`,
    `on card ${devid} of ${where}`,
  ].join('\n');
}

function summarize(playing: Playing): string[] {
  const { wav, stream, guest } = playing;
  const frames = stream.position;
  const part = frames < wav.frames ? `${frames} of ${wav.frames}` : `${frames}`;
  return [
    `played ${part} frames (${clockTime(frames / wav.rate)}) of ${wav.path}: ${describeFormat(wav)}`,
    `positions reported by the backend: ${stream.positionReports}`,
    `underruns: ${xrunCount(underruns(playing))}`,
    `result: ${guest ? describeResult(guest) : 'played by the backend'}`,
  ];
}

function describeResult({ sink }: EmulatedGuest): string {
  return sink.kind === 'null' ? 'null clock: nothing was kept' : sink.description;
}
