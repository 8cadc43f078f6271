import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { chooseUsual } from '../audio/target-format.ts';
import { sourceOf } from '../backend/device-names.ts';
import { streamsOf } from '../config/card.ts';
import type { EmulatedGuest, EmulatedGuestOptions } from '../emulation/guest.ts';
import { isVsndError } from '../errors.ts';
import type { CaptureStream, CaptureStreamEvents, Card, PcmFormatName, StreamWarning } from '../index.ts';
import { maxBufferFrames } from '../pcm/hw-params.ts';
import { WAV_FORMATS, type WavFormat } from '../wav/header.ts';
import { createWavFile, type WavStream, wavInto } from '../wav/stream.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import { type CommandLine, parseIndex, parseNumber, parseOneOf, UsageError } from './arguments.ts';
import { type CommandContext, defineCommand } from './command.ts';
import { CARD, checkEmulation, EMULATE, SOFTWARE_VOLUME, SOURCE } from './common-options.ts';
import { LevelMeter } from './level-meter.ts';
import { clockTime, describeChosen, describeFormat, misnamedWav } from './messages.ts';
import { isSameFile } from './same-file.ts';
import { showProgress } from './show-progress.ts';
import type { Terminal } from './terminal.ts';
import { withCard } from './with-card.ts';

/** In the place of a file: standard output. */
const STDOUT = '-';

/** Seconds of sound that the card keeps while this process is busy, where it can: nobody waits for what is recorded. */
const BUFFER_SECONDS = 2;
const PERIOD_SECONDS = 0.025;

interface RecordOptions {
  file: string;
  /** Seconds; undefined: until it is stopped. */
  duration: number | undefined;
  format: PcmFormatName | undefined;
  rate: number | undefined;
  channels: number | undefined;
  card: number | undefined;
  device: number | undefined;
  /** dB */
  volume: number | undefined;
  softwareVolume: boolean;
  json: boolean;
  emulation: EmulatedGuestOptions | undefined;
}

/** All that takes part. */
interface Recording {
  options: RecordOptions;
  card: Card;
  stream: CaptureStream;
  wav: WavStream;
  /** The emulated machine, if it is one. */
  guest: EmulatedGuest | undefined;
  /** Frames that were lost in overruns. */
  lost: number;
}

const OPTIONS = {
  duration: { short: 'd', argument: 'SECONDS', help: 'how long (default: until Ctrl-C)' },
  rate: {
    short: 'r',
    argument: 'HZ',
    help: 'frames a second (default: 48000, else the best that the card has)',
  },
  channels: {
    short: 'c',
    argument: 'N',
    help: 'how many (default: 2, else the nearest that the card has)',
  },
  format: {
    short: 'f',
    argument: 'FORMAT',
    help: 'how a sample is written (default: s16_le, else the one of these that the card has and that loses least)',
    oneOf: WAV_FORMATS,
  },
  volume: { argument: 'DB', help: "set the volume, the backend's unless there is --software-volume" },
  'software-volume': SOFTWARE_VOLUME,
  card: CARD,
  device: {
    argument: 'N',
    help: "the card's PCM device with this number (default: the first one that captures)",
  },
  json: { help: 'print JSON: an object that says what has been recorded' },
  emulate: EMULATE,
  source: {
    ...SOURCE,
    help: `what the emulated card captures (default: the first of pipewire, pulse and alsa that captures here, else sine);
      sine where nobody listens, which is without a terminal, or with CI set`,
  },
} as const;

/** `vsnd record`: records into a WAV file and says how it went. */
export const record = defineCommand({
  name: 'record',
  summary: 'record from a virtual sound card',
  operands: { usage: 'FILE.wav|-', most: 1, complete: 'files' },
  description: [
    `Records from this guest's virtual sound card into a WAV file, until Ctrl-C or for a given time; - is
    standard output. A file that is there is overwritten.`,
  ],
  options: OPTIONS,
  examples: {
    'vsnd record -d 10 interview.wav': 'ten seconds, as the card has them',
    'vsnd record -c 1 -f s24_le --volume -6 voice.wav': 'one channel of 24 bits, half as loud',
    'vsnd record - | sox -t wav - voice.flac': 'into another program, until Ctrl-C',
    'vsnd record --emulate --source sine:440 -d 1 a.wav': 'a second of a tone, on any machine',
  },
  // Everything else then goes to standard error.
  writesToStdout: (args) => args.includes(STDOUT),
  run: recordFile,
});

/** An aborted `signal` ends the recording, without an error. */
async function recordFile(line: CommandLine<typeof OPTIONS>, context: CommandContext): Promise<boolean> {
  const options = await parseOptions(line);
  const { terminal, stdout, signal } = context;
  if (options.file === STDOUT && stdout.isTTY) {
    throw new UsageError('- is standard output, which is a terminal; allowed: a file, a pipe');
  }
  const warning = misnamedWav(options.file);
  if (warning) terminal.complain(warning);
  let recording: Recording | undefined;
  try {
    await withCard(options, context, async ({ card, guest }) => {
      const stream = await openStream(card, options, terminal, signal);
      if (signal.aborted) return;
      const wav = await openOutput(options.file, stream, stdout);
      recording = { options, card, stream, wav, guest, lost: 0 };
      if (!options.json) terminal.say(announcement(recording));
      await recordThrough(recording, terminal);
    });
  } finally {
    if (recording) terminal.say(options.json ? report(recording) : summary(recording));
  }
  return true;
}

async function parseOptions({
  values,
  operands: [file],
}: CommandLine<typeof OPTIONS>): Promise<RecordOptions> {
  const { json = false, emulate = false, source } = values;
  if (file === undefined) throw new UsageError('FILE.wav is missing (- is standard output)');
  if (file.includes('\ufffd'))
    throw new UsageError("FILE.wav's name is not UTF-8, and Node.js knows no others; allowed: - > FILE");
  checkEmulation(values);
  if (source !== undefined) await checkSource(source, file);
  return {
    file,
    duration: parseNumber('--duration', values.duration, { min: 0.001, max: 1e6, unit: 's' }),
    format: parseOneOf('--format', values.format, WAV_FORMATS),
    rate: parseIndex('--rate', values.rate),
    channels: parseIndex('--channels', values.channels),
    card: parseIndex('--card', values.card),
    device: parseIndex('--device', values.device),
    softwareVolume: values['software-volume'] ?? false,
    volume: parseNumber('--volume', values.volume, { min: -1000, max: 1000, unit: 'dB' }),
    json,
    emulation: emulate ? { sink: 'null', source: source ?? 'any' } : undefined,
  };
}

/** Throws {@link UsageError} where what is captured would be overwritten. */
async function checkSource(source: string, file: string): Promise<void> {
  const name = sourceOf(source);
  if (name?.kind === 'wav' && (await isSameFile(file, name.file))) {
    throw new UsageError(`--source is '${source}', the file to be written; allowed: another one`);
  }
}

/** A stream that the backend has opened, with its volume set. */
async function openStream(
  card: Card,
  options: RecordOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<CaptureStream> {
  const { device, volume, softwareVolume } = options;
  const [place] = streamsOf(card.info, { type: 'capture', device });
  const format = chooseUsual(place?.config, options, (name) => WAV_FORMATS.includes(name));
  const sizes = chooseSizes(format, place?.config.bufferBytes ?? 0);
  const stream = card.createCaptureStream({ ...format, ...sizes, device, softwareVolume });
  stream.on('warning', (warning: StreamWarning) => terminal.complain(`warning: ${warning.message}`));
  stream.on('error', () => {}); // whoever waits for it hears of it
  signal.addEventListener('abort', () => stream.finish(), { once: true });
  if (signal.aborted) stream.finish();
  await once(stream, 'open');
  if (volume !== undefined) await stream.setVolume(volume);
  return stream;
}

/** The largest buffer that makes sense; periods as of one of 200 ms, where it has room for more of them. */
function chooseSizes(format: WavFormat, bytes: number) {
  const frameBytes = (pcmFormat(format.format).sampleBytes ?? 1) * format.channels;
  const most = maxBufferFrames({ ...format, frameBytes }, bytes);
  const wanted = format.rate * BUFFER_SECONDS;
  if (most >= wanted) return { bufferFrames: wanted, periodFrames: Math.round(format.rate * PERIOD_SECONDS) };
  return most > 0 ? { bufferFrames: most } : {}; // what the card objects to, the stream says
}

function openOutput(file: string, format: WavFormat, stdout: Writable): WavStream | Promise<WavStream> {
  return file === STDOUT ? wavInto(stdout, 'standard output', format) : createWavFile(file, format);
}

/** Returns when the recording has its length, or has been ended, and the file is complete. */
async function recordThrough(recording: Recording, terminal: Terminal): Promise<void> {
  const { options, stream, wav } = recording;
  const { rate, frameBytes } = stream;
  stream.on('overrun', ({ lost, frames, estimated }: CaptureStreamEvents['overrun'][0]) => {
    const what = `${estimated ? 'about ' : ''}${lost} frames were lost`;
    if (!estimated) recording.lost += lost; // of the frames that the position counts
    terminal.complain(
      `overrun: ${what}${estimated ? ' at the host, some seconds before' : ', up to'} frame ${frames}`,
    );
  });
  const meter = new LevelMeter(stream);
  const hide = options.json
    ? () => {}
    : showProgress(terminal, () => ({
        elapsed: wav.frames / rate,
        total: options.duration,
        fill: stream.latency / stream.bufferFrames,
        latency: (stream.latency / rate) * 1000,
        xruns: { name: 'overruns', count: stream.overruns, estimated: stream.estimatedOverruns },
        levels: terminal.live ? meter.levelsUpTo() : [],
      }));
  const bytes = options.duration === undefined ? Infinity : Math.round(options.duration * rate) * frameBytes;
  const closed = new Promise((resolve) => wav.once('close', resolve));
  try {
    await pipeline(stream, (source: AsyncIterable<Buffer>) => firstOf(source, bytes), meter, wav);
  } catch (error) {
    if (!isReaderGone(error)) throw error;
  } finally {
    await closed; // only now the file has its length
    hide();
  }
  if (wav.errored && !isReaderGone(wav.errored)) throw wav.errored;
}

/** So many bytes, and not one more: a source that is left is released. */
async function* firstOf(source: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let rest = bytes;
  for await (const chunk of source) {
    yield chunk.subarray(0, rest);
    rest -= chunk.length;
    if (rest <= 0) return;
  }
}

/** Whoever reads standard output has had enough. */
function isReaderGone(error: unknown): boolean {
  return isVsndError(error, 'ERR_VSND_FILE') && error.errno === 'EPIPE';
}

function announcement({ options, card, stream, guest }: Recording): string {
  const { devid, backendDomid } = card.info;
  const { duration } = options;
  const where = guest
    ? `${guest.hypervisor.description}, source ${describeChosen(guest.source, '--source')}`
    : `this guest, through the backend in domain ${backendDomid}`;
  const length = duration === undefined ? '' : `, ${clockTime(duration)}`;
  return [
    `recording ${nameOf(options)}: ${describeFormat(stream)}${length}`,
    `on card ${devid} of ${where}`,
  ].join('\n');
}

function summary({ options, stream, wav, lost }: Recording): string {
  const { frames } = wav;
  const loss = lost > 0 ? `, ${lost} frames lost` : '';
  return [
    `recorded ${frames} frames (${clockTime(frames / stream.rate)}) into ${nameOf(options)}: ${describeFormat(stream)}`,
    `positions reported by the backend: ${stream.positionReports}`,
    `overruns: ${stream.overruns}${loss}`,
  ].join('\n');
}

function report({ options, stream, wav, lost, guest }: Recording): string {
  const { format, rate, channels, positionReports, overruns } = stream;
  const sound = { frames: wav.frames, format, rate, channels };
  const source = guest?.source.description;
  return JSON.stringify(
    { file: nameOf(options), ...sound, positionReports, overruns, lost, source },
    null,
    2,
  );
}

function nameOf({ file }: RecordOptions): string {
  return file === STDOUT ? 'standard output' : file;
}
