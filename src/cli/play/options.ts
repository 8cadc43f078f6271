import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FrameFormat } from '../../audio/audio-source.ts';
import type { Excerpt } from '../../audio/excerpt.ts';
import { PCM_FORMATS, pcmFormatByName } from '../../wire/pcm-format.ts';
import { type CommandLine, parseIndex, parseNumber, parseTime, UsageError } from '../arguments.ts';
import { CARD, EMULATION, parseEmulation, SOFTWARE_VOLUME } from '../common-options.ts';
import { STDIN } from './playlist.ts';

/** aplay's words for a format, a rate and two channels. */
const SHORTHANDS: Readonly<Record<string, FrameFormat>> = {
  cd: { format: 's16_le', rate: 44_100, channels: 2 },
  cdr: { format: 's16_be', rate: 44_100, channels: 2 },
  dat: { format: 's16_le', rate: 48_000, channels: 2 },
};

const RAW_FORMATS = PCM_FORMATS.filter(({ sampleBytes }) => sampleBytes !== undefined).map(
  ({ name }) => name,
);

export const PLAY_OPTIONS = {
  format: {
    short: 'f',
    argument: 'FORMAT',
    help: `FILE is raw PCM of this format, as in s16_le or S16_LE; cd and cdr are S16_LE and S16_BE at 44100 Hz in
      stereo, dat is S16_LE at 48000 Hz in stereo`,
    offer: [...Object.keys(SHORTHANDS), ...RAW_FORMATS],
  },
  rate: { short: 'r', argument: 'HZ', help: 'of raw PCM (default: 48000)' },
  channels: { short: 'c', argument: 'N', help: 'of raw PCM (default: 2)' },
  start: { argument: 'TIME', help: 'begin each FILE there: seconds, or 1:30, or 1:02:03' },
  duration: { short: 'd', argument: 'TIME', help: 'play so much of each FILE' },
  loop: { argument: 'N', optional: true, help: 'play it all N times; without N, again and again' },
  volume: {
    argument: 'DB',
    help: 'the volume at the start: 0 leaves it as it is, -6 halves it; implies --software-volume; keys and vsnd volume change it',
  },
  buffer: {
    argument: 'MS',
    help: 'sound that the card holds, 10 to 10000 as far as it has room (default: 200)',
  },
  card: CARD,
  device: {
    argument: 'N',
    help: "the card's PCM device with this number (default: the first one that plays)",
  },
  'software-volume': SOFTWARE_VOLUME,
  quiet: { short: 'q', help: 'print nothing but what goes wrong; no keys either' },
  json: { help: 'print nothing but what was played, at the end, as JSON' },
  ...EMULATION,
  emulate: {
    help: `use an emulated Xen machine inside this process; without FILE, play a sound that comes with vsnd`,
  },
} as const;

export interface PlayOptions {
  /** Paths, addresses, or {@link STDIN}. */
  readonly files: readonly string[];
  /** What they hold, where they are raw PCM. */
  readonly raw: FrameFormat | undefined;
  readonly card: number | undefined;
  readonly device: number | undefined;
  readonly softwareVolume: boolean;
  /** What of each file is played. */
  readonly excerpt: Excerpt;
  /** How often all of it is played. */
  readonly rounds: number;
  /** dB; undefined: as it is. */
  readonly volume: number | undefined;
  /** ms of sound that the card holds; undefined: as usual. */
  readonly buffer: number | undefined;
  /** Prints nothing while it plays, and hears no keys. */
  readonly isQuiet: boolean;
  readonly json: boolean;
  /** The emulated machine; undefined: this one. */
  readonly emulation: { readonly sink: string | undefined; readonly fast: boolean } | undefined;
}

/** aplay's names where they are not those of sndif.h in capitals. */
const ALSA_NAMES: Readonly<Record<string, string>> = { s8: 's8', float: 'float_le', float64: 'float64_le' };

const RATES = { min: 1, max: 768_000, unit: 'Hz' };
const CHANNELS = { min: 1, max: 64, unit: '' };

/** Throws {@link UsageError}. */
export function parsePlayOptions({ values, operands }: CommandLine<typeof PLAY_OPTIONS>): PlayOptions {
  const emulation = parseEmulation(values);
  if (!emulation && operands.length === 0) throw new UsageError('FILE is missing (--emulate has one)');
  if (operands.filter((file) => file === STDIN).length > 1)
    throw new UsageError("'-', standard input, is there once");
  const rounds = parseRounds(values.loop);
  if (rounds > 1 && operands.includes(STDIN))
    throw new UsageError("'-', standard input, comes once: not with --loop");
  const raw = parseRaw(values);
  if (raw && operands.length === 0) throw new UsageError('--format needs FILE');
  const volume = parseNumber('--volume', values.volume, { min: -1000, max: 1000, unit: 'dB' });
  const { quiet = false, json = false } = values;
  return {
    files: operands.length > 0 ? operands : [packagedExample()],
    raw,
    card: parseIndex('--card', values.card),
    device: parseIndex('--device', values.device),
    softwareVolume: values['software-volume'] ?? volume !== undefined,
    excerpt: {
      start: parseTime('--start', values.start) ?? 0,
      duration: parseDuration(values.duration),
    },
    rounds,
    volume,
    buffer: parseNumber('--buffer', values.buffer, { min: 10, max: 10_000, unit: 'ms' }),
    isQuiet: quiet || json,
    json,
    emulation,
  };
}

/** How often; for ever without a number. */
function parseRounds(value: string | undefined): number {
  if (value === undefined) return 1;
  if (value === '') return Number.POSITIVE_INFINITY;
  if (/^[1-9]\d{0,8}$/.test(value)) return Number(value);
  throw new UsageError(`--loop is '${value}'; allowed: 1, 2, 3, ...; or no number, for ever`);
}

function parseDuration(value: string | undefined): number | undefined {
  const duration = parseTime('--duration', value);
  if (duration === 0) throw new UsageError(`--duration is '${value}'; allowed: more than 0 s`);
  return duration;
}

function parseRaw(values: CommandLine<typeof PLAY_OPTIONS>['values']): FrameFormat | undefined {
  const rate = parseNumber('--rate', values.rate, RATES);
  const channels = parseNumber('--channels', values.channels, CHANNELS);
  if (values.format === undefined) {
    const without = values.rate === undefined ? values.channels && '--channels' : '--rate';
    if (without) throw new UsageError(`${without} needs --format: other files say it themselves`);
    return undefined;
  }
  for (const [option, value] of Object.entries({ '--rate': rate, '--channels': channels })) {
    if (value !== undefined && !Number.isInteger(value))
      throw new UsageError(`${option} is '${value}'; allowed: whole numbers`);
  }
  const chosen = parseFormat(values.format);
  return { format: chosen.format, rate: rate ?? chosen.rate, channels: channels ?? chosen.channels };
}

function parseFormat(text: string): FrameFormat {
  const name = text.toLowerCase();
  const shorthand = SHORTHANDS[name];
  if (shorthand) return shorthand;
  const format = pcmFormatByName(ALSA_NAMES[name] ?? name);
  if (format?.sampleBytes !== undefined) return { format: format.name, rate: 48_000, channels: 2 };
  throw new UsageError(
    `--format is '${text}'; allowed: ${[...Object.keys(SHORTHANDS), ...RAW_FORMATS].join(', ')}`,
  );
}

/** The sound that comes with vsnd, by the shorter of its names. */
function packagedExample(): string {
  const path = fileURLToPath(new URL('../../../examples/hello.wav', import.meta.url));
  const fromHere = relative('', path);
  return fromHere.startsWith('..') ? path : fromHere;
}
