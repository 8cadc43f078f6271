import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import type { WriteStream } from 'node:tty';
import { sourceOf } from '../backend/device-names.ts';
import { type EmulatedGuest, startEmulatedGuest } from '../emulation/guest.ts';
import { isVsndError } from '../errors.ts';
import { type CaptureStream, type Card, openCard, type PcmFormatName, type StreamWarning } from '../index.ts';
import { ReleaseStack } from '../release-stack.ts';
import { WAV_FORMATS, type WavFormat } from '../wav/header.ts';
import { createWavFile, type WavStream, wavInto } from '../wav/stream.ts';
import { parseCommandLine, parseIndex, parseNumber, UsageError } from './arguments.ts';
import { LevelMeter } from './level-meter.ts';
import { clockTime, describeFormat } from './messages.ts';
import { isSameFile } from './same-file.ts';
import { showProgress } from './show-progress.ts';
import type { Terminal } from './terminal.ts';

/** In the place of a file: standard output. */
const STDOUT = '-';

/** What to record where the user does not say: the best first. */
const PREFERRED_FORMATS: readonly PcmFormatName[] = [
  's16_le',
  's24_le',
  's32_le',
  'float_le',
  'float64_le',
  'u8',
  'mu_law',
  'a_law',
];
const PREFERRED_RATE = 48_000;
const PREFERRED_CHANNELS = 2;

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
  emulate: boolean;
  source: string | undefined;
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

/** Whether the sound goes to standard output: everything else then goes to standard error. */
export function recordsToStdout([command, ...args]: readonly string[]): boolean {
  return command === 'record' && args.includes(STDOUT);
}

/**
 * `vsnd record`: records into a WAV file and says how it went. An aborted `signal` ends the recording, without an error.
 */
export async function record(
  args: string[],
  terminal: Terminal,
  stdout: WriteStream,
  signal: AbortSignal,
): Promise<void> {
  const options = await parseOptions(args);
  if (options.file === STDOUT && stdout.isTTY) {
    throw new UsageError('- is standard output, which is a terminal; allowed: a file, a pipe', 'record');
  }
  const releases = new ReleaseStack();
  let recording: Recording | undefined;
  try {
    const { emulate, source } = options;
    const guest = emulate ? await startEmulatedGuest({ sink: 'null', source }) : undefined;
    if (guest) releases.push(() => guest.close());
    const card = await openCard({ hypervisor: guest?.hypervisor, card: options.card, control: true, signal });
    releases.push(() => card.close());
    const stream = await openStream(card, options, terminal, signal);
    if (signal.aborted) return;
    const wav = await openOutput(options.file, stream, stdout);
    recording = { options, card, stream, wav, guest, lost: 0 };
    terminal.say(announcement(recording));
    await recordThrough(recording, terminal);
  } finally {
    await releases.releaseAll();
    if (recording) terminal.say(summarize(recording).join('\n'));
  }
}

async function parseOptions(args: string[]): Promise<RecordOptions> {
  const { values, file } = parseCommandLine(
    'record',
    args,
    {
      duration: { type: 'string', short: 'd' },
      rate: { type: 'string', short: 'r' },
      channels: { type: 'string', short: 'c' },
      format: { type: 'string', short: 'f' },
      card: { type: 'string' },
      device: { type: 'string' },
      volume: { type: 'string' },
      emulate: { type: 'boolean' },
      source: { type: 'string' },
    },
    { takesFile: true },
  );
  const { emulate = false, source } = values;
  if (file === undefined) throw new UsageError('FILE.wav is missing (- is standard output)', 'record');
  if (source !== undefined) await checkSource(source, file, emulate);
  return {
    file,
    duration: parseNumber('record', '--duration', values.duration, { min: 0.001, max: 1e6, unit: 's' }),
    format: parseFormat(values.format),
    rate: parseIndex('record', '--rate', values.rate),
    channels: parseIndex('record', '--channels', values.channels),
    card: parseIndex('record', '--card', values.card),
    device: parseIndex('record', '--device', values.device),
    volume: parseNumber('record', '--volume', values.volume, { min: -1000, max: 1000, unit: 'dB' }),
    emulate,
    source,
  };
}

async function checkSource(source: string, file: string, emulate: boolean): Promise<void> {
  if (!emulate) throw new UsageError('--source needs --emulate', 'record');
  const name = sourceOf(source);
  if (name?.kind !== 'silence' && name?.kind !== 'sine' && name?.kind !== 'wav') {
    const allowed = 'silence, sine, sine:HZ, wav:FILE';
    throw new UsageError(`--source is '${source}'; allowed: ${allowed}`, 'record');
  }
  if (name.kind === 'wav' && (await isSameFile(file, name.file))) {
    throw new UsageError(`--source is '${source}', the file to be written; allowed: another one`, 'record');
  }
}

/** As arecord has them, or in small letters. */
function parseFormat(value: string | undefined): PcmFormatName | undefined {
  if (value === undefined) return undefined;
  const format = WAV_FORMATS.find((name) => name === value.toLowerCase());
  if (format) return format;
  throw new UsageError(`--format is '${value}'; allowed: ${WAV_FORMATS.join(', ')}`, 'record');
}

/** A stream that the backend has opened, with its volume set. */
async function openStream(
  card: Card,
  options: RecordOptions,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<CaptureStream> {
  const { device, volume } = options;
  const stream = card.createCaptureStream({ ...chooseFormat(card, options), device });
  stream.on('warning', (warning: StreamWarning) => terminal.complain(`warning: ${warning.message}`));
  stream.on('error', () => {}); // whoever waits for it hears of it
  signal.addEventListener('abort', () => stream.finish(), { once: true });
  if (signal.aborted) stream.finish();
  await once(stream, 'open');
  if (volume !== undefined) await stream.setVolume(volume);
  return stream;
}

/** What the user said, and else what the card has that comes nearest to s16_le, 48 kHz, stereo. */
function chooseFormat({ info }: Card, { device, format, rate, channels }: RecordOptions): WavFormat {
  const limits = info.pcmDevices
    .filter(({ index }) => index === (device ?? index))
    .flatMap(({ streams }) => streams)
    .find(({ type }) => type === 'capture');
  const { formats = [], rates = [], channels: range } = limits ?? {};
  return {
    format: format ?? PREFERRED_FORMATS.find((name) => formats.includes(name)) ?? 's16_le',
    rate: rate ?? (rates.includes(PREFERRED_RATE) ? PREFERRED_RATE : (rates.at(-1) ?? PREFERRED_RATE)),
    channels:
      channels ?? Math.max(range?.min ?? 0, Math.min(PREFERRED_CHANNELS, range?.max ?? PREFERRED_CHANNELS)),
  };
}

function openOutput(file: string, format: WavFormat, stdout: WriteStream): WavStream | Promise<WavStream> {
  return file === STDOUT ? wavInto(stdout, 'standard output', format) : createWavFile(file, format);
}

/** Returns when the recording has its length, or has been ended, and the file is complete. */
async function recordThrough(recording: Recording, terminal: Terminal): Promise<void> {
  const { options, stream, wav } = recording;
  const { rate, frameBytes } = stream;
  stream.on('overrun', ({ lost, frames }: { lost: number; frames: number }) => {
    recording.lost += lost;
    terminal.complain(`overrun: ${lost} frames were lost, up to frame ${frames}`);
  });
  const meter = new LevelMeter(stream);
  const hide = showProgress(terminal, () => ({
    elapsed: wav.frames / rate,
    total: options.duration,
    fill: stream.latency / stream.bufferFrames,
    latency: (stream.latency / rate) * 1000,
    xruns: { name: 'overruns', count: stream.overruns },
    levels: terminal.live ? meter.levelsUpTo() : [],
  }));
  const octets = options.duration === undefined ? Infinity : Math.round(options.duration * rate) * frameBytes;
  const closed = new Promise((resolve) => wav.once('close', resolve));
  try {
    await pipeline(stream, (source: AsyncIterable<Buffer>) => firstOf(source, octets), meter, wav);
  } catch (error) {
    if (!isReaderGone(error)) throw error;
  } finally {
    await closed; // only now the file has its length
    hide();
  }
  if (wav.errored && !isReaderGone(wav.errored)) throw wav.errored;
}

/** So many octets, and not one more: a source that is left is released. */
async function* firstOf(source: AsyncIterable<Buffer>, octets: number): AsyncGenerator<Buffer> {
  let rest = octets;
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
    ? `${guest.hypervisor.description}, source ${guest.source.description}`
    : `this guest, through the backend in domain ${backendDomid}`;
  const length = duration === undefined ? '' : `, ${clockTime(duration)}`;
  return [
    `recording ${nameOf(options)}: ${describeFormat(stream)}${length}`,
    `on card ${devid} of ${where}`,
  ].join('\n');
}

function summarize({ options, stream, wav, lost }: Recording): string[] {
  const { frames } = wav;
  const loss = lost > 0 ? `, ${lost} frames lost` : '';
  return [
    `recorded ${frames} frames (${clockTime(frames / stream.rate)}) into ${nameOf(options)}: ${describeFormat(stream)}`,
    `positions reported by the backend: ${stream.positionReports}`,
    `overruns: ${stream.overruns}${loss}`,
  ];
}

function nameOf({ file }: RecordOptions): string {
  return file === STDOUT ? 'standard output' : file;
}
